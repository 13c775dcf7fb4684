#include "engine/admission/admission.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

constexpr Duration kMinRetryAfter = std::chrono::milliseconds(100);
constexpr Duration kMaxRetryAfter = std::chrono::seconds(60);
// The jitter that follows adds up to a quarter.
constexpr Duration kLongestLine = kMaxRetryAfter * 4 / 5;
// Until a request has ended nobody knows how long one holds its slot; this keeps early clients from retrying
// at once.
constexpr double kAssumedRequestSeconds = 1.0;

double RequestSeconds(const LoadSnapshot& load) {
  return load.request_seconds > 0 ? load.request_seconds : kAssumedRequestSeconds;
}

double SecondsOfPrefill(const LoadSnapshot& load, int64_t tokens) {
  return load.prefill_tokens_per_s > 0 ? static_cast<double>(tokens) / load.prefill_tokens_per_s : 0.0;
}

// On average: slots become free one after another, evenly spread over a request's time.
double SecondsForSlots(const LoadSnapshot& load, int count) {
  return count * RequestSeconds(load) / std::max(1, load.max_num_seqs);
}

double SecondsUntilSlot(const LoadSnapshot& load) {
  const int ahead = load.num_running + load.num_waiting + 1 - load.max_num_seqs;
  const int num_others = load.max_num_seqs - static_cast<int>(load.outputs.size());
  const SlotPace pace{.request_seconds = RequestSeconds(load),
                      .token_seconds = load.token_seconds_full,
                      .cut_share = load.cut_share};
  return SecondsUntilFree(load.outputs, std::max(0, num_others), pace, ahead);
}

double SecondsUntilBlocks(const LoadSnapshot& load, int64_t prompt_tokens) {
  constexpr int kTokensPerBlock = 16;
  const int64_t needed = (prompt_tokens + kTokensPerBlock - 1) / kTokensPerBlock;
  const int64_t missing = needed - load.free_blocks;
  const int used = load.total_blocks - load.free_blocks;
  if (missing <= 0 || used <= 0) return 0.0;
  return std::min(1.0, static_cast<double>(missing) / used) * RequestSeconds(load);
}

bool IsIdle(const LoadSnapshot& load) { return load.num_running == 0 && load.num_waiting == 0; }

Duration WaitOf(const LoadSnapshot& load, const QueueStanding& standing, int64_t prompt_tokens) {
  return IsIdle(load) ? Duration::zero() : PredictWait(AheadOf(load, standing), prompt_tokens);
}

Refusal Refuse(std::string reason, double seconds) {
  return {std::move(reason), std::clamp(FromSeconds(std::min(seconds, ToSeconds(kMaxRetryAfter))),
                                        kMinRetryAfter, kMaxRetryAfter)};
}

}  // namespace

Duration PredictWait(const LoadSnapshot& load, int64_t prompt_tokens) {
  if (IsIdle(load)) return Duration::zero();
  const double running_step = load.rest_of_step >= 0 ? load.rest_of_step : load.step_seconds;
  const double rest_of_step = load.num_running > 0 ? running_step : 0.0;
  const int64_t tokens_ahead = std::max<int64_t>(0, load.queued_tokens - load.tokens_in_step);
  // A slot's time contains the prefill of who takes it, so the two waits overlap.
  const double work = std::max({SecondsOfPrefill(load, tokens_ahead), SecondsUntilSlot(load),
                                SecondsUntilBlocks(load, prompt_tokens)});
  return FromSeconds(rest_of_step + work);
}

double Fade(double most_of_late, Duration later) {
  constexpr double kHalfLifeSeconds = 5.0;
  return most_of_late * std::exp2(-ToSeconds(later) / kHalfLifeSeconds);
}

Duration PredictDecode(const LoadSnapshot& load, double output_tokens) {
  const double num_others = std::max<double>(load.num_running + load.num_waiting, load.most_of_late);
  const double taken = load.max_num_seqs > 1 ? num_others / (load.max_num_seqs - 1) : 1.0;
  const double alone = load.token_seconds_alone;
  const double full = std::max(alone, load.token_seconds_full);
  const double seconds = alone + std::min(1.0, taken) * (full - alone);
  // A mean is too short for half of them, and what is begun in vain helps nobody.
  constexpr double kMargin = 1.15;
  return FromSeconds(kMargin * std::max(0.0, output_tokens - 1) * seconds);
}

Duration RetryLine::Join(const Refusal& refusal, const LoadSnapshot& load, int64_t prompt_tokens,
                         TimePoint now) {
  // Somewhat slower than the engine is: a few come new, and a line at its very pace would never get shorter.
  constexpr double kPace = 0.85;
  // A line that grows says that more are still coming, and who comes back among them is refused again.
  constexpr double kLonger = 3.0;
  constexpr double kLongerAtMost = 8.0;
  const double each = std::max(SecondsForSlots(load, 1), SecondsOfPrefill(load, prompt_tokens)) / kPace;
  const TimePoint turn = std::max(end_, now);
  if (turn + FromSeconds(each) > now + kLongestLine) {
    // More than can be served within it, unless many do not come back. At one time they would all find each other, so they are
    // spread over what is left, later than most that were told before.
    constexpr double kGoldenRatio = 0.6180339887498949;
    spread_ = std::fmod(spread_ + kGoldenRatio, 1.0);
    const Duration told = FromSeconds((1 + 2 * spread_) / 3 * ToSeconds(kLongestLine));
    return std::max(told, refusal.retry_after);
  }
  end_ = turn + FromSeconds(each);
  const double in_line = ToSeconds(turn - now);
  const Duration told =
      refusal.retry_after + FromSeconds(in_line + std::min(kLonger * in_line, kLongerAtMost));
  return std::clamp<Duration>(told, kMinRetryAfter, kMaxRetryAfter);
}

LoadSnapshot AheadOf(const LoadSnapshot& load, const QueueStanding& standing) {
  LoadSnapshot ahead = load;
  ahead.num_waiting = std::min(load.num_waiting, standing.num_ahead);
  ahead.queued_tokens = std::min(load.queued_tokens, standing.tokens_ahead);
  return ahead;
}

std::optional<Refusal> Decide(const AdmissionLimits& limits, const LoadSnapshot& load, int64_t prompt_tokens,
                              std::optional<Duration> first_token_budget) {
  const QueueStanding last{.num_ahead = load.num_waiting, .tokens_ahead = load.queued_tokens};
  return Decide(limits, load, last, prompt_tokens, first_token_budget);
}

std::optional<Refusal> Decide(const AdmissionLimits& limits, const LoadSnapshot& load,
                              const QueueStanding& standing, int64_t prompt_tokens,
                              std::optional<Duration> first_token_budget) {
  if (!limits.bounded) {
    if (load.num_waiting < kMaxQueuedInAnyMode) return std::nullopt;
    return Refuse("queue_full", SecondsForSlots(load, 1));
  }
  if (!IsIdle(load)) {
    // Who finds a free slot runs from the next step on; a burst on a quiet engine is no queue.
    const int num_free_slots = std::max(0, load.max_num_seqs - load.num_running);
    const int most_waiting = static_cast<int>(std::ceil(standing.share * limits.max_num_queued_reqs));
    if (load.num_waiting >= std::min(most_waiting + num_free_slots, kMaxQueuedInAnyMode)) {
      return Refuse("queue_full", SecondsForSlots(load, 1));
    }
    const auto most_tokens =
        static_cast<int64_t>(standing.share * static_cast<double>(limits.max_num_queued_tokens));
    const int64_t excess_tokens = load.queued_tokens + prompt_tokens - most_tokens;
    // A prompt larger than the bound itself is let in when it is alone in the queue, else it could never be.
    if (excess_tokens > 0 && load.queued_tokens > 0) {
      return Refuse("queue_full", SecondsOfPrefill(load, excess_tokens));
    }
  }
  const Duration wait = WaitOf(load, standing, prompt_tokens);
  const Duration prefill = FromSeconds(SecondsOfPrefill(load, prompt_tokens));
  // The objective has to hold the prompt's own time too; but a prompt that needs more than half of it by itself may still wait for
  // the other half, or it would be refused whenever somebody else is there.
  const Duration longest_wait = limits.ttft_objective - std::min(prefill, limits.ttft_objective / 2);
  if (wait > longest_wait) return Refuse("ttft_unmeetable", ToSeconds(wait - longest_wait));
  if (first_token_budget) return DecideDeadline(load, standing, prompt_tokens, *first_token_budget);
  return std::nullopt;
}

std::optional<Refusal> DecideDeadline(const LoadSnapshot& load, const QueueStanding& standing,
                                      int64_t prompt_tokens, Duration first_token_budget) {
  const Duration ttft =
      WaitOf(load, standing, prompt_tokens) + FromSeconds(SecondsOfPrefill(load, prompt_tokens));
  if (ttft <= first_token_budget) return std::nullopt;
  return Refuse("deadline_unmeetable", ToSeconds(ttft - first_token_budget));
}

}  // namespace weir
