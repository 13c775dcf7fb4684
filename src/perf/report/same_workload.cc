#include "perf/report/same_workload.h"

#include <fmt/format.h>

#include <map>

#include "perf/report/evidence.h"

namespace weir {
namespace {

// Both known and different.
void CompareSetting(const char* name, const Json* direct, const Json* api, std::vector<std::string>* out) {
  if (direct == nullptr || api == nullptr || direct->is_null() || api->is_null() || *direct == *api) return;
  out->push_back(fmt::format("{}: {} direct, {} through the API", name, DumpJson(*direct), DumpJson(*api)));
}

}  // namespace

WorkloadMatch MatchWorkloads(const Json& benchmark, const std::vector<RequestRecord>& direct,
                             const Json& load_test, const std::vector<RequestRecord>& api) {
  WorkloadMatch out;
  CompareSetting("model", FindJson(benchmark, {"model", "sha256"}), FindJson(load_test, {"model", "sha256"}),
                 &out.differences);
  CompareSetting("instruction set", FindJson(benchmark, {"environment", "isa"}),
                 FindJson(load_test, {"server_version", "kernels"}), &out.differences);
  CompareSetting("threads", FindJson(benchmark, {"environment", "threads"}),
                 FindJson(load_test, {"server_version", "threads"}), &out.differences);
  CompareSetting("KV cache type", FindJson(benchmark, {"parameters", "kv_cache_dtype"}),
                 FindJson(load_test, {"server_version", "kv_cache_dtype"}), &out.differences);
  const bool greedy = NumberAt(benchmark, "/parameters/temperature") == 0.0 &&
                      NumberAt(load_test, "/parameters/temperature") == 0.0;
  std::map<std::string, const RequestRecord*> known;
  for (const RequestRecord& record : direct) {
    if (record.outcome == Outcome::kOk) known[record.prompt_id] = &record;
  }
  int lengths = 0, outputs = 0;
  for (const RequestRecord& record : api) {
    const auto same = known.find(record.prompt_id);
    if (record.outcome != Outcome::kOk || same == known.end()) continue;
    ++out.shared_prompts;
    lengths += same->second->prompt_tokens != record.prompt_tokens;
    if (!greedy || record.output_hash.empty() || same->second->output_hash.empty() ||
        record.output_tokens != same->second->output_tokens)
      continue;
    ++out.compared_outputs;
    outputs += record.output_hash != same->second->output_hash;
  }
  if (lengths > 0) {
    out.differences.push_back(
        fmt::format("{} of {} prompts have another number of tokens", lengths, out.shared_prompts));
  }
  if (outputs > 0) {
    out.differences.push_back(
        fmt::format("{} of {} outputs at temperature 0 differ", outputs, out.compared_outputs));
  }
  return out;
}

}  // namespace weir
