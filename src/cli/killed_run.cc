#include "cli/killed_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "perf/report/evidence.h"
#include "perf/statistics/load_row.h"

namespace weir {
namespace {

constexpr std::string_view kSuffix = ".requests.jsonl";
constexpr std::string_view kPart = ".part";

Result<KilledRun> ReadLines(const std::string& path, bool* last_was_cut) {
  WEIR_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  // A line that was being written has no end.
  const size_t end = content.rfind('\n');
  *last_was_cut = end != std::string::npos && end + 1 < content.size();
  std::istringstream lines(content.substr(0, end == std::string::npos ? 0 : end));
  KilledRun run;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const Result<Json> json = ParseJson(line);
    if (!json) return DataLoss(fmt::format("'{}' line {}: {}", path, number, json.error().message()));
    if (number == 1) {
      const Json* header = FindJson(*json, {"run"});
      if (header == nullptr || StringAt(*header, "/kind") != "load_test" ||
          !StringAt(*header, "/schema_version").value_or("").starts_with("1.")) {
        return DataLoss(fmt::format(
            "'{}' does not begin with the run of a load test; only 'weir load' leaves records that a report "
            "can be made of",
            path));
      }
      run.document = *header;
      continue;
    }
    Result<RequestRecord> record = RequestRecordFromJson(*json);
    if (!record) return DataLoss(fmt::format("'{}' line {}: {}", path, number, record.error().message()));
    run.records.push_back(std::move(*record));
  }
  return run;
}

// As the driver counts them, but from what ended.
std::vector<InFlightSample> InFlight(const std::vector<RequestRecord>& records) {
  std::vector<std::pair<double, int>> changes;
  for (const RequestRecord& record : records) {
    changes.emplace_back(record.sent_ms, 1);
    changes.emplace_back(record.done_ms, -1);
  }
  std::sort(changes.begin(), changes.end());
  std::vector<InFlightSample> samples;
  int in_flight = 0;
  for (const auto& [at_ms, change] : changes) samples.push_back({at_ms, in_flight += change});
  return samples;
}

Json Row(const Json& document, int stage, const std::vector<RequestRecord>& records, Validity* validity) {
  const auto index = static_cast<int>(document["results"].size());
  const std::string level = fmt::format("/parameters/stages/{}", stage);
  const auto number = [&](const char* name) {
    const auto own = NumberAt(document, level + "/" + name);
    return own ? own : NumberAt(document, std::string("/parameters/") + name);
  };
  LoadRowInput input;
  const std::vector<RequestRecord> outcomes = LastAttempts(records);
  input.records = outcomes;
  input.attempts = records;
  if (StringAt(document, "/parameters/percentile") == "linear") input.percentile = PercentileMethod::kLinear;
  input.retries = static_cast<int>(number("retries").value_or(0));
  input.load_stage = stage;
  input.request_rate_per_s = number("request_rate_per_s");
  input.open_loop = input.request_rate_per_s.has_value();
  input.concurrency = static_cast<int>(number("concurrency").value_or(1));
  input.max_in_flight = static_cast<int>(number("max_in_flight").value_or(0));
  input.arrival = StringAt(document, "/parameters/arrival").value_or("");
  input.burstiness = number("burstiness").value_or(1);
  input.timeout_s = number("timeout_s").value_or(60);
  if (const Json* forced = FindJson(document, {"parameters", "ignore_eos"}); forced != nullptr)
    input.ignore_eos = *forced == true;
  input.slo = {NumberAt(document, "/parameters/slo/ttft_ms"), NumberAt(document, "/parameters/slo/tpot_ms"),
               NumberAt(document, "/parameters/slo/e2el_ms")};
  input.num_sent = static_cast<int64_t>(outcomes.size());
  input.in_flight = InFlight(records);
  Json row = LoadRow(input);
  validity->set_row(index);
  CheckLoadRow(input, row, validity);
  return row;
}

}  // namespace

bool IsPartialRecordFile(const std::string& path) { return path.ends_with(kPart); }

std::string PartialRecordsOf(const std::string& result_path) {
  return result_path + std::string(kSuffix) + std::string(kPart);
}

Result<KilledRun> ReadKilledRun(const std::string& path) {
  bool last_was_cut = false;
  WEIR_ASSIGN_OR_RETURN(KilledRun run, ReadLines(path, &last_was_cut));
  if (run.document.is_null() || run.records.empty()) {
    return DataLoss(fmt::format("'{}' holds no request that ended: the run was killed before", path));
  }
  std::sort(run.records.begin(), run.records.end(), [](const RequestRecord& a, const RequestRecord& b) {
    return std::pair(a.seq, a.attempt) < std::pair(b.seq, b.attempt);
  });
  std::map<int, std::vector<RequestRecord>> stages;
  std::set<int64_t> seen;
  for (const RequestRecord& record : run.records) {
    stages[record.load_stage].push_back(record);
    seen.insert(record.seq);
  }
  run.records = LastAttempts(run.records);
  Json& document = run.document;
  Validity validity;
  document["results"] = Json::array();
  for (const auto& [stage, records] : stages)
    document["results"].push_back(Row(document, stage, records, &validity));
  const auto planned = NumberAt(document, "/parameters/requests").value_or(0);
  const auto lost = *seen.rbegin() + 1 - static_cast<int64_t>(seen.size());
  document["killed"] = true;
  document["interrupted"] = true;
  document["requests_file"] = nullptr;
  document["approximate"] = Json::array();
  document["notes"] = Json::array(
      {fmt::format("the run was killed: {} of {} requests had ended, and what is here is theirs",
                   run.records.size(),
                   planned > 0 && planned < 1e6 ? fmt::format("{:.0f}", planned) : "an unknown number of"),
       fmt::format(
           "missing: at least {} requests that were sent before the last that ended, and whatever was "
           "in flight after it{}",
           lost, last_was_cut ? "; the last line was cut off" : ""),
       "missing: the server's accounts of requests that failed, and its clock; what client, server and "
       "machine were busy with; the checks that need them"});
  document["validity"] = validity.ToJson();
  document["void"] = validity.VoidPointers(document["results"].size());
  return run;
}

}  // namespace weir
