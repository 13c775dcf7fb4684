#include "cli/run.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/kv_dtype_flag.h"
#include "cli/progress.h"
#include "cli/study.h"
#include "perf/report/evidence.h"
#include "perf/report/report.h"

namespace weir {
namespace {

// Where the time of a study went.
class StageTimes {
 public:
  void Begin(const std::string& name) {
    End();
    stages_.push_back({name, MonotonicClock::Get().Now(), {}});
  }
  void End() {
    if (!stages_.empty() && stages_.back().ended == TimePoint{})
      stages_.back().ended = MonotonicClock::Get().Now();
  }
  std::string Text() const {
    std::string out = "stage times\n";
    double total = 0;
    for (const Stage& stage : stages_) {
      const double seconds = ToSeconds(stage.ended - stage.begun);
      total += seconds;
      out += fmt::format("  {:<34} {:>6.1f} s\n", stage.name, seconds);
    }
    return out + fmt::format("  {:<34} {:>6.1f} s\n", "all", total);
  }

 private:
  struct Stage {
    std::string name;
    TimePoint begun, ended;
  };
  std::vector<Stage> stages_;
};

}  // namespace

int RunStudyCommand(const std::vector<std::string>& arguments) {
  CLI::App app(
      "The whole study: direct benchmark, the server that fails as the published one did, the repaired one, "
      "the report.",
      "weir run");
  StudySpec spec;
  std::string model;
  bool strict = false;
  app.add_option("--model", model, "GGUF file or Hugging Face directory (default: the cached default model)");
  app.add_option("--out", spec.folder, "folder for results and report")->capture_default_str();
  AddKvDtypeFlag(app, &spec.kv_dtype);
  app.add_option("--max-tokens", spec.max_tokens, "output tokens of every request; fewer for a large model")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  app.add_flag("--quick", spec.quick, "the smallest sample that still shows the gap and its closing");
  app.add_flag("--try", spec.try_advice,
               "follow what the report recommends and the study did not measure, and measure again");
  app.add_flag("--strict", strict, "exit 1 when a verdict is INVALID");
  const Result<bool> parsed = ParseFlags(app, arguments);
  if (!parsed) return Fail("run", parsed.error());
  if (!*parsed) return 0;
  const Result<std::string> path = FindModel(model);
  if (!path) return Fail("run", path.error());

  spec.model_path = *path;
  spec.command = {"weir", "run"};
  spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
  spec.stop = &InterruptFlag();
  std::unique_ptr<ProgressBar> bar;
  std::string shown;
  StageTimes stages;
  spec.on_progress = [&](std::string_view phase, double fraction, std::string_view what) {
    if (shown != phase) {
      bar.reset();  // the old line is cleaned before the new one begins
      shown = phase;
      stages.Begin(shown);
      bar = std::make_unique<ProgressBar>(shown);
    }
    bar->Update(fraction, what);
  };
  const Result<StudyOutcome> outcome = RunStudy(spec);
  bar.reset();
  stages.End();
  if (!outcome) return Fail("run", outcome.error());
  if (!outcome->report.is_null()) fmt::print("{}\n", RenderSummary(outcome->report));
  if (outcome->interrupted) {
    fmt::print("Interrupted. What was measured until then is in {}/ ({} result files).\n", spec.folder,
               outcome->files.size());
    return ExitCode(Cancelled(""));
  }
  fmt::print("{}", stages.Text());
  fmt::print("Report: {0}/report.html, {0}/report.md, {0}/report.json\n", spec.folder);
  const bool invalid = StringAt(outcome->report, "/validity/verdict") == "INVALID";
  return strict && invalid ? ExitCode(Internal("")) : 0;
}

}  // namespace weir
