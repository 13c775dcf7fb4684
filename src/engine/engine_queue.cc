// The part of a step before the forward pass: who has come, who has left, who waits and why.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/engine_state.h"

namespace weir {
namespace {

TokenEvent ErrorEvent(Status why, TimePoint at) {
  TokenEvent event;
  event.at = at;
  event.finish = FinishReason::kError;
  event.error = std::move(why);
  return event;
}

Status DeadlineExpired() {
  return ResourceExhausted(
             "the request waited until it could not meet its first-token deadline any more; it was dropped "
             "before any work was done on it")
      .WithReason("deadline_expired");
}

Status Evicted() {
  return ResourceExhausted(
             "the queue is full and this client had most of it; the request made room for another client's "
             "before any work was done on it; try again later")
      .WithReason("evicted_share");
}

Status Overdue() {
  return ResourceExhausted(
             "the engine got slower than it predicted, so the newest requests are served first, and this "
             "one has waited too long; no work was done on it; try again later")
      .WithReason("overloaded");
}

// OK: it may go on.
Status WhyUnwanted(const Sequence& sequence, const LiveSequence& live, TimePoint now) {
  if (live.is_slow_reader) {
    return Cancelled(fmt::format("{} events were not read; the reader is too slow", RequestStream::kCapacity))
        .WithReason("slow_reader");
  }
  if (sequence.stream->cancelled()) return Cancelled("the client has left");
  if (sequence.request.deadline && now > *sequence.request.deadline) {
    if (!live.has_begun) return DeadlineExpired();
    return DeadlineExceeded(fmt::format("the request's deadline passed after {} output tokens",
                                        sequence.num_output_tokens()))
        .WithReason("deadline_exceeded");
  }
  return OkStatus();
}

std::vector<int32_t> StopIds(const Request& request, std::span<const TokenId> end_ids) {
  std::vector<int32_t> ids = request.stop_token_ids;
  if (!request.ignore_eos || request.grammar != nullptr)
    ids.insert(ids.end(), end_ids.begin(), end_ids.end());
  return ids;
}

}  // namespace

void Engine::State::DrainSubmitQueue() {
  std::vector<Submission> arrived;
  {
    MutexLock lock(submit_mutex);
    arrived.swap(submitted);
  }
  for (Submission& submission : arrived) {
    LiveSequence record_of_it;
    record_of_it.reservation = std::move(submission.reservation);
    record_of_it.stop_ids = StopIds(submission.sequence->request, tokenizer->end_ids());
    if (submission.sequence->request.prompt_logprobs) {
      record_of_it.prompt_logprobs = std::make_unique<std::vector<TokenLogprobs>>();
      record_of_it.prompt_logprobs->reserve(submission.sequence->num_prompt_tokens);
      record_of_it.prompt_logprobs->emplace_back();
    }
    Sequence* added = scheduler->Add(std::move(submission.sequence));
    live.emplace(added, std::move(record_of_it));
  }
}

void Engine::State::EndUnwanted(TimePoint now) {
  ending.clear();
  for (const auto& [sequence, record_of_it] : live) {
    if (!WhyUnwanted(*sequence, record_of_it, now).ok()) ending.push_back(sequence);
  }
  for (Sequence* sequence : ending) {
    Status why = WhyUnwanted(*sequence, live.at(sequence), now);
    End(sequence, ErrorEvent(std::move(why), now));
  }
}

void Engine::State::EndExpired(TimePoint now) {
  for (std::unique_ptr<Sequence>& sequence : scheduler->Expire(now)) {
    Forget(std::move(sequence), ErrorEvent(DeadlineExpired(), now));
  }
}

// The newest of those flows that were told to make room; what has begun stays, whatever happens.
void Engine::State::EndEvicted(TimePoint now) {
  ending.clear();
  {
    MutexLock lock(counters->mutex);
    if (counters->num_evicting == 0) return;
    for (auto& [key, flow] : counters->flows) {
      int& num_told = flow.queued.num_evicting;
      while (num_told > 0) {
        Sequence* newest = nullptr;
        for (const auto& sequence : scheduler->waiting()) {
          const Request& request = sequence->request;
          if (request.owner.name != key.first || request.service_class != key.second) continue;
          if (sequence->num_preemptions > 0 ||
              std::find(ending.begin(), ending.end(), sequence.get()) != ending.end())
            continue;
          if (newest == nullptr || sequence->number > newest->number) newest = sequence.get();
        }
        // Told, but not here yet: the next step looks again. Fewer than were told may be left.
        if (newest == nullptr) break;
        ending.push_back(newest);
        --num_told;
        --counters->num_evicting;
      }
      const int left = std::min(num_told, flow.queued.num_sequences);
      counters->num_evicting -= num_told - left;
      num_told = left;
    }
  }
  for (Sequence* sequence : ending) End(sequence, ErrorEvent(Evicted(), now));
}

// Where predictions held, nobody waits so long: they failed, and who waited longest is served least in time.
void Engine::State::EndOverdue(TimePoint now) {
  if (!queue_delay) return;
  const std::optional<TimePoint> oldest = scheduler->OldestWaiting();
  queue_delay->Observe(oldest ? now - *oldest : Duration::zero(), now);
  scheduler->set_newest_first(queue_delay->overloaded());
  if (!queue_delay->overloaded()) return;
  ending.clear();
  for (const auto& sequence : scheduler->waiting()) {
    if (sequence->num_preemptions == 0 && queue_delay->GivesUp(now - sequence->arrived))
      ending.push_back(sequence.get());
  }
  for (Sequence* sequence : ending) End(sequence, ErrorEvent(Overdue(), now));
}

void Engine::State::EndAll(const Status& why) {
  const TimePoint now = clock.Now();
  ending.clear();
  for (const auto& sequence : scheduler->running()) ending.push_back(sequence.get());
  for (const auto& sequence : scheduler->waiting()) ending.push_back(sequence.get());
  for (Sequence* sequence : ending) End(sequence, ErrorEvent(why, now));
}

void Engine::State::End(Sequence* sequence, TokenEvent last) {
  Forget(scheduler->Remove(sequence), std::move(last));
}

// Blocks and reservation are free before the reader can know that the request has ended.
void Engine::State::Forget(std::unique_ptr<Sequence> sequence, TokenEvent last) {
  const auto record_of_it = live.find(sequence.get());
  if (record_of_it->second.first_scheduled != TimePoint{}) {
    const bool is_cut = last.finish == FinishReason::kLength;
    lengths.Add(sequence->num_prompt_tokens - sequence->num_cached_tokens, sequence->num_output_tokens(),
                is_cut);
  }
  if (record_of_it->second.prompt_logprobs != nullptr && last.finish != FinishReason::kError) {
    last.prompt_logprobs = std::move(record_of_it->second.prompt_logprobs);
  }
  live.erase(record_of_it);
  Ledger& ledger = sequence->stream->ledger();
  ledger.num_preemptions = sequence->num_preemptions;
  ledger.num_recomputed_tokens = sequence->num_recomputed_tokens;
  if (last.token >= 0) ledger.last_token = last.at;
  ledger.Enter(Stage::kHandoff, last.at);
  outbox.Add(std::move(sequence->stream), std::move(last));
  num_live.fetch_sub(1, std::memory_order_acq_rel);
}

// Who runs for the first time holds no place in the queue any more.
void Engine::State::NoteFirstSteps(TimePoint now) {
  for (const ScheduledSequence& entry : plan.entries) {
    LiveSequence& record_of_it = live.at(entry.sequence);
    if (record_of_it.first_scheduled == TimePoint{}) {
      record_of_it.first_scheduled = now;
      entry.sequence->stream->ledger().scheduled = now;
      entry.sequence->stream->ledger().num_cached_tokens = entry.sequence->num_cached_tokens;
      record_of_it.reservation.Resize(entry.sequence->num_prompt_tokens - entry.sequence->num_cached_tokens);
    }
    if (entry.is_first) record_of_it.reservation.Shrink(1, 0);
  }
}

}  // namespace weir
