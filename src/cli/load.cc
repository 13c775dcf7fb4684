#include "cli/load.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>

#include "base/file.h"
#include "cli/choice_flag.h"
#include "cli/client_key.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/result_output.h"
#include "perf/driver/load_spec.h"

namespace weir {
namespace {

struct LoadFlags {
  LoadSpec spec;
  std::string output = "load_test_results.json";
  std::string slo;
  double request_rate = 0;
  bool no_deadline_header = false;
  bool allow_invalid = false;
};

// "ttft=500,tpot=50,e2el=5000" in ms.
Result<SloSpec> ParseSlo(std::string_view text) {
  SloSpec slo;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text = part.size() == text.size() ? std::string_view() : text.substr(part.size() + 1);
    const size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    double value = 0;
    const std::string_view number = equals == std::string_view::npos ? "" : part.substr(equals + 1);
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    std::optional<double>* bound = name == "ttft"   ? &slo.ttft_ms
                                   : name == "tpot" ? &slo.tpot_ms
                                   : name == "e2el" ? &slo.e2el_ms
                                                    : nullptr;
    if (bound == nullptr || error != std::errc() || end != number.data() + number.size() || !(value > 0)) {
      return InvalidArgument(fmt::format(
          "--slo has the part '{}', expected ttft=MS, tpot=MS or e2el=MS, separated by commas", part));
    }
    *bound = value;
  }
  return slo;
}

void AddFlags(CLI::App& app, LoadFlags* flags) {
  LoadSpec& spec = flags->spec;
  app.add_option("--url", spec.url, "the server")->capture_default_str();
  app.add_option("--model", spec.model, "model to ask for (default: the first one listed)");
  app.add_option("--output", flags->output, "result file")->capture_default_str();
  app.add_option("--requests", spec.requests, "how many")->capture_default_str();
  app.add_option("--duration", spec.duration_s, "seconds after which nothing more is sent (default: none)");
  app.add_option("--concurrency", spec.concurrency, "closed loop: requests in flight")->capture_default_str();
  app.add_option("--ramp-up", spec.ramp_up_s, "seconds over which workers, or the rate, grow")
      ->capture_default_str();
  app.add_option("--timeout", spec.timeout_s, "seconds per request")->capture_default_str();
  app.add_flag("--no-deadline-header", flags->no_deadline_header, "do not send x-request-timeout-ms");
  app.add_option("--max-tokens", spec.max_tokens, "output tokens of each")->capture_default_str();
  app.add_flag("--ignore-eos,!--no-ignore-eos", spec.ignore_eos, "force the full length (default: on)");
  app.add_flag("--stream,!--no-stream", spec.stream, "stream the answers (default: on)");
  app.add_option("--request-rate", flags->request_rate, "requests per second: switches to the open loop");
  AddChoice<ArrivalProcess>(app, "--arrival", &spec.arrival,
                            {{"poisson", ArrivalProcess::kPoisson},
                             {"constant", ArrivalProcess::kConstant},
                             {"gamma", ArrivalProcess::kGamma}},
                            "open loop: how arrivals are spaced");
  app.add_option("--burstiness", spec.burstiness, "gamma shape: 1 is Poisson, below 1 comes in bursts")
      ->capture_default_str();
  app.add_option("--max-in-flight", spec.max_in_flight,
                 "open loop: most requests at once (default: no limit)");
  AddChoice<OnShed>(
      app, "--on-shed", &spec.on_shed, {{"wait", OnShed::kWait}, {"next", OnShed::kNext}},
      "wait: pause for Retry-After; next: go on (default: wait in a closed loop, next in an open one)");
  app.add_option("--warmup", spec.warmup, "warm-up requests, never measured")->capture_default_str();
  app.add_option("--slo", flags->slo, "what counts as good, in ms: ttft=500,tpot=50,e2el=5000");
  app.add_option("--temperature", spec.temperature, "0 is greedy")->capture_default_str();
  app.add_option("--seed", spec.seed, "orders prompts and arrivals")->capture_default_str();
  app.add_option("--control-url", spec.control_url,
                 "where weir's ledgers are (default: found through /version)");
  app.add_flag("--allow-invalid", flags->allow_invalid, "exit 0 even when the verdict is INVALID");
}

void PrintLatency(const Json& row, const char* label, std::string_view metric) {
  if (!FindJson(row, {metric}) || row[std::string(metric)].is_null()) return;
  fmt::print("{:<38} {:>9} {:>9} {:>9} {:>9} {:>9}\n", label, MsText(row, metric, "mean"),
             MsText(row, metric, "p50"), MsText(row, metric, "p95"), MsText(row, metric, "p99"),
             MsText(row, metric, "max"));
}

void PrintErrors(const Json& row) {
  int shown = 0;
  for (const Json& error : row["errors"]) {
    if (++shown > 5) break;  // the file has them all
    fmt::print("  {} {} {} ({}): {}\n", error["count"].get<int64_t>(), error["outcome"].get<std::string>(),
               error["class"].get<std::string>(), JsonString(FindJson(error, {"phase"})).value_or("-"),
               error["message"].get<std::string>().substr(0, 120));
  }
}

void PrintSummary(const Json& document) {
  const Json& row = document["results"][0];
  const Json& counts = row["counts"];
  fmt::print("{} requests: {} ok, {} shed, {} failed, {} cancelled in {} s; success {} (SUC-1)\n",
             counts["sent"].get<int64_t>(), counts["ok"].get<int64_t>(), counts["shed"].get<int64_t>(),
             counts["failed"].get<int64_t>(), counts["cancelled"].get<int64_t>(), NumberText(&row["wall_s"]),
             row["success_ratio"].is_null()
                 ? "not measured"
                 : fmt::format("{:.1f} %", row["success_ratio"].get<double>() * 100));
  fmt::print(
      "{} output tok/s over the whole run (THR-OUT-1), {} in the steady window (THR-OUT-2), {} requests/s\n",
      NumberText(&row["output_tps"]), NumberText(&row["output_tps_steady"]),
      NumberText(&row["requests_per_s"], 2));
  const bool open = row["mode"] == "open";
  fmt::print("{:<38} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "ms, nearest-rank", "mean", "p50", "p95", "p99",
             "max");
  if (open) {
    PrintLatency(row, "latency from intended send (E2EL-2)", "e2el_from_intended_ms");
    PrintLatency(row, "time to first token (TTFT-2)", "ttft_from_intended_ms");
    PrintLatency(row, "client queue (QUEUE-2)", "client_queue_ms");
  }
  PrintLatency(row, "latency of successes (E2EL-1)", "e2el_ms");
  if (counts["failed"].get<int64_t>() > 0)
    PrintLatency(row, "latency with failures (E2EL-4)", "e2el_with_failed_ms");
  PrintLatency(row, "time to first token (TTFT-1)", "ttft_ms");
  PrintLatency(row, "time per output token (TPOT-1)", "tpot_ms");
  PrintLatency(row, "largest gap of a request (ITL-3)", "itl_max_ms");
  if (!row["goodput"].is_null()) {
    fmt::print("goodput {} requests/s (GOOD-1), {} of all ended (GOOD-2)\n",
               NumberText(FindJson(row, {"goodput", "requests_per_s"}), 2),
               NumberText(FindJson(row, {"goodput", "ratio"}), 3));
  }
  PrintErrors(row);
}

Status FillSpec(const CLI::App& app, LoadFlags* flags) {
  LoadSpec& spec = flags->spec;
  spec.send_deadline = !flags->no_deadline_header;
  if (app.count("--request-rate") > 0) spec.request_rate = flags->request_rate;
  // With a duration alone, the count is no limit.
  if (app.count("--duration") > 0 && app.count("--requests") == 0) spec.requests = 1000000;
  WEIR_ASSIGN_OR_RETURN(spec.slo, ParseSlo(flags->slo));
  WEIR_RETURN_IF_ERROR(CheckWritable(flags->output));
  spec.api_key = ClientKey();
  spec.records_path = flags->output + ".requests.jsonl";
  spec.stop = &InterruptFlag();
  return OkStatus();
}

}  // namespace

int RunLoad(const std::vector<std::string>& arguments) {
  CLI::App app("Measures an OpenAI-compatible server under load.", "weir load");
  LoadFlags flags;
  AddFlags(app, &flags);
  const Result<bool> parsed = ParseFlags(app, arguments);
  if (!parsed) return Fail("load", parsed.error());
  if (!*parsed) return 0;
  if (Status filled = FillSpec(app, &flags); !filled.ok()) return Fail("load", filled);
  flags.spec.command = {"weir", "load"};
  flags.spec.command.insert(flags.spec.command.end(), arguments.begin(), arguments.end());
  Result<Json> document = [&] {
    ProgressBar bar("load");
    return RunLoadTest(flags.spec,
                       [&](double fraction, std::string_view what) { bar.Update(fraction, what); });
  }();
  if (!document) return Fail("load", document.error());
  PrintSummary(*document);
  return StoreResult("load", *document, flags.output, flags.allow_invalid);
}

}  // namespace weir
