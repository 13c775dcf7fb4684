#include "cli/bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/file.h"
#include "cli/bench_tables.h"
#include "cli/choice_flag.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/foreign_output.h"
#include "cli/interrupt.h"
#include "cli/kv_dtype_flag.h"
#include "cli/model_flags.h"
#include "cli/progress.h"
#include "cli/recorded_benchmark.h"
#include "cli/result_output.h"
#include "cli/weight_text.h"
#include "perf/driver/batch_sizes.h"
#include "perf/driver/bench_spec.h"
#include "perf/report/number_format.h"

namespace weir {
namespace {

struct BenchFlags {
  BenchSpec spec;
  ModelFlags model;
  std::string output = "benchmark_results.json";
  std::string format = "weir";
  std::string prompts = "builtin";
  std::vector<std::string> batch_sizes = {"1", "2", "4", "8"};
  bool quick = false;
  bool allow_invalid = false;
};

void AddFlags(CLI::App& app, BenchFlags* flags) {
  BenchSpec& spec = flags->spec;
  flags->model.Declare(app);
  AddChoice<BenchMode>(app, "--mode", &spec.mode,
                       {{"study", BenchMode::kStudy}, {"matrix", BenchMode::kMatrix}},
                       "study: the direct benchmark; matrix: prefill and decode apart");
  app.add_option("--batch-sizes", flags->batch_sizes,
                 "one row each; 'max' adds 16, 32, 64 ... as far as memory goes")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--num-prompts", spec.num_prompts, "measured prompts per row and repeat")
      ->capture_default_str();
  app.add_option("--prompts", flags->prompts,
                 "builtin, jsonl:FILE, sharegpt:FILE, random:... or prefix:..., as --dataset of 'weir load'")
      ->capture_default_str();
  app.add_option("--prompt-tokens", spec.prompt_tokens,
                 "random token ids instead, exactly so many (default: the natural length)");
  AddChoice<bool>(app, "--prefix-cache", &spec.prefix_cache, {{"off", false}, {"on", true}},
                  "on: prompts that begin alike are computed once");
  app.add_option("--max-tokens", spec.max_tokens, "output tokens of each, forced")->capture_default_str();
  app.add_option("--max-model-len", spec.max_model_len,
                 fmt::format("context limit; 0: the model's own, at most {}", kUsualModelLen))
      ->capture_default_str();
  app.add_option("--memory-utilization,--gpu-memory-utilization", spec.memory_utilization,
                 "share of the memory offered")
      ->capture_default_str();
  AddKvDtypeFlag(app, &spec.kv_dtype);
  app.add_option("--output", flags->output, "result file")->capture_default_str();
  AddChoice<Batching>(app, "--batching", &spec.batching,
                      {{"continuous", Batching::kContinuous}, {"static", Batching::kStatic}},
                      "continuous: the next prompt enters when one ends; static: groups");
  AddChoice<Tail>(app, "--tail", &spec.tail, {{"fill", Tail::kFill}, {"drain", Tail::kDrain}},
                  "fill: keep the batch full to the end; drain: let it empty");
  app.add_option("--repeats", spec.repeats, "runs per row (default: 5, in matrix mode 3)");
  app.add_option("--warmup", spec.warmup, "warm-up prompts per row")->capture_default_str();
  app.add_option("--temperature", spec.temperature, "0 is greedy")->capture_default_str();
  app.add_option("--seed", spec.seed, "orders the prompts")->capture_default_str();
  app.add_option("--threads", spec.threads, "compute threads (default: all cores)");
  app.add_option("--max-num-batched-tokens", spec.max_num_batched_tokens,
                 "tokens per step (default: automatic)");
  app.add_option("--isa", spec.isa,
                 "kernel path: generic, avx2, avx512vnni, avx512bf16, amx (default: the best)");
  app.add_option("--prompt-lens", spec.prompt_lens, "matrix mode: prompt tokens")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--gen-len", spec.gen_len, "matrix mode: output tokens")->capture_default_str();
  app.add_flag("--profile", spec.profile, "split the time of every step into segments");
  app.add_flag("--quick", flags->quick, "batch sizes 1 and 8, one repeat");
  AddFormatFlag(app, &flags->format, {ForeignFormat::kVllm, ForeignFormat::kLlamaBench});
  app.add_flag("--allow-invalid", flags->allow_invalid, "exit 0 even when the verdict is INVALID");
}

void PrintMemory(const Json& document) {
  const auto number = [&](std::string_view part, std::string_view key) {
    return JsonNumber(FindJson(document, {part, key})).value_or(0);
  };
  WeightFacts facts;
  if (JsonString(FindJson(document, {"model", "weight_storage"})) == "mmap")
    facts.storage = WeightStorage::kMmap;
  facts.packed_bytes = static_cast<int64_t>(number("memory", "packed_weights_bytes"));
  facts.huge_bytes = static_cast<int64_t>(number("memory", "huge_page_bytes"));
  facts.mapped_bytes = static_cast<int64_t>(number("memory", "mapped_weights_bytes"));
  facts.load_s = number("model", "load_s");
  fmt::print("weights: {}\nmemory: at most {} in use, of it {} KV cache\n", DescribeWeights(facts),
             FormatBytes(number("memory", "process_peak_bytes")),
             FormatBytes(number("memory", "kv_pool_bytes")));
}

}  // namespace

int RunBench(const std::vector<std::string>& arguments) {
  CLI::App app("Measures the engine in this process, without HTTP.", "weir bench");
  BenchFlags flags;
  AddFlags(app, &flags);
  const Result<bool> parsed = ParseFlags(app, arguments);
  if (!parsed) return Fail("bench", parsed.error());
  if (!*parsed) return 0;
  BenchSpec& spec = flags.spec;
  if (flags.quick) {
    if (app.count("--batch-sizes") == 0) flags.batch_sizes = {"1", "8"};
    if (app.count("--repeats") == 0) spec.repeats = 1;
  } else if (spec.mode == BenchMode::kMatrix && app.count("--repeats") == 0) {
    spec.repeats = 3;
  }
  const Result<BatchSizes> sizes = ParseBatchSizes(flags.batch_sizes);
  if (!sizes) return Fail("bench", sizes.error());
  spec.batch_sizes = sizes->listed;
  spec.up_to_max = sizes->up_to_max;
  // Before minutes of work, not after them.
  if (Status writable = CheckWritable(flags.output); !writable.ok()) return Fail("bench", writable);
  Result<DatasetSpec> dataset = ParseDataset(flags.prompts, "--prompts");
  if (!dataset) return Fail("bench", dataset.error());
  spec.dataset = std::move(*dataset);
  Result<ModelChoice> model = flags.model.Choose();
  if (!model) return Fail("bench", model.error());
  spec.model_path = model->path;
  spec.synthetic = model->synthetic;
  spec.quantization = model->quantization;
  spec.quantized_cache = model->quantized_cache;
  spec.weights = model->weights;
  spec.command = {"weir", "bench"};
  spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
  spec.stop = &InterruptFlag();
  Result<Json> document = [&] {
    ProgressBar bar("bench");
    return RunRecordedBenchmark(spec, flags.output + ".requests.jsonl",
                                [&](double fraction, std::string_view what) { bar.Update(fraction, what); });
  }();
  if (!document) return Fail("bench", document.error());
  if (spec.synthetic.has_value()) fmt::print("synthetic weights: {}\n", spec.model_path);
  PrintMemory(*document);
  PrintBenchTables(*document);
  const int code = StoreResult("bench", *document, flags.output, flags.allow_invalid);
  const Status foreign = WriteForeignOutput(flags.format, *document, flags.output);
  return foreign.ok() ? code : Fail("bench", foreign);
}

}  // namespace weir
