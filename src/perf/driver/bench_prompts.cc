#include "perf/driver/bench_prompts.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir {

Result<BenchPrompts> BenchPrompts::Create(const BenchSpec& spec, const BenchEngine& bench) {
  const int room = bench.engine().max_model_len() - spec.max_tokens;
  if (spec.prompt_tokens > room) {
    return InvalidArgument(fmt::format(
        "--prompt-tokens is {}, expected at most {}: a context of {} must hold --max-tokens {} too",
        spec.prompt_tokens, std::max(room, 0), bench.engine().max_model_len(), spec.max_tokens));
  }
  if (spec.dataset.kind == DatasetSpec::Kind::kBuiltin) return BenchPrompts(spec, std::nullopt);
  if (spec.prompt_tokens > 0)
    return InvalidArgument("--prompt-tokens makes prompts of its own; leave out --prompts");
  if (spec.synthetic.has_value())
    return InvalidArgument("--load-format dummy knows no text; leave out --prompts, or use --prompt-tokens");
  if (spec.dataset.kind == DatasetSpec::Kind::kTrace)
    return InvalidArgument(
        "--prompts takes no trace: its times mean nothing without a server; use 'weir load'");
  DatasetRequest request;
  request.spec = spec.dataset;
  const int largest = *std::max_element(spec.batch_sizes.begin(), spec.batch_sizes.end());
  const auto rows = static_cast<int64_t>(spec.batch_sizes.size()) * spec.repeats;
  constexpr int64_t kMost = 1000000;
  request.count = static_cast<int>(std::min(kMost, rows * (int64_t{spec.num_prompts} + largest)));
  request.seed = spec.seed;
  request.count_tokens = [&](const std::string& text) -> Result<int> {
    WEIR_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                          bench.engine().tokenizer().Encode(text, SpecialTokens::kAsText, false));
    return static_cast<int>(ids.size());
  };
  WEIR_ASSIGN_OR_RETURN(Dataset dataset, LoadDataset(request));
  return BenchPrompts(spec, std::move(dataset));
}

Prompt BenchPrompts::Measured(int64_t index) const {
  if (dataset_) return dataset_->At(index);
  if (num_tokens_ == 0) return builtin_.Measured(index);
  Prompt prompt;
  prompt.id = prompt.text = fmt::format("random-{}-{}", seed_, index);
  prompt.num_tokens = num_tokens_;
  return prompt;
}

Prompt BenchPrompts::Warmup(int64_t index) const {
  if (num_tokens_ == 0) return BuiltinPrompts::Warmup(index);
  Prompt prompt;
  prompt.id = prompt.text = fmt::format("random-warmup-{}", index);
  prompt.num_tokens = num_tokens_;
  return prompt;
}

}  // namespace weir
