#include <fmt/format.h>

#include "perf/report/evidence.h"
#include "perf/report/report.h"

namespace weir {
namespace {

// RFC 4180: quoted where a comma, a quote or a line end would be taken for structure.
std::string Field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

class Csv {
 public:
  Csv() { out_ = "table,row,metric,formula,unit,value\n"; }

  // Numbers as they are, so that nothing is lost; what was not measured is empty.
  void Add(const std::string& table, const std::string& row, const std::string& metric,
           const std::string& formula, const std::string& unit, const Json* value) {
    std::string text;
    if (value != nullptr && value->is_number()) text = value->dump();
    if (value != nullptr && value->is_string()) text = value->get<std::string>();
    out_ += fmt::format("{},{},{},{},{},{}\n", Field(table), Field(row), Field(metric), Field(formula),
                        Field(unit), Field(text));
  }
  std::string&& Take() { return std::move(out_); }

 private:
  std::string out_;
};

// Every number of a row, with the path to it as its name: "e2el_ms/p95".
void AddNumbers(Csv& csv, const std::string& table, const std::string& row, const std::string& prefix,
                const Json& value) {
  if (value.is_number() || value.is_null()) {
    csv.Add(table, row, prefix, "", "", &value);
  } else if (value.is_object()) {
    for (const auto& [name, member] : value.items())
      AddNumbers(csv, table, row, prefix.empty() ? name : prefix + "/" + name, member);
  }
}

std::string Text(const Json& json, const std::string& pointer) {
  return StringAt(json, pointer).value_or("");
}

}  // namespace

std::string RenderCsv(const Json& report) {
  Csv csv;
  for (const Json& row : report["summary"]) {
    for (const char* column : {"direct", "api_before", "api"})
      csv.Add("summary", column, Text(row, "/metric"), Text(row, "/formula"), Text(row, "/unit"),
              FindJson(row, {column}));
  }
  if (const Json* rows = FindJson(report, {"benchmark", "results"}); rows != nullptr && rows->is_array()) {
    for (const Json& row : *rows)
      AddNumbers(csv, "benchmark", fmt::format("batch {}", NumberAt(row, "/batch_size").value_or(0)), "",
                 row);
  }
  for (const Json& load : report["load_tests"]) {
    const Json* rows = FindJson(load, {"document", "results"});
    for (size_t i = 0; rows != nullptr && i < rows->size(); ++i) {
      const std::string name = Text(load, "/step").empty() ? Text(load, "/file") : Text(load, "/step");
      AddNumbers(csv, "load test", rows->size() > 1 ? fmt::format("{} stage {}", name, i) : name, "",
                 (*rows)[i]);
    }
  }
  for (const Json& row : report["comparison"])
    csv.Add("comparison", Text(row, "/step"), Text(row, "/metric"), Text(row, "/formula"), "ratio",
            FindJson(row, {"ratio"}));
  for (const char* which : {"before", "after"}) {
    const Json* causes = FindJson(report, {"attribution", which, "causes"});
    for (size_t i = 0; causes != nullptr && i < causes->size(); ++i) {
      const Json& cause = (*causes)[i];
      csv.Add("attribution", which, Text(cause, "/cause"), "ATT-2", "tok/s", FindJson(cause, {"tps"}));
      csv.Add("attribution", which, Text(cause, "/cause"), "ATT-1", "ms/token",
              FindJson(cause, {"slot_ms_per_token"}));
    }
  }
  return csv.Take();
}

}  // namespace weir
