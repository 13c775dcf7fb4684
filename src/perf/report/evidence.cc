#include "perf/report/evidence.h"

#include <fmt/format.h>

namespace weir {
namespace {

const Json* Find(const Json& document, const std::string& pointer) {
  if (document.is_null()) return nullptr;
  const Json::json_pointer path(pointer);
  return document.contains(path) ? &document.at(path) : nullptr;
}

size_t NumResults(const Json& benchmark) {
  const Json* results = Find(benchmark, "/results");
  return results != nullptr && results->is_array() ? results->size() : 0;
}

}  // namespace

std::optional<double> NumberAt(const Json& document, const std::string& pointer) {
  return JsonNumber(Find(document, pointer));
}

std::optional<std::string> StringAt(const Json& document, const std::string& pointer) {
  return JsonString(Find(document, pointer));
}

Json Evidence(const std::string& file, const std::string& pointer, const Json& document) {
  const Json* value = Find(document, pointer);
  return {{"file", file}, {"pointer", pointer}, {"value", value == nullptr ? Json(nullptr) : *value}};
}

Json NumberOrNull(std::optional<double> value) { return value ? Json(*value) : Json(nullptr); }

std::string RowOfBatch(const Json& benchmark, double batch_size) {
  for (size_t i = 0; i < NumResults(benchmark); ++i) {
    const std::string row = fmt::format("/results/{}", i);
    if (NumberAt(benchmark, row + "/batch_size") == batch_size) return row;
  }
  return "";
}

std::string BestRow(const Json& benchmark) {
  std::string best;
  double best_tps = -1;
  for (size_t i = 0; i < NumResults(benchmark); ++i) {
    const std::string row = fmt::format("/results/{}", i);
    const double tps = NumberAt(benchmark, row + "/output_tps_steady").value_or(-1);
    if (tps > best_tps) {
      best_tps = tps;
      best = row;
    }
  }
  return best;
}

}  // namespace weir
