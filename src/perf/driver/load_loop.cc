#include "perf/driver/load_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace weir {
namespace {

constexpr Duration kLagInterval = std::chrono::milliseconds(5);
constexpr double kLongestBackOffS = 30;
constexpr double kLongestStretch = 20;  // of a duration that waits for requests
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
  Send(intended);
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
      held_back_.clear();
      CheckDone();
      return;
    }
    Arrive(due);
    ScheduleArrival(index + 1);
  });
}

void LoadLoop::Arrive(TimePoint intended) {
  if (options_.max_in_flight > 0 && in_flight_ >= options_.max_in_flight) {
    held_back_.push_back(intended);
    return;
  }
  Send(intended);
}

void LoadLoop::Send(TimePoint intended) {
  TargetRequest request = options_.request;
  Prompt prompt = options_.prompt(next_);
  request.seq = next_;
  request.id = fmt::format("{}-{}", options_.id_prefix, next_);
  request.prompt_id = prompt.id;
  request.prompt = std::move(prompt.text);
  request.messages = std::move(prompt.messages);
  request.prompt_tokens_target = prompt.num_tokens;
  if (prompt.max_tokens > 0) request.max_tokens = prompt.max_tokens;
  request.intended = intended;
  ++next_;
  ++in_flight_;
  const double now = NowMs();
  samples_.push_back({now, in_flight_});
  RequestRecord& open = open_[request.seq];
  open.id = request.id;
  open.seq = request.seq;
  open.prompt_id = request.prompt_id;
  open.load_stage = options_.load_stage;
  open.max_tokens = request.max_tokens;
  open.intended_ms = ToMilliseconds(intended - start_);
  open.sent_ms = now;
  target_->Send(std::move(request), start_, [this](RequestRecord record) { OnDone(std::move(record)); });
}

void LoadLoop::OnDone(RequestRecord record) {
  --in_flight_;
  samples_.push_back({NowMs(), in_flight_});
  open_.erase(record.seq);
  record.load_stage = options_.load_stage;
  Note(record);
  const TimePoint done = start_ + FromMs(record.done_ms);
  const bool shed = record.outcome == Outcome::kShed;
  const double back_off = std::min(record.retry_after_s.value_or(0), kLongestBackOffS);
  if (options_.on_record) options_.on_record(record);
  records_.push_back(std::move(record));
  num_ended_.fetch_add(1, std::memory_order_relaxed);
  if (is_open()) {
    if (!held_back_.empty() && MayStart()) {
      const TimePoint intended = held_back_.front();
      held_back_.pop_front();
      Send(intended);
    }
    if (!MayStart()) held_back_.clear();
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
      is_open() ? next_arrival_ >= options_.arrivals_s.size() && held_back_.empty() : workers_ == 0;
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
}

}  // namespace weir
