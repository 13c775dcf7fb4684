#include "perf/report/slot_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "perf/report/evidence.h"

namespace weir {
namespace {

// Server stage -> cause of the report.
std::string CauseOf(const std::string& stage) {
  if (stage.starts_with("queue_")) return stage;
  if (stage == "prefill" || stage == "decode") return "engine";
  if (stage == "stall_prefill") return "stalled by others' prefill";
  if (stage == "preempted" || stage == "recompute") return "preemption";
  if (stage == "schedule" || stage == "sample" || stage == "grammar") return "scheduling and sampling";
  if (stage == "recv" || stage == "parse") return "HTTP and JSON";
  if (stage == "template" || stage == "tokenize") return "template and tokenise";
  if (stage == "admit" || stage == "handoff") return "admission wait";
  if (stage == "detokenize") return "detokenise";
  if (stage == "serialize" || stage == "send" || stage == "output_blocked") return "socket write";
  return "unattributed";
}

void AddServed(const RequestRecord& record, SlotTime* balance) {
  const double residence = record.done_ms - record.intended_ms;
  const Json* ledger = FindJson(record.server, {"ledger_ms"});
  if (ledger == nullptr || !ledger->is_object()) {
    balance->parts_ms["server"] += residence;
    return;
  }
  balance->has_ledgers = true;
  double known = 0;
  for (const auto& [stage, value] : ledger->items()) {
    const std::optional<double> ms = JsonNumber(&value);
    if (!ms || stage.starts_with("overlap_")) continue;
    balance->parts_ms[CauseOf(stage)] += *ms;
    known += *ms;
  }
  balance->parts_ms["transport and client"] += residence - known;
}

}  // namespace

std::optional<SlotTime> BalanceSlotTime(const Json& load_row, const std::vector<RequestRecord>& records) {
  const std::optional<double> concurrency = NumberAt(load_row, "/concurrency");
  const std::optional<double> wall = NumberAt(load_row, "/wall_s");
  if (StringAt(load_row, "/mode") != "closed" || !concurrency || !wall || records.empty())
    return std::nullopt;
  SlotTime balance;
  balance.total_ms = *concurrency * *wall * 1000;
  double claimed = 0;
  for (const RequestRecord& record : records) {
    const double residence = record.done_ms - record.intended_ms;
    claimed += residence;
    switch (record.outcome) {
      case Outcome::kOk:
        balance.good_tokens += record.output_tokens;
        AddServed(record, &balance);
        break;
      case Outcome::kShed:
        balance.parts_ms["shed"] += residence;
        break;
      case Outcome::kFailed:
        balance.parts_ms["failed." + (record.error ? record.error->error_class : std::string("unknown"))] +=
            residence;
        break;
      case Outcome::kCancelled:
        balance.parts_ms["cancelled"] += residence;
        break;
    }
  }
  balance.parts_ms["idle"] += balance.total_ms - claimed;
  return balance;
}

Json AttributeGap(const SlotTime& api, int concurrency, std::optional<double> direct_best_tps,
                  std::optional<double> direct_tps, double api_tps) {
  if (!direct_tps || api.good_tokens <= 0 || api_tps <= 0 || *direct_tps <= 0 || !api.has_ledgers)
    return nullptr;
  const double slots_ms = concurrency * 1000.0;
  const double total = slots_ms / api_tps - slots_ms / *direct_tps;  // sum of all differences, ms per token
  std::vector<std::pair<std::string, double>> causes;
  double unattributed = 0;
  for (const auto& [cause, ms] : api.parts_ms) {
    double difference = ms / api.good_tokens;
    // The direct run spends all its slot time in the engine.
    if (cause == "engine") difference -= slots_ms / *direct_tps;
    if (cause == "unattributed" || cause == "server") {
      unattributed += difference;
    } else {
      causes.emplace_back(cause, difference);
    }
  }
  std::sort(causes.begin(), causes.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  causes.emplace_back("unattributed", unattributed);
  const double gap_tps = *direct_tps - api_tps;
  Json list = Json::array();
  for (const auto& [cause, ms] : causes) {
    list.push_back({{"cause", cause},
                    {"slot_ms_per_token", ms},
                    {"tps", total == 0 ? 0.0 : ms / total * gap_tps},
                    {"share_ratio", total == 0 ? 0.0 : ms / total},
                    {"modelled", cause == "stalled by others' prefill"}});
  }
  const double bound = std::max(0.05 * std::fabs(total), 0.01 * slots_ms / api_tps);
  const double scale = slots_ms / api_tps;
  return {{"concurrency", concurrency},
          {"direct_best_tps", NumberOrNull(direct_best_tps)},
          {"direct_tps", *direct_tps},
          {"api_tps", api_tps},
          {"causes", list},
          {"residual_ratio", std::fabs(unattributed) / scale},
          {"bound_ratio", bound / scale},
          {"verdict", std::fabs(unattributed) <= bound ? "VALID" : "INVALID"}};
}

}  // namespace weir
