#include "cli/runs.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/result_file.h"
#include "cli/result_output.h"
#include "perf/recorder/run_index.h"
#include "perf/report/evidence.h"
#include "perf/statistics/validity.h"

namespace weir {
namespace {

// One run, by its id or the beginning of it.
Result<RunEntry> FindOne(const std::string& id) {
  WEIR_ASSIGN_OR_RETURN(const std::vector<RunEntry> found, RunIndex().Find(id));
  if (found.empty()) return NotFound(fmt::format("no run '{}'; 'weir runs list' shows which there are", id));
  if (found.size() > 1) {
    return InvalidArgument(fmt::format("'{}' fits {} runs, among them {} and {}; give more of the id", id,
                                       found.size(), found[0].run_id, found[1].run_id));
  }
  return found.front();
}

Status ListRuns(int limit, const std::string& kind) {
  WEIR_ASSIGN_OR_RETURN(const std::vector<RunEntry> entries, RunIndex().List(limit));
  int shown = 0;
  for (const RunEntry& entry : entries) {
    if (!kind.empty() && entry.kind != kind) continue;
    if (shown++ == 0) {
      fmt::print("{:<24} {:<10} {:<25} {:<8} {}\n", "run", "kind", "created", "verdict", "file");
    }
    std::error_code ignored;
    fmt::print("{:<24} {:<10} {:<25} {:<8} {}{}\n", entry.run_id, entry.kind, entry.created_at, entry.verdict,
               entry.file, std::filesystem::exists(entry.file, ignored) ? "" : "  (gone)");
  }
  if (shown == 0) fmt::print("no runs yet; 'weir bench' and 'weir load' add theirs\n");
  return OkStatus();
}

std::string RowText(const Json& document, const std::string& kind, size_t i) {
  const std::string row = fmt::format("/results/{}", i);
  const auto number = [&](const char* pointer, int digits = 1) {
    const auto value = NumberAt(document, row + pointer);
    return value ? fmt::format("{:.{}f}", *value, digits) : std::string("not measured");
  };
  if (kind == "benchmark") {
    return fmt::format("batch {:>3}: {} tok/s, latency p50 {} ms, p95 {} ms", number("/batch_size", 0),
                       number("/output_tps_steady"), number("/e2el_ms/p50"), number("/e2el_ms/p95"));
  }
  const bool open = StringAt(document, row + "/mode") == "open";
  return fmt::format(
      "{}: {} of {} ok, {} tok/s, latency p50 {} ms, p95 {} ms",
      open ? number("/request_rate_per_s", 2) + " requests/s" : number("/concurrency", 0) + " in flight",
      number("/counts/ok", 0), number("/counts/sent", 0), number("/output_tps"),
      number(open ? "/e2el_from_intended_ms/p50" : "/e2el_ms/p50"),
      number(open ? "/e2el_from_intended_ms/p95" : "/e2el_ms/p95"));
}

Status ShowRun(const std::string& id) {
  WEIR_ASSIGN_OR_RETURN(const RunEntry entry, FindOne(id));
  WEIR_ASSIGN_OR_RETURN(const Json document, ReadResultFile(entry.file));
  fmt::print("run      {}\nkind     {}\ncreated  {}\nfile     {}\n", entry.run_id, entry.kind,
             entry.created_at, entry.file);
  if (StringAt(document, "/run_id") != entry.run_id) {
    fmt::print("         written over since, by run {}\n", StringAt(document, "/run_id").value_or("?"));
  }
  std::string command;
  if (const Json* words = FindJson(document, {"command"}); words != nullptr && words->is_array()) {
    for (const Json& word : *words) command += (command.empty() ? "" : " ") + JsonString(&word).value_or("?");
  }
  fmt::print("command  {}\nmodel    {}\n", command, StringAt(document, "/model/name").value_or("unknown"));
  const Json* rows = FindJson(document, {"results"});
  for (size_t i = 0; rows != nullptr && i < rows->size(); ++i)
    fmt::print("  {}\n", RowText(document, entry.kind, i));
  if (const Json* validity = FindJson(document, {"validity"})) {
    fmt::print("Verdict: {}\n", Validity::Line(*validity));
    for (const std::string& warning : Validity::Warnings(*validity)) fmt::print("  {}\n", warning);
  }
  return OkStatus();
}

Status RemoveRuns(const std::vector<std::string>& ids, bool with_files) {
  for (const std::string& id : ids) {
    WEIR_ASSIGN_OR_RETURN(const RunEntry entry, FindOne(id));
    WEIR_RETURN_IF_ERROR(RunIndex().Remove(entry.run_id).status());
    fmt::print("removed {}\n", entry.run_id);
    if (!with_files) continue;
    // A file that another run has written over is not this run's any more.
    const Result<Json> document = ReadResultFile(entry.file);
    if (!document || StringAt(*document, "/run_id") != entry.run_id) {
      fmt::print("  {} is not its file any more and stays\n", entry.file);
      continue;
    }
    std::error_code ignored;
    for (const std::string& path : {entry.file, entry.file + ".requests.jsonl"}) {
      if (std::filesystem::remove(path, ignored)) fmt::print("  deleted {}\n", path);
    }
  }
  return OkStatus();
}

}  // namespace

int RunRuns(const std::vector<std::string>& arguments) {
  CLI::App app("Lists, shows and forgets the runs of 'weir bench' and 'weir load'.", "weir runs");
  app.require_subcommand(1);
  int limit = 30;
  std::string kind, id;
  std::vector<std::string> ids;
  bool with_files = false;
  CLI::App* list = app.add_subcommand("list", "the newest runs");
  list->add_option("--limit", limit, "how many")->check(CLI::Range(1, 1000000))->capture_default_str();
  list->add_option("--kind", kind, "only these")->check(CLI::IsMember({"benchmark", "load_test"}));
  CLI::App* show = app.add_subcommand("show", "one run: command, results, verdict");
  show->add_option("RUN", id, "its id, the beginning of it, or 'latest'")->required();
  CLI::App* rm = app.add_subcommand("rm", "forget runs");
  rm->add_option("RUN", ids, "their ids, or beginnings of them")->required();
  rm->add_flag("--files", with_files, "delete their result files as well");
  const Result<bool> parsed = ParseFlags(app, arguments);
  if (!parsed) return Fail("runs", parsed.error());
  if (!*parsed) return 0;
  const Status status = list->parsed()   ? ListRuns(limit, kind)
                        : show->parsed() ? ShowRun(id)
                                         : RemoveRuns(ids, with_files);
  return status.ok() ? 0 : Fail("runs", status);
}

}  // namespace weir
