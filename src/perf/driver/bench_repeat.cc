#include "perf/driver/bench_repeat.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace weir {
namespace {

double ProcessCpuSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Encoded {
  std::string id;
  std::vector<int32_t> ids;
};

// A repeat in progress. Prompts are encoded before it starts: tokenizing is not what is timed.
class Repeat {
 public:
  Repeat(const BenchSpec& spec, const RepeatPlan& plan, BenchEngine* bench)
      : spec_(spec), plan_(plan), bench_(*bench), target_(bench->target()) {}

  Status Encode() {
    for (int64_t i = 0; i < plan_.num_prompts; ++i) {
      WEIR_ASSIGN_OR_RETURN(Encoded prompt, EncodeOne(plan_.measured(i)));
      measured_.push_back(std::move(prompt));
    }
    // Enough for the slots that stand empty at the end; later fillers reuse them.
    for (int64_t i = 0; i < plan_.batch_size; ++i) {
      WEIR_ASSIGN_OR_RETURN(Encoded prompt, EncodeOne(plan_.filler(i)));
      fillers_.push_back(std::move(prompt));
    }
    return OkStatus();
  }

  void Continuous() {
    start_ = MonotonicClock::Get().Now();
    for (int i = 0; i < plan_.batch_size; ++i) SendNext(start_);
    while (ended_ < plan_.num_prompts && target_.in_flight() > 0 && !stopped()) target_.Step();
    finished_ = true;
    target_.CancelAll();
    while (target_.in_flight() > 0) target_.Step();
  }

  void Static() {
    start_ = MonotonicClock::Get().Now();
    finished_ = true;  // nobody follows when one ends; the group is sent as a whole
    while (ended_ < plan_.num_prompts && !stopped()) {
      const TimePoint sent = MonotonicClock::Get().Now();
      finished_ = false;
      for (int i = 0; i < plan_.batch_size; ++i) SendNext(sent);
      finished_ = true;
      while (target_.in_flight() > 0 && !stopped()) target_.Step();
      // The last token's own stamp ends the batch, as it ends the latencies.
      if (!stopped()) run_.batch_seconds += (last_done_ms_ - ToMilliseconds(sent - start_)) / 1000;
    }
    target_.CancelAll();
    while (target_.in_flight() > 0) target_.Step();
  }

  TimePoint start() const { return start_; }
  BenchRun& run() { return run_; }

 private:
  bool stopped() const { return spec_.stop != nullptr && spec_.stop->load(std::memory_order_relaxed); }

  Result<Encoded> EncodeOne(const Prompt& prompt) {
    WEIR_ASSIGN_OR_RETURN(std::vector<int32_t> ids, bench_.Encode(prompt));
    return Encoded{prompt.id, std::move(ids)};
  }

  // A measured prompt while there is one, then a filler if the tail is to be full.
  void SendNext(TimePoint intended) {
    if (finished_) return;
    const bool is_filler = next_ >= plan_.num_prompts;
    if (is_filler && spec_.tail == Tail::kDrain) return;
    const Encoded& prompt = is_filler ? fillers_[next_filler_ % fillers_.size()] : measured_[next_];
    TargetRequest request;
    request.seq = is_filler ? -1 - static_cast<int64_t>(next_filler_) : next_;
    request.id =
        fmt::format("{}-{}{}", plan_.id_prefix, is_filler ? "f" : "", is_filler ? next_filler_ : next_);
    request.prompt_id = prompt.id;
    request.prompt_ids = prompt.ids;
    request.max_tokens = plan_.max_tokens;
    request.temperature = spec_.temperature;
    request.seed = spec_.seed;
    request.intended = intended;
    if (is_filler) {
      ++next_filler_;
    } else {
      ++next_;
    }
    target_.Send(std::move(request), start_,
                 [this, is_filler](RequestRecord record) { OnDone(is_filler, std::move(record)); });
  }

  void OnDone(bool is_filler, RequestRecord record) {
    last_done_ms_ = std::max(last_done_ms_, record.done_ms);
    const bool refused = record.outcome == Outcome::kFailed;
    const TimePoint done = start_ + std::chrono::duration_cast<Duration>(
                                        std::chrono::duration<double, std::milli>(record.done_ms));
    if (is_filler) {
      run_.fillers.push_back(std::move(record));
    } else {
      ++ended_;
      // Cut off by Ctrl-C: neither a success nor a failure.
      if (record.outcome == Outcome::kCancelled) return;
      if (spec_.on_record) spec_.on_record(record);
      run_.measured.push_back(std::move(record));
    }
    // A refused filler would be refused again; a measured one has only so many successors.
    if (ended_ < plan_.num_prompts && !(is_filler && refused)) SendNext(done);
  }

  const BenchSpec& spec_;
  const RepeatPlan& plan_;
  BenchEngine& bench_;
  EngineTarget& target_;
  std::vector<Encoded> measured_, fillers_;
  TimePoint start_{};
  BenchRun run_;
  int64_t next_ = 0;
  size_t next_filler_ = 0;
  int64_t ended_ = 0;
  double last_done_ms_ = 0;
  bool finished_ = false;
};

// WIN-2: from the first step with the whole batch running until the last measured prompt ends.
std::optional<Window> FullBatchWindow(const BenchRun& run, int batch_size) {
  double end = -1;
  for (const RequestRecord& record : run.measured) end = std::max(end, record.done_ms);
  for (const StepSample& step : run.steps) {
    if (std::max(step.num_running, step.num_sequences) < batch_size) continue;
    if (step.started_ms >= end) return std::nullopt;
    return Window{step.started_ms, end};
  }
  return std::nullopt;
}

}  // namespace

Result<BenchRun> RunRepeat(const BenchSpec& spec, const RepeatPlan& plan, BenchEngine* bench,
                           StepLog* step_log) {
  Repeat repeat(spec, plan, bench);
  WEIR_RETURN_IF_ERROR(repeat.Encode());
  step_log->Clear();
  const double cpu = ProcessCpuSeconds();
  if (spec.batching == Batching::kStatic) {
    repeat.Static();
  } else {
    repeat.Continuous();
  }
  BenchRun run = std::move(repeat.run());
  run.run_id = plan.id_prefix;
  run.cpu_s = ProcessCpuSeconds() - cpu;
  run.wall_s = ToSeconds(MonotonicClock::Get().Now() - repeat.start());
  run.steps = step_log->Samples(repeat.start());
  if (spec.batching == Batching::kContinuous) run.steady = FullBatchWindow(run, plan.batch_size);
  return run;
}

}  // namespace weir
