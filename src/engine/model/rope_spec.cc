#include "engine/model/rope_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr double kPi = 3.14159265358979323846;

// The pair that turns `turns` times within the original context, as a fraction.
double PairOfTurns(const RopeSpec& spec, int dims, double turns) {
  return dims * std::log(spec.original_context / (turns * 2 * kPi)) / (2 * std::log(spec.theta));
}

double YarnFrequency(const RopeSpec& spec, int dims, int pair, double frequency) {
  const double low = std::max(0.0, std::floor(PairOfTurns(spec, dims, spec.fast)));
  double high = std::min(dims - 1.0, std::ceil(PairOfTurns(spec, dims, spec.slow)));
  if (low == high) high += 0.001;
  const double stretched = std::clamp((pair - low) / (high - low), 0.0, 1.0);
  return frequency / spec.factor * stretched + frequency * (1 - stretched);
}

double Llama3Frequency(const RopeSpec& spec, double frequency) {
  const double turns = spec.original_context * frequency / (2 * kPi);
  if (turns < spec.low_factor) return frequency / spec.factor;
  if (turns > spec.high_factor) return frequency;
  const double kept = (turns - spec.low_factor) / (spec.high_factor - spec.low_factor);
  return (1 - kept) * frequency / spec.factor + kept * frequency;
}

Status CheckNumbers(const ModelFile& file, const std::string& prefix, const RopeSpec& spec) {
  const auto bad = [&](const char* key, const char* expected, double found) {
    return DataLoss(
        fmt::format("{}: {}{}: expected {}, found {}; the file is damaged or of another kind, fetch it again",
                    file.path(), prefix, key, expected, found));
  };
  const auto positive = [](double v) { return std::isfinite(v) && v > 0; };
  if (!positive(spec.theta)) return bad("rope.freq_base", "a positive number", spec.theta);
  if (spec.scaling == RopeScaling::kNone) return OkStatus();
  if (!positive(spec.factor)) return bad("rope.scaling.factor", "a positive number", spec.factor);
  if (!positive(spec.attention_factor))
    return bad("rope.scaling.attn_factor", "a positive number", spec.attention_factor);
  if (spec.scaling == RopeScaling::kLinear) return OkStatus();
  if (!positive(spec.original_context))
    return bad("rope.scaling.original_context_length", "a positive number", spec.original_context);
  if (spec.theta == 1.0) return bad("rope.freq_base", "a number other than 1", spec.theta);
  if (!positive(spec.slow) || !positive(spec.fast) || spec.fast < spec.slow)
    return bad("rope.scaling.yarn_beta_fast", "at least yarn_beta_slow", spec.fast);
  if (!positive(spec.low_factor) || !positive(spec.high_factor) || spec.high_factor <= spec.low_factor)
    return bad("rope.scaling.high_freq_factor", "more than low_freq_factor", spec.high_factor);
  return OkStatus();
}

}  // namespace

Result<RopeSpec> ReadRopeSpec(const ModelFile& file, const std::string& prefix) {
  RopeSpec spec;
  const std::string scaling = prefix + "rope.scaling.";
  WEIR_ASSIGN_OR_RETURN(spec.theta, file.GetFloatOr(prefix + "rope.freq_base", 10000.0));
  std::string_view type = "none";
  if (file.FindMetadata(scaling + "type") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(type, file.GetString(scaling + "type"));
  }
  if (type == "linear") {
    spec.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    spec.scaling = RopeScaling::kYarn;
  } else if (type == "llama3") {
    spec.scaling = RopeScaling::kLlama3;
  } else if (type != "none" && type != "longrope") {
    return Unimplemented(
        fmt::format("{}: key {}type is \"{}\"; weir computes none, linear, yarn, llama3 and longrope, use "
                    "another model",
                    file.path(), scaling, QuoteForMessage(type)));
  }
  if (spec.scaling != RopeScaling::kNone) {
    WEIR_ASSIGN_OR_RETURN(spec.factor, file.GetFloat(scaling + "factor"));
  }
  if (spec.scaling == RopeScaling::kYarn || spec.scaling == RopeScaling::kLlama3) {
    WEIR_ASSIGN_OR_RETURN(const uint64_t original, file.GetUint(scaling + "original_context_length"));
    spec.original_context = static_cast<double>(original);
  }
  WEIR_ASSIGN_OR_RETURN(spec.fast, file.GetFloatOr(scaling + "yarn_beta_fast", spec.fast));
  WEIR_ASSIGN_OR_RETURN(spec.slow, file.GetFloatOr(scaling + "yarn_beta_slow", spec.slow));
  WEIR_ASSIGN_OR_RETURN(spec.low_factor, file.GetFloatOr(scaling + "low_freq_factor", spec.low_factor));
  WEIR_ASSIGN_OR_RETURN(spec.high_factor, file.GetFloatOr(scaling + "high_freq_factor", spec.high_factor));
  if (spec.scaling == RopeScaling::kYarn && spec.factor > 1)
    spec.attention_factor = 0.1 * std::log(spec.factor) + 1;
  if (type != "none") {
    WEIR_ASSIGN_OR_RETURN(const double attention, file.GetFloatOr(scaling + "attn_factor", 1.0));
    spec.attention_factor *= attention;
  }
  WEIR_RETURN_IF_ERROR(CheckNumbers(file, prefix, spec));
  return spec;
}

std::vector<double> RopeFrequencies(const RopeSpec& spec, int dims, std::span<const float> divisors) {
  std::vector<double> frequencies;
  for (int i = 0; i < dims / 2; ++i) {
    double frequency = std::pow(spec.theta, -2.0 * i / dims);
    if (!divisors.empty()) frequency /= static_cast<double>(divisors[static_cast<size_t>(i)]);
    if (spec.scaling == RopeScaling::kLinear) frequency /= spec.factor;
    if (spec.scaling == RopeScaling::kYarn) frequency = YarnFrequency(spec, dims, i, frequency);
    if (spec.scaling == RopeScaling::kLlama3) frequency = Llama3Frequency(spec, frequency);
    frequencies.push_back(frequency);
  }
  return frequencies;
}

}  // namespace weir
