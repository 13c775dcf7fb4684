#include "perf/report/comparison_metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "perf/report/evidence.h"

namespace weir {
namespace {

bool IsVoid(const Json& document, const std::string& pointer) {
  const Json* list = FindJson(document, {"void"});
  if (list == nullptr || !list->is_array()) return false;
  return std::any_of(list->begin(), list->end(), [&](const Json& entry) {
    if (!entry.is_string()) return false;
    const std::string prefix = entry.get<std::string>();
    return pointer == prefix || pointer.starts_with(prefix + "/");
  });
}

class Collector {
 public:
  void Add(const ComparedMetric& kind, const Json& document, const std::string& pointer) {
    const std::optional<double> value = NumberAt(document, pointer);
    ComparedMetric& metric = Named(kind);
    if (IsVoid(document, pointer)) {
      ++metric.num_void;
    } else if (value) {
      metric.values.push_back(*value);
    }
  }
  void AddValue(const ComparedMetric& kind, double value) { Named(kind).values.push_back(value); }
  std::vector<ComparedMetric>& metrics() { return metrics_; }

 private:
  ComparedMetric& Named(const ComparedMetric& kind) {
    for (ComparedMetric& metric : metrics_) {
      if (metric.name == kind.name) return metric;
    }
    metrics_.push_back(kind);
    return metrics_.back();
  }
  std::vector<ComparedMetric> metrics_;
};

size_t Rows(const Json& document, std::string_view list) {
  const Json* rows = FindJson(document, {list});
  return rows != nullptr && rows->is_array() ? rows->size() : 0;
}

int IntAt(const Json& document, const std::string& pointer) {
  return static_cast<int>(NumberAt(document, pointer).value_or(-1));
}

ComparedMetric Kind(std::string name, std::string_view formula, std::string_view unit, bool higher_is_better,
                    bool is_share = false) {
  return {std::move(name), formula, unit, higher_is_better, is_share, {}, 0};
}

void AddBenchmark(const Json& document, bool is_alone, Collector* out) {
  for (size_t i = 0; i < Rows(document, "results"); ++i) {
    const std::string row = fmt::format("/results/{}", i);
    const bool is_static = StringAt(document, row + "/batching") == "static";
    const ComparedMetric kind =
        Kind(fmt::format("batch {}: output_tps_steady", IntAt(document, row + "/batch_size")),
             is_static ? "THR-OUT-3" : "THR-OUT-2", "tok/s", true);
    const Json* runs = FindJson(document["results"][i], {"runs"});
    if (!is_alone || runs == nullptr || !runs->is_array() || IsVoid(document, row + "/output_tps_steady")) {
      out->Add(kind, document, row + "/output_tps_steady");
      continue;
    }
    for (const Json& run : *runs) {
      if (const auto value = JsonNumber(FindJson(run, {"output_tps_steady"}))) out->AddValue(kind, *value);
    }
  }
  for (size_t i = 0; i < Rows(document, "matrix"); ++i) {
    const std::string row = fmt::format("/matrix/{}", i);
    const std::string cell =
        fmt::format("prompt {}, batch {}: ", IntAt(document, row + "/pp"), IntAt(document, row + "/pl"));
    out->Add(Kind(cell + "speed_pp_tps", "", "tok/s", true), document, row + "/speed_pp_tps");
    out->Add(Kind(cell + "speed_tg_tps", "", "tok/s", true), document, row + "/speed_tg_tps");
  }
}

void AddLoadTest(const Json& document, Collector* out) {
  const size_t stages = Rows(document, "results");
  for (size_t i = 0; i < stages; ++i) {
    const std::string row = fmt::format("/results/{}", i);
    const std::string stage = stages > 1 ? fmt::format("stage {}: ", i) : "";
    const bool open = StringAt(document, row + "/mode") == "open";
    const std::string from = open ? "_from_intended_ms" : "_ms";
    out->Add(Kind(stage + "output_tps", "THR-OUT-1", "tok/s", true), document, row + "/output_tps");
    out->Add(Kind(stage + "ttft p95", open ? "TTFT-2" : "TTFT-1", "ms", false), document,
             row + "/ttft" + from + "/p95");
    out->Add(Kind(stage + "e2el p95", open ? "E2EL-2" : "E2EL-1", "ms", false), document,
             row + "/e2el" + from + "/p95");
    out->Add(Kind(stage + "success_ratio", "SUC-1", "ratio", true, true), document, row + "/success_ratio");
  }
}

}  // namespace

std::vector<ComparedMetric> MetricsOf(const ComparisonSide& side) {
  Collector out;
  for (const Json& document : side.documents) {
    if (StringAt(document, "/kind") == "benchmark") {
      AddBenchmark(document, side.documents.size() == 1, &out);
    } else {
      AddLoadTest(document, &out);
    }
  }
  return std::move(out.metrics());
}

}  // namespace weir
