// How long the requests of late were: what a slot will be asked to do, whatever the load is now.
//
// Units     tokens; prompts without what came from the prefix cache
// Threads   engine thread only
#pragma once

#include <cmath>
#include <cstdint>

namespace weir {

struct MeanLengths {
  // Until a request has ended: a chat's. Whoever is refused before must not be told to come back at once.
  double prompt_tokens = 128;
  double output_tokens = 128;
  double output_variance = 0;
  double cut_share = 0;  // of the outputs: how many ended at their max_tokens
  int64_t num_seen = 0;

  // A plain mean of the first ones, later an exponential one.
  void Add(int num_prompt, int num_output, bool is_cut) {
    constexpr double kWeight = 0.05;
    const double plain = 1.0 / static_cast<double>(++num_seen);
    const double weight = plain > kWeight ? plain : kWeight;
    prompt_tokens += weight * (num_prompt - prompt_tokens);
    cut_share += weight * ((is_cut ? 1 : 0) - cut_share);
    const double deviation = num_output - output_tokens;
    output_tokens += weight * deviation;
    output_variance = num_seen == 1 ? 0 : (1 - weight) * (output_variance + weight * deviation * deviation);
  }

  // Nearly all outputs are shorter: two deviations above the mean.
  double LongOutput() const { return output_tokens + 2 * std::sqrt(output_variance); }
};

}  // namespace weir
