#include "tests/simulation/overload.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace weir {
namespace {

TimePoint At(double seconds) { return TimePoint(FromSeconds(seconds)); }

double Towards(double mean, double value) { return mean == 0 ? value : mean + 0.1 * (value - mean); }

}  // namespace

double OverloadOutcome::MeanGap() const {
  return gaps_s.empty()
             ? 0.0
             : std::accumulate(gaps_s.begin(), gaps_s.end(), 0.0) / static_cast<double>(gaps_s.size());
}

OverloadRun::OverloadRun(const Machine& machine, uint64_t seed)
    : machine_(machine),
      rng_(seed),
      jitter_(seed + 1),
      pool_(machine.num_blocks),
      queue_delay_(machine.ttft_objective,
                   FromSeconds(machine.codel_target * ToSeconds(machine.ttft_objective))) {
  scheduler_ = std::make_unique<ContinuousScheduler>(
      SchedulerLimits{.max_num_seqs = machine.max_num_seqs,
                      .max_num_batched_tokens = machine.max_num_batched_tokens,
                      .itl_objective = machine.itl_objective},
      &pool_, &cost_);
  // As the engine's start does.
  for (int tokens : {1, 8, 64, 512})
    cost_.Observe(tokens, 0, FromSeconds(std::max(machine.sweep_s, machine.token_s * tokens)));
  Publish();
}

OverloadRun::~OverloadRun() = default;

void OverloadRun::Add(const OverloadClient& client) {
  for (double at = client.from_s + rng_.NextExponential() / client.requests_per_s; at < client.until_s;
       at += rng_.NextExponential() / client.requests_per_s) {
    AddOne(at, client);
  }
}

void OverloadRun::AddOne(double at_s, const OverloadClient& client) {
  const auto between = [&](int least, int most) {
    return least + static_cast<int>(rng_.NextBelow(static_cast<uint64_t>(most - least) + 1));
  };
  arrivals_.emplace(at_s, Arrival{.at_s = at_s,
                                  .client = client,
                                  .num_prompt = between(client.shortest_prompt, client.longest_prompt),
                                  .num_output = between(client.shortest_output, client.longest_output)});
}

size_t OverloadRun::FlowOf(const OverloadClient& client) {
  for (size_t i = 0; i < flows_.size(); ++i) {
    if (owner_of_flow_[i] == client.owner && flows_[i].service_class == client.service_class) return i;
  }
  flows_.push_back({.service_class = client.service_class, .weight = WeightOf(client.service_class)});
  owner_of_flow_.push_back(client.owner);
  return flows_.size() - 1;
}

void OverloadRun::PublishPlaces() {
  published_.num_running = static_cast<int>(scheduler_->running().size());
  published_.num_waiting = 0;
  published_.outputs.clear();
  const auto add = [&](const Sequence& sequence) {
    published_.outputs.push_back({.most_left = sequence.request.max_tokens - sequence.num_output_tokens(),
                                  .is_certain = sequence.request.runs_to_its_end()});
  };
  for (const auto& sequence : scheduler_->running()) add(*sequence);
  // About who takes the slots that are free; whose turn it is, is known only then.
  const size_t num_slots = static_cast<size_t>(machine_.max_num_seqs);
  for (const auto& sequence : scheduler_->waiting()) {
    if (published_.outputs.size() < num_slots) add(*sequence);
    // Those that never ran are counted by their reservations.
    published_.num_waiting += sequence->num_preemptions > 0 ? 1 : 0;
  }
}

void OverloadRun::Publish() {
  published_ = {};
  PublishPlaces();
  int num_decodes = 0;
  int64_t kv = 0;
  for (const auto& sequence : scheduler_->running()) {
    num_decodes += sequence->is_decode() ? 1 : 0;
    kv += sequence->is_decode() ? sequence->num_tokens() : 0;
  }
  published_.free_blocks = pool_.num_free();
  published_.total_blocks = pool_.num_blocks();
  published_.max_num_seqs = machine_.max_num_seqs;
  const int num_here = static_cast<int>(scheduler_->running().size() + scheduler_->waiting().size());
  const int num_beside = std::min(machine_.max_num_seqs, num_here);
  if (num_decodes > 0) kv = kv * num_beside / num_decodes;
  published_.prefill_tokens_per_s =
      cost_.PrefillTokensPerSecond(num_beside, kv, machine_.max_num_batched_tokens, machine_.itl_objective);
  published_.request_seconds =
      cost_.SlotSeconds(lengths_.prompt_tokens, lengths_.output_tokens, machine_.max_num_seqs,
                        machine_.max_num_batched_tokens, machine_.itl_objective);
  published_.token_seconds_full =
      cost_.TokenSeconds(lengths_.prompt_tokens, lengths_.output_tokens, machine_.max_num_seqs - 1,
                         machine_.max_num_batched_tokens, machine_.itl_objective);
  published_.cut_share = lengths_.cut_share;
  published_.step_seconds = step_seconds_;
}

LoadSnapshot OverloadRun::Load() const {
  LoadSnapshot load = published_;
  for (const QueuedFlow& flow : flows_) {
    load.num_waiting += flow.num_sequences;
    load.queued_tokens += flow.tokens;
  }
  return load;
}

void OverloadRun::ArriveUntil(double end_s) {
  while (!arrivals_.empty() && arrivals_.begin()->first < end_s) {
    const auto first = arrivals_.extract(arrivals_.begin());
    Arrive(first.mapped());
  }
}

void OverloadRun::Arrive(const Arrival& arrival) {
  OverloadOutcome outcome{
      .owner = arrival.client.owner, .arrived_s = arrival.at_s, .num_prompt = arrival.num_prompt};
  outcome.is_retry = arrival.is_retry;
  const size_t flow = FlowOf(arrival.client);
  LoadSnapshot load = Load();
  load.rest_of_step = std::max(0.0, step_ends_s_ - arrival.at_s);
  const AdmissionLimits limits{.max_num_queued_reqs = 4 * machine_.max_num_seqs,
                               .max_num_queued_tokens = static_cast<int64_t>(
                                   load.prefill_tokens_per_s * ToSeconds(machine_.ttft_objective)),
                               .ttft_objective = machine_.ttft_objective};
  QueueStanding standing = StandingOf(flows_, flow, arrival.is_retry);
  standing.num_ahead += published_.num_waiting;
  outcome.predicted_s = ToSeconds(PredictWait(AheadOf(load, standing), arrival.num_prompt)) +
                        arrival.num_prompt / load.prefill_tokens_per_s;
  if (auto refusal = Decide(limits, load, standing, arrival.num_prompt, std::nullopt)) {
    const int victim = refusal->reason == "queue_full" ? FlowToEvict(flows_, flow) : -1;
    if (victim < 0) {
      outcome.refused = refusal->reason;
      const Duration told = retry_line_.Join(*refusal, load, arrival.num_prompt, At(arrival.at_s));
      outcome.retry_after_s = std::min(60.0, ToSeconds(told) * (1 + 0.25 * jitter_.NextDouble()));
      if (arrival.client.comes_back && !arrival.is_retry) {
        Arrival again = arrival;
        again.is_retry = true;
        again.at_s += outcome.retry_after_s;
        arrivals_.emplace(again.at_s, again);
      }
      outcomes_.push_back(std::move(outcome));
      return;
    }
    ++flows_[victim].num_evicting;
  }
  ++flows_[flow].num_sequences;
  flows_[flow].tokens += arrival.num_prompt;
  auto sequence = std::make_unique<Sequence>();
  sequence->number = next_number_++;
  sequence->arrived = At(arrival.at_s);
  sequence->num_prompt_tokens = arrival.num_prompt;
  sequence->tokens.assign(arrival.num_prompt, 1);
  sequence->request.owner.name = arrival.client.owner;
  sequence->request.service_class = arrival.client.service_class;
  sequence->request.ignore_eos = arrival.client.ignores_eos;
  sequence->request.max_tokens = arrival.client.ignores_eos ? arrival.num_output : arrival.client.max_tokens;
  const Sequence* added = scheduler_->Add(std::move(sequence));
  live_[added] = {.outcome = outcomes_.size(),
                  .num_output = arrival.num_output,
                  .flow = flow,
                  .reserved_tokens = arrival.num_prompt};
  outcomes_.push_back(std::move(outcome));
}

void OverloadRun::Finish(Sequence* sequence, double now_s) {
  Live& live = live_.at(sequence);
  outcomes_[live.outcome].ended_s = now_s;
  flows_[live.flow].tokens -= live.reserved_tokens;
  flows_[live.flow].num_sequences -= live.holds_place ? 1 : 0;
  if (live.scheduled_s >= 0) {
    lengths_.Add(sequence->num_prompt_tokens, sequence->num_output_tokens(),
                 sequence->num_output_tokens() == sequence->request.max_tokens);
  }
  live_.erase(sequence);
  scheduler_->Remove(sequence);
}

void OverloadRun::EndEvicted() {
  for (size_t flow = 0; flow < flows_.size(); ++flow) {
    for (; flows_[flow].num_evicting > 0; --flows_[flow].num_evicting) {
      Sequence* newest = nullptr;
      for (const auto& sequence : scheduler_->waiting()) {
        if (live_.at(sequence.get()).flow == flow && sequence->num_preemptions == 0 &&
            (newest == nullptr || sequence->number > newest->number))
          newest = sequence.get();
      }
      if (newest == nullptr) continue;
      OverloadOutcome& outcome = outcomes_[live_.at(newest).outcome];
      outcome.refused = "evicted_share";
      outcome.retry_after_s = 1;
      Finish(newest, 0);
    }
  }
}

void OverloadRun::EndOverdue(double now_s) {
  const std::optional<TimePoint> oldest = scheduler_->OldestWaiting();
  queue_delay_.Observe(oldest ? At(now_s) - *oldest : Duration::zero(), At(now_s));
  scheduler_->set_newest_first(queue_delay_.overloaded());
  std::vector<Sequence*> overdue;
  for (const auto& sequence : scheduler_->waiting()) {
    if (sequence->num_preemptions == 0 && queue_delay_.GivesUp(At(now_s) - sequence->arrived))
      overdue.push_back(sequence.get());
  }
  for (Sequence* sequence : overdue) {
    OverloadOutcome& outcome = outcomes_[live_.at(sequence).outcome];
    outcome.refused = "overloaded";
    outcome.retry_after_s =
        std::min(60.0, ToSeconds(retry_line_.Join({}, Load(), sequence->num_prompt_tokens, At(now_s))));
    Finish(sequence, now_s);
  }
}

bool OverloadRun::Step(double* now_s) {
  EndEvicted();
  EndOverdue(*now_s);
  scheduler_->Schedule(At(*now_s), &plan_);
  if (plan_.empty()) return false;
  for (const ScheduledSequence& entry : plan_.entries) {
    Live& live = live_.at(entry.sequence);
    if (entry.is_first && live.holds_place) {
      live.holds_place = false;
      live.scheduled_s = *now_s;
      --flows_[live.flow].num_sequences;
    }
  }
  const double noise = 0.95 + 0.1 * rng_.NextDouble();
  const double slower = *now_s >= machine_.slower_from_s ? machine_.slower_by : 1;
  const double seconds = slower * noise *
                         (std::max(machine_.sweep_s, machine_.token_s * plan_.num_tokens) +
                          machine_.kv_s * static_cast<double>(plan_.kv_tokens_read));
  const double end_s = *now_s + seconds;
  // Who comes during the step meets the load of its beginning, as in the engine.
  PublishPlaces();
  step_ends_s_ = *now_s + ToSeconds(cost_.Predict(plan_.num_tokens, plan_.kv_tokens_read, plan_.kind()));
  published_.tokens_in_step = plan_.num_prefill_tokens;
  ArriveUntil(end_s);
  step_ends_s_ = 0;
  published_.tokens_in_step = 0;
  *now_s = end_s;
  for (const ScheduledSequence& entry : plan_.entries) {
    Live& live = live_.at(entry.sequence);
    if (entry.is_decode) continue;
    const auto computed = std::min<int64_t>(live.reserved_tokens, entry.num_scheduled_tokens);
    live.reserved_tokens -= computed;
    flows_[live.flow].tokens -= computed;
  }
  scheduler_->Commit(plan_, std::vector<int32_t>(plan_.entries.size(), 7));
  cost_.Observe(plan_.num_tokens, plan_.kv_tokens_read, FromSeconds(seconds), plan_.kind());
  step_seconds_ = Towards(step_seconds_, seconds);
  for (const ScheduledSequence& entry : plan_.entries) {
    if (!entry.samples) continue;
    Live& live = live_.at(entry.sequence);
    OverloadOutcome& outcome = outcomes_[live.outcome];
    if (outcome.num_tokens++ == 0) {
      outcome.ttft_s = end_s - outcome.arrived_s;
    } else {
      outcome.gaps_s.push_back(end_s - live.last_token_s);
    }
    live.last_token_s = end_s;
    if (outcome.num_tokens == live.num_output) Finish(entry.sequence, end_s);
  }
  constexpr int kStepsPerCheck = 64;
  if (wrong_.empty() && num_steps_++ % kStepsPerCheck == 0) wrong_ = scheduler_->CheckInvariants();
  Publish();
  return true;
}

void OverloadRun::Run() {
  double now_s = 0;
  while (!arrivals_.empty() || !scheduler_->empty()) {
    if (!Step(&now_s) && !arrivals_.empty()) {
      now_s = std::max(now_s, arrivals_.begin()->first);
      ArriveUntil(std::nextafter(now_s, now_s + 1));
    }
    if (arrivals_.empty()) continue;
    for (const std::string& owner : owner_of_flow_) served_[owner] = scheduler_->shares().ServedCost(owner);
  }
  if (wrong_.empty() && pool_.num_free() != pool_.num_blocks()) wrong_ = "blocks are still in use";
  for (const QueuedFlow& flow : flows_) {
    if (wrong_.empty() && (flow.num_sequences != 0 || flow.tokens != 0))
      wrong_ = "the door still counts somebody";
  }
}

double OverloadRun::ServedCost(const std::string& owner) const {
  const auto found = served_.find(owner);
  return found == served_.end() ? 0 : found->second;
}

}  // namespace weir
