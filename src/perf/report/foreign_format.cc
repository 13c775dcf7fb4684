#include "perf/report/foreign_format.h"

#include <fmt/format.h>

#include "perf/report/aiperf_format.h"
#include "perf/report/evidence.h"
#include "perf/report/guidellm_format.h"
#include "perf/report/llama_bench_format.h"
#include "perf/report/vllm_format.h"

namespace weir {
namespace {

bool HasRows(const Json& document, std::string_view list) {
  const Json* rows = FindJson(document, {list});
  return rows != nullptr && rows->is_array() && !rows->empty();
}

}  // namespace

std::string_view ForeignFormatName(ForeignFormat format) {
  switch (format) {
    case ForeignFormat::kVllm:
      return "vllm";
    case ForeignFormat::kGuidellm:
      return "guidellm";
    case ForeignFormat::kAiperf:
      return "aiperf";
    case ForeignFormat::kLlamaBench:
      return "llama-bench";
  }
  return "";
}

Result<std::vector<ForeignFile>> WriteForeign(ForeignFormat format, const Json& document,
                                              std::span<const RequestRecord> records) {
  const bool is_load = StringAt(document, "/kind") == "load_test";
  const auto refuse = [&](const char* what) -> Status {
    return InvalidArgument(
        fmt::format("--format {} holds {}, and this run has none", ForeignFormatName(format), what));
  };
  switch (format) {
    case ForeignFormat::kVllm:
      if (!HasRows(document, "results")) return refuse("load tests and direct benchmarks by batch size");
      return std::vector<ForeignFile>{
          {".vllm.json", DumpJsonPretty(is_load ? VllmServeResult(document, records)
                                                : VllmDirectResult(document, records))}};
    case ForeignFormat::kGuidellm: {
      if (!is_load) return refuse("load tests");
      WEIR_ASSIGN_OR_RETURN(const Json report, GuidellmResult(document, records));
      return std::vector<ForeignFile>{{".guidellm.json", DumpJsonPretty(report)}};
    }
    case ForeignFormat::kAiperf:
      if (!is_load) return refuse("load tests");
      return std::vector<ForeignFile>{{".aiperf.json", DumpJsonPretty(AiperfResult(document, records))}};
    case ForeignFormat::kLlamaBench: {
      if (!HasRows(document, "matrix")) return refuse("rows of 'weir bench --mode matrix'");
      std::string lines;
      for (const Json& row : LlamaBatchedRows(document)) lines += DumpJson(row) + "\n";
      return std::vector<ForeignFile>{{".llama-bench.json", DumpJsonPretty(LlamaBenchRows(document))},
                                      {".batched-bench.jsonl", lines}};
    }
  }
  return Internal("the format has no writer");
}

}  // namespace weir
