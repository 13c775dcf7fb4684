#include "engine/sampling/sampling_params.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "engine/sampling/logprobs.h"

namespace weir {
namespace {

constexpr size_t kMaxLogitBiases = 1024;

Status OutOfRange(const char* param, double found, std::string_view expected) {
  return InvalidArgument(fmt::format("{} is {}, expected {}", param, found, expected)).WithParam(param);
}

}  // namespace

// Written as !(inside), so that NaN fails every range.
Status Validate(const SamplingParams& params, int vocab_size) {
  if (!(params.temperature >= 0.0f && params.temperature <= 2.0f)) {
    return OutOfRange("temperature", params.temperature, "0 to 2 (0 is greedy)");
  }
  if (params.top_k < -1 || params.top_k > vocab_size) {
    return OutOfRange("top_k", params.top_k, fmt::format("-1 or 0 (off), or 1 to {}", vocab_size));
  }
  if (!(params.top_p > 0.0f && params.top_p <= 1.0f)) {
    return OutOfRange("top_p", params.top_p, "above 0, at most 1");
  }
  if (!(params.min_p >= 0.0f && params.min_p <= 1.0f)) return OutOfRange("min_p", params.min_p, "0 to 1");
  if (!(params.repetition_penalty > 0.0f && params.repetition_penalty <= 2.0f)) {
    return OutOfRange("repetition_penalty", params.repetition_penalty, "above 0, at most 2");
  }
  if (!(params.presence_penalty >= -2.0f && params.presence_penalty <= 2.0f)) {
    return OutOfRange("presence_penalty", params.presence_penalty, "-2 to 2");
  }
  if (!(params.frequency_penalty >= -2.0f && params.frequency_penalty <= 2.0f)) {
    return OutOfRange("frequency_penalty", params.frequency_penalty, "-2 to 2");
  }
  if (params.num_logprobs < -1 || params.num_logprobs > kMaxLogprobs) {
    return OutOfRange("logprobs", params.num_logprobs, fmt::format("0 to {}", kMaxLogprobs));
  }
  if (params.logit_bias.size() > kMaxLogitBiases) {
    return InvalidArgument(fmt::format("logit_bias has {} entries, expected at most {}",
                                       params.logit_bias.size(), kMaxLogitBiases))
        .WithParam("logit_bias");
  }
  for (const std::vector<int32_t>& word : params.bad_words) {
    for (const int32_t token : word) {
      if (token >= 0 && token < vocab_size) continue;
      return InvalidArgument(
                 fmt::format("bad_words names token {}, expected an id from 0 to {}", token, vocab_size - 1))
          .WithParam("bad_words");
    }
  }
  for (const auto& [token, bias] : params.logit_bias) {
    if (token < 0 || token >= vocab_size) {
      return InvalidArgument(
                 fmt::format("logit_bias names token {}, expected an id from 0 to {}", token, vocab_size - 1))
          .WithParam("logit_bias");
    }
    if (!(bias >= -100.0f && bias <= 100.0f)) {
      return InvalidArgument(fmt::format("logit_bias of token {} is {}, expected -100 to 100", token, bias))
          .WithParam("logit_bias");
    }
  }
  return OkStatus();
}

}  // namespace weir
