#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace weir {
namespace {

enum Kind { kCounter, kGauge, kHistogram };
constexpr const char* kKindNames[] = {"counter", "gauge", "histogram"};

std::string EscapeLabel(const std::string& value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string RenderLabels(const MetricLabels& labels) {
  std::string out;
  for (const auto& [name, value] : labels) {
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : ",", name, EscapeLabel(value));
  }
  return out;
}

std::string Braced(const std::string& labels) { return labels.empty() ? "" : "{" + labels + "}"; }

}  // namespace

BucketHistogram::BucketHistogram(std::span<const double> upper_bounds)
    : bounds_(upper_bounds.begin(), upper_bounds.end()), counts_(bounds_.size() + 1) {}

void BucketHistogram::Observe(double value, uint64_t times) {
  const auto index = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  counts_[static_cast<size_t>(index)].fetch_add(times, std::memory_order_relaxed);
  sum_.fetch_add(value * static_cast<double>(times), std::memory_order_relaxed);
}

struct MetricsRegistry::Family {
  struct Series {
    std::string labels;
    Counter counter;
    Gauge gauge;
    std::unique_ptr<BucketHistogram> histogram;
  };
  std::string name;
  std::string help;
  int kind;
  std::vector<std::unique_ptr<Series>> series;

  Series* FindOrAdd(const std::string& labels) {
    for (auto& one : series) {
      if (one->labels == labels) return one.get();
    }
    series.push_back(std::make_unique<Series>());
    series.back()->labels = labels;
    return series.back().get();
  }
};

MetricsRegistry::MetricsRegistry() = default;
MetricsRegistry::~MetricsRegistry() = default;

MetricsRegistry::Family* MetricsRegistry::FindOrAdd(const std::string& name, const std::string& help,
                                                    int kind) {
  for (auto& family : families_) {
    if (family->name == name) {
      CHECK(family->kind == kind);
      return family.get();
    }
  }
  families_.push_back(std::make_unique<Family>(Family{name, help, kind, {}}));
  return families_.back().get();
}

Counter* MetricsRegistry::AddCounter(const std::string& name, const std::string& help,
                                     const MetricLabels& labels) {
  MutexLock lock(mutex_);
  return &FindOrAdd(name, help, kCounter)->FindOrAdd(RenderLabels(labels))->counter;
}

Gauge* MetricsRegistry::AddGauge(const std::string& name, const std::string& help,
                                 const MetricLabels& labels) {
  MutexLock lock(mutex_);
  return &FindOrAdd(name, help, kGauge)->FindOrAdd(RenderLabels(labels))->gauge;
}

BucketHistogram* MetricsRegistry::AddHistogram(const std::string& name, const std::string& help,
                                               std::span<const double> bounds, const MetricLabels& labels) {
  MutexLock lock(mutex_);
  Family::Series* series = FindOrAdd(name, help, kHistogram)->FindOrAdd(RenderLabels(labels));
  if (series->histogram == nullptr) series->histogram = std::make_unique<BucketHistogram>(bounds);
  return series->histogram.get();
}

std::string MetricsRegistry::Render() const {
  MutexLock lock(mutex_);
  std::string out;
  for (const auto& family : families_) {
    out +=
        fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", family->name, family->help, kKindNames[family->kind]);
    for (const auto& series : family->series) {
      const std::string labels = Braced(series->labels);
      if (family->kind == kCounter) {
        out += fmt::format("{}{} {}\n", family->name, labels, series->counter.value());
      } else if (family->kind == kGauge) {
        out += fmt::format("{}{} {}\n", family->name, labels, series->gauge.value());
      } else {
        const BucketHistogram& histogram = *series->histogram;
        const std::string prefix = series->labels.empty() ? "" : series->labels + ",";
        uint64_t cumulative = 0;
        for (size_t i = 0; i <= histogram.bounds().size(); ++i) {
          cumulative += histogram.bucket(i);
          const std::string bound =
              i < histogram.bounds().size() ? fmt::format("{}", histogram.bounds()[i]) : "+Inf";
          out += fmt::format("{}_bucket{{{}le=\"{}\"}} {}\n", family->name, prefix, bound, cumulative);
        }
        out += fmt::format("{}_sum{} {}\n{}_count{} {}\n", family->name, labels, histogram.sum(),
                           family->name, labels, cumulative);
      }
    }
  }
  return out;
}

}  // namespace weir
