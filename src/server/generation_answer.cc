// The request's way out: token events to a body or to stream chunks, and how it ends.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "net/http/sse.h"
#include "server/generation_exchange.h"

namespace weir {
namespace {

TimePoint Now() { return MonotonicClock::Get().Now(); }

}  // namespace

// Steps that ended since the last visit are answered with one write.
void GenerationExchange::OnNews(size_t index) {
  Sequence& sequence = sequences_[index];
  if (sequence.stream == nullptr) return;
  const std::shared_ptr<GenerationExchange> self =
      shared_from_this();  // the stream's context holds us, and may go
  std::string out;
  TakeEvents(&sequence, &out);
  if (!out.empty()) WriteStream(std::move(out));
  if (num_open_ == 0) Finish();
}

// A chunk per --stream-interval tokens, 1 unless said otherwise, also when several have come: who counts chunks then counts tokens.
void GenerationExchange::TakeEvents(Sequence* sequence, std::string* out) {
  TokenEvent event;
  while (sequence->stream != nullptr && sequence->stream->Pop(&event)) {
    const bool is_final = event.finish != FinishReason::kNone;
    if (is_final) TakeLedger(sequence);
    if (event.token >= 0) {
      ++sequence->num_tokens;
      if (sequence->last_token != TimePoint{})
        context_->metrics.ObserveTokenGap(event.at - sequence->last_token);
      sequence->last_token = event.at;
    }
    const bool was_done = sequence->choice->is_done();
    if (event.finish == FinishReason::kError) {
      // After a stop string the engine only reports that it was cancelled, as it was told to.
      if (!was_done && !out->empty()) WriteStream(std::exchange(*out, std::string()));
      if (!was_done) Fail(event.error, RetryAfter(event.error));
    } else {
      sequence->choice->Take(event);
      if (!was_done && sequence->choice->matched_stop() && sequence->stream != nullptr)
        sequence->stream->Cancel();
      ++sequence->num_held;
      const bool is_due = is_final || sequence->choice->is_done() || !sequence->has_chunk ||
                          sequence->num_held >= context_->options.stream_interval;
      if (record_.is_stream && !client_left_ && !answered_ && is_due) {
        sequence->num_held = 0;
        AppendChunks(sequence, out);
      }
    }
  }
}

// Whom the engine gave up while it waited is told a turn, as at the door; who ran out of its own time is not.
Duration GenerationExchange::RetryAfter(const Status& error) const {
  const bool is_for_others = error.reason() == "overloaded" || error.reason() == "evicted_share";
  return is_for_others ? engine_->TurnOfRefused(record_.prompt_tokens) : Duration::zero();
}

// The engine has let go of it: from here on the account is ours again.
void GenerationExchange::TakeLedger(Sequence* sequence) {
  const Ledger& ledger = sequence->stream->ledger();
  if (num_open_ == 1) {
    // Of several sequences the one that ended last: it is what the response waited for.
    record_.ledger = ledger;
    record_.ledger.Enter(Stage::kDetokenize, Now());
  }
  // The first choice of each prompt; the others would find what that one has computed.
  if ((sequence - sequences_.data()) % plan_->n == 0) record_.cached_tokens += ledger.num_cached_tokens;
  record_.engine_share += ledger.engine_share;
  sequence->stream.reset();
  --num_open_;
}

void GenerationExchange::AppendChunks(Sequence* sequence, std::string* out) {
  Choice& choice = *sequence->choice;
  const bool is_first = !sequence->has_chunk;
  if (!choice.has_news() && !(is_first && sequence->num_tokens > 0)) return;
  sequence->has_chunk = true;
  const UsageCounts usage = Usage();
  const UsageCounts* const shown = continuous_usage_ ? &usage : nullptr;
  WireChoice news = choice.TakeNews();
  const std::string finish_reason = std::exchange(news.finish_reason, std::string());
  const bool has_content = is_first || !news.text.empty() || !news.token_ids.empty() ||
                           !news.tool_calls.empty() || !news.logprobs.empty();
  if (has_content) *out += SseEvent(json_->Chunk(news, is_first, shown));
  if (finish_reason.empty()) return;
  WireChoice last;
  last.index = news.index;
  last.finish_reason = finish_reason;
  *out += SseEvent(json_->Chunk(last, false, shown));
}

std::vector<HttpHeader> GenerationExchange::Headers(const Ledger& ledger) const {
  std::vector<HttpHeader> headers = {{"X-Request-Id", record_.id}};
  if (context_->options.server_timing) headers.push_back({"Server-Timing", ServerTiming(ledger)});
  if (record_.predicted_ttft_ms >= 0) {
    headers.push_back({"X-Predicted-TTFT-Ms", fmt::format("{:.1f}", record_.predicted_ttft_ms)});
  }
  return headers;
}

void GenerationExchange::StartStream() {
  HttpResponse head;
  head.content_type = "text/event-stream; charset=utf-8";
  head.headers = Headers(num_open_ == 0 ? record_.ledger : until_submit_);
  head.headers.push_back({"Cache-Control", "no-cache"});
  head.headers.push_back({"X-Accel-Buffering", "no"});
  writer_->StartStream(std::move(head));
}

// The head waits for the first bytes, so that a request that is still queued can get a clean error.
void GenerationExchange::WriteStream(std::string bytes) {
  if (!writer_->started()) StartStream();
  last_write_ = Now();
  writer_->Write(std::move(bytes));
}

UsageCounts GenerationExchange::Usage() const {
  UsageCounts usage;
  usage.prompt_tokens = record_.prompt_tokens;
  usage.cached_tokens = std::min(record_.cached_tokens, record_.prompt_tokens);
  for (const Sequence& sequence : sequences_) usage.completion_tokens += sequence.choice->num_tokens();
  return usage;
}

void GenerationExchange::Finish() {
  if (!answered_ && !client_left_) {
    record_.finish_reason = sequences_[0].choice->finish_reason();
    if (record_.status == 0) record_.status = 200;
    record_.ledger.Enter(Stage::kSerialize, Now());
    if (record_.is_stream) {
      EndStream();
    } else {
      SendBody();
    }
  }
  CloseIfOver();
}

void GenerationExchange::SendBody() {
  std::vector<WireChoice> choices;
  for (Sequence& sequence : sequences_) choices.push_back(sequence.choice->TakeNews());
  HttpResponse response;
  const Json weir =
      wants_ledger_ ? WeirFieldJson(record_.id, record_.ledger, record_.predicted_ttft_ms) : Json(nullptr);
  const Json prompt_ids = choice_options_.with_token_ids ? Json(plan_->prompts[0].tokens) : Json(nullptr);
  response.body = json_->Body(choices, Usage(), weir, prompt_ids);
  record_.ledger.Enter(Stage::kSend, Now());
  response.headers = Headers(record_.ledger);
  answered_ = true;
  writer_->Send(std::move(response));
}

void GenerationExchange::EndStream() {
  std::string out;
  if (include_usage_) {
    const Json weir =
        wants_ledger_ ? WeirFieldJson(record_.id, record_.ledger, record_.predicted_ttft_ms) : Json(nullptr);
    out = SseEvent(json_->UsageChunk(Usage(), weir));
  }
  out += kSseDone;
  record_.ledger.Enter(Stage::kSend, Now());
  answered_ = true;
  WriteStream(std::move(out));
  writer_->EndStream();
}

void GenerationExchange::Fail(const Status& status, Duration retry_after) {
  if (answered_ || client_left_) return;
  const HttpError error = ToHttpError(status, retry_after);
  record_.status = error.status;
  record_.code = error.body.code;
  if (error.status == 429) context_->metrics.ObserveRetryAfter(error.retry_after);
  if (error.status == 500) LogError("request {} failed: {}", record_.id, status.message());
  answered_ = true;
  keep_alive_timer_.reset();
  reservation_ = Reservation();
  CancelAll();
  if (num_open_ == 0) record_.ledger.Enter(Stage::kSend, Now());
  if (error.status == 499) {
    // Not the client's wish, or it would have left: it did not read.
    writer_->Abort();
    client_left_ = true;
    record_.client_left = Now();
    return;
  }
  if (writer_->started()) {
    writer_->Write(SseEvent(ErrorBody(error.body)) + std::string(kSseDone));
    writer_->EndStream();
    return;
  }
  HttpResponse response = ToResponse(error);
  for (HttpHeader& header : Headers(num_open_ == 0 ? record_.ledger : until_submit_)) {
    response.headers.push_back(std::move(header));
  }
  writer_->Send(std::move(response));
}

// A long silence before or between tokens must not look like a dead connection to what lies between.
void GenerationExchange::KeepAlive() {
  const Duration interval = context_->options.sse_keep_alive;
  keep_alive_timer_ = io_.PostAfter(interval, [weak = weak_from_this(), interval] {
    const std::shared_ptr<GenerationExchange> self = weak.lock();
    if (self == nullptr || self->answered_ || self->client_left_) return;
    if (Now() - self->last_write_ >= interval) self->WriteStream(std::string(kSseKeepAlive));
    self->KeepAlive();
  });
}

}  // namespace weir
