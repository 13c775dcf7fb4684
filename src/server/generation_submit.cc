// The request's way in: body to wire struct, to plan, to the engine.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/openai/request_parser.h"
#include "server/generation_exchange.h"
#include "server/request_id.h"

namespace weir {
namespace {

TimePoint Now() { return MonotonicClock::Get().Now(); }

// Weight of one request in the running mean of tokens per body byte.
constexpr double kLearningRate = 0.05;

}  // namespace

void GenerationExchange::TakeFields(const GenerationFields& fields) {
  record_.model = fields.model;
  record_.is_stream = fields.stream;
  record_.num_choices = fields.n;
  record_.ignored_fields = fields.ignored_fields;
  applicant_.service_class = ClassOfTier(fields.service_tier, applicant_);
  record_.service_class = applicant_.service_class;
  include_usage_ = fields.include_usage;
  continuous_usage_ = fields.continuous_usage_stats;
  choice_options_ = {.stop = fields.stop,
                     .skip_special = fields.skip_special_tokens,
                     .with_logprobs = fields.num_logprobs >= 0,
                     .num_logprobs = std::max(0, fields.num_logprobs),
                     .num_prompt_logprobs = fields.num_prompt_logprobs,
                     .with_token_ids = fields.return_token_ids,
                     .is_chat = is_chat_};
}

Status GenerationExchange::CheckFields(const GenerationFields& fields) const {
  if (context_->options.reject_unknown_params && !fields.ignored_fields.empty()) {
    const std::string& name = fields.ignored_fields[0];
    return InvalidArgument(fmt::format("this server does not know the field {}; leave it out", name))
        .WithReason("unknown_parameter")
        .WithParam(name.substr(0, name.find(' ')));
  }
  return context_->FindModel(fields.model).status();
}

Status GenerationExchange::Parse(const std::string& body) {
  if (is_chat_) {
    WEIR_ASSIGN_OR_RETURN(ChatRequest request, ParseChatRequest(body));
    TakeFields(request);
    WEIR_RETURN_IF_ERROR(CheckFields(request));
    record_.ledger.parsed = Now();
    WEIR_ASSIGN_OR_RETURN(plan_, PlanChat(request, *engine_, &record_.ledger));
    constraint_ = std::move(request.constraint);
    choice_options_.finds_tool_calls = !request.tools.empty() && request.tool_choice != ToolChoice::kNone &&
                                       (constraint_.kind == OutputConstraint::Kind::kNone ||
                                        constraint_.kind == OutputConstraint::Kind::kToolCalls);
    choice_options_.tool_call_delivery =
        record_.is_stream ? ToolCallDelivery::kInPieces : ToolCallDelivery::kWhole;
  } else {
    WEIR_ASSIGN_OR_RETURN(const CompletionRequest request, ParseCompletionRequest(body));
    TakeFields(request);
    WEIR_RETURN_IF_ERROR(CheckFields(request));
    record_.ledger.parsed = Now();
    WEIR_ASSIGN_OR_RETURN(plan_, PlanCompletion(request, *engine_, &record_.ledger));
  }
  WEIR_ASSIGN_OR_RETURN(plan_->shape.adapter, context_->FindModel(record_.model));
  plan_->shape.owner = applicant_.owner;
  plan_->shape.service_class = applicant_.service_class;
  for (const PlannedPrompt& prompt : plan_->prompts)
    record_.prompt_tokens += static_cast<int>(prompt.tokens.size());
  record_.max_tokens = *std::max_element(plan_->max_tokens.begin(), plan_->max_tokens.end());
  record_.seed = plan_->seed;
  record_.seed_known = true;
  int64_t num_cached = 0;
  for (const PlannedPrompt& prompt : plan_->prompts) num_cached += NumCachedTokens(prompt);
  const double ratio = static_cast<double>(record_.prompt_tokens - num_cached) /
                       static_cast<double>(std::max<size_t>(1, body.size()));
  const double mean = context_->tokens_per_body_byte.load(std::memory_order_relaxed);
  context_->tokens_per_body_byte.store(mean + kLearningRate * (ratio - mean), std::memory_order_relaxed);
  return OkStatus();
}

int64_t GenerationExchange::NumCachedTokens(const PlannedPrompt& prompt) const {
  // Scores need the logits of every prompt token, so nothing is skipped.
  if (plan_->shape.prompt_logprobs) return 0;
  return engine_->CountCachedTokens(plan_->shape.prefix_salt(), prompt.tokens);
}

void GenerationExchange::Constrain() {
  record_.ledger.Enter(Stage::kQueueGrammar, Now());
  compiling_ = context_->grammars.Compile(
      engine_->tokenizer(), constraint_, io_,
      [weak = weak_from_this()](Result<std::shared_ptr<Grammar>> grammar) {
        const std::shared_ptr<GenerationExchange> self = weak.lock();
        if (self == nullptr || self->closed_ || self->client_left_) return;
        self->compiling_.reset();
        Duration retry_after{};
        Status status = grammar.status();
        if (status.ok()) {
          self->plan_->shape.grammar = std::move(grammar).value();
          status = self->Submit(&retry_after);
        } else {
          const bool of_tools = self->constraint_.kind == OutputConstraint::Kind::kToolCalls;
          status = std::move(status).WithParam(of_tools ? "tools" : "response_format.json_schema.schema");
        }
        if (!status.ok()) self->Fail(status, retry_after);
      });
}

void GenerationExchange::SetDeadlines(Request* request) const {
  // The reference study's server knows none.
  if (!context_->options.bounded_queue) return;
  const TimePoint arrived = record_.ledger.started();
  Duration total = std::min(deadlines_.total.value_or(context_->options.max_request_time),
                            context_->options.max_request_time);
  std::optional<Duration> first = deadlines_.first_token;
  if (deadlines_.sdk) {
    if (record_.is_stream) {
      first = std::min(first.value_or(*deadlines_.sdk), *deadlines_.sdk);
    } else {
      total = std::min(total, *deadlines_.sdk);
    }
  }
  request->deadline = arrived + total;
  if (first) request->first_token_deadline = arrived + *first;
}

void GenerationExchange::PredictTtft() {
  LoadSnapshot load = engine_->Load(applicant_);
  if (load.prefill_tokens_per_s <= 0) return;
  // Load() counts this request's own reservations as waiting; the wait is for the others.
  load.num_waiting = std::max(0, load.num_waiting - plan_->num_sequences());
  load.queued_tokens = std::max<int64_t>(0, load.queued_tokens - reservation_.tokens());
  const int64_t num_prompt =
      static_cast<int64_t>(plan_->prompts[0].tokens.size()) - NumCachedTokens(plan_->prompts[0]);
  const Duration since = Now() - record_.ledger.started();
  record_.predicted_ttft_ms = ToMilliseconds(since + PredictWait(load, num_prompt)) +
                              1e3 * static_cast<double>(num_prompt) / load.prefill_tokens_per_s;
}

Status GenerationExchange::Submit(Duration* retry_after) {
  record_.ledger.Enter(Stage::kAdmit, Now());
  const int count = plan_->num_sequences();
  Reservation more;
  if (count > 1) {
    const int64_t rest = plan_->num_prompt_tokens() * (count - 1) / count;
    Admitted<Reservation> place = engine_->Reserve(rest, count - 1, std::nullopt, applicant_);
    if (!place.ok()) {
      *retry_after = place.refused.retry_after;
      return place.refused.status;
    }
    more = std::move(place.value);
  }
  PredictTtft();
  until_submit_ = record_.ledger;
  until_submit_.Close(Now());
  json_.emplace(ResponseHead{.is_chat = is_chat_,
                             .id = MakeId(is_chat_ ? "chatcmpl-" : "cmpl-"),
                             .created_s = context_->UnixTime(),
                             .model = record_.model,
                             .service_tier = std::string(TierName(applicant_.service_class)),
                             .with_logprobs = choice_options_.with_logprobs,
                             .with_token_ids = choice_options_.with_token_ids});
  sequences_.resize(count);
  for (int i = 0; i < count; ++i) {
    Request request = MakeRequest(*plan_, i, record_.id);
    request.ledger = record_.ledger;
    SetDeadlines(&request);
    auto reader = std::make_shared<StreamReader>();
    reader->on_news = [self = shared_from_this(), i] { self->OnNews(i); };
    Sequence& sequence = sequences_[i];
    sequence.choice = std::make_unique<Choice>(engine_->tokenizer(), choice_options_, i);
    const PlannedPrompt& prompt = plan_->prompts[i / plan_->n];
    sequence.choice->SetPrompt(prompt.tokens);
    if (plan_->echo) {
      sequence.choice->AddEcho(prompt.echo_text, prompt.tokens);
    }
    Admitted<std::shared_ptr<RequestStream>> submitted =
        engine_->Submit(i == 0 ? std::move(reservation_) : more.Split(), std::move(request),
                        context_->RelayOf(io_), std::move(reader));
    if (!submitted.ok()) {
      CancelAll();
      *retry_after = submitted.refused.retry_after;
      return submitted.refused.status;
    }
    sequence.stream = std::move(submitted.value);
    ++num_open_;
  }
  if (record_.is_stream) KeepAlive();
  return OkStatus();
}

}  // namespace weir
