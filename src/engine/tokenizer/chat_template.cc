#include "engine/tokenizer/chat_template.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include "base/utf8.h"
#include "engine/tokenizer/jinja_evaluator.h"
#include "engine/tokenizer/jinja_heap.h"
#include "engine/tokenizer/jinja_parser.h"

namespace weir {
namespace {

// Words of the protocol, not of the client: a template may build a special token from them.
constexpr std::string_view kRoles[] = {"system", "user", "assistant", "tool", "developer"};

// Bounded: whoever made the data bounded its depth.
Result<JinjaValue> MakeData(const TemplateData& data, JinjaHeap* heap) {
  if (const auto* flag = std::get_if<bool>(&data.value)) return JinjaValue::Of(*flag);
  if (const auto* integer = std::get_if<int64_t>(&data.value)) return JinjaValue::Of(*integer);
  if (const auto* number = std::get_if<double>(&data.value)) return JinjaValue::Of(*number);
  if (const auto* text = std::get_if<std::string>(&data.value)) {
    if (!IsValidUtf8(*text)) return InvalidArgument("a tool is not valid UTF-8").WithReason("template_error");
    return heap->NewData(*text);
  }
  if (const auto* list = std::get_if<TemplateList>(&data.value)) {
    std::vector<JinjaValue> items;
    for (const TemplateData& one : *list) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue item, MakeData(one, heap));
      items.push_back(std::move(item));
    }
    return heap->NewList(std::move(items));
  }
  if (const auto* object = std::get_if<TemplateObject>(&data.value)) {
    JinjaEntries entries;
    for (const auto& [key, one] : *object) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue entry, MakeData(one, heap));
      entries.emplace_back(key, std::move(entry));
    }
    return heap->NewDict(std::move(entries));
  }
  return JinjaValue::MakeNone();
}

Result<JinjaValue> MakeMessages(const std::vector<ChatMessage>& messages, JinjaHeap* heap) {
  std::vector<JinjaValue> list;
  for (const ChatMessage& message : messages) {
    for (const std::string* text : {&message.role, &message.content, &message.name}) {
      if (!IsValidUtf8(*text))
        return InvalidArgument("a message is not valid UTF-8").WithReason("template_error");
    }
    const bool known_role = std::find(std::begin(kRoles), std::end(kRoles), message.role) != std::end(kRoles);
    JinjaEntries entries;
    WEIR_ASSIGN_OR_RETURN(JinjaValue role, heap->NewString(JinjaText(message.role, known_role)));
    entries.emplace_back("role", std::move(role));
    if (message.content_kind == ContentKind::kText) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue content, heap->NewData(message.content));
      entries.emplace_back("content", std::move(content));
    } else if (message.content_kind == ContentKind::kNone) {
      entries.emplace_back("content", JinjaValue::MakeNone());
    }
    if (!message.name.empty()) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue name, heap->NewData(message.name));
      entries.emplace_back("name", std::move(name));
    }
    if (!message.tool_call_id.empty()) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue id, heap->NewData(message.tool_call_id));
      entries.emplace_back("tool_call_id", std::move(id));
    }
    if (!message.tool_calls.is_null()) {
      WEIR_ASSIGN_OR_RETURN(JinjaValue calls, MakeData(message.tool_calls, heap));
      entries.emplace_back("tool_calls", std::move(calls));
    }
    WEIR_ASSIGN_OR_RETURN(JinjaValue dict, heap->NewDict(std::move(entries)));
    list.push_back(std::move(dict));
  }
  return heap->NewList(std::move(list));
}

}  // namespace

struct ChatTemplate::State {
  JinjaBody body;
  const Tokenizer* tokenizer;
  std::string bos_text;
  std::string eos_text;

  bool knows_tools = false;
  std::function<int64_t()> now;

  Result<JinjaText> Render(const std::vector<ChatMessage>& messages, bool add_generation_prompt,
                           const TemplateData& tools) const {
    JinjaBudget budget;
    JinjaHeap heap(&budget);
    JinjaEvaluator evaluator(&heap);
    evaluator.SetTime(now());
    WEIR_ASSIGN_OR_RETURN(JinjaValue list, MakeMessages(messages, &heap));
    evaluator.SetGlobal("messages", std::move(list));
    evaluator.SetGlobal("add_generation_prompt", JinjaValue::Of(add_generation_prompt));
    WEIR_ASSIGN_OR_RETURN(JinjaValue tool_list, MakeData(tools, &heap));
    evaluator.SetGlobal("tools", std::move(tool_list));
    evaluator.SetGlobal("documents", JinjaValue::MakeNone());
    WEIR_ASSIGN_OR_RETURN(JinjaValue bos, heap.NewString(JinjaText(bos_text, true)));
    evaluator.SetGlobal("bos_token", std::move(bos));
    WEIR_ASSIGN_OR_RETURN(JinjaValue eos, heap.NewString(JinjaText(eos_text, true)));
    evaluator.SetGlobal("eos_token", std::move(eos));
    return evaluator.Render(body);
  }
};

ChatTemplate::ChatTemplate(std::unique_ptr<State> state) : state_(std::move(state)) {}
ChatTemplate::~ChatTemplate() = default;

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::Create(std::string_view source,
                                                           const Tokenizer& tokenizer,
                                                           std::function<int64_t()> now) {
  auto state = std::make_unique<State>();
  state->now = now ? std::move(now) : [] { return static_cast<int64_t>(std::time(nullptr)); };
  WEIR_ASSIGN_OR_RETURN(state->body, ParseJinja(source));
  state->tokenizer = &tokenizer;
  state->knows_tools = source.find("tools") != std::string_view::npos;
  if (tokenizer.bos().has_value()) state->bos_text = tokenizer.TokenText(*tokenizer.bos());
  if (tokenizer.eos().has_value()) state->eos_text = tokenizer.TokenText(*tokenizer.eos());
  return std::unique_ptr<ChatTemplate>(new ChatTemplate(std::move(state)));
}

bool ChatTemplate::knows_tools() const { return state_->knows_tools; }

Result<std::vector<RenderedPiece>> ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                                        bool add_generation_prompt,
                                                        const TemplateData& tools) const {
  WEIR_ASSIGN_OR_RETURN(const JinjaText text, state_->Render(messages, add_generation_prompt, tools));
  std::vector<RenderedPiece> pieces;
  std::string_view rest = text.str();
  for (const JinjaText::Run& run : text.runs()) {
    pieces.push_back({std::string(rest.substr(0, run.bytes)), run.from_template});
    rest.remove_prefix(run.bytes);
  }
  return pieces;
}

Result<std::vector<TokenId>> ChatTemplate::RenderAndEncode(const std::vector<ChatMessage>& messages,
                                                           bool add_generation_prompt,
                                                           const TemplateData& tools) const {
  WEIR_ASSIGN_OR_RETURN(const std::vector<RenderedPiece> pieces,
                        Render(messages, add_generation_prompt, tools));
  std::vector<MarkedText> parts;
  for (const RenderedPiece& piece : pieces) {
    parts.push_back({piece.text, piece.from_template ? SpecialTokens::kParse : SpecialTokens::kAsText});
  }
  // A template writes bos itself where the model wants one.
  return state_->tokenizer->EncodeParts(parts, false);
}

}  // namespace weir
