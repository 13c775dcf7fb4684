#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>

#include "perf/driver/http_target.h"
#include "perf/driver/load_loop.h"
#include "perf/driver/load_spec.h"
#include "perf/driver/server_side.h"
#include "perf/recorder/environment.h"
#include "perf/recorder/record_file.h"
#include "perf/statistics/load_row.h"

namespace weir {
namespace {

Status CheckSpec(const LoadSpec& spec) {
  if (spec.requests < 1)
    return InvalidArgument(fmt::format("--requests is {}, expected at least 1", spec.requests));
  if (spec.concurrency < 1) {
    return InvalidArgument(fmt::format("--concurrency is {}, expected at least 1", spec.concurrency));
  }
  if (spec.max_tokens < 1) {
    return InvalidArgument(fmt::format("--max-tokens is {}, expected at least 1", spec.max_tokens));
  }
  if (!(spec.timeout_s > 0)) {
    return InvalidArgument(fmt::format("--timeout is {} s, expected more than 0", spec.timeout_s));
  }
  if (spec.request_rate && !(*spec.request_rate > 0)) {
    return InvalidArgument(fmt::format("--request-rate is {}, expected more than 0", *spec.request_rate));
  }
  if (!(spec.burstiness > 0)) {
    return InvalidArgument(fmt::format("--burstiness is {}, expected more than 0", spec.burstiness));
  }
  if (spec.ramp_up_s < 0 || spec.duration_s < 0 || spec.max_in_flight < 0 || spec.warmup < 0) {
    return InvalidArgument("--ramp-up, --duration, --max-in-flight and --warmup must not be negative");
  }
  return OkStatus();
}

Json Parameters(const LoadSpec& spec, const std::string& model) {
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(nullptr); };
  Json json;
  json["url"] = spec.url;
  json["model"] = model;
  json["requests"] = spec.requests;
  json["duration_s"] = spec.duration_s > 0 ? Json(spec.duration_s) : Json(nullptr);
  json["concurrency"] = spec.concurrency;
  json["ramp_up_s"] = spec.ramp_up_s;
  json["timeout_s"] = spec.timeout_s;
  json["deadline_header"] = spec.send_deadline;
  json["max_tokens"] = spec.max_tokens;
  json["ignore_eos"] = spec.ignore_eos;
  json["stream"] = spec.stream;
  json["temperature"] = spec.temperature;
  json["seed"] = spec.seed;
  json["request_rate_per_s"] = or_null(spec.request_rate);
  json["arrival"] = ArrivalProcessName(spec.arrival);
  json["burstiness"] = spec.burstiness;
  json["max_in_flight"] = spec.max_in_flight > 0 ? Json(spec.max_in_flight) : Json(nullptr);
  json["on_shed"] = spec.on_shed == OnShed::kDefault ? (spec.request_rate ? "next" : "wait")
                    : spec.on_shed == OnShed::kWait  ? "wait"
                                                     : "next";
  json["retries"] = 0;
  json["warmup"] = spec.warmup;
  json["slo"] = {{"ttft_ms", or_null(spec.slo.ttft_ms)},
                 {"tpot_ms", or_null(spec.slo.tpot_ms)},
                 {"e2el_ms", or_null(spec.slo.e2el_ms)}};
  json["prompts"] = "builtin";
  return json;
}

// Means over the looks at /metrics while the test ran.
class ServerWatch {
 public:
  // At the run's edges the server is idle, so there only the CPU time counts.
  void Look(ServerSide& server, bool at_edge) {
    const TimePoint now = MonotonicClock::Get().Now();
    const std::optional<ServerGauges> gauges = server.ReadGauges();
    if (!gauges) return;
    if (!at_edge) {
      Add(gauges->running, &running_);
      Add(gauges->waiting, &waiting_);
    }
    if (gauges->kv_used_ratio) kv_used_ = std::max(kv_used_.value_or(0), *gauges->kv_used_ratio);
    if (!gauges->cpu_seconds) return;
    if (!first_cpu_) {
      first_cpu_ = *gauges->cpu_seconds;
      first_at_ = now;
    }
    last_cpu_ = *gauges->cpu_seconds;
    last_at_ = now;
  }

  Json ToJson(int logical_cores) const {
    const double elapsed = ToSeconds(last_at_ - first_at_);
    const bool has_cpu = first_cpu_ && elapsed > 0 && logical_cores > 0;
    if (running_.count == 0 && !has_cpu) return nullptr;
    return {
        {"gpu_ratio", nullptr},
        {"cpu_ratio", has_cpu ? Json((last_cpu_ - *first_cpu_) / elapsed / logical_cores) : Json(nullptr)},
        {"running_mean", Mean(running_)},
        {"waiting_mean", Mean(waiting_)},
        {"kv_used_ratio", kv_used_ ? Json(*kv_used_) : Json(nullptr)},
        {"prefix_hit_ratio", nullptr}};
  }

 private:
  struct Sum {
    double total = 0;
    int count = 0;
  };
  static void Add(const std::optional<double>& value, Sum* sum) {
    if (!value) return;
    sum->total += *value;
    ++sum->count;
  }
  static Json Mean(const Sum& sum) { return sum.count == 0 ? Json(nullptr) : Json(sum.total / sum.count); }

  Sum running_, waiting_;
  std::optional<double> kv_used_, first_cpu_;
  double last_cpu_ = 0;
  TimePoint first_at_{}, last_at_{};
};

class LoadTest {
 public:
  LoadTest(const LoadSpec& spec, Url url, const ProgressFunction& progress)
      : spec_(spec),
        url_(std::move(url)),
        progress_(progress),
        prompts_(spec.seed),
        base_path_(BasePath(url_)),
        server_(url_, base_path_, spec.api_key, spec.control_url) {}

  Result<Json> Run() {
    progress_(0, "looking for the server");
    WEIR_ASSIGN_OR_RETURN(const std::string listed, server_.FirstModel());
    model_ = spec_.model.empty() ? listed : spec_.model;
    server_.Discover();
    std::optional<RecordFile> file;
    if (!spec_.records_path.empty()) {
      WEIR_ASSIGN_OR_RETURN(file, RecordFile::Open(spec_.records_path));
    }
    document_ = NewDocument("load_test", spec_.command);
    run_id_ = document_["run_id"].get<std::string>();
    WarmUp();
    Measure(file ? &*file : nullptr);
    std::sort(records_.begin(), records_.end(),
              [](const RequestRecord& a, const RequestRecord& b) { return a.seq < b.seq; });
    JoinLedgers();
    Json requests_file = nullptr;
    if (file) {
      WEIR_ASSIGN_OR_RETURN(requests_file, file->Finish(records_));
    }
    Describe(std::move(requests_file));
    progress_(1, "done");
    return std::move(document_);
  }

 private:
  static std::string BasePath(const Url& url) {
    std::string path = ApiPath(url, "");
    path.resize(path.size() - 3);  // without "/v1"
    return path;
  }

  bool stopped() const { return spec_.stop != nullptr && spec_.stop->load(std::memory_order_relaxed); }

  LoadLoopOptions LoopOptions() const {
    LoadLoopOptions options;
    options.request.max_tokens = spec_.max_tokens;
    options.request.ignore_eos = spec_.ignore_eos;
    options.request.stream = spec_.stream;
    options.request.temperature = spec_.temperature;
    options.request.seed = spec_.seed;
    options.request.timeout = FromSeconds(spec_.timeout_s);
    return options;
  }

  HttpTargetOptions TargetOptions() const {
    HttpTargetOptions options;
    options.base_path = base_path_;
    options.model = model_;
    options.api_key = spec_.api_key;
    options.send_deadline = spec_.send_deadline;
    options.knows_ignore_eos = server_.is_weir();
    return options;
  }

  // Own prompts, never measured, and never more at once than the test itself.
  void WarmUp() {
    if (spec_.warmup == 0 || stopped()) return;
    progress_(0, "warm-up");
    LoadLoopOptions options = LoopOptions();
    options.id_prefix = run_id_ + "-warmup";
    options.requests = spec_.warmup;
    options.concurrency = spec_.request_rate ? std::max(1, spec_.max_in_flight) : spec_.concurrency;
    // A slow server must not leave the work of a given-up warm-up behind.
    options.request.timeout = std::max<Duration>(FromSeconds(spec_.timeout_s), std::chrono::seconds(60));
    options.prompt = [](int64_t i) { return BuiltinPrompts::Warmup(i); };
    auto client = std::make_unique<HttpClient>(url_);
    HttpTarget target(client.get(), TargetOptions());
    LoadLoop loop(std::move(options), client.get(), &target);
    loop.Start();
    while (!loop.done() && !stopped()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    client.reset();
  }

  void Measure(RecordFile* file) {
    LoadLoopOptions options = LoopOptions();
    options.id_prefix = run_id_;
    options.requests = spec_.requests;
    options.duration_s = spec_.duration_s;
    options.concurrency = spec_.concurrency;
    options.ramp_up_s = spec_.ramp_up_s;
    options.max_in_flight = spec_.max_in_flight;
    options.wait_when_shed =
        spec_.on_shed == OnShed::kWait || (spec_.on_shed == OnShed::kDefault && !spec_.request_rate);
    options.prompt = [this](int64_t i) { return prompts_.Measured(spec_.prompt_offset + i); };
    if (spec_.request_rate) {
      ArrivalSpec arrivals{spec_.arrival, *spec_.request_rate, spec_.burstiness, spec_.ramp_up_s, spec_.seed};
      options.arrivals_s = DrawArrivals(arrivals, spec_.requests, spec_.duration_s);
    }
    options.on_record = [this, file](RequestRecord& record) {
      if (!spec_.slo.empty()) record.slo_met = MeetsSlo(record, spec_.slo, spec_.request_rate.has_value());
      if (file != nullptr) file->Append(record);
    };
    auto client = std::make_unique<HttpClient>(url_);
    HttpTarget target(client.get(), TargetOptions());
    LoadLoop loop(std::move(options), client.get(), &target);
    const Duration cpu_before = client->thread_cpu_time();
    loop.Start();
    Watch(loop);
    const double elapsed = ToSeconds(MonotonicClock::Get().Now() - loop.run_start());
    client_.cpu_ratio = ToSeconds(client->thread_cpu_time() - cpu_before) / std::max(elapsed, 1e-9);
    client.reset();  // joins the io thread: from here on the loop's state is ours
    loop.CancelRemaining();
    records_ = std::move(loop.records());
    in_flight_ = std::move(loop.in_flight_samples());
    client_.loop_lag_ms = std::move(loop.loop_lag_ms());
    num_sent_ = loop.num_sent();
  }

  void Watch(LoadLoop& loop) {
    TimePoint next_look = loop.run_start();
    while (!loop.done()) {
      if (stopped()) {
        loop.RequestStop();
        return;
      }
      const TimePoint now = MonotonicClock::Get().Now();
      if (now >= next_look) {
        watch_.Look(server_, next_look == loop.run_start());
        next_look = now + std::chrono::seconds(1);
      }
      const double planned = std::max(1, loop.num_planned());
      double fraction = loop.num_ended() / planned;
      if (spec_.duration_s > 0) {
        fraction = std::max(fraction, ToSeconds(now - loop.run_start()) / spec_.duration_s);
      }
      progress_(std::min(1.0, fraction),
                fmt::format("{} of {} requests", loop.num_ended(), loop.num_planned()));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    watch_.Look(server_, true);
  }

  // A request that was given up closes its ledger a step or two after its client has left; a server that goes on
  // working for departed clients is not waited for.
  void JoinLedgers() {
    for (int attempt = 0; attempt < 4; ++attempt) {
      if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
      const int found = server_.JoinLedgers(&records_);
      if (!server_.has_control() || found == static_cast<int>(records_.size())) return;
    }
  }

  void Describe(Json requests_file) {
    const Environment environment = CaptureEnvironment("", 0);
    LoadRowInput input;
    input.records = records_;
    input.open_loop = spec_.request_rate.has_value();
    input.concurrency = spec_.concurrency;
    input.max_in_flight = spec_.max_in_flight;
    input.request_rate_per_s = spec_.request_rate;
    input.arrival = ArrivalProcessName(spec_.arrival);
    input.burstiness = spec_.burstiness;
    input.ramp_up_s = spec_.ramp_up_s;
    input.timeout_s = spec_.timeout_s;
    input.ignore_eos = spec_.ignore_eos;
    input.slo = spec_.slo;
    input.num_sent = num_sent_;
    input.in_flight = std::move(in_flight_);
    input.client = std::move(client_);
    input.server = watch_.ToJson(environment.logical_cores);
    Validity validity;
    const Json row = LoadRow(input);
    CheckLoadRow(input, row, &validity);
    document_["environment"] = ToJson(environment);
    document_["model"] = {{"name", model_}};
    if (const Json* sha = FindJson(server_.version(), {"model", "sha256"}))
      document_["model"]["sha256"] = *sha;
    document_["server_version"] = server_.version();
    document_["parameters"] = Parameters(spec_, model_);
    document_["results"] = Json::array({row});
    document_["requests_file"] = std::move(requests_file);
    document_["validity"] = validity.ToJson();
    document_["void"] = validity.VoidPointers(1);
    document_["approximate"] = Json::array();
    document_["notes"] = Json::array();
    if (!input.open_loop) {
      document_["notes"].push_back(
          "closed loop: a slow server slows its own load, so latency under a fixed arrival rate may be "
          "worse");
    }
    if (stopped()) document_["interrupted"] = true;
  }

  const LoadSpec& spec_;
  Url url_;
  const ProgressFunction& progress_;
  BuiltinPrompts prompts_;
  std::string base_path_;
  ServerSide server_;
  std::string model_, run_id_;
  Json document_;
  std::vector<RequestRecord> records_;
  std::vector<InFlightSample> in_flight_;
  ClientHealth client_;
  ServerWatch watch_;
  int64_t num_sent_ = 0;
};

}  // namespace

Result<Json> RunLoadTest(const LoadSpec& spec, const ProgressFunction& progress) {
  WEIR_RETURN_IF_ERROR(CheckSpec(spec));
  WEIR_ASSIGN_OR_RETURN(Url url, Url::Parse(spec.url));
  const ProgressFunction quiet = [](double, std::string_view) {};
  LoadTest test(spec, std::move(url), progress ? progress : quiet);
  return test.Run();
}

}  // namespace weir
