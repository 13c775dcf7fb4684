#include "perf/workload/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "perf/workload/dataset_files.h"

namespace weir {
namespace {

constexpr const char* kForms =
    "builtin, sharegpt:FILE, jsonl:FILE, random:in=LENGTH[,out=LENGTH], "
    "prefix:groups=N,shared=N,own=N[,out=LENGTH] or trace:FILE";
constexpr int kMostMade = 5000;  // prompts made to a length; a longer run starts over

Status Wrong(std::string_view flag, std::string_view text, const std::string& why) {
  return InvalidArgument(fmt::format("{} '{}': {}; expected {}", flag, text, why, kForms));
}

// Calls `take` with every name and value of "a=1,b=2".
Status ForEachPart(std::string_view text,
                   const std::function<Status(std::string_view name, std::string_view value)>& take) {
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text = part.size() == text.size() ? std::string_view() : text.substr(part.size() + 1);
    const size_t equals = part.find('=');
    if (equals == std::string_view::npos) return InvalidArgument(fmt::format("'{}' has no '='", part));
    WEIR_RETURN_IF_ERROR(take(part.substr(0, equals), part.substr(equals + 1)));
  }
  return OkStatus();
}

Status ReadCount(std::string_view name, std::string_view text, int* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  if (error == std::errc() && end == text.data() + text.size() && *out >= 1 && *out <= 1000000)
    return OkStatus();
  return InvalidArgument(fmt::format("{} is '{}', expected a number from 1 to 1000000", name, text));
}

Status ReadLength(std::string_view text, LengthSpec* out) {
  WEIR_ASSIGN_OR_RETURN(*out, ParseLength(text));
  return OkStatus();
}

Status ParseMade(std::string_view rest, DatasetSpec* out) {
  const bool is_random = out->kind == DatasetSpec::Kind::kRandom;
  WEIR_RETURN_IF_ERROR(ForEachPart(rest, [&](std::string_view name, std::string_view value) {
    if (name == "out") return ReadLength(value, &out->out);
    if (is_random && name == "in") return ReadLength(value, &out->in);
    if (!is_random && name == "groups") return ReadCount(name, value, &out->groups);
    if (!is_random && name == "shared") return ReadCount(name, value, &out->shared);
    if (!is_random && name == "own") return ReadCount(name, value, &out->own);
    return InvalidArgument(fmt::format("it has no part '{}'", name));
  }));
  if (!is_random && (out->shared == 0 || out->own == 0))
    return InvalidArgument("'shared' and 'own' must both be given");
  return OkStatus();
}

Dataset Builtin(const DatasetRequest& request) {
  const BuiltinPrompts prompts(request.seed);
  Dataset out;
  const int count = std::min(request.count, BuiltinPrompts::num_distinct());
  for (int i = 0; i < count; ++i) out.prompts.push_back(prompts.Measured(request.offset + i));
  return out;
}

Result<Dataset> Made(const DatasetRequest& request) {
  const DatasetSpec& spec = request.spec;
  const bool is_random = spec.kind == DatasetSpec::Kind::kRandom;
  PromptMaker maker(request.count_tokens);
  Rng rng(request.seed);
  Dataset out;
  std::vector<std::string> prefixes;
  for (int group = 0; !is_random && group < spec.groups; ++group) {
    WEIR_ASSIGN_OR_RETURN(std::string prefix, maker.Extend("", spec.shared, &rng));
    prefixes.push_back(std::move(prefix));
  }
  const int count = std::min(request.count, kMostMade);
  for (int i = 0; i < count; ++i) {
    const int tokens = is_random ? spec.in.Draw(&rng) : spec.shared + spec.own;
    const std::string prefix = is_random ? std::string() : prefixes[static_cast<size_t>(i) % prefixes.size()];
    Prompt prompt;
    WEIR_ASSIGN_OR_RETURN(prompt.text, maker.Extend(prefix, tokens, &rng));
    prompt.id = is_random ? fmt::format("random-{}-{}", request.seed, i)
                          : fmt::format("prefix-{}-{}-{}", request.seed, i % spec.groups, i);
    prompt.num_tokens = tokens;
    if (spec.out.a > 0) prompt.max_tokens = spec.out.Draw(&rng);
    out.prompts.push_back(std::move(prompt));
  }
  if (!is_random) {
    // All of a group but its first find the shared part in a cache.
    const double later = std::max(0, count - spec.groups);
    out.expected_cache_ratio = later * spec.shared / (static_cast<double>(count) * (spec.shared + spec.own));
  }
  return out;
}

}  // namespace

Result<DatasetSpec> ParseDataset(std::string_view text, std::string_view flag) {
  DatasetSpec out;
  out.text = std::string(text);
  if (text == "builtin") return out;
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  const std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  for (const auto& [known, kind] : {std::pair{"sharegpt", DatasetSpec::Kind::kShareGpt},
                                    {"jsonl", DatasetSpec::Kind::kJsonl},
                                    {"trace", DatasetSpec::Kind::kTrace}}) {
    if (name != known) continue;
    if (rest.empty()) return Wrong(flag, text, "the file is missing");
    out.kind = kind;
    out.path = std::string(rest);
    return out;
  }
  if (name != "random" && name != "prefix") return Wrong(flag, text, "unknown");
  out.kind = name == "random" ? DatasetSpec::Kind::kRandom : DatasetSpec::Kind::kPrefix;
  if (const Status parsed = ParseMade(rest, &out); !parsed.ok()) return Wrong(flag, text, parsed.message());
  return out;
}

Result<Dataset> LoadDataset(const DatasetRequest& request) {
  const auto load = [&]() -> Result<Dataset> {
    switch (request.spec.kind) {
      case DatasetSpec::Kind::kBuiltin:
        return Builtin(request);
      case DatasetSpec::Kind::kShareGpt:
        return ReadShareGpt(request);
      case DatasetSpec::Kind::kJsonl:
        return ReadJsonLines(request);
      case DatasetSpec::Kind::kTrace:
        return ReadTrace(request);
      case DatasetSpec::Kind::kRandom:
      case DatasetSpec::Kind::kPrefix:
        return Made(request);
    }
    return Internal("the dataset has no kind");
  };
  WEIR_ASSIGN_OR_RETURN(Dataset out, load());
  out.name = request.spec.text;
  return out;
}

}  // namespace weir
