#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "perf/driver/bench_engine.h"
#include "perf/driver/bench_matrix.h"
#include "perf/driver/bench_prompts.h"
#include "perf/driver/bench_repeat.h"
#include "perf/driver/bench_spec.h"
#include "perf/recorder/machine_activity.h"
#include "perf/statistics/bench_row.h"
#include "perf/statistics/machine_checks.h"
#include "perf/statistics/validity.h"

namespace weir {
namespace {

Status CheckSpec(const BenchSpec& spec) {
  const auto positive = [](std::string_view flag, int64_t value) {
    return value > 0 ? OkStatus()
                     : InvalidArgument(fmt::format("{} is {}, expected at least 1", flag, value));
  };
  const auto all_positive = [&](std::string_view flag, const std::vector<int>& values) {
    if (values.empty())
      return InvalidArgument(fmt::format("{} is empty, expected at least one number", flag));
    for (const int value : values) WEIR_RETURN_IF_ERROR(positive(flag, value));
    return OkStatus();
  };
  if (!spec.up_to_max || !spec.batch_sizes.empty())
    WEIR_RETURN_IF_ERROR(all_positive("--batch-sizes", spec.batch_sizes));
  WEIR_RETURN_IF_ERROR(positive("--repeats", spec.repeats));
  if (spec.mode == BenchMode::kMatrix) {
    if (spec.up_to_max)
      return InvalidArgument("--batch-sizes max is of --mode study; give --mode matrix its sizes as numbers");
    WEIR_RETURN_IF_ERROR(all_positive("--prompt-lens", spec.prompt_lens));
    return positive("--gen-len", spec.gen_len);
  }
  WEIR_RETURN_IF_ERROR(positive("--num-prompts", spec.num_prompts));
  if (spec.prompt_tokens < 0)
    return InvalidArgument(fmt::format("--prompt-tokens is {}, expected at least 1", spec.prompt_tokens));
  return positive("--max-tokens", spec.max_tokens);
}

Json Parameters(const BenchSpec& spec, const BenchEngine& bench, const EngineOptions& options) {
  Json json;
  json["mode"] = spec.mode == BenchMode::kMatrix ? "matrix" : "study";
  json["model"] = spec.model_path;
  json["batch_sizes"] = spec.batch_sizes;
  if (spec.mode == BenchMode::kMatrix) {
    json["prompt_lens"] = spec.prompt_lens;
    json["gen_len"] = spec.gen_len;
  } else {
    json["num_prompts"] = spec.num_prompts;
    json["max_tokens"] = spec.max_tokens;
    json["batching"] = spec.batching == Batching::kStatic ? "static" : "continuous";
    json["tail"] = spec.tail == Tail::kFill ? "fill" : "drain";
    json["warmup"] = spec.warmup;
    json["prompts"] =
        spec.synthetic.has_value() || spec.prompt_tokens > 0 ? "random token ids" : spec.dataset.text;
    json["prompt_tokens"] = spec.prompt_tokens > 0 ? Json(spec.prompt_tokens) : Json(nullptr);
    json["temperature"] = spec.temperature;
  }
  json["max_model_len"] = options.max_model_len;
  json["max_num_seqs"] = options.max_num_seqs;
  json["max_num_batched_tokens"] = options.max_num_batched_tokens;
  json["memory_utilization"] = spec.memory_utilization;
  json["kv_cache_dtype"] = KvDtypeName(options.kv_dtype);
  json["repeats"] = spec.repeats;
  json["prefix_cache"] = spec.prefix_cache ? "on" : "off";
  json["seed"] = spec.seed;
  json["profile"] = spec.profile;
  json["threads"] = bench.threads();
  return json;
}

// Warms up at full batch with prompts that are never measured, then measures one repeat of one row.
class Study {
 public:
  Study(const BenchSpec& spec, BenchPrompts prompts, BenchEngine* bench, const ProgressFunction& progress)
      : spec_(spec),
        bench_(*bench),
        progress_(progress),
        prompts_(std::move(prompts)),
        next_prompt_(spec.prompt_offset),
        steps_(&bench->engine(), spec.profile),
        runs_(spec.batch_sizes.size()) {}

  Status Run() {
    const double total = static_cast<double>(spec_.batch_sizes.size()) * spec_.repeats;
    double done = 0;
    // Repeats are outermost, so that drift hits all rows alike.
    for (int repeat = 0; repeat < spec_.repeats; ++repeat) {
      for (size_t row = 0; row < spec_.batch_sizes.size(); ++row) {
        if (stopped()) return OkStatus();
        if (repeat == 0 && spec_.warmup > 0) {
          progress_(done / total, fmt::format("batch {}, warm-up", spec_.batch_sizes[row]));
          WEIR_RETURN_IF_ERROR(WarmUp(spec_.batch_sizes[row]));
        }
        if (row == 0 && repeat % 2 == 1) WEIR_RETURN_IF_ERROR(OtherHalf(repeat));
        if (stopped()) return OkStatus();
        progress_(done++ / total, fmt::format("batch {}, repeat {} of {}", spec_.batch_sizes[row], repeat + 1,
                                              spec_.repeats));
        WEIR_RETURN_IF_ERROR(Measure(row, repeat));
      }
      if (repeat % 2 == 0 && !stopped()) WEIR_RETURN_IF_ERROR(OtherHalf(repeat));
    }
    return OkStatus();
  }

  Json Rows(Validity* validity) const {
    Json rows = Json::array();
    for (size_t i = 0; i < runs_.size(); ++i) {
      if (runs_[i].empty()) continue;
      BenchRowInput input;
      input.batch_size = spec_.batch_sizes[i];
      input.is_static = spec_.batching == Batching::kStatic;
      input.fill = spec_.tail == Tail::kFill;
      input.threads = bench_.threads();
      input.runs = runs_[i];
      input.limit = bench_.limit();
      input.memory = bench_.Memory();
      if (spec_.prefix_cache)
        input.expected_cache = {.template_tokens = std::nullopt,
                                .dataset_ratio = prompts_.expected_cache_ratio()};
      input.segment_names = steps_.segment_names();
      rows.push_back(BenchRow(input));
      CheckBenchRow(input, rows.back(), validity);
    }
    return rows;
  }

 private:
  bool stopped() const { return spec_.stop != nullptr && spec_.stop->load(std::memory_order_relaxed); }

  Status OtherHalf(int repeat) { return spec_.other_half ? spec_.other_half(repeat) : OkStatus(); }

  Status WarmUp(int batch_size) {
    BenchSpec quiet = spec_;
    quiet.on_record = {};
    RepeatPlan plan;
    plan.batch_size = batch_size;
    plan.num_prompts = std::max(spec_.warmup, batch_size);
    plan.max_tokens = std::min(spec_.max_tokens, 32);
    plan.id_prefix = fmt::format("warmup-b{}", batch_size);
    plan.measured = [this](int64_t i) { return prompts_.Warmup(i); };
    plan.filler = [&](int64_t i) { return prompts_.Warmup(plan.num_prompts + i); };
    return RunRepeat(quiet, plan, &bench_, &steps_).status();
  }

  Status Measure(size_t row, int repeat) {
    RepeatPlan plan;
    plan.batch_size = spec_.batch_sizes[row];
    plan.num_prompts = spec_.num_prompts;
    plan.max_tokens = spec_.max_tokens;
    plan.id_prefix = fmt::format("b{}-r{}", plan.batch_size, repeat + 1);
    const int64_t first = next_prompt_;
    // Fillers come from further on in the list, so that they too share nothing with what is measured beside them.
    next_prompt_ += plan.num_prompts + (spec_.tail == Tail::kFill ? plan.batch_size : 0);
    plan.measured = [this, first](int64_t i) { return prompts_.Measured(first + i); };
    plan.filler = [this, first, &plan](int64_t i) { return prompts_.Measured(first + plan.num_prompts + i); };
    WEIR_ASSIGN_OR_RETURN(BenchRun run, RunRepeat(spec_, plan, &bench_, &steps_));
    if (!run.measured.empty()) runs_[row].push_back(std::move(run));
    return OkStatus();
  }

  const BenchSpec& spec_;
  BenchEngine& bench_;
  const ProgressFunction& progress_;
  BenchPrompts prompts_;
  int64_t next_prompt_;
  StepLog steps_;
  std::vector<std::vector<BenchRun>> runs_;
};

// V-14: the machine changed its speed under the run. `most`: from where on shares of its limits are void.
void CheckProbes(const MachineLimits& before, const MachineLimits& after, double most, Validity* validity) {
  const auto change = [](double a, double b) {
    return a > 0 && b > 0 ? std::fabs(a - b) / std::max(a, b) : 0.0;
  };
  const double worst = std::max({change(before.read_bandwidth_bytes_per_s, after.read_bandwidth_bytes_per_s),
                                 change(before.int8_mac_per_s, after.int8_mac_per_s)});
  validity->AddAbove(
      "V-14", "limit", worst, 0.10, most,
      fmt::format("the machine's limits differ by {:.0f} % before and after the run, limit {:.0f} %",
                  worst * 100, most * 100));
}

}  // namespace

Result<Json> RunBenchmark(const BenchSpec& asked, const ProgressFunction& show) {
  const ProgressFunction progress = show ? show : [](double, std::string_view) {};
  WEIR_RETURN_IF_ERROR(CheckSpec(asked));
  progress(0, "loading the model");
  WEIR_ASSIGN_OR_RETURN(const std::unique_ptr<BenchEngine> bench, BenchEngine::Create(asked));
  BenchSpec spec = asked;
  if (bench->batch_plan()) spec.batch_sizes = bench->batch_plan()->batch_sizes;
  Json document = NewDocument("benchmark", spec.command);
  Environment environment = bench->environment();
  const CpuTime cpu_before = ReadCpuTime();
  const auto probe = [&](double done, std::optional<MachineLimits>* limits) {
    if (!spec.probe_limits) return;
    progress(done, "probing the machine's limits");
    *limits = bench->Probe();
  };
  probe(0, &environment.probed_before);
  const MachineActivity machine_before = ReadMachineActivity();
  Validity validity;
  Json results = Json::array(), matrix = nullptr;
  if (spec.mode == BenchMode::kMatrix) {
    Matrix run(spec, bench.get(), progress);
    WEIR_RETURN_IF_ERROR(run.Run());
    probe(1, &environment.probed_after);
    matrix = run.Rows(&validity);
  } else {
    WEIR_ASSIGN_OR_RETURN(BenchPrompts prompts, BenchPrompts::Create(spec, *bench));
    Study study(spec, std::move(prompts), bench.get(), progress);
    WEIR_RETURN_IF_ERROR(study.Run());
    probe(1, &environment.probed_after);
    results = study.Rows(&validity);
  }
  // Matrix mode exists to compare with the limits, so it is stricter about them.
  if (environment.probed_before && environment.probed_after)
    CheckProbes(*environment.probed_before, *environment.probed_after,
                spec.mode == BenchMode::kMatrix ? 0.10 : 0.25, &validity);
  // In turns with a server, that uses the cores too: its own file tells it from strangers.
  const std::optional<double> server_cpu_s = spec.other_half ? std::nullopt : std::optional<double>(0.0);
  CheckMachine(machine_before, ReadMachineActivity(), server_cpu_s, &validity);
  environment.huge_page_ratio = HugePageRatio();
  environment.stolen_ratio = StolenRatio(cpu_before, ReadCpuTime());
  document["environment"] = ToJson(environment);
  document["model"] = bench->ModelDocument(spec.model_path);
  document["memory"] = bench->Memory();
  document["parameters"] = Parameters(spec, *bench, bench->engine().options());
  if (bench->batch_plan()) document["batch_limit"] = ToJson(*bench->batch_plan());
  document["results"] = std::move(results);
  if (!matrix.is_null()) document["matrix"] = std::move(matrix);
  document["validity"] = validity.ToJson();
  document["void"] = validity.VoidPointers(document["results"].size(),
                                           document.contains("matrix") ? document["matrix"].size() : 0);
  document["approximate"] = Json::array();
  document["notes"] = {
      "timed: scheduling, prefill, decode, sampling; not timed: chat template, tokenising, detokenising, "
      "HTTP"};
  if (spec.synthetic.has_value())
    document["notes"].push_back(
        "synthetic weights: random numbers of the shape and types named; speeds hold for "
        "a trained model of that shape, text would be noise");
  if (spec.stop != nullptr && spec.stop->load(std::memory_order_relaxed)) document["interrupted"] = true;
  progress(1, "done");
  return document;
}

}  // namespace weir
