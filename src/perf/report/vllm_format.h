// The result file of `vllm bench serve`, and for direct benchmarks those of `vllm bench latency` and `throughput` in one.
//
// Source    vllm/benchmarks/serve.py, latency.py and throughput.py of vLLM: names and meanings of the fields
#pragma once

#include <span>

#include "base/json.h"
#include "perf/recorder/request_record.h"

namespace weir {

Json VllmServeResult(const Json& document, std::span<const RequestRecord> records);
Json VllmDirectResult(const Json& document, std::span<const RequestRecord> records);

}  // namespace weir
