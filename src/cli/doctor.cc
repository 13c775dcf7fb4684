#include "cli/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "base/json.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/diagnosis.h"
#include "cli/flags.h"
#include "cli/machine_facts.h"
#include "cli/model_summary.h"
#include "engine/safetensors/model_directory.h"
#include "perf/report/number_format.h"

namespace weir {
namespace {

// Reads bandwidth like a model of this size when there is none to take the size from.
constexpr int64_t kUsualWeightBytes = 100'000'000;

void AddModel(const std::string& argument, MachineFacts* facts) {
  const auto path = FindModel(argument);
  if (!path.has_value()) {
    facts->model_error = path.error().message();
    return;
  }
  facts->model_path = *path;
  const auto file = OpenModel(*path);
  if (!file.has_value()) {
    facts->model_error = file.error().message();
    return;
  }
  const auto summary = SummarizeModel(**file, facts->memory);
  if (!summary.has_value()) {
    facts->model_error = summary.error().message();
    return;
  }
  for (const TypeShare& share : summary->types) facts->model_weight_bytes += share.bytes;
  facts->model_obstacle = summary->obstacle;
}

std::string_view LevelName(FindingLevel level) {
  switch (level) {
    case FindingLevel::kOk:
      return "ok";
    case FindingLevel::kHint:
      return "hint";
    case FindingLevel::kProblem:
      return "problem";
  }
  return "";
}

void PrintFits(const std::vector<ModelFit>& fits, bool measured) {
  fmt::print("\nModels that fit{}\n",
             measured ? ", and the most tokens/s that one sequence can reach (bandwidth / weights)" : "");
  const auto cell = [&](bool fit, double bytes, double speed) -> std::string {
    if (!fit) return fmt::format("{:>9}  too large", FormatBytes(bytes));
    if (!measured) return fmt::format("{:>9}  fits", FormatBytes(bytes));
    return fmt::format("{:>9}  {:>5} tokens/s", FormatBytes(bytes), FormatNumber(speed));
  };
  fmt::print("  {:<14} {:<27} {}\n", "parameters", "  about 4 bits", "  8 bits");
  for (const ModelFit& fit : fits) {
    fmt::print("  {:<14} {:<27} {}\n", fmt::format("{} billion", fit.billions),
               cell(fit.q4_fits, static_cast<double>(fit.q4_bytes), fit.q4_tokens_per_s),
               cell(fit.q8_fits, static_cast<double>(fit.q8_bytes), fit.q8_tokens_per_s));
  }
}

int Count(const std::vector<Finding>& findings, FindingLevel level) {
  return static_cast<int>(
      std::count_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.level == level; }));
}

void PrintReport(const std::vector<Finding>& findings, const MachineFacts& facts) {
  for (const Finding& finding : findings) {
    fmt::print("{:<8} {:<15} {}\n", LevelName(finding.level), finding.subject, finding.text);
    if (!finding.advice.empty()) fmt::print("{:<8} {:<15} -> {}\n", "", "", finding.advice);
  }
  PrintFits(FitModels(facts), facts.roofs.has_value());
  const int problems = Count(findings, FindingLevel::kProblem);
  const int hints = Count(findings, FindingLevel::kHint);
  fmt::print("\n{} problem{}, {} hint{}: {}\n", problems, problems == 1 ? "" : "s", hints,
             hints == 1 ? "" : "s",
             problems > 0 ? "weir cannot work here until the problems are solved" : "this machine can serve");
}

Json ReportJson(const std::vector<Finding>& findings, const MachineFacts& facts) {
  Json out;
  out["ready"] = Count(findings, FindingLevel::kProblem) == 0;
  out["findings"] = Json::array();
  for (const Finding& finding : findings) {
    out["findings"].push_back({{"level", std::string(LevelName(finding.level))},
                               {"subject", finding.subject},
                               {"text", finding.text},
                               {"advice", finding.advice.empty() ? Json(nullptr) : Json(finding.advice)}});
  }
  out["kernel_path"] = facts.chosen_path;
  out["threads"] = facts.usable_cores;
  out["memory_available_bytes"] = facts.memory.available_bytes;
  out["roofs"] = nullptr;
  if (facts.roofs) {
    out["roofs"] = {{"read_bandwidth_bytes_per_s", facts.roofs->read_bandwidth_bytes_per_s},
                    {"int8_mac_per_s", facts.roofs->int8_mac_per_s},
                    {"bf16_mac_per_s", facts.roofs->bf16_mac_per_s},
                    {"tile_mac_per_s", facts.roofs->tile_mac_per_s},
                    {"fp32_mac_per_s", facts.roofs->fp32_mac_per_s},
                    {"huge_page_ratio", facts.roofs->huge_page_ratio},
                    {"threads", facts.roofs->num_threads}};
  }
  out["models"] = Json::array();
  for (const ModelFit& fit : FitModels(facts)) {
    out["models"].push_back({{"parameters_billion", fit.billions},
                             {"q4_bytes", fit.q4_bytes},
                             {"q4_fits", fit.q4_fits},
                             {"q8_bytes", fit.q8_bytes},
                             {"q8_fits", fit.q8_fits}});
  }
  return out;
}

}  // namespace

int RunDoctor(const std::vector<std::string>& arguments) {
  std::string model;
  bool quick = false;
  bool json = false;
  CLI::App app("Say whether this machine is ready to serve and to measure, and what would help.",
               "weir doctor");
  app.add_option("MODEL", model,
                 "GGUF file or Hugging Face directory to judge as well; without one, the default model");
  app.add_flag("--quick", quick, "measure nothing, only look");
  app.add_flag("--json", json, "print JSON");
  const Result<bool> go_on = ParseFlags(app, arguments);
  if (!go_on.has_value()) return Fail("doctor", go_on.error());
  if (!*go_on) return 0;

  MachineFacts facts = CollectMachineFacts();
  AddModel(model, &facts);
  if (!quick && !facts.chosen_path.empty()) {
    const int64_t bytes = facts.model_weight_bytes > 0 ? facts.model_weight_bytes : kUsualWeightBytes;
    facts.roofs = ProbeMachine(std::max(1, facts.usable_cores), bytes);
  }
  const std::vector<Finding> findings = Diagnose(facts);
  if (json) {
    fmt::print("{}", DumpJsonPretty(ReportJson(findings, facts)));
  } else {
    PrintReport(findings, facts);
  }
  return Count(findings, FindingLevel::kProblem) == 0 ? 0 : 1;
}

}  // namespace weir
