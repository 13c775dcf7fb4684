// The part of a step after sampling: what the readers are told, what the door may know.

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "engine/engine_state.h"

namespace weir {

// After Commit(): the tokens are the sequences' own now.
void Engine::State::Tell(TimePoint at) {
  for (size_t i = 0; i < plan.entries.size(); ++i) {
    const ScheduledSequence& entry = plan.entries[i];
    Sequence& sequence = *entry.sequence;
    LiveSequence& record_of_it = live.at(&sequence);
    record_of_it.has_begun = true;
    if (!entry.is_decode) record_of_it.reservation.Shrink(0, entry.num_scheduled_tokens);
    if (!entry.samples) continue;
    TokenEvent event;
    event.at = at;
    event.token = tokens[i];
    event.index = sequence.num_output_tokens() - 1;
    event.logprobs = std::move(token_logprobs[i]);
    if (sequence.request.max_tokens == 0) {
      event.index = 0;
      event.finish = FinishReason::kLength;
    } else if (event.token < 0) {
      event.index = 0;
      event.finish = FinishReason::kError;
      event.error = !weights_fault.ok() ? weights_fault
                                        : Internal(
                                              "the model's logits hold no finite number to choose by; this "
                                              "request cannot go on, others do")
                                              .WithReason("numeric_error");
    } else {
      if (event.index == 0) sequence.stream->ledger().NoteFirstToken(at);
      const std::vector<int32_t>& stops = record_of_it.stop_ids;
      event.is_end_token = std::find(stops.begin(), stops.end(), event.token) != stops.end();
      if (event.is_end_token) {
        event.finish = FinishReason::kStop;
      } else if (sequence.matcher != nullptr && sequence.matcher->must_end()) {
        event.finish = FinishReason::kStop;
      } else if (sequence.num_output_tokens() >= sequence.request.max_tokens) {
        event.finish = FinishReason::kLength;
      }
    }
    if (event.finish != FinishReason::kNone) {
      End(&sequence, std::move(event));
    } else {
      if (record_of_it.prompt_logprobs != nullptr)
        event.prompt_logprobs = std::move(record_of_it.prompt_logprobs);
      outbox.Add(sequence.stream, std::move(event));
    }
  }
}

void Engine::State::Learn(TimePoint started, TimePoint ended) {
  constexpr double kWeight = 0.1;
  const Duration elapsed = ended - started;
  const double seconds = ToSeconds(elapsed);
  step_seconds = step_seconds == 0 ? seconds : step_seconds + kWeight * (seconds - step_seconds);
  if (!cost.Observe(plan.num_tokens, plan.kv_tokens_read, elapsed, plan.kind())) {
    LogDebug("a step of {} tokens took {:.1f} ms, more than 8 times its prediction; not learnt",
             plan.num_tokens, ToMilliseconds(elapsed));
  }
  last_step_ended_ns.store(ended.time_since_epoch().count(), std::memory_order_relaxed);
}

double Engine::State::PrefillRate() const {
  int num_decodes = 0;
  int64_t kv_tokens_read = 0;
  for (const auto& sequence : scheduler->running()) {
    if (!sequence->is_decode()) continue;
    ++num_decodes;
    kv_tokens_read += sequence->num_tokens();
  }
  const SchedulerLimits& limits = scheduler->limits();
  // Who is ahead of a newcomer generates by the time its own prompt is computed.
  const int num_here = static_cast<int>(scheduler->running().size() + scheduler->waiting().size());
  const int num_beside = std::min(limits.max_num_seqs, num_here);
  if (num_decodes > 0) kv_tokens_read = kv_tokens_read * num_beside / num_decodes;
  return cost.PrefillTokensPerSecond(num_beside, kv_tokens_read, limits.max_num_batched_tokens,
                                     limits.itl_objective);
}

// Who comes while the step runs waits for its rest only, and not for the prompts in it once more. Who begins in it holds no place in
// the queue from now on, so it is counted here before.
void Engine::State::PublishStep(TimePoint started) {
  predicted_step = cost.Predict(plan.num_tokens, plan.kv_tokens_read, plan.kind());
  MutexLock lock(counters->mutex);
  PublishPlaces(&counters->published);
  counters->step_ends = started + predicted_step;
  counters->tokens_in_step = plan.num_prefill_tokens;
}

std::vector<AdapterLoad> Engine::State::CountAdapters() const {
  std::vector<AdapterLoad> loads(options.adapters.size());
  if (loads.empty()) return loads;
  for (const auto& [sequence, record] : live) {
    if (sequence->request.adapter == 0) continue;
    AdapterLoad& load = loads[static_cast<size_t>(sequence->request.adapter) - 1];
    ++(sequence->state == SequenceState::kRunning ? load.num_running : load.num_waiting);
  }
  return loads;
}

void Engine::State::PublishPlaces(LoadSnapshot* load) const {
  load->num_running = static_cast<int>(scheduler->running().size());
  load->num_waiting = 0;
  load->outputs.clear();
  const auto add = [&](const Sequence& sequence) {
    load->outputs.push_back({.most_left = sequence.request.max_tokens - sequence.num_output_tokens(),
                             .is_certain = sequence.request.runs_to_its_end()});
  };
  for (const auto& sequence : scheduler->running()) add(*sequence);
  // About who takes the slots that are free; whose turn it is, is known only then.
  const size_t num_slots = static_cast<size_t>(scheduler->limits().max_num_seqs);
  for (const auto& sequence : scheduler->waiting()) {
    if (load->outputs.size() < num_slots) add(*sequence);
    // Those that never ran are counted by their reservations.
    load->num_waiting += sequence->num_preemptions > 0 ? 1 : 0;
  }
}

void Engine::State::PublishLoad(TimePoint now) {
  LoadSnapshot load;
  load.at = now;
  PublishPlaces(&load);
  load.free_blocks = pool->num_free();
  load.total_blocks = pool->num_blocks();
  load.max_num_seqs = scheduler->limits().max_num_seqs;
  load.prefill_tokens_per_s = PrefillRate();
  const SchedulerLimits& limits = scheduler->limits();
  load.request_seconds = cost.SlotSeconds(lengths.prompt_tokens, lengths.output_tokens, limits.max_num_seqs,
                                          limits.max_num_batched_tokens, limits.itl_objective);
  load.step_seconds = step_seconds;
  load.token_seconds_alone = cost.TokenSeconds(lengths.prompt_tokens, lengths.output_tokens, 0,
                                               limits.max_num_batched_tokens, limits.itl_objective);
  load.token_seconds_full =
      cost.TokenSeconds(lengths.prompt_tokens, lengths.output_tokens, limits.max_num_seqs - 1,
                        limits.max_num_batched_tokens, limits.itl_objective);
  load.long_output_tokens = lengths.LongOutput();
  load.cut_share = lengths.cut_share;
  load.overloaded = queue_delay && queue_delay->overloaded();
  load.oldest_waiting = scheduler->OldestWaiting().value_or(TimePoint{});
  num_free_blocks.store(pool->num_free(), std::memory_order_relaxed);
  peak_used_blocks.store(pool->peak_used(), std::memory_order_relaxed);
  std::vector<AdapterLoad> of_adapters = CountAdapters();
  MutexLock lock(counters->mutex);
  load.most_of_late = std::max<double>(load.num_running + load.num_waiting + counters->num_sequences,
                                       Fade(counters->published.most_of_late, now - counters->published.at));
  adapter_loads = std::move(of_adapters);
  counters->published = std::move(load);
  scheduler->shares().TakeServed([this](const std::string& owner, double cost_of_it) {
    // A gateway's users are accounted for as its own: their names come from outside, and there is no end to them.
    if (!owner.empty()) counters->served_cost[owner.substr(0, owner.find('/'))] += cost_of_it;
  });
  counters->step_ends = TimePoint{};
  counters->tokens_in_step = 0;
}

void Engine::State::Deliver() {
  const std::vector<std::shared_ptr<RequestStream>> full = outbox.Deliver();
  if (full.empty()) return;
  for (auto& [sequence, record_of_it] : live) {
    if (std::find(full.begin(), full.end(), sequence->stream) != full.end())
      record_of_it.is_slow_reader = true;
  }
}

// Nothing to compute; there may still be something to tell.
bool Engine::State::FinishIdleStep(TimePoint now) {
  if (outbox.empty()) return false;
  PublishLoad(now);
  Deliver();
  return true;
}

void Engine::State::Observe(const StepTimes& times) {
  if (!observer) return;
  StepRecord record;
  record.started = times.started;
  record.ended = clock.Now();
  record.num_tokens = plan.num_tokens;
  record.num_prefill_tokens = plan.num_prefill_tokens;
  record.num_sequences = static_cast<int>(plan.entries.size());
  record.num_running = static_cast<int>(scheduler->running().size());
  record.num_waiting = static_cast<int>(scheduler->waiting().size());
  record.kv_tokens_read = plan.kv_tokens_read;
  record.predicted = predicted_step;
  record.num_preempted = static_cast<int>(plan.preempted.size());
  record.num_queried_tokens = plan.num_queried_tokens;
  record.num_cached_tokens = plan.num_cached_tokens;
  record.schedule = times.forward_started - times.started;
  record.forward = times.forward_ended - times.forward_started;
  record.sample = times.ended - times.forward_ended;
  record.publish = record.ended - times.ended;
  if (profiled != nullptr) {
    record.is_profiled = true;
    record.segments = profiled->End(record.ended - times.started);
  }
  observer(record);
}

}  // namespace weir
