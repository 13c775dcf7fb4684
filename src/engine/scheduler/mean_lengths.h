// How long the requests of late were: what a slot will be asked to do, whatever the load is now.
//
// Units     tokens; prompts without what came from the prefix cache
// Threads   engine thread only
#pragma once

#include <cstdint>

namespace weir {

struct MeanLengths {
  // Until a request has ended: a chat's. Whoever is refused before must not be told to come back at once.
  double prompt_tokens = 128;
  double output_tokens = 128;
  int64_t num_seen = 0;

  // A plain mean of the first ones, later an exponential one.
  void Add(int num_prompt, int num_output) {
    constexpr double kWeight = 0.05;
    const double plain = 1.0 / static_cast<double>(++num_seen);
    const double weight = plain > kWeight ? plain : kWeight;
    prompt_tokens += weight * (num_prompt - prompt_tokens);
    output_tokens += weight * (num_output - output_tokens);
  }
};

}  // namespace weir
