#include "cli/compare.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/file.h"
#include "cli/command.h"
#include "cli/compare_sides.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "perf/recorder/environment.h"

namespace weir {
namespace {

constexpr int kInconclusiveExit = 5;

std::string Percent(const Json& ratio) {
  return ratio.is_number() ? fmt::format("{:+.1f} %", ratio.get<double>() * 100) : std::string("-");
}

std::string Number(const Json& value) {
  if (!value.is_number()) return "-";
  const double number = value.get<double>();
  return number != 0 && number < 10 ? fmt::format("{:.3f}", number) : fmt::format("{:.1f}", number);
}

void PrintComparison(const Json& comparison) {
  for (const char* side : {"a", "b"}) {
    const Json& one = comparison["sides"][side];
    fmt::print("{}: {} ({} result files)\n", side[0] == 'a' ? 'A' : 'B', one["name"].get<std::string>(),
               one["runs"].size());
  }
  for (const Json& difference : comparison["forced_differences"])
    fmt::print("compared although they differ: {}\n", difference.get<std::string>());
  fmt::print("\n{:<30} {:>5} {:>10} {:>10} {:>9} {:>19} {:>8}  {}\n", "median over runs", "runs", "A", "B",
             "shift", "95 % interval", "p", "verdict");
  for (const Json& metric : comparison["metrics"]) {
    const Json& interval = metric["shift_ratio_ci95"];
    fmt::print(
        "{:<30} {:>5} {:>10} {:>10} {:>9} {:>19} {:>8}  {}\n", metric["metric"].get<std::string>(),
        fmt::format("{}/{}", metric["a_values"].size(), metric["b_values"].size()),
        Number(metric["a_median"]), Number(metric["b_median"]), Percent(metric["shift_ratio"]),
        interval.is_array() ? fmt::format("{} .. {}", Percent(interval[0]), Percent(interval[1])) : "-",
        metric["p_corrected"].is_number() ? fmt::format("{:.2g}", metric["p_corrected"].get<double>())
                                          : std::string("-"),
        metric["verdict"].get<std::string>());
    const Json& loss = metric["largest_loss_ratio"];
    if (metric["verdict"] == "no change found" && loss.is_number() &&
        loss.get<double>() > comparison["min_effect_ratio"].get<double>()) {
      fmt::print("{:<30} a loss of up to {:.1f} % is not excluded\n", "", loss.get<double>() * 100);
    }
  }
  fmt::print(
      "\np: two-sided Mann-Whitney, Holm-corrected; shift: Hodges-Lehmann, in % of A (success: points).\n"
      "Worse or better: p < 0.05 and a shift of at least {:.3g} %.\n",
      comparison["min_effect_ratio"].get<double>() * 100);
  const std::string reason = comparison["reason"].get<std::string>();
  fmt::print("B is {}{}\n",
             comparison["verdict"] == "inconclusive" ? "not judged: inconclusive"
             : comparison["verdict"] == "invalid"    ? "not judged: invalid"
                                                     : comparison["verdict"].get<std::string>() + " than A",
             reason.empty() ? "" : ": " + reason);
}

int ExitCodeOf(const std::string& verdict) {
  if (verdict == "not worse") return 0;
  return verdict == "inconclusive" ? kInconclusiveExit : 1;
}

struct CompareFlags {
  std::string a, b, output;
  int runs = 10;
  double min_effect_percent = 3;
  ComparisonOptions options;
};

Status CollectSides(const CompareFlags& flags, ComparisonSide* a, ComparisonSide* b) {
  const bool command_a = IsCommand(flags.a), command_b = IsCommand(flags.b);
  if (command_a != command_b) {
    return InvalidArgument(
        fmt::format("one side is a command and the other is not ('{}', '{}'); give two commands, which run "
                    "in turns, or files on both sides",
                    flags.a, flags.b));
  }
  if (command_a) {
    const std::string output = flags.output.empty() ? "compare_results.json" : flags.output;
    CommandPair pair{flags.a, flags.b, flags.runs, output + ".runs", &InterruptFlag()};
    ProgressBar bar("compare");
    return RunInterleaved(
        pair, [&](double fraction, std::string_view what) { bar.Update(fraction, what); }, a, b);
  }
  WEIR_ASSIGN_OR_RETURN(*a, ReadSide(flags.a));
  WEIR_ASSIGN_OR_RETURN(*b, ReadSide(flags.b));
  return OkStatus();
}

}  // namespace

int RunCompare(const std::vector<std::string>& arguments) {
  CLI::App app(
      "Says whether B is worse than A by more than the noise and by more than matters.\n"
      "A side is a result file, several separated by commas, ids of 'weir runs list', or a command such as\n"
      "'weir bench --batch-sizes 8 --repeats 1', which is run several times in turns with the other one.\n"
      "Exit codes: 0 no metric is worse, 1 at least one is or a run is INVALID, 2 not comparable,\n"
      "3 unreadable file, 5 inconclusive.",
      "weir compare");
  CompareFlags flags;
  app.add_option("A", flags.a, "the side to compare with")->required();
  app.add_option("B", flags.b, "the side in question")->required();
  app.add_option("--runs", flags.runs, "of each command")->check(CLI::Range(1, 1000))->capture_default_str();
  app.add_option("--min-effect", flags.min_effect_percent, "percent below which a change does not matter")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_flag("--force", flags.options.force, "compare runs of different models, parameters or machines");
  app.add_flag("--strict", flags.options.strict,
               "inconclusive (5) while a loss beyond --min-effect is not excluded");
  app.add_option("--output", flags.output,
                 "result file (default: none; for commands compare_results.json, their runs beside it)");
  const Result<bool> parsed = ParseFlags(app, arguments);
  if (!parsed) return Fail("compare", parsed.error());
  if (!*parsed) return 0;
  flags.options.min_effect_ratio = flags.min_effect_percent / 100;
  const bool commands = IsCommand(flags.a) && IsCommand(flags.b);
  if (commands && flags.output.empty()) flags.output = "compare_results.json";
  if (!flags.output.empty()) {
    if (Status writable = CheckWritable(flags.output); !writable.ok()) return Fail("compare", writable);
  }
  ComparisonSide a, b;
  if (Status read = CollectSides(flags, &a, &b); !read.ok()) return Fail("compare", read);
  Result<Json> comparison = CompareSides(a, b, flags.options);
  if (!comparison) return Fail("compare", comparison.error());
  PrintComparison(*comparison);
  if (!flags.output.empty()) {
    std::vector<std::string> command = {"weir", "compare"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    Json document = NewDocument("comparison", command);
    document.update(*comparison);
    if (Status written = WriteFile(flags.output, DumpJsonPretty(document)); !written.ok())
      return Fail("compare", written);
    fmt::print("Results: {}\n", flags.output);
  }
  return ExitCodeOf((*comparison)["verdict"].get<std::string>());
}

}  // namespace weir
