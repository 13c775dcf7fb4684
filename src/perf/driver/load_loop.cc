#include "perf/driver/load_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace weir {
namespace {

constexpr Duration kLagInterval = std::chrono::milliseconds(5);
constexpr double kLongestBackOffS = 30;
constexpr double kFirstConnectWaitS = 0.5;  // doubled at every attempt
constexpr double kLongestStretch = 20;      // of a duration that waits for requests
constexpr size_t kRecent = 200;

Duration FromMs(double ms) { return Duration(static_cast<int64_t>(std::llround(ms * 1e6))); }

}  // namespace

LoadLoop::LoadLoop(LoadLoopOptions options, HttpClient* client, Target* target)
    : options_(std::move(options)), client_(client), target_(target), next_(options_.first_seq) {}

int LoadLoop::num_planned() const {
  return is_open() ? static_cast<int>(options_.arrivals_s.size()) : options_.requests;
}

void LoadLoop::Start(TimePoint start) {
  start_ = start;
  client_->PostAt(start_, [this] {
    WatchLag(MonotonicClock::Get().Now());
    if (is_open()) {
      ScheduleArrival(0);
      return;
    }
    const int workers = std::min(options_.concurrency, options_.requests);
    workers_ = workers;
    for (int i = 0; i < workers; ++i) {
      const TimePoint first =
          start_ + FromSeconds(options_.ramp_up_s * i / std::max(1, options_.concurrency));
      if (options_.ramp_up_s <= 0) {
        WorkerNext(first);
      } else {
        client_->PostAt(first, [this, first] { WorkerNext(first); });
      }
    }
  });
}

bool LoadLoop::MayStart() const { return !stopping_.load(std::memory_order_relaxed) && !DurationIsOver(); }

bool LoadLoop::DurationIsOver() const {
  if (options_.duration_s <= 0) return false;
  const double now = NowMs();
  if (now < options_.duration_s * 1000) return false;
  if (now > options_.duration_s * 1000 * kLongestStretch) return true;
  if (num_ended() < options_.at_least_requests) return false;
  if (options_.latency_multiple <= 0 || ok_latencies_ms_.empty()) return true;
  std::vector<double> sorted = ok_latencies_ms_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return now >= options_.latency_multiple * *middle;
}

LiveLoad LoadLoop::live() const {
  LiveLoad out;
  std::vector<double> sorted;
  {
    const MutexLock lock(live_mutex_);
    out = live_;
    sorted.assign(recent_ms_.begin(), recent_ms_.end());
  }
  const double elapsed_s = NowMs() / 1000;
  if (elapsed_s > 0) out.requests_per_s = (out.ok + out.shed + out.failed) / elapsed_s;
  if (sorted.empty()) return out;
  std::sort(sorted.begin(), sorted.end());
  out.p50_ms = sorted[(sorted.size() - 1) / 2];
  out.p95_ms = sorted[(sorted.size() - 1) * 95 / 100];
  return out;
}

void LoadLoop::Note(const RequestRecord& record) {
  const double latency = record.done_ms - (is_open() ? record.intended_ms : record.sent_ms);
  if (record.outcome == Outcome::kOk && options_.latency_multiple > 0) ok_latencies_ms_.push_back(latency);
  const MutexLock lock(live_mutex_);
  live_.ok += record.outcome == Outcome::kOk;
  live_.shed += record.outcome == Outcome::kShed;
  live_.failed += record.outcome == Outcome::kFailed;
  if (record.outcome != Outcome::kOk) return;
  recent_ms_.push_back(latency);
  if (recent_ms_.size() > kRecent) recent_ms_.pop_front();
}

void LoadLoop::WorkerNext(TimePoint intended) {
  if (num_sent() >= options_.requests || !MayStart()) {
    --workers_;
    CheckDone();
    return;
  }
  Send(NextRequest(intended));
}

void LoadLoop::ScheduleArrival(size_t index) {
  next_arrival_ = index;
  if (index >= options_.arrivals_s.size()) {
    CheckDone();
    return;
  }
  // Absolute: a late send moves no later one.
  const TimePoint due = start_ + FromSeconds(options_.arrivals_s[index]);
  client_->PostAt(due, [this, index, due] {
    if (!MayStart()) {
      next_arrival_ = options_.arrivals_s.size();
      DropHeldBack();
      CheckDone();
      return;
    }
    Arrive(due);
    ScheduleArrival(index + 1);
  });
}

void LoadLoop::Arrive(TimePoint intended) {
  if (IsFull()) {
    held_back_.push_back({intended, std::nullopt});
    return;
  }
  Send(NextRequest(intended));
}

void LoadLoop::Send(const Try& attempt) {
  TargetRequest request = options_.request;
  Prompt prompt = options_.prompt(attempt.seq);
  request.seq = attempt.seq;
  request.attempt = attempt.attempt;
  request.id = fmt::format("{}-{}", options_.id_prefix, attempt.seq);
  if (attempt.attempt > 1) request.id += fmt::format("-try{}", attempt.attempt);
  request.prompt_id = prompt.id;
  request.prompt = std::move(prompt.text);
  request.messages = std::move(prompt.messages);
  request.prompt_tokens_target = prompt.num_tokens;
  if (prompt.max_tokens > 0) request.max_tokens = prompt.max_tokens;
  request.intended = attempt.intended;
  ++in_flight_;
  const double now = NowMs();
  samples_.push_back({now, in_flight_});
  RequestRecord& open = open_[request.seq];
  open.id = request.id;
  open.seq = request.seq;
  open.attempt = request.attempt;
  open.prompt_id = request.prompt_id;
  open.load_stage = options_.load_stage;
  open.max_tokens = request.max_tokens;
  open.intended_ms = ToMilliseconds(attempt.intended - start_);
  open.sent_ms = now;
  target_->Send(std::move(request), start_, [this](RequestRecord record) { OnDone(std::move(record)); });
}

std::optional<Duration> LoadLoop::RetryWait(const RequestRecord& record) const {
  if (record.attempt > options_.retries || !MayStart()) return std::nullopt;
  double wait_s = 0;
  if (record.outcome == Outcome::kShed) {
    wait_s = record.retry_after_s.value_or(0);
  } else if (record.outcome == Outcome::kFailed && record.error && record.error->phase == "connect") {
    wait_s = kFirstConnectWaitS * std::exp2(std::min(record.attempt - 1, 10));
  } else {
    return std::nullopt;  // the server may have done the work
  }
  wait_s = std::min(wait_s, kLongestBackOffS);
  // It would come too late.
  if (options_.duration_s > 0 && options_.at_least_requests == 0 &&
      record.done_ms / 1000 + wait_s >= options_.duration_s)
    return std::nullopt;
  return FromSeconds(wait_s);
}

void LoadLoop::Retry(int64_t seq) {
  const auto at = waiting_.find(seq);
  if (MayStart() && IsFull()) {
    held_back_.push_back({start_ + FromMs(at->second.intended_ms), seq});
    return;
  }
  RequestRecord last = std::move(at->second);
  waiting_.erase(at);
  if (!MayStart()) {
    Conclude(std::move(last));
    return;
  }
  const Try next{start_ + FromMs(last.intended_ms), last.seq, last.attempt + 1};
  last.retried = true;
  Keep(std::move(last));
  Send(next);
}

void LoadLoop::OnDone(RequestRecord record) {
  --in_flight_;
  samples_.push_back({NowMs(), in_flight_});
  const auto open = open_.find(record.seq);
  record.attempt = open->second.attempt;
  open_.erase(open);
  record.load_stage = options_.load_stage;
  const std::optional<Duration> wait = RetryWait(record);
  if (!wait) {
    Conclude(std::move(record));
    return;
  }
  const int64_t seq = record.seq;
  const TimePoint again = start_ + FromMs(record.done_ms) + *wait;
  waiting_.emplace(seq, std::move(record));
  client_->PostAt(again, [this, seq] { Retry(seq); });
  SendHeldBack();
}

void LoadLoop::Keep(RequestRecord record) {
  if (options_.on_record) options_.on_record(record);
  records_.push_back(std::move(record));
}

void LoadLoop::SendHeldBack() {
  if (!MayStart()) {
    DropHeldBack();
    return;
  }
  if (held_back_.empty()) return;
  const HeldBack next = held_back_.front();
  held_back_.pop_front();
  if (next.retry) {
    Retry(*next.retry);
  } else {
    Send(NextRequest(next.intended));
  }
}

// What was never sent is no request; what was, ends with its last attempt.
void LoadLoop::DropHeldBack() {
  const std::deque<HeldBack> dropped = std::exchange(held_back_, {});
  for (const HeldBack& held : dropped) {
    if (held.retry) Retry(*held.retry);
  }
}

// The request's outcome is known.
void LoadLoop::Conclude(RequestRecord record) {
  Note(record);
  const TimePoint done = start_ + FromMs(record.done_ms);
  const bool shed = record.outcome == Outcome::kShed;
  const double back_off = std::min(record.retry_after_s.value_or(0), kLongestBackOffS);
  Keep(std::move(record));
  num_ended_.fetch_add(1, std::memory_order_relaxed);
  if (is_open()) {
    SendHeldBack();
    CheckDone();
    return;
  }
  if (shed && options_.wait_when_shed && back_off > 0 && num_sent() < options_.requests) {
    const TimePoint again = done + FromSeconds(back_off);
    client_->PostAt(again, [this, again] { WorkerNext(again); });
    return;
  }
  WorkerNext(done);
}

void LoadLoop::CheckDone() {
  const bool nothing_to_come =
      is_open() ? next_arrival_ >= options_.arrivals_s.size() && held_back_.empty() && waiting_.empty()
                : workers_ == 0;
  if (nothing_to_come && in_flight_ == 0) done_.store(true, std::memory_order_release);
}

void LoadLoop::WatchLag(TimePoint due) {
  const TimePoint next = due + kLagInterval;
  client_->PostAt(next, [this, next] {
    if (done()) return;  // the owner may be reading the results
    const TimePoint now = MonotonicClock::Get().Now();
    lag_ms_.push_back(ToMilliseconds(now - next));
    WatchLag(std::max(next, now));
  });
}

void LoadLoop::CancelRemaining() {
  for (auto& [seq, record] : open_) {
    record.done_ms = NowMs();
    record.outcome = Outcome::kCancelled;
    record.error = RecordError{"cancelled", 0, "", "the run was ended before this request was"};
    records_.push_back(std::move(record));
  }
  open_.clear();
  for (auto& [seq, record] : waiting_) records_.push_back(std::move(record));
  waiting_.clear();
}

}  // namespace weir
