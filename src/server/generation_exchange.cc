#include "server/generation_exchange.h"

#include <algorithm>
#include <utility>

#include "base/log.h"

namespace weir {
namespace {

// How long memory takes to come back nobody can tell.
constexpr Duration kMemoryRetryAfter = std::chrono::seconds(5);

TimePoint Now() { return MonotonicClock::Get().Now(); }

}  // namespace

GenerationExchange::GenerationExchange(ServerContext* context, const HttpRequestHead& head, bool is_chat,
                                       Caller caller, std::string request_id,
                                       std::shared_ptr<ResponseWriter> writer, IoContext& io)
    : context_(context),
      engine_(context->engine.load(std::memory_order_acquire)),
      writer_(std::move(writer)),
      io_(io),
      caller_(std::move(caller)),
      is_chat_(is_chat) {
  record_.id = std::move(request_id);
  record_.owner = caller_.owner().name;
  record_.method = head.method;
  record_.path = head.path;
  record_.ledger.Begin(head.first_byte, Stage::kRecv);
  const std::string* asked = head.Find("X-Weir-Ledger");
  wants_ledger_ = asked != nullptr && *asked == "1";
  context_->num_active.fetch_add(1, std::memory_order_relaxed);
}

GenerationExchange::~GenerationExchange() {
  if (!closed_) Close();
}

std::shared_ptr<HttpExchange> GenerationExchange::Start(ServerContext* context, const HttpRequestHead& head,
                                                        bool is_chat, Caller caller, std::string request_id,
                                                        std::shared_ptr<ResponseWriter> writer,
                                                        IoContext& io) {
  std::shared_ptr<GenerationExchange> exchange(new GenerationExchange(
      context, head, is_chat, std::move(caller), std::move(request_id), std::move(writer), io));
  Duration retry_after{};
  const Status reserved = exchange->Reserve(head, &retry_after);
  if (reserved.ok()) return exchange;
  exchange->Fail(reserved, retry_after);
  // Nobody tells when a refusal is written, because the body is not read.
  exchange->Close();
  return nullptr;
}

Status GenerationExchange::Reserve(const HttpRequestHead& head, Duration* retry_after) {
  if (Status available = context_->Availability(); !available.ok()) {
    if (available.reason() == "memory_pressure") *retry_after = kMemoryRetryAfter;
    return available;
  }
  WEIR_ASSIGN_OR_RETURN(deadlines_, ReadDeadlines(head));
  WEIR_ASSIGN_OR_RETURN(applicant_, ReadApplicant(head, caller_.owner()));
  record_.service_class = applicant_.service_class;
  WEIR_RETURN_IF_ERROR(TakePlace(head.content_length, retry_after));
  // The door was open; the place itself is given back until the body is there. Otherwise a few clients that never send
  // theirs would fill the queue, and everybody else would be refused.
  reservation_ = Reservation();
  return OkStatus();
}

Status GenerationExchange::TakePlace(std::optional<uint64_t> body_bytes, Duration* retry_after) {
  record_.ledger.Enter(Stage::kAdmit, Now());
  std::optional<Duration> budget;
  if (context_->options.bounded_queue) budget = deadlines_.FirstTokenBudget();
  if (budget) *budget -= Now() - record_.ledger.started();  // an upload has used some of it
  Admitted<Reservation> place =
      engine_->Reserve(context_->EstimatedPromptTokens(body_bytes), 1, budget, applicant_);
  if (!place.ok()) {
    *retry_after = place.refused.retry_after;
    return place.refused.status;
  }
  reservation_ = std::move(place.value);
  record_.ledger.Enter(Stage::kRecv, Now());
  return OkStatus();
}

void GenerationExchange::OnBody(std::string body) {
  Duration retry_after{};
  Status status = TakePlace(body.size(), &retry_after);
  if (status.ok()) {
    record_.ledger.Enter(Stage::kParse, Now());
    status = Parse(body);
  }
  if (status.ok() && constraint_.kind != OutputConstraint::Kind::kNone) {
    Constrain();
    return;
  }
  if (status.ok()) status = Submit(&retry_after);
  if (!status.ok()) Fail(status, retry_after);
}

void GenerationExchange::OnDisconnect() {
  if (client_left_ || closed_) return;
  client_left_ = true;
  record_.client_left = Now();
  keep_alive_timer_.reset();
  compiling_.reset();
  reservation_ = Reservation();
  if (context_->options.cancel_on_disconnect) CancelAll();
  CloseIfOver();
}

void GenerationExchange::OnResponseWritten() {
  written_ = true;
  if (num_open_ == 0)
    record_.ledger.written = std::max(writer_->last_write_done(), record_.ledger.last_change());
  CloseIfOver();
}

void GenerationExchange::CancelAll() {
  for (Sequence& sequence : sequences_) {
    if (sequence.stream != nullptr) sequence.stream->Cancel();
  }
}

void GenerationExchange::CloseIfOver() {
  if (num_open_ == 0 && (written_ || client_left_) && !closed_) Close();
}

void GenerationExchange::Close() {
  closed_ = true;
  if (client_left_) {
    record_.status = 499;
    record_.code = "client_left";
  }
  record_.output_tokens = 0;
  for (const Sequence& sequence : sequences_) record_.output_tokens += sequence.num_tokens;
  record_.ledger.Close(written_ && record_.ledger.written != TimePoint{} ? record_.ledger.written : Now());
  keep_alive_timer_.reset();
  reservation_ = Reservation();
  // A request that the engine never took has used nothing.
  if (caller_.grant != nullptr && !sequences_.empty())
    caller_.grant->SetUsedTokens(int64_t{record_.prompt_tokens} + record_.output_tokens);
  caller_.grant.reset();
  context_->Close(std::move(record_));
  context_->num_active.fetch_sub(1, std::memory_order_release);
  writer_.reset();
}

}  // namespace weir
