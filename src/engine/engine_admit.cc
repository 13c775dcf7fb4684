// The door: what is accepted, what is refused, and how an accepted request becomes a sequence.

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/rng.h"
#include "engine/engine.h"
#include "engine/engine_state.h"

namespace weir {
namespace {

// An estimate this far off is tested again once the exact number is known.
constexpr double kEstimateTolerance = 1.25;

Status Draining() {
  return Unavailable("the server is draining and takes no new requests; send this one to another instance")
      .WithReason("draining");
}

Status ToStatus(const Refusal& refusal, const LoadSnapshot& load) {
  return ResourceExhausted(
             fmt::format("the engine is busy ({}): {} requests run, {} wait with {} prompt tokens; try again "
                         "in {:.1f} s",
                         refusal.reason, load.num_running, load.num_waiting, load.queued_tokens,
                         ToSeconds(refusal.retry_after)))
      .WithReason(refusal.reason);
}

Refused Refuse(const Refusal& refusal, const LoadSnapshot& load) {
  return {ToStatus(refusal, load), WithJitter(refusal.retry_after)};
}

// How long its answer will be at most, as far as anybody can tell before.
double OutputOf(const Request& request, const LoadSnapshot& load) {
  const auto most = static_cast<double>(request.max_tokens);
  return request.runs_to_its_end() ? most : std::min(most, load.long_output_tokens);
}

// The latest first token with which all of the answer comes in time. Who brings no deadline has none.
std::optional<TimePoint> LatestFirstToken(const Request& request, const LoadSnapshot& load) {
  std::optional<TimePoint> latest = request.first_token_deadline;
  if (request.deadline) {
    const TimePoint begin = *request.deadline - PredictDecode(load, OutputOf(request, load));
    latest = std::min(latest.value_or(begin), begin);
  }
  return latest;
}

}  // namespace

Duration WithJitter(Duration retry_after) {
  static thread_local Rng rng(RandomSeed());
  const Duration spread(
      static_cast<int64_t>(0.25 * rng.NextDouble() * static_cast<double>(retry_after.count())));
  return std::min<Duration>(retry_after + spread, std::chrono::seconds(60));
}

AdmissionLimits Engine::State::Limits(const LoadSnapshot& load) const {
  AdmissionLimits limits{.bounded = options.bounded_queue,
                         .max_num_queued_reqs = options.max_num_queued_reqs,
                         .max_num_queued_tokens = options.max_num_queued_tokens,
                         .ttft_objective = options.ttft_objective};
  if (limits.max_num_queued_tokens < 0) {
    // What can be prefilled within the objective; no bound while the rate is unknown.
    limits.max_num_queued_tokens =
        load.prefill_tokens_per_s > 0
            ? static_cast<int64_t>(load.prefill_tokens_per_s * ToSeconds(options.ttft_objective))
            : std::numeric_limits<int64_t>::max() / 2;
  }
  return limits;
}

Admitted<Reservation> Engine::Reserve(int64_t estimated_prompt_tokens, int num_sequences,
                                      std::optional<Duration> first_token_budget,
                                      const Applicant& applicant) {
  Admitted<Reservation> out;
  State& state = *state_;
  if (state.draining.load(std::memory_order_acquire)) {
    out.refused = {Draining(), {}};
    return out;
  }
  estimated_prompt_tokens = std::max<int64_t>(0, estimated_prompt_tokens);
  num_sequences = std::max(1, num_sequences);
  MutexLock lock(state.counters->mutex);
  LoadSnapshot load = state.counters->Load(state.clock.Now());
  const bool is_idle = load.num_running == 0 && load.num_waiting == 0;
  // The bound counts sequences; one alone may always come to an idle engine.
  if (!is_idle) load.num_waiting += num_sequences - 1;
  const AdmissionLimits limits = state.Limits(load);
  const QueueStanding standing = state.counters->StandingOf(applicant);
  if (auto refusal = Decide(limits, load, standing, estimated_prompt_tokens, first_token_budget)) {
    const bool has_room = refusal->reason == "queue_full" && state.MakesRoom(limits, load, applicant);
    if (!has_room) {
      state.PutInLine(load, estimated_prompt_tokens, &*refusal);
      out.refused = Refuse(*refusal, load);
      return out;
    }
  }
  out.value.flow_ = state.counters->Join(applicant, num_sequences, estimated_prompt_tokens);
  out.value.counters_ = state.counters;
  out.value.num_sequences_ = num_sequences;
  out.value.tokens_ = estimated_prompt_tokens;
  return out;
}

void Engine::State::PutInLine(const LoadSnapshot& load, int64_t prompt_tokens, Refusal* refusal) {
  if (refusal->reason == "deadline_unmeetable") return;
  refusal->retry_after = counters->refused.Join(*refusal, load, prompt_tokens, clock.Now());
}

// Somebody who has more than its share leaves, once the engine comes to it; until then there is one more than may be.
bool Engine::State::MakesRoom(const AdmissionLimits& limits, const LoadSnapshot& load,
                              const Applicant& applicant) {
  if (!limits.bounded || options.policy == SchedulerPolicy::kSequential) return false;
  if (load.num_waiting >= kMaxQueuedInAnyMode || counters->num_evicting >= limits.max_num_queued_reqs)
    return false;
  if (!counters->MakeRoom(applicant)) return false;
  Wake();
  return true;
}

Status Engine::State::CheckFits(const Request& request) const {
  if (request.prompt.empty()) {
    return InvalidArgument("the prompt has no tokens; send at least one").WithParam("prompt");
  }
  const int vocab_size = model->config().vocab_size;
  for (int32_t id : request.prompt) {
    if (id >= 0 && id < vocab_size) continue;
    return InvalidArgument(
               fmt::format("token id {} of the prompt is not in the vocabulary of {} tokens", id, vocab_size))
        .WithParam("prompt");
  }
  if (request.adapter < 0 || static_cast<size_t>(request.adapter) > options.adapters.size())
    return InvalidArgument(fmt::format("there is no adapter {}, only {} of them", request.adapter,
                                       options.adapters.size()))
        .WithParam("model");
  const int least = request.prompt_logprobs ? 0 : 1;
  if (request.max_tokens < least) {
    return InvalidArgument(fmt::format("max_tokens is {}, expected at least {}", request.max_tokens, least))
        .WithParam("max_tokens");
  }
  const int64_t num_prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t limit = std::min<int64_t>(max_model_len, pool_tokens);
  if (num_prompt + request.max_tokens > limit) {
    return InvalidArgument(
               fmt::format("the prompt has {} tokens and max_tokens is {}, together {}, but at most {} fit; "
                           "shorten the prompt or ask for fewer tokens",
                           num_prompt, request.max_tokens, num_prompt + request.max_tokens, limit))
        .WithReason("context_length_exceeded");
  }
  return Validate(request.sampling, vocab_size);
}

std::unique_ptr<Sequence> Engine::State::MakeSequence(Request request, EventSink* sink,
                                                      std::shared_ptr<void> context) {
  auto sequence = std::make_unique<Sequence>();
  sequence->stream = std::make_shared<RequestStream>(request.id, sink, request.max_tokens + 1);
  sequence->stream->set_context(std::move(context));
  sequence->num_prompt_tokens = static_cast<int>(request.prompt.size());
  sequence->tokens.reserve(request.prompt.size() + request.max_tokens);
  sequence->tokens.assign(request.prompt.begin(), request.prompt.end());
  sequence->sampler = std::make_unique<SamplerState>(request.sampling, request.prompt);
  if (request.grammar != nullptr) sequence->matcher = std::make_unique<GrammarMatcher>(request.grammar);
  if (prefix_cache != nullptr)
    sequence->block_hashes = prefix_cache->HashBlocks(request.prefix_salt(), request.prompt);
  if (!options.bounded_queue) {
    // The reference study's server knows neither deadlines nor classes.
    request.service_class = RequestClass::kDefault;
    request.deadline.reset();
    request.first_token_deadline.reset();
  } else if (request.deadline) {
    request.first_token_deadline =
        std::min(request.first_token_deadline.value_or(*request.deadline), *request.deadline);
  }
  sequence->stream->ledger() = request.ledger;
  sequence->request = std::move(request);
  return sequence;
}

Admitted<std::shared_ptr<RequestStream>> Engine::Submit(Reservation reservation, Request request,
                                                        EventSink* sink, std::shared_ptr<void> context) {
  Admitted<std::shared_ptr<RequestStream>> out;
  State& state = *state_;
  const TimePoint now = state.clock.Now();
  if (Status fits = state.CheckFits(request); !fits.ok()) {
    out.refused = {std::move(fits), {}};
    return out;
  }
  // What is in the cache costs nothing; should it be evicted before the request runs, the step corrects the account.
  const int64_t num_cached =
      request.prompt_logprobs ? 0 : CountCachedTokens(request.prefix_salt(), request.prompt);
  const int64_t num_uncached = static_cast<int64_t>(request.prompt.size()) - num_cached;
  const Applicant applicant{.owner = request.owner, .service_class = request.service_class};
  const int num_own = reservation.valid() ? 1 : 0;
  std::optional<TimePoint> latest_first_token;
  if (state.options.bounded_queue) {
    LoadSnapshot load = Load();
    load.num_waiting -= num_own;
    latest_first_token = LatestFirstToken(request, load);
  }
  std::optional<Duration> budget;
  if (latest_first_token) budget = *latest_first_token - now;
  if (!reservation.valid()) {
    Admitted<Reservation> place = Reserve(num_uncached, 1, budget, applicant);
    if (!place.ok()) {
      out.refused = std::move(place.refused);
      return out;
    }
    reservation = std::move(place.value);
  } else {
    const bool was_far_off =
        static_cast<double>(num_uncached) > kEstimateTolerance * static_cast<double>(reservation.tokens());
    reservation.Shrink(reservation.num_sequences() - 1, 0);
    reservation.Move(applicant);
    if (was_far_off || budget) {
      MutexLock lock(state.counters->mutex);
      LoadSnapshot load = state.counters->Load(state.clock.Now());
      load.num_waiting -= 1;
      load.queued_tokens -= reservation.tokens();
      QueueStanding standing = state.counters->StandingOf(applicant);
      standing.num_ahead -= 1;
      standing.tokens_ahead -= reservation.tokens();
      const std::optional<Refusal> refusal_of_it =
          was_far_off ? Decide(state.Limits(load), load, standing, num_uncached, budget)
                      : DecideDeadline(load, standing, num_uncached, *budget);
      if (auto refusal = refusal_of_it) {
        state.PutInLine(load, num_uncached, &*refusal);
        out.refused = Refuse(*refusal, load);
        return out;
      }
    }
    reservation.Resize(num_uncached);
  }

  std::unique_ptr<Sequence> sequence = state.MakeSequence(std::move(request), sink, std::move(context));
  sequence->latest_first_token = latest_first_token;
  out.value = sequence->stream;
  sequence->arrived = now;
  sequence->stream->ledger().Enter(Stage::kHandoff, now);
  sequence->stream->ledger().admitted = now;
  {
    MutexLock lock(state.submit_mutex);
    if (state.closed) {
      out.value.reset();
      out.refused = {Draining(), {}};
      return out;
    }
    sequence->number = state.next_number++;
    state.num_live.fetch_add(1, std::memory_order_acq_rel);
    state.submitted.push_back({std::move(reservation), std::move(sequence)});
  }
  state.Wake();
  return out;
}

void Engine::State::Wake() {
  signal.fetch_add(1, std::memory_order_release);
  signal.notify_one();
}

}  // namespace weir
