#include "perf/statistics/physical_limit.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace weir {
namespace {

// Seconds of computing one token, of a prompt without its logits; empty when a format's peak is unknown.
std::optional<double> ComputeSeconds(const LimitInput& input, bool is_prompt) {
  double seconds = 0;
  for (const WorkPerToken& work : input.work) {
    const double macs = work.macs - (is_prompt ? work.logit_row_macs : 0);
    const double peak = is_prompt ? work.prompt_peak() : work.peak_mac_per_s;
    if (macs <= 0) continue;
    if (peak <= 0) return std::nullopt;
    seconds += macs / peak;
  }
  return seconds;
}

}  // namespace

double ReadRate(const LimitInput& input, double bytes) {
  const auto& rates = input.read_rates;
  if (rates.empty()) return input.read_bandwidth_bytes_per_s;
  const auto above = std::find_if(rates.begin(), rates.end(),
                                  [&](const auto& rate) { return static_cast<double>(rate.first) >= bytes; });
  if (above == rates.begin()) return above->second;
  const auto below = std::prev(above);
  if (above == rates.end()) return below->second;
  const auto from = static_cast<double>(below->first), to = static_cast<double>(above->first);
  const double part = std::log(bytes / from) / std::log(to / from);
  return below->second + part * (above->second - below->second);
}

std::optional<Limit> DecodeLimit(const LimitInput& input, double batch_size, double mean_context) {
  const std::optional<double> compute = ComputeSeconds(input, false);
  if (!compute || input.read_bandwidth_bytes_per_s <= 0 || batch_size <= 0) return std::nullopt;
  Limit limit;
  limit.bytes_per_step = input.weight_bytes + batch_size * mean_context * input.kv_bytes_per_token;
  limit.read_bytes_per_s = ReadRate(input, limit.bytes_per_step);
  const double reading = limit.bytes_per_step / limit.read_bytes_per_s;
  const double computing = batch_size * *compute;
  limit.bound = reading >= computing ? "bandwidth" : "compute";
  limit.tokens_per_s = batch_size / (reading >= computing ? reading : computing);
  return limit;
}

std::optional<Limit> PrefillLimit(const LimitInput& input) {
  const std::optional<double> compute = ComputeSeconds(input, true);
  if (!compute || *compute <= 0) return std::nullopt;
  return Limit{1 / *compute, input.weight_bytes, 0, "compute"};
}

}  // namespace weir
