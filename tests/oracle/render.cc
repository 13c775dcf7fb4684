// Renders chat templates for a script to compare. Each line of the input is {"template", "messages", "tools",
// "add_generation_prompt", "now"}, each line of the output {"text": ...} or {"error": ...}.
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tiny_vocabulary.h"

namespace weir {
namespace {

TemplateData DataOf(const Json& json) {
  if (json.is_boolean()) return {json.get<bool>()};
  if (json.is_number_integer()) return {json.get<int64_t>()};
  if (json.is_number()) return {json.get<double>()};
  if (json.is_string()) return {json.get<std::string>()};
  if (json.is_array()) {
    TemplateList list;
    for (const Json& item : json) list.push_back(DataOf(item));
    return {std::move(list)};
  }
  if (json.is_object()) {
    TemplateObject object;
    for (const auto& [key, item] : json.items()) object.emplace_back(key, DataOf(item));
    return {std::move(object)};
  }
  return {};
}

std::string TextOf(const Json& message, std::string_view key) {
  return JsonString(FindJson(message, {key})).value_or("");
}

Result<std::string> Render(const Json& question, const Tokenizer& tokenizer) {
  const int64_t now = question["now"].get<int64_t>();
  WEIR_ASSIGN_OR_RETURN(const auto made, ChatTemplate::Create(question["template"].get<std::string>(),
                                                              tokenizer, [now] { return now; }));
  std::vector<ChatMessage> messages;
  for (const Json& message : question["messages"]) {
    ChatMessage one{TextOf(message, "role"),
                    TextOf(message, "content"),
                    TextOf(message, "name"),
                    TextOf(message, "tool_call_id"),
                    {}};
    const Json* content = FindJson(message, {"content"});
    if (content == nullptr) one.content_kind = ContentKind::kMissing;
    if (content != nullptr && content->is_null()) one.content_kind = ContentKind::kNone;
    if (const Json* calls = FindJson(message, {"tool_calls"})) one.tool_calls = DataOf(*calls);
    messages.push_back(std::move(one));
  }
  WEIR_ASSIGN_OR_RETURN(
      const auto pieces,
      made->Render(messages, question["add_generation_prompt"].get<bool>(), DataOf(question["tools"])));
  std::string text;
  for (const RenderedPiece& piece : pieces) text += piece.text;
  return text;
}

int Run() {
  const auto tokenizer = std::move(*Tokenizer::Create(TinyVocabulary("smollm")));
  for (std::string line; std::getline(std::cin, line);) {
    const Result<Json> question = ParseJson(line);
    if (!question.has_value()) return 1;
    const Result<std::string> text = Render(*question, *tokenizer);
    std::cout << DumpJson(text.has_value() ? Json{{"text", *text}}
                                           : Json{{"error", std::string(text.error().message())}})
              << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace weir

int main() { return weir::Run(); }
