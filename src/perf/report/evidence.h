// What a rule reads: a number in a result file, with the pointer that finds it again.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"

namespace weir {

// Empty when the pointer leads nowhere, to null or to something that is no number.
std::optional<double> NumberAt(const Json& document, const std::string& pointer);
std::optional<std::string> StringAt(const Json& document, const std::string& pointer);
// {"file", "pointer", "value"}
Json Evidence(const std::string& file, const std::string& pointer, const Json& document);
// The number, or null: "not measured" never becomes 0.
Json NumberOrNull(std::optional<double> value);

// Row of a benchmark's results[] with this batch size, as a pointer prefix ("/results/3"); empty when absent.
std::string RowOfBatch(const Json& benchmark, double batch_size);
// Pointer prefix of the row with the highest headline throughput; empty when there is none.
std::string BestRow(const Json& benchmark);

}  // namespace weir
