#include "cli/study.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "cli/ladder.h"
#include "cli/recorded_benchmark.h"
#include "cli/report_files.h"
#include "cli/server_process.h"
#include "perf/driver/bench_spec.h"
#include "perf/driver/load_run.h"
#include "perf/driver/load_spec.h"
#include "perf/report/evidence.h"
#include "perf/report/report.h"
#include "perf/report/trials.h"

namespace weir {
namespace {

constexpr int kRequests = 50;
constexpr int kQuickRequests = 20;
constexpr int kConcurrency = 5;
constexpr int kAloneRequests = 5;
// The repaired server and the engine in turns: short ones, so that a host which changes its speed every few seconds hits both
// alike, and a whole round of requests each, so that nearly all of a turn is a full batch.
constexpr int kTurns = 12;
constexpr int kQuickPrompts = 8;
constexpr int kQuickTurns = 4;
constexpr char kTurnsPhase[] = "engine and server in turns";

std::string FileOfStep(const std::string& id) {
  if (id == "A") return "load_test_sequential.json";
  if (id == "E") return "load_test_results.json";
  if (id == "S") return "load_test_alone.json";
  std::string name = "load_test_step_" + id + ".json";
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return name;
}

class Study {
 public:
  explicit Study(const StudySpec& spec) : spec_(spec) {}

  Result<StudyOutcome> Run() {
    WEIR_RETURN_IF_ERROR(CheckReportFolder(spec_.folder));
    WEIR_RETURN_IF_ERROR(Benchmark());
    if (!stopped()) {
      const Status status = Ladder();
      // An interruption while a server starts is the user's wish, not a failure of the study.
      if (!status.ok() && !stopped()) return status;
    }
    if (spec_.try_advice && !stopped()) {
      const Status status = Trials();
      if (!status.ok() && !stopped()) return status;
    }
    return Report();
  }

 private:
  bool stopped() const { return spec_.stop->load(); }
  std::string Path(const std::string& name) const { return spec_.folder + "/" + name; }
  ProgressFunction Progress(std::string phase) const {
    return [this, phase = std::move(phase)](double fraction, std::string_view what) {
      if (spec_.on_progress) spec_.on_progress(phase, fraction, what);
    };
  }

  Status Save(const std::string& name, const Json& document) {
    WEIR_RETURN_IF_ERROR(WriteFile(Path(name), DumpJsonPretty(document)));
    outcome_.files.push_back(Path(name));
    return OkStatus();
  }

  BenchSpec BenchmarkSpec() const {
    BenchSpec bench;
    bench.model_path = spec_.model_path;
    // The study's batch sizes, and 5 beside them: the number in flight of the load test, which GAP-2 compares with.
    bench.batch_sizes = spec_.quick ? std::vector<int>{1, 5, 8} : std::vector<int>{1, 2, 4, 5, 8, 16, 32};
    bench.repeats = spec_.quick ? 1 : 3;
    if (spec_.quick) bench.num_prompts = kQuickPrompts;
    bench.max_tokens = spec_.max_tokens;
    bench.kv_dtype = spec_.kv_dtype;
    bench.command = spec_.command;
    bench.stop = spec_.stop;
    return bench;
  }

  Status Benchmark() {
    const BenchSpec bench = BenchmarkSpec();
    WEIR_ASSIGN_OR_RETURN(benchmark_,
                          RunRecordedBenchmark(bench, Path("benchmark_results.json.requests.jsonl"),
                                               Progress("direct benchmark")));
    return Save("benchmark_results.json", benchmark_);
  }

  double BenchNumber(int batch, const std::string& pointer) const {
    const std::string row = RowOfBatch(benchmark_, batch);
    return row.empty() ? 0.0 : NumberAt(benchmark_, row + pointer).value_or(0);
  }

  Status Ladder() {
    LadderPlanStep alone{"S",
                         "alone",
                         {"--scheduler", "sequential", "--queue", "unbounded", "--on-disconnect", "ignore"},
                         60,
                         std::nullopt,
                         std::nullopt,
                         0,
                         kAloneRequests};
    WEIR_ASSIGN_OR_RETURN(const Json alone_result, Step(alone, 1));
    if (stopped()) return OkStatus();
    LadderBasis basis;
    basis.alone_ms = NumberAt(alone_result, "/results/0/e2el_ms/mean").value_or(0);
    if (basis.alone_ms <= 0) {
      return Internal(fmt::format("no request succeeded alone; see {} and the server's log beside it",
                                  Path(FileOfStep("S"))));
    }
    basis.latency_c_ms = BenchNumber(kConcurrency, "/e2el_ms/p50");
    basis.latency_8_ms = BenchNumber(8, "/e2el_ms/p50");
    basis.requests_per_s = BenchNumber(8, "/requests_per_s_steady");
    const double x1 = BenchNumber(1, "/output_tps_steady"),
                 x5 = BenchNumber(kConcurrency, "/output_tps_steady"),
                 best = NumberAt(benchmark_, BestRow(benchmark_) + "/output_tps_steady").value_or(0);
    // GAP-1 compares with the best batch, so its prediction does too.
    basis.scaling = x1 > 0 ? best / x1 : 0;
    basis.scaling_c = x5 > 0 ? best / x5 : 0;
    basis.requests = spec_.quick ? kQuickRequests : kRequests;
    basis.concurrency = kConcurrency;
    for (const LadderPlanStep& step : PlanLadder(basis, spec_.quick)) {
      if (stopped()) return OkStatus();
      WEIR_RETURN_IF_ERROR(Step(step, kConcurrency).status());
      if (step.id != "E" || stopped()) continue;
      repaired_flags_ = step.server_flags;
      // They need the weights twice. Where memory has no room for that, the report compares steps instead.
      if (const Status turns = InTurns(step); !turns.ok())
        Progress(kTurnsPhase)(1, fmt::format("left out: {}", turns.message()));
    }
    return OkStatus();
  }

  std::vector<std::string> ServerFlags(const LadderPlanStep& step) const {
    std::vector<std::string> flags = step.server_flags;
    // The steps differ in the switches they name and in nothing else.
    flags.insert(flags.end(), {"--kv-cache-dtype", std::string(KvDtypeName(spec_.kv_dtype))});
    if (std::find(flags.begin(), flags.end(), "--prefix-cache") == flags.end())
      flags.insert(flags.end(), {"--prefix-cache", "off"});
    return flags;
  }

  // What the API costs is a few percent, and a shared host changes its speed by more than that between two steps. So the gap
  // of the repaired server is measured against the engine in turns, with the same prompts and batches that drain alike.
  Status InTurns(const LadderPlanStep& step) {
    const int turns = spec_.quick ? kQuickTurns : kTurns;
    const int requests = kConcurrency;
    const std::string phase = kTurnsPhase;
    Progress(phase)(0, "starting the server");
    const std::string load_file = "load_test_turns.json", bench_file = "benchmark_turns.json";
    WEIR_ASSIGN_OR_RETURN(ServerProcess server,
                          ServerProcess::Start(spec_.model_path, ServerFlags(step),
                                               Path(load_file + ".server.log"), *spec_.stop));
    LoadSpec load;
    load.url = server.url();
    load.concurrency = kConcurrency;
    load.requests = requests;
    LoadStage turn;
    turn.concurrency = kConcurrency;
    turn.requests = requests;
    load.stages.assign(turns, turn);
    load.max_tokens = spec_.max_tokens;
    load.records_path = Path(load_file + ".requests.jsonl");
    load.command = spec_.command;
    load.stop = spec_.stop;
    load.prompt_offset = prompt_offset_;
    WEIR_RETURN_IF_ERROR(CheckLoadSpec(load));
    WEIR_ASSIGN_OR_RETURN(Url url, Url::Parse(load.url));
    const ProgressFunction quiet = [](double, std::string_view) {};
    LoadRun server_half(load, std::move(url), quiet);
    WEIR_RETURN_IF_ERROR(server_half.Begin());

    BenchSpec bench;
    bench.model_path = spec_.model_path;
    bench.batch_sizes = {kConcurrency};
    bench.num_prompts = requests;
    bench.max_tokens = spec_.max_tokens;
    bench.tail = Tail::kDrain;
    bench.repeats = turns;
    bench.kv_dtype = spec_.kv_dtype;
    bench.prompt_offset = prompt_offset_;
    bench.probe_limits = false;
    bench.command = spec_.command;
    bench.stop = spec_.stop;
    bench.other_half = [&](int repeat) {
      server_half.PlayStage(repeat);
      return OkStatus();
    };
    prompt_offset_ += turns * requests;
    WEIR_ASSIGN_OR_RETURN(Json direct,
                          RunRecordedBenchmark(bench, Path(bench_file + ".requests.jsonl"), Progress(phase)));
    WEIR_ASSIGN_OR_RETURN(Json served, server_half.End());
    direct["turns"] = {{"of", turns}, {"with", load_file}};
    served["turns"] = {{"of", turns}, {"with", bench_file}};
    WEIR_RETURN_IF_ERROR(Save(bench_file, direct));
    return Save(load_file, served);
  }

  // What the report would advise, done to the repaired server or to the engine.
  Status Trials() {
    Result<ReportInput> input = ReadReportInput(outcome_.files);
    if (!input) return std::move(input).error();
    WEIR_ASSIGN_OR_RETURN(const Json report, BuildReport(*input));
    for (const TrialPlan& trial : PlanTrials(report)) {
      if (stopped()) return OkStatus();
      if (trial.batch_size > 0) {
        WEIR_RETURN_IF_ERROR(LargerBatch(trial));
        continue;
      }
      LadderPlanStep step;
      step.id = trial.rule;
      step.title = fmt::format("trying {}", fmt::join(trial.server_flags, " "));
      step.server_flags = repaired_flags_;
      step.server_flags.insert(step.server_flags.end(), trial.server_flags.begin(), trial.server_flags.end());
      step.timeout_s = 60;
      step.requests = spec_.quick ? kQuickRequests : kRequests;
      WEIR_RETURN_IF_ERROR(Step(step, kConcurrency).status());
    }
    return OkStatus();
  }

  Status LargerBatch(const TrialPlan& trial) {
    BenchSpec bench = BenchmarkSpec();
    bench.batch_sizes = {trial.batch_size};
    const std::string file = "benchmark_" + trial.rule + ".json";
    WEIR_ASSIGN_OR_RETURN(Json document,
                          RunRecordedBenchmark(bench, Path(file + ".requests.jsonl"),
                                               Progress(fmt::format("trying batch {}", trial.batch_size))));
    document["ladder"] = {{"step", trial.rule}, {"title", fmt::format("trying batch {}", trial.batch_size)}};
    return Save(file, document);
  }

  // One server process per step: work for departed clients may still occupy the last one.
  Result<Json> Step(const LadderPlanStep& step, int concurrency) {
    const std::string phase = fmt::format("step {}, {}", step.id, step.title);
    Progress(phase)(0, "starting the server");
    const std::string file = FileOfStep(step.id);
    const std::vector<std::string> flags = ServerFlags(step);
    WEIR_ASSIGN_OR_RETURN(
        ServerProcess server,
        ServerProcess::Start(spec_.model_path, flags, Path(file + ".server.log"), *spec_.stop));
    LoadSpec load;
    load.url = server.url();
    load.requests = step.requests;
    load.concurrency = concurrency;
    load.timeout_s = step.timeout_s;
    load.max_tokens = spec_.max_tokens;
    load.records_path = Path(file + ".requests.jsonl");
    load.command = spec_.command;
    load.stop = spec_.stop;
    load.prompt_offset = prompt_offset_;
    load.warmup = concurrency;
    if (step.request_rate > 0) load.request_rate = step.request_rate;
    prompt_offset_ += step.requests;
    WEIR_ASSIGN_OR_RETURN(Json document, RunLoadTest(load, Progress(phase)));
    document["ladder"] = {
        {"step", step.id},
        {"title", step.title},
        {"server_flags", flags},
        {"predicted",
         {{"ok", NumberOrNull(step.predicted_ok)}, {"gap_1", NumberOrNull(step.predicted_gap)}}}};
    WEIR_RETURN_IF_ERROR(Save(file, document));
    return document;
  }

  Result<StudyOutcome> Report() {
    outcome_.interrupted = stopped();
    if (outcome_.files.empty()) return std::move(outcome_);
    Result<ReportInput> input = ReadReportInput(outcome_.files);
    if (!input) return std::move(input).error();
    input->command = spec_.command;
    WEIR_ASSIGN_OR_RETURN(outcome_.report, BuildReport(*input));
    WEIR_RETURN_IF_ERROR(WriteReport(outcome_.report, spec_.folder));
    return std::move(outcome_);
  }

  const StudySpec& spec_;
  StudyOutcome outcome_;
  Json benchmark_;
  std::vector<std::string> repaired_flags_;
  int prompt_offset_ = 0;
};

}  // namespace

Result<StudyOutcome> RunStudy(const StudySpec& spec) { return Study(spec).Run(); }

}  // namespace weir
