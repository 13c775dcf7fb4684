#include "perf/report/slot_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "perf/report/evidence.h"
#include "perf/statistics/stage_causes.h"
#include "perf/statistics/window.h"

namespace weir {
namespace {

void AddServed(const RequestRecord& record, SlotTime* balance) {
  const auto parts = CutResidence(record);
  if (!parts) {
    balance->parts_ms["server"] += record.done_ms - record.intended_ms;
    return;
  }
  balance->has_ledgers = true;
  for (const auto& [cause, ms] : *parts) balance->parts_ms[cause] += ms;
  // These run on the io thread, beside the engine.
  for (const char* cause : {"HTTP and JSON", "template and tokenise", "detokenise", "socket write"}) {
    const auto part = parts->find(cause);
    if (part != parts->end()) balance->other_cpu_ms += std::max(0.0, part->second);
  }
  const Json* ledger = FindJson(record.server, {"ledger_ms"});
  for (const auto& [stage, ms] : ledger->items()) {
    if (stage.starts_with("overlap_")) balance->other_cpu_ms += JsonNumber(&ms).value_or(0);
  }
}

// Linear between the measured batch sizes, flat beyond them. The curve is not empty.
double DecodeAt(const std::map<double, double>& curve, double batch) {
  const auto above = curve.lower_bound(batch);
  if (above == curve.begin()) return above->second;
  const auto below = std::prev(above);
  if (above == curve.end()) return below->second;
  const double share = (batch - below->first) / (above->first - below->first);
  return below->second + share * (above->second - below->second);
}

struct Cause {
  std::string name;
  double ms;
  bool modelled;
};

// Decoding takes longer when more sequences share a step (batch shape), and when others use the cores (contention, no more
// than they used). What exceeds both is nobody's.
void SplitDecode(const SlotTime& api, const DirectSlots& direct, double difference,
                 std::vector<Cause>* causes, double* unattributed) {
  double rest = difference;
  if (api.batch_mean && direct.batch_mean && !direct.decode_curve.empty()) {
    const double shape =
        DecodeAt(direct.decode_curve, *api.batch_mean) - DecodeAt(direct.decode_curve, *direct.batch_mean);
    causes->push_back({"decode: batch shape", shape, false});
    rest -= shape;
  }
  const double cap = api.other_cpu_ms * api.batch_mean.value_or(1) / api.good_tokens;
  const double contention = std::clamp(rest, 0.0, std::max(0.0, cap));
  if (contention > 0) causes->push_back({"decode: contention for the cores", contention, true});
  *unattributed += rest - contention;
}

}  // namespace

std::optional<SlotTime> BalanceSlotTime(const Json& load_row, const std::vector<RequestRecord>& records) {
  const std::optional<double> concurrency = NumberAt(load_row, "/concurrency");
  const std::optional<double> wall = NumberAt(load_row, "/wall_s");
  const double stage = NumberAt(load_row, "/load_stage").value_or(0);
  if (StringAt(load_row, "/mode") != "closed" || !concurrency || !wall) return std::nullopt;
  std::vector<RequestRecord> own;
  for (const RequestRecord& record : records) {
    if (record.load_stage == static_cast<int>(stage)) own.push_back(record);
  }
  if (own.empty()) return std::nullopt;
  SlotTime balance;
  balance.concurrency = static_cast<int>(*concurrency);
  balance.total_ms = *concurrency * *wall * 1000;
  balance.batch_mean = MeanBatch(own);
  const double wall_ms = *wall * 1000;
  balance.other_cpu_ms = NumberAt(load_row, "/client/cpu_ratio").value_or(0) * wall_ms +
                         NumberAt(load_row, "/machine/stolen_s").value_or(0) * 1000 +
                         NumberAt(load_row, "/machine/foreign_cpu_s").value_or(0) * 1000;
  double claimed = 0;
  for (const RequestRecord& record : own) {
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

std::optional<SlotTime> BalanceRepeat(const std::vector<RequestRecord>& records, const std::string& run_id,
                                      int batch_size) {
  std::vector<RequestRecord> own;
  for (const RequestRecord& record : records) {
    if (record.outcome == Outcome::kOk && record.id.starts_with(run_id + "-")) own.push_back(record);
  }
  const std::optional<Window> whole = WholeWindow(own);
  if (!whole || whole->seconds() <= 0) return std::nullopt;
  SlotTime balance;
  balance.concurrency = batch_size;
  balance.total_ms = batch_size * whole->seconds() * 1000;
  balance.batch_mean = MeanBatch(own);
  double claimed = 0;
  for (const RequestRecord& record : own) {
    balance.good_tokens += record.output_tokens;
    claimed += record.done_ms - record.intended_ms;
    AddServed(record, &balance);
  }
  balance.parts_ms["idle"] += balance.total_ms - claimed;
  return balance;
}

SlotTime SumSlotTimes(const std::vector<SlotTime>& parts) {
  SlotTime sum;
  sum.has_ledgers = !parts.empty();
  double batch_sum = 0, batch_tokens = 0;
  for (const SlotTime& part : parts) {
    sum.concurrency = part.concurrency;
    sum.total_ms += part.total_ms;
    sum.good_tokens += part.good_tokens;
    sum.other_cpu_ms += part.other_cpu_ms;
    for (const auto& [cause, ms] : part.parts_ms) sum.parts_ms[cause] += ms;
    sum.has_ledgers = sum.has_ledgers && part.has_ledgers;
    if (!part.batch_mean) continue;
    batch_sum += *part.batch_mean * part.good_tokens;
    batch_tokens += part.good_tokens;
  }
  if (batch_tokens > 0) sum.batch_mean = batch_sum / batch_tokens;
  return sum;
}

std::vector<TurnPair> MiddleTurns(std::vector<TurnPair> pairs) {
  const auto ratio = [](const TurnPair& pair) {
    return pair.api.total_ms / pair.api.good_tokens / (pair.direct.total_ms / pair.direct.good_tokens);
  };
  std::erase_if(pairs, [](const TurnPair& pair) {
    return pair.api.good_tokens <= 0 || pair.direct.good_tokens <= 0 || pair.direct.total_ms <= 0;
  });
  std::stable_sort(pairs.begin(), pairs.end(),
                   [&](const TurnPair& a, const TurnPair& b) { return ratio(a) < ratio(b); });
  const auto cut = static_cast<std::ptrdiff_t>(pairs.size() / 4);
  return {pairs.begin() + cut, pairs.end() - cut};
}

DirectSlots DirectFrom(const SlotTime& balance) {
  DirectSlots out;
  out.concurrency = balance.concurrency;
  out.tps = balance.good_tokens * balance.concurrency / balance.total_ms * 1000;
  for (const auto& [cause, ms] : balance.parts_ms) out.ms_per_token[cause] = ms / balance.good_tokens;
  out.batch_mean = balance.batch_mean;
  return out;
}

std::optional<DirectSlots> ReadDirectSlots(const Json& benchmark, int concurrency) {
  const std::string row = RowOfBatch(benchmark, concurrency);
  if (row.empty()) return std::nullopt;
  const auto total = NumberAt(benchmark, row + "/slot/total_ms_per_token");
  const Json* causes = FindJson(benchmark.at(Json::json_pointer(row)), {"slot", "ms_per_token"});
  if (!total || *total <= 0 || causes == nullptr || !causes->is_object()) return std::nullopt;
  DirectSlots out;
  out.concurrency = concurrency;
  out.tps = concurrency * 1000.0 / *total;
  for (const auto& [cause, ms] : causes->items()) out.ms_per_token[cause] = JsonNumber(&ms).value_or(0);
  out.batch_mean = NumberAt(benchmark, row + "/slot/batch_mean");
  ReadDecodeCurve(benchmark, &out);
  return out;
}

void ReadDecodeCurve(const Json& benchmark, DirectSlots* slots) {
  slots->best_tps = NumberAt(benchmark, BestRow(benchmark) + "/output_tps_steady");
  const Json* rows = FindJson(benchmark, {"results"});
  if (rows == nullptr) return;
  // The curve's shape is what is read off it, so one benchmark gives it all.
  std::map<double, double> curve;
  for (const Json& row : *rows) {
    const auto batch = NumberAt(row, "/slot/batch_mean"), decode = NumberAt(row, "/slot/ms_per_token/decode");
    if (batch && decode) curve[*batch] = *decode;
  }
  if (!curve.empty()) slots->decode_curve = std::move(curve);
}

Json AttributeGap(const SlotTime& api, const DirectSlots& direct, double api_tps) {
  if (api.good_tokens <= 0 || !(api_tps > 0) || !(direct.tps > 0) || !api.has_ledgers) return nullptr;
  const double slots_ms = direct.concurrency * 1000.0;
  const double total = slots_ms / api_tps - slots_ms / direct.tps;  // sum of all differences, ms per token
  std::map<std::string, double> differences;
  for (const auto& [cause, ms] : api.parts_ms) differences[cause] += ms / api.good_tokens;
  for (const auto& [cause, ms] : direct.ms_per_token) differences[cause] -= ms;
  std::vector<Cause> causes;
  double unattributed = 0;
  for (const auto& [cause, ms] : differences) {
    if (cause == kUnattributed || cause == "server") {
      unattributed += ms;
    } else if (cause == "decode") {
      SplitDecode(api, direct, ms, &causes, &unattributed);
    } else {
      causes.push_back({cause, ms, cause == "stalled by others' prefill"});
    }
  }
  std::stable_sort(causes.begin(), causes.end(), [](const Cause& a, const Cause& b) { return a.ms > b.ms; });
  causes.push_back({kUnattributed, unattributed, false});
  const double gap_tps = direct.tps - api_tps;
  Json list = Json::array();
  for (const Cause& cause : causes) {
    list.push_back({{"cause", cause.name},
                    {"slot_ms_per_token", cause.ms},
                    {"tps", total == 0 ? 0.0 : cause.ms / total * gap_tps},
                    {"share_ratio", total == 0 ? 0.0 : cause.ms / total},
                    {"modelled", cause.modelled}});
  }
  const double bound = std::max(0.05 * std::fabs(total), 0.01 * slots_ms / api_tps);
  const double scale = slots_ms / api_tps;
  return {{"concurrency", direct.concurrency},
          {"direct_best_tps", NumberOrNull(direct.best_tps)},
          {"direct_tps", direct.tps},
          {"api_tps", api_tps},
          {"causes", list},
          {"slot_ms_per_token", {{"direct", slots_ms / direct.tps}, {"api", slots_ms / api_tps}}},
          {"residual_ratio", std::fabs(unattributed) / scale},
          {"bound_ratio", bound / scale},
          {"verdict", std::fabs(unattributed) <= bound ? "VALID" : "INVALID"}};
}

}  // namespace weir
