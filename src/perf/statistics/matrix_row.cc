#include "perf/statistics/matrix_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "perf/statistics/bench_row.h"

namespace weir {
namespace {

std::vector<double> SortedSeconds(std::span<const MatrixSample> samples, Duration MatrixSample::*part) {
  std::vector<double> seconds;
  for (const MatrixSample& sample : samples) seconds.push_back(ToSeconds(sample.*part));
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

double Median(const std::vector<double>& sorted) {
  const size_t n = sorted.size();
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

Json RatioOrNull(double value, double whole) { return whole > 0 ? Json(value / whole) : Json(nullptr); }

double Macs(const LimitInput& limit, bool with_logits) {
  double macs = 0;
  for (const WorkPerToken& work : limit.work) macs += work.macs - (with_logits ? 0 : work.logit_row_macs);
  return macs;
}

}  // namespace

Json MatrixRow(const MatrixCell& cell, const LimitInput& limit) {
  const std::vector<double> prefill_s = SortedSeconds(cell.samples, &MatrixSample::prefill);
  const std::vector<double> decode_s = SortedSeconds(cell.samples, &MatrixSample::decode);
  const double t_pp = Median(prefill_s), t_tg = Median(decode_s);
  const double prompt_tokens = static_cast<double>(cell.batch_size) * cell.prompt_len;
  const double new_tokens = static_cast<double>(cell.batch_size) * cell.gen_len;
  const double pp_tps = prompt_tokens / t_pp, tg_tps = new_tokens / t_tg;
  const double context = cell.prompt_len + cell.gen_len / 2.0;
  const std::optional<Limit> prefill = PrefillLimit(limit);
  const std::optional<Limit> decode = DecodeLimit(limit, cell.batch_size, context);
  Json row;
  row["pp"] = cell.prompt_len;
  row["tg"] = cell.gen_len;
  row["pl"] = cell.batch_size;
  row["depth"] = 0;
  row["shared"] = false;
  row["t_pp_s"] = t_pp;
  row["t_tg_s"] = t_tg;
  row["speed_pp_tps"] = pp_tps;
  row["speed_tg_tps"] = tg_tps;
  row["speed_tps"] = (prompt_tokens + new_tokens) / (t_pp + t_tg);
  row["speed_pp_tps_range"] = {prompt_tokens / prefill_s.back(), prompt_tokens / prefill_s.front()};
  row["speed_tg_tps_range"] = {new_tokens / decode_s.back(), new_tokens / decode_s.front()};
  row["limit_pp_tps"] = prefill ? Json(prefill->tokens_per_s) : Json(nullptr);
  row["limit_tg_tps"] = decode ? Json(decode->tokens_per_s) : Json(nullptr);
  row["limit_read_tg_bytes_per_s"] = decode ? Json(decode->read_bytes_per_s) : Json(nullptr);
  row["bound_tg"] = decode ? Json(decode->bound) : Json(nullptr);
  row["share_pp_ratio"] = prefill ? Json(pp_tps / prefill->tokens_per_s) : Json(nullptr);
  row["share_tg_ratio"] = decode ? Json(tg_tps / decode->tokens_per_s) : Json(nullptr);
  // What was done, attention included; the limits above leave its multiplications out.
  const double attention = limit.attention_macs_per_context_token;
  const double mac_pp = pp_tps * (Macs(limit, false) + attention * cell.prompt_len / 2);
  const double mac_tg = tg_tps * (Macs(limit, true) + attention * context);
  row["mac_pp_per_s"] = mac_pp;
  row["mac_tg_per_s"] = mac_tg;
  row["read_tg_bytes_per_s"] =
      tg_tps / cell.batch_size * (limit.weight_bytes + cell.batch_size * context * limit.kv_bytes_per_token);
  const bool on_tiles = limit.tile_mac_per_s > 0;
  row["share_int8_pp_ratio"] = on_tiles ? Json(nullptr) : RatioOrNull(mac_pp, limit.int8_mac_per_s);
  row["share_tile_pp_ratio"] = RatioOrNull(mac_pp, limit.tile_mac_per_s);
  row["share_int8_tg_ratio"] = RatioOrNull(mac_tg, limit.int8_mac_per_s);
  Json both = Json::array(), prompts = Json::array(), decodes = Json::array();
  for (const MatrixSample& sample : cell.samples) {
    both.push_back((sample.prefill + sample.decode).count());
    prompts.push_back(sample.prefill.count());
    decodes.push_back(sample.decode.count());
  }
  row["samples_ns"] = std::move(both);
  row["samples_pp_ns"] = std::move(prompts);
  row["samples_tg_ns"] = std::move(decodes);
  if (cell.breakdown != nullptr) row["step"] = cell.breakdown->ToJson();
  return row;
}

void CheckMatrixRow(const Json& row, Validity* validity) {
  const std::string cell = fmt::format("prompt {}, batch {}: ", row["pp"].get<int>(), row["pl"].get<int>());
  for (const auto& [key, what] : {std::pair{"share_pp_ratio", "prefill"}, {"share_tg_ratio", "decode"}}) {
    if (const auto share = JsonNumber(FindJson(row, {key}))) {
      validity->AddAbove(
          "V-14", "limit", *share, 1.0, 1.05,
          cell + fmt::format("{} is {:.0f} % of the physical limit, limit 105 %", what, *share * 100));
    }
  }
  if (const Json* step = FindJson(row, {"step"})) AddProfilingCheck(*step, cell, validity);
}

}  // namespace weir
