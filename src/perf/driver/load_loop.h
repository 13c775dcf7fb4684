// Sends requests in a closed or an open loop and gathers their records.
//
// Owns      nothing but its state; it lives on the client's io thread while it runs
// Requires  client, target and prompts outlive it; the results are read after done() or after the client is gone
// Threads   Start, RequestStop, done and num_ended from the owner's thread; all else on the io thread
// Source    docs/MEASUREMENT.md, "Load test"
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "net/http/client.h"
#include "perf/driver/target.h"
#include "perf/statistics/window.h"
#include "perf/workload/prompts.h"

namespace weir {

struct LoadLoopOptions {
  std::string id_prefix;
  int requests = 50;
  double duration_s = 0;        // 0: no limit
  int at_least_requests = 0;    // the duration ends nothing before
  double latency_multiple = 0;  // nor before this many median latencies
  int concurrency = 5;          // closed loop
  double ramp_up_s = 0;
  std::vector<double> arrivals_s;  // not empty: open loop
  int max_in_flight = 0;           // open loop; 0: no limit
  bool wait_when_shed = true;
  int retries = 0;        // each attempt is a record; all but the last have `retried`
  TargetRequest request;  // what all requests share
  std::function<Prompt(int64_t)> prompt;
  int load_stage = 0;
  int64_t first_seq = 0;  // of the first request: seq and prompts go on where the last stage ended
  std::function<void(RequestRecord&)> on_record;  // on the io thread, before it is kept; may be empty
};

// How a loop is doing, while it runs.
struct LiveLoad {
  int ok = 0, shed = 0, failed = 0;
  double requests_per_s = 0;
  std::optional<double> p50_ms, p95_ms;  // of the last successes
};

class LoadLoop {
 public:
  LoadLoop(LoadLoopOptions options, HttpClient* client, Target* target);

  void Start(TimePoint start = MonotonicClock::Get().Now());
  // Sends nothing more; what is in flight goes on.
  void RequestStop() { stopping_.store(true, std::memory_order_relaxed); }
  bool done() const { return done_.load(std::memory_order_acquire); }
  int num_ended() const { return num_ended_.load(std::memory_order_relaxed); }
  int num_planned() const;
  LiveLoad live() const;

  std::vector<RequestRecord>& records() { return records_; }
  std::vector<InFlightSample>& in_flight_samples() { return samples_; }
  std::vector<double>& loop_lag_ms() { return lag_ms_; }
  int64_t num_sent() const { return next_ - options_.first_seq; }
  TimePoint run_start() const { return start_; }
  // Requests whose end the run did not wait for become records with the outcome `cancelled`. Only once the client is gone.
  void CancelRemaining();

 private:
  bool is_open() const { return !options_.arrivals_s.empty(); }
  double NowMs() const { return ToMilliseconds(MonotonicClock::Get().Now() - start_); }
  bool MayStart() const;
  bool DurationIsOver() const;
  void Note(const RequestRecord& record);
  // Closed loop: the next request of one worker, or its end.
  void WorkerNext(TimePoint intended);
  // Open loop: sets the timer of arrival `index`.
  void ScheduleArrival(size_t index);
  void Arrive(TimePoint intended);
  // One attempt at a request.
  struct Try {
    TimePoint intended{};
    int64_t seq = 0;
    int attempt = 1;
  };
  Try NextRequest(TimePoint intended) { return {intended, next_++}; }
  void Send(const Try& attempt);
  // How long to wait before the next attempt; none when this one is the outcome.
  std::optional<Duration> RetryWait(const RequestRecord& record) const;
  void Retry(int64_t seq);
  bool IsFull() const {
    return is_open() && options_.max_in_flight > 0 && in_flight_ >= options_.max_in_flight;
  }
  void SendHeldBack();
  void DropHeldBack();
  void Keep(RequestRecord record);
  void Conclude(RequestRecord record);
  void OnDone(RequestRecord record);
  void CheckDone();
  void WatchLag(TimePoint due);

  LoadLoopOptions options_;
  HttpClient* client_;
  Target* target_;
  TimePoint start_{};
  int64_t next_ = 0;
  int in_flight_ = 0;
  int workers_ = 0;          // closed loop: still sending
  size_t next_arrival_ = 0;  // open loop
  struct HeldBack {
    TimePoint intended{};
    std::optional<int64_t> retry;  // of a request that has been sent before
  };
  std::deque<HeldBack> held_back_;            // open loop: over max_in_flight
  std::map<int64_t, RequestRecord> waiting_;  // for their next attempt
  std::map<int64_t, RequestRecord> open_;     // sent, no outcome yet
  std::vector<RequestRecord> records_;
  std::vector<InFlightSample> samples_;
  std::vector<double> lag_ms_;
  std::vector<double> ok_latencies_ms_;  // only where a duration depends on them
  mutable Mutex live_mutex_;
  LiveLoad live_ GUARDED_BY(live_mutex_);
  std::deque<double> recent_ms_ GUARDED_BY(live_mutex_);
  std::atomic<bool> stopping_{false};
  std::atomic<bool> done_{false};
  std::atomic<int> num_ended_{0};
};

}  // namespace weir
