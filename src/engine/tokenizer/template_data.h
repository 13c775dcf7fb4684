// Data that a client sends for a template to write: tools and calls of them. The engine knows no JSON.
//
// Threads   as a value
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace weir {

struct TemplateData;
using TemplateList = std::vector<TemplateData>;
using TemplateObject = std::vector<std::pair<std::string, TemplateData>>;  // in order

struct TemplateData {
  std::variant<std::monostate, bool, int64_t, double, std::string, TemplateList, TemplateObject> value{};
  bool is_null() const { return value.index() == 0; }
};

}  // namespace weir
