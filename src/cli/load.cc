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
#include "cli/foreign_output.h"
#include "cli/interrupt.h"
#include "cli/load_tables.h"
#include "cli/progress.h"
#include "cli/result_output.h"
#include "perf/driver/load_spec.h"

namespace weir {
namespace {

struct LoadFlags {
  LoadSpec spec;
  std::string output = "load_test_results.json";
  std::string slo, format = "weir";
  double request_rate = 0;
  std::string dataset = "builtin", stages, sweep, find_max;
  LoadSearch search;
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
  AddChoice<PercentileMethod>(
      app, "--percentile", &spec.percentile,
      {{"nearest-rank", PercentileMethod::kNearestRank}, {"linear", PercentileMethod::kLinear}},
      "nearest-rank: a value that was measured; linear: between two of them, as NumPy does");
  app.add_option("--retries", spec.retries,
                 "further attempts at a request that was shed, after its Retry-After, or never connected")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  app.add_option("--warmup", spec.warmup, "warm-up requests, never measured")->capture_default_str();
  app.add_option("--slo", flags->slo, "what counts as good, in ms: ttft=500,tpot=50,e2el=5000");
  app.add_option("--dataset", flags->dataset,
                 "builtin, sharegpt:FILE, jsonl:FILE, random:in=LENGTH[,out=LENGTH],\n"
                 "prefix:groups=N,shared=N,own=N or trace:FILE; a LENGTH is a number of tokens,\n"
                 "uniform:LEAST:MOST or lognormal:MEDIAN:DEVIATION")
      ->capture_default_str();
  app.add_option("--stages", flags->stages, "one level after the other: rate=2:60s,rate=4:60s");
  app.add_option("--sweep", flags->sweep,
                 "levels of --duration or --requests each: concurrency=1,2,4, rate=0.5,1,2 or rate=auto");
  app.add_option("--find-max", flags->find_max, "search the highest level that keeps --slo")
      ->check(CLI::IsMember({"concurrency", "rate"}));
  app.add_option("--slo-share", flags->search.share, "share of requests that must keep it")
      ->capture_default_str();
  app.add_option("--probe-time", flags->search.probe_s, "search: seconds that a level lasts at least")
      ->capture_default_str();
  app.add_option("--probe-requests", flags->search.probe_requests, "search: requests of a level at least")
      ->capture_default_str();
  app.add_option("--temperature", spec.temperature, "0 is greedy")->capture_default_str();
  app.add_option("--seed", spec.seed, "orders prompts and arrivals")->capture_default_str();
  app.add_option("--chunk-delay", spec.chunk_delay_ms,
                 "a planted fault: milliseconds that the client takes longer over every chunk")
      ->check(CLI::Range(0.0, 10000.0))
      ->group("");
  app.add_option("--control-url", spec.control_url,
                 "where weir's ledgers are (default: found through /version)");
  AddFormatFlag(app, &flags->format,
                {ForeignFormat::kVllm, ForeignFormat::kGuidellm, ForeignFormat::kAiperf});
  app.add_flag("--allow-invalid", flags->allow_invalid, "exit 0 even when the verdict is INVALID");
}

// --stages, --sweep and --find-max.
Status FillLevels(const LoadFlags& flags, LoadSpec* spec) {
  const int given =
      (flags.stages.empty() ? 0 : 1) + (flags.sweep.empty() ? 0 : 1) + (flags.find_max.empty() ? 0 : 1);
  if (given > 1) return InvalidArgument("--stages, --sweep and --find-max exclude each other");
  if (!flags.stages.empty()) {
    WEIR_ASSIGN_OR_RETURN(spec->stages, ParseStages(flags.stages));
    spec->stages.front().ramp_up_s = spec->ramp_up_s;
  }
  if (!flags.sweep.empty()) {
    WEIR_ASSIGN_OR_RETURN(const Sweep sweep, ParseSweep(flags.sweep));
    spec->rate_sweep = sweep.levels.empty();
    for (const double level : sweep.levels) {
      LoadStage stage;
      stage.duration_s = spec->duration_s;
      stage.requests = spec->requests;
      if (sweep.by_rate) {
        stage.request_rate = level;
      } else {
        stage.concurrency = static_cast<int>(level);
      }
      spec->stages.push_back(stage);
    }
  }
  if (!flags.find_max.empty()) {
    spec->search = flags.search;
    spec->search->by_rate = flags.find_max == "rate";
  }
  return OkStatus();
}

Status FillSpec(const CLI::App& app, LoadFlags* flags) {
  LoadSpec& spec = flags->spec;
  spec.send_deadline = !flags->no_deadline_header;
  if (app.count("--request-rate") > 0) spec.request_rate = flags->request_rate;
  WEIR_ASSIGN_OR_RETURN(spec.dataset, ParseDataset(flags->dataset));
  const bool is_trace = spec.dataset.kind == DatasetSpec::Kind::kTrace;
  // With a duration alone, the count is no limit; and a trace is played to its end.
  if ((app.count("--duration") > 0 || is_trace) && app.count("--requests") == 0) spec.requests = 1000000;
  WEIR_RETURN_IF_ERROR(FillLevels(*flags, &spec));
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
  PrintLoadTables(*document);
  const int code = StoreResult("load", *document, flags.output, flags.allow_invalid);
  const Status foreign = WriteForeignOutput(flags.format, *document, flags.output);
  return foreign.ok() ? code : Fail("load", foreign);
}

}  // namespace weir
