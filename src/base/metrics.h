// Live numbers of a process in Prometheus text form 0.0.4.
//
// Owns      the registry owns every series; pointers it returns stay valid as long as it
// Threads   updates are relaxed atomics from any thread; Render() reads without stopping them
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace weir {

using MetricLabels = std::vector<std::pair<std::string, std::string>>;

// Its name ends in _total.
class Counter {
 public:
  void Add(double amount = 1.0) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class BucketHistogram {
 public:
  explicit BucketHistogram(std::span<const double> upper_bounds);
  void Observe(double value, uint64_t times = 1);

  const std::vector<double>& bounds() const { return bounds_; }
  uint64_t bucket(size_t i) const { return counts_[i].load(std::memory_order_relaxed); }  // not cumulative
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;  // one more than bounds_: +Inf
  std::atomic<double> sum_{0};
};

class MetricsRegistry {
 public:
  MetricsRegistry();
  ~MetricsRegistry();

  // The same name and labels return the same series. A name keeps one type (CHECK).
  Counter* AddCounter(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  Gauge* AddGauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  BucketHistogram* AddHistogram(const std::string& name, const std::string& help,
                                std::span<const double> bounds, const MetricLabels& labels = {});
  std::string Render() const;

 private:
  struct Family;
  Family* FindOrAdd(const std::string& name, const std::string& help, int kind) REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::vector<std::unique_ptr<Family>> families_ GUARDED_BY(mutex_);
};

}  // namespace weir
