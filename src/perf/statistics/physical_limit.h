// What the machine could do at best with this model, and how close a measured number comes.
//
// Units     bytes, multiply-accumulates, tokens per second
// Source    docs/MEASUREMENT.md, "Physical limit": LIM-1, LIM-2, LIM-3
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace weir {

struct WorkPerToken {
  double macs = 0;            // all matrices of one number format, lm-head included
  double logit_row_macs = 0;  // the part that only rows pay whose logits are wanted
  double peak_mac_per_s = 0;  // of the instruction that serves the format; 0: not measured
  double tile_mac_per_s = 0;  // of the one that serves it in prompts; 0: the same

  double prompt_peak() const { return tile_mac_per_s > 0 ? tile_mac_per_s : peak_mac_per_s; }
};

struct LimitInput {
  double read_bandwidth_bytes_per_s = 0;
  double weight_bytes = 0;  // read per step
  double kv_bytes_per_token = 0;
  std::vector<WorkPerToken> work;
  double attention_macs_per_context_token = 0;  // of one row, all layers: scores and weighted values
  double int8_mac_per_s = 0;                    // 0: not measured
  double tile_mac_per_s = 0;                    // 0: prompts are computed like everything else
  // Bytes read again and again -> bytes per second: what fits a cache is read faster. Empty: the bandwidth for all sizes.
  std::map<int64_t, double> read_rates{};
};

struct Limit {
  double tokens_per_s = 0;
  double bytes_per_step = 0;
  double read_bytes_per_s = 0;  // of that many bytes; 0 for prefill
  std::string_view bound;       // "bandwidth" or "compute"
};

// Of a step that reads so many bytes: between the measured sizes on a straight line over the logarithm of bytes.
double ReadRate(const LimitInput& input, double bytes);
// LIM-1 and LIM-2. Empty when a needed roof was not measured.
std::optional<Limit> DecodeLimit(const LimitInput& input, double batch_size, double mean_context);
// LIM-3, attention apart.
std::optional<Limit> PrefillLimit(const LimitInput& input);

}  // namespace weir
