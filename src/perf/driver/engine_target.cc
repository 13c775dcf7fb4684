#include "perf/driver/engine_target.h"

#include <utility>

namespace weir {
namespace {

Json ServerFields(const Ledger& ledger) {
  Json stages = Json::object();
  for (int i = 0; i < kNumStages; ++i) {
    const Stage stage = static_cast<Stage>(i);
    if (ledger.stage(stage) > Duration::zero()) {
      stages[std::string(StageName(stage))] = ToMilliseconds(ledger.stage(stage));
    }
  }
  return {{"ledger_ms", std::move(stages)},
          {"num_steps", ledger.num_steps},
          {"batch_mean", ledger.num_steps > 0 ? Json(ledger.batch_sum / ledger.num_steps) : Json(nullptr)},
          {"predicted_ttft_ms", nullptr}};
}

}  // namespace

void EngineTarget::Send(TargetRequest request, TimePoint run_start,
                        std::function<void(RequestRecord)> on_done) {
  Running running;
  running.run_start = run_start;
  running.ignore_eos = request.ignore_eos;
  running.on_done = std::move(on_done);
  RequestRecord& record = running.record;
  record.id = request.id;
  record.seq = request.seq;
  record.prompt_id = request.prompt_id;
  record.prompt_tokens = static_cast<int>(request.prompt_ids.size());
  record.max_tokens = request.max_tokens;

  Request asked;
  asked.id = request.id;
  asked.prompt = std::move(request.prompt_ids);
  asked.sampling.temperature = static_cast<float>(request.temperature);
  asked.sampling.seed = request.seed;
  asked.max_tokens = request.max_tokens;
  asked.ignore_eos = request.ignore_eos;
  const TimePoint now = MonotonicClock::Get().Now();
  asked.ledger.Begin(now, Stage::kAdmit);
  record.intended_ms = ToMilliseconds(request.intended - run_start);
  record.sent_ms = ToMilliseconds(now - run_start);
  Admitted<std::shared_ptr<RequestStream>> admitted =
      engine_->Submit(Reservation(), std::move(asked), nullptr);
  if (!admitted.ok()) {
    record.done_ms = record.sent_ms;
    record.outcome = Outcome::kFailed;
    record.error = RecordError{"refused", 0, "", admitted.refused.status.message()};
    running.on_done(std::move(record));
    return;
  }
  running.stream = std::move(admitted.value);
  running_.push_back(std::move(running));
}

bool EngineTarget::Drain(Running& running) {
  RequestRecord& record = running.record;
  TokenEvent event;
  while (running.stream->Pop(&event)) {
    const double at = ToMilliseconds(event.at - running.run_start);
    if (event.token >= 0 && event.finish != FinishReason::kError) {
      if (!record.first_token_ms) record.first_token_ms = at;
      record.last_token_ms = at;
      record.token_times_ms.push_back(at);
      record.chunk_sizes.push_back(1);
      running.tokens.push_back(event.token);
    }
    if (event.finish == FinishReason::kNone) continue;
    record.done_ms = at;
    record.output_tokens = static_cast<int>(record.token_times_ms.size());
    record.output_tokens_local = record.output_tokens;
    record.output_hash = HashTokenIds(running.tokens);
    record.finish_reason = FinishReasonName(event.finish);
    record.cached_tokens = running.stream->ledger().num_cached_tokens;
    record.server = ServerFields(running.stream->ledger());
    if (event.finish == FinishReason::kError) {
      const bool cancelled = event.error.code() == StatusCode::kCancelled;
      record.outcome = cancelled ? Outcome::kCancelled : Outcome::kFailed;
      record.error = RecordError{cancelled ? "cancelled" : "engine", 0, "stream", event.error.message()};
    } else if (running.ignore_eos && record.output_tokens != record.max_tokens) {
      record.outcome = Outcome::kFailed;
      record.error = RecordError{"wrong_token_count", 0, "stream", "the engine ended before max_tokens"};
    } else {
      record.outcome = Outcome::kOk;
    }
    return true;
  }
  return false;
}

void EngineTarget::Step() {
  engine_->Step();
  std::vector<Running> ended;
  for (size_t i = 0; i < running_.size();) {
    if (!Drain(running_[i])) {
      ++i;
      continue;
    }
    ended.push_back(std::move(running_[i]));
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  // Only now, because on_done sends the next request and so changes running_.
  for (Running& running : ended) running.on_done(std::move(running.record));
}

void EngineTarget::CancelAll() {
  for (Running& running : running_) running.stream->Cancel();
}

}  // namespace weir
