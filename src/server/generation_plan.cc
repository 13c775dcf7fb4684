#include "server/generation_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/rng.h"
#include "server/tool_rendering.h"

namespace weir {
namespace {

constexpr int64_t kDefaultCompletionTokens = 16;
constexpr int kTokensPerBlock = 16;
// Some 80 bytes of text each, while other requests want memory too.
constexpr int64_t kMaxPromptScores = 500000;

TimePoint Now() { return MonotonicClock::Get().Now(); }

Status TooLong(int64_t num_prompt, int64_t max_tokens, int64_t limit) {
  return InvalidArgument(
             fmt::format("the prompt has {} tokens and {} are asked for, together {}, but at most {} fit; "
                         "shorten the prompt or ask for fewer tokens",
                         num_prompt, max_tokens, num_prompt + max_tokens, limit))
      .WithReason("context_length_exceeded");
}

// Known before tokenizing, so that a huge text costs nothing.
Status CheckBytes(size_t bytes, const Engine& engine, const char* param) {
  const int64_t least_tokens =
      static_cast<int64_t>(bytes) / std::max(1, engine.tokenizer().max_token_bytes());
  const int64_t limit = ContextLimit(engine);
  if (least_tokens <= limit) return OkStatus();
  return InvalidArgument(
             fmt::format("{} has {} bytes, which is at least {} tokens, but at most {} fit; shorten it",
                         param, bytes, least_tokens, limit))
      .WithReason("context_length_exceeded")
      .WithParam(param);
}

Result<std::vector<int32_t>> CheckedIds(const std::vector<int64_t>& ids, int vocab_size,
                                        const std::string& param) {
  std::vector<int32_t> out;
  out.reserve(ids.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size) {
      const std::string where = fmt::format("{}[{}]", param, i);
      return InvalidArgument(
                 fmt::format("{} is {}, expected a token id from 0 to {}", where, ids[i], vocab_size - 1))
          .WithReason("invalid_value")
          .WithParam(where);
    }
    out.push_back(static_cast<int32_t>(ids[i]));
  }
  return out;
}

Result<Request> ShapeOf(const GenerationFields& fields, const Engine& engine) {
  const int vocab_size = engine.tokenizer().vocab_size();
  Request shape;
  SamplingParams& sampling = shape.sampling;
  sampling.temperature = static_cast<float>(fields.temperature);
  sampling.top_p = static_cast<float>(fields.top_p);
  sampling.min_p = static_cast<float>(fields.min_p);
  sampling.top_k = static_cast<int>(std::min<int64_t>(fields.top_k, INT32_MAX));
  sampling.presence_penalty = static_cast<float>(fields.presence_penalty);
  sampling.frequency_penalty = static_cast<float>(fields.frequency_penalty);
  sampling.repetition_penalty = static_cast<float>(fields.repetition_penalty);
  sampling.num_logprobs = fields.num_logprobs;
  for (const auto& [id, bias] : fields.logit_bias) {
    if (id < 0 || id >= vocab_size) {
      return InvalidArgument(
                 fmt::format("logit_bias names token {}, expected an id from 0 to {}", id, vocab_size - 1))
          .WithReason("invalid_value")
          .WithParam("logit_bias");
    }
    sampling.logit_bias.emplace_back(static_cast<int32_t>(id), static_cast<float>(bias));
  }
  for (size_t i = 0; i < fields.bad_words.size(); ++i) {
    // In the middle of a text a word begins with a space more often than not.
    for (const char* before : {"", " "}) {
      WEIR_ASSIGN_OR_RETURN(
          std::vector<int32_t> word,
          engine.tokenizer().Encode(before + fields.bad_words[i], SpecialTokens::kAsText, /*add_bos=*/false));
      if (!word.empty()) sampling.bad_words.push_back(std::move(word));
    }
  }
  WEIR_RETURN_IF_ERROR(Validate(sampling, vocab_size));
  WEIR_ASSIGN_OR_RETURN(shape.stop_token_ids,
                        CheckedIds(fields.stop_token_ids, vocab_size, "stop_token_ids"));
  shape.ignore_eos = fields.ignore_eos;
  shape.prompt_logprobs = fields.num_prompt_logprobs >= 0;
  shape.num_prompt_top = std::max(0, fields.num_prompt_logprobs);
  return shape;
}

Status FitPrompts(const GenerationFields& fields, std::optional<int64_t> otherwise, const Engine& engine,
                  GenerationPlan* plan) {
  const int64_t limit = ContextLimit(engine);
  for (const PlannedPrompt& prompt : plan->prompts) {
    const auto num_prompt = static_cast<int64_t>(prompt.tokens.size());
    const int64_t left = limit - num_prompt;
    const int64_t least = fields.max_tokens == 0 ? 0 : 1;
    const int64_t wanted =
        fields.max_tokens.value_or(otherwise ? std::min(*otherwise, std::max(least, left)) : left);
    if (left < least || wanted > left) return TooLong(num_prompt, std::max(wanted, least), limit);
    plan->max_tokens.push_back(static_cast<int>(wanted));
    if (fields.min_tokens > wanted) {
      return InvalidArgument(fmt::format("min_tokens is {}, expected at most max_tokens, which is {}",
                                         fields.min_tokens, wanted))
          .WithReason("invalid_value")
          .WithParam("min_tokens");
    }
  }
  plan->shape.min_tokens = static_cast<int>(fields.min_tokens);
  const int64_t num_scores = plan->num_prompt_tokens() * (fields.num_prompt_logprobs + 1);
  if (fields.num_prompt_logprobs >= 0 && num_scores > kMaxPromptScores) {
    return InvalidArgument(
               fmt::format("prompt_logprobs asks for {} values over all prompt tokens and choices, "
                           "expected at most {}; ask for fewer, or send shorter prompts",
                           num_scores, kMaxPromptScores))
        .WithReason("invalid_value")
        .WithParam("prompt_logprobs");
  }
  return OkStatus();
}

Result<GenerationPlan> StartPlan(const GenerationFields& fields, const Engine& engine) {
  GenerationPlan plan;
  WEIR_ASSIGN_OR_RETURN(plan.shape, ShapeOf(fields, engine));
  plan.n = fields.n;
  // Positive, so that a person can send it back.
  plan.seed = fields.seed ? *fields.seed : static_cast<int64_t>(RandomSeed() >> 1);
  return plan;
}

}  // namespace

int64_t GenerationPlan::num_prompt_tokens() const {
  int64_t sum = 0;
  for (const PlannedPrompt& prompt : prompts) sum += static_cast<int64_t>(prompt.tokens.size());
  return sum * n;
}

int64_t ContextLimit(const Engine& engine) {
  return std::min<int64_t>(engine.max_model_len(), int64_t{engine.num_kv_blocks()} * kTokensPerBlock);
}

// Zero unless a report is to be tested against a server whose tokenizer is slow: the thread stands still, as it would then.
void PlantTokenizerDelay(const Engine& engine) {
  if (engine.options().tokenizer_delay > Duration::zero())
    std::this_thread::sleep_for(engine.options().tokenizer_delay);
}

Result<GenerationPlan> PlanChat(const ChatRequest& request, const Engine& engine, Ledger* ledger) {
  WEIR_ASSIGN_OR_RETURN(GenerationPlan plan, StartPlan(request, engine));
  const ChatTemplate* chat_template = engine.chat_template();
  if (chat_template == nullptr) {
    return InvalidArgument("this model has no chat template; use /v1/completions")
        .WithReason("template_error")
        .WithParam("messages");
  }
  size_t bytes = 0;
  for (const WireMessage& message : request.messages) bytes += message.content.size();
  WEIR_RETURN_IF_ERROR(CheckBytes(bytes, engine, "messages"));
  ledger->Enter(Stage::kTemplate, Now());
  const RenderedTools rendered = RenderTools(request, chat_template->knows_tools());
  WEIR_ASSIGN_OR_RETURN(
      const std::vector<RenderedPiece> pieces,
      chat_template->Render(rendered.messages, request.add_generation_prompt, rendered.tools));
  ledger->Enter(Stage::kTokenize, Now());
  ledger->templated = ledger->last_change();
  PlantTokenizerDelay(engine);
  std::vector<MarkedText> parts;
  for (const RenderedPiece& piece : pieces) {
    parts.push_back({piece.text, piece.from_template ? SpecialTokens::kParse : SpecialTokens::kAsText});
  }
  PlannedPrompt prompt;
  // A template writes the first token itself where the model wants one.
  WEIR_ASSIGN_OR_RETURN(prompt.tokens, engine.tokenizer().EncodeParts(parts, false));
  ledger->tokenized = Now();
  if (prompt.tokens.empty()) {
    return InvalidArgument("the messages render to no token")
        .WithReason("invalid_value")
        .WithParam("messages");
  }
  plan.prompts.push_back(std::move(prompt));
  WEIR_RETURN_IF_ERROR(FitPrompts(request, std::nullopt, engine, &plan));
  return plan;
}

Result<GenerationPlan> PlanCompletion(const CompletionRequest& request, const Engine& engine,
                                      Ledger* ledger) {
  WEIR_ASSIGN_OR_RETURN(GenerationPlan plan, StartPlan(request, engine));
  plan.echo = request.echo;
  const Tokenizer& tokenizer = engine.tokenizer();
  ledger->Enter(Stage::kTokenize, Now());
  ledger->templated = ledger->parsed;
  PlantTokenizerDelay(engine);
  for (size_t i = 0; i < request.prompts.size(); ++i) {
    const std::string where = request.prompts.size() == 1 ? "prompt" : fmt::format("prompt[{}]", i);
    PlannedPrompt prompt;
    if (const auto* ids = std::get_if<std::vector<int64_t>>(&request.prompts[i])) {
      WEIR_ASSIGN_OR_RETURN(prompt.tokens, CheckedIds(*ids, tokenizer.vocab_size(), where));
      if (request.echo) prompt.echo_text = tokenizer.Decode(prompt.tokens, request.skip_special_tokens);
    } else {
      const auto& text = std::get<std::string>(request.prompts[i]);
      WEIR_RETURN_IF_ERROR(CheckBytes(text.size(), engine, "prompt"));
      WEIR_ASSIGN_OR_RETURN(
          prompt.tokens,
          tokenizer.Encode(text, request.parse_special ? SpecialTokens::kParse : SpecialTokens::kAsText,
                           tokenizer.add_bos_by_default()));
      if (request.echo) prompt.echo_text = text;
    }
    if (prompt.tokens.empty()) {
      return InvalidArgument(fmt::format("{} has no token in this model's vocabulary", where))
          .WithReason("invalid_value")
          .WithParam(where);
    }
    plan.prompts.push_back(std::move(prompt));
  }
  ledger->tokenized = Now();
  WEIR_RETURN_IF_ERROR(FitPrompts(request, kDefaultCompletionTokens, engine, &plan));
  // An answer of no token still scores the prompt.
  plan.shape.prompt_logprobs |= request.echo && (request.num_logprobs >= 0 || request.max_tokens == 0);
  return plan;
}

Request MakeRequest(const GenerationPlan& plan, int sequence, std::string id) {
  const int prompt = sequence / plan.n;
  Request request = plan.shape;
  request.id = std::move(id);
  request.prompt = plan.prompts[prompt].tokens;
  request.max_tokens = plan.max_tokens[prompt];
  request.sampling.seed = static_cast<uint64_t>(plan.seed) + static_cast<uint64_t>(sequence % plan.n);
  return request;
}

}  // namespace weir
