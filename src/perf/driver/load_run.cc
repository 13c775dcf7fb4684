#include "perf/driver/load_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <thread>
#include <utility>

#include "perf/driver/slo_search.h"
#include "perf/recorder/environment.h"
#include "perf/statistics/clock_check.h"
#include "perf/statistics/machine_checks.h"

namespace weir {
namespace {

constexpr int kNoCountLimit = 1000000;
constexpr int kPromptsOfUnknownCount = 1000;
constexpr int kCapacityRequests = 64;
constexpr Duration kIdlePatience = std::chrono::seconds(30);

std::string BasePath(const Url& url) {
  std::string path = ApiPath(url, "");
  path.resize(path.size() - 3);  // without "/v1"
  return path;
}

bool BySequence(const RequestRecord& a, const RequestRecord& b) {
  return std::pair(a.seq, a.attempt) < std::pair(b.seq, b.attempt);
}

std::string LevelName(const LoadStage& stage) {
  return stage.request_rate ? fmt::format("{:.3g} requests/s", *stage.request_rate)
                            : fmt::format("{} in flight", stage.concurrency);
}

}  // namespace

LoadRun::LoadRun(const LoadSpec& spec, Url url, const ProgressFunction& progress)
    : spec_(spec),
      url_(std::move(url)),
      progress_(progress),
      base_path_(BasePath(url_)),
      server_(url_, base_path_, spec.api_key, spec.control_url) {}

Result<Json> LoadRun::Run() {
  WEIR_RETURN_IF_ERROR(Begin());
  if (spec_.search) {
    WEIR_RETURN_IF_ERROR(Search());
  } else if (spec_.rate_sweep) {
    WEIR_RETURN_IF_ERROR(RateSweep());
  } else {
    WEIR_RETURN_IF_ERROR(Stages());
  }
  return End();
}

Status LoadRun::Begin() {
  progress_(0, "looking for the server");
  WEIR_ASSIGN_OR_RETURN(const std::string listed, server_.FirstModel());
  model_ = spec_.model.empty() ? listed : spec_.model;
  server_.Discover();
  WEIR_RETURN_IF_ERROR(MakePrompts());
  document_ = NewDocument("load_test", spec_.command);
  run_id_ = document_["run_id"].get<std::string>();
  DescribeSetting();
  if (!spec_.records_path.empty()) {
    WEIR_ASSIGN_OR_RETURN(file_, RecordFile::Open(spec_.records_path, document_));
  }
  WarmUp();
  return OkStatus();
}

Result<Json> LoadRun::End() {
  std::sort(records_.begin(), records_.end(), BySequence);
  Json requests_file = nullptr;
  if (file_) {
    WEIR_ASSIGN_OR_RETURN(requests_file, file_->Finish(records_));
  }
  Describe(std::move(requests_file));
  progress_(1, "done");
  return std::move(document_);
}

LoadLoopOptions LoadRun::LoopOptions() const {
  LoadLoopOptions options;
  options.request.max_tokens = spec_.max_tokens;
  options.request.ignore_eos = spec_.ignore_eos;
  options.request.stream = spec_.stream;
  options.request.temperature = spec_.temperature;
  options.request.seed = spec_.seed;
  options.request.timeout = FromSeconds(spec_.timeout_s);
  return options;
}

HttpTargetOptions LoadRun::TargetOptions() const {
  HttpTargetOptions options;
  options.base_path = base_path_;
  options.model = model_;
  options.api_key = spec_.api_key;
  options.send_deadline = spec_.send_deadline;
  options.chunk_delay = FromSeconds(spec_.chunk_delay_ms / 1000);
  options.knows_ignore_eos = server_.is_weir();
  options.return_token_ids = server_.is_weir();
  return options;
}

LoadStage LoadRun::OwnStage() const {
  LoadStage stage;
  stage.request_rate = spec_.request_rate;
  stage.concurrency = spec_.concurrency;
  stage.duration_s = spec_.duration_s;
  stage.requests = spec_.requests;
  stage.ramp_up_s = spec_.ramp_up_s;
  return stage;
}

// As many as the run can use, as far as that is known beforehand.
Status LoadRun::MakePrompts() {
  const std::vector<LoadStage> stages = spec_.stages.empty() ? std::vector{OwnStage()} : spec_.stages;
  double count = 0;
  for (const LoadStage& stage : stages) {
    double most = stage.requests;
    if (stage.requests >= kNoCountLimit)
      most = stage.request_rate ? std::ceil(1.3 * *stage.request_rate * stage.duration_s) + 20
                                : kPromptsOfUnknownCount;
    count += most;
  }
  if (spec_.search || spec_.rate_sweep) count = kPromptsOfUnknownCount;
  if (spec_.dataset.kind == DatasetSpec::Kind::kBuiltin) count = kNoCountLimit;  // they cost nothing
  if (spec_.dataset.kind == DatasetSpec::Kind::kTrace) count = spec_.requests;
  DatasetRequest request;
  request.spec = spec_.dataset;
  request.count = static_cast<int>(std::min<double>(count, kNoCountLimit));
  request.offset = spec_.prompt_offset;
  request.seed = spec_.seed;
  request.count_tokens = [this](const std::string& text) { return server_.CountTokens(model_, text); };
  progress_(0, "preparing the prompts");
  WEIR_ASSIGN_OR_RETURN(dataset_, LoadDataset(request));
  cache_.dataset_ratio = dataset_.expected_cache_ratio;
  return OkStatus();
}

// Own prompts, never measured, and never more at once than the test itself.
void LoadRun::WarmUp() {
  if (spec_.warmup == 0 || stopped()) return;
  progress_(0, "warm-up");
  LoadLoopOptions options = LoopOptions();
  options.id_prefix = run_id_ + "-warmup";
  options.requests = spec_.warmup;
  options.concurrency = spec_.request_rate ? std::max(1, spec_.max_in_flight) : spec_.concurrency;
  // A slow server must not leave the work of a given-up warm-up behind.
  options.request.timeout = std::max<Duration>(FromSeconds(spec_.timeout_s), std::chrono::seconds(60));
  // Words that no run before had, so that what the server has cached of them is what all prompts share.
  options.prompt = [rng = Rng(RandomSeed())](int64_t i) mutable {
    Prompt prompt = BuiltinPrompts::Warmup(i);
    prompt.text = fmt::format("{:012x} {}", rng.Next() >> 16, prompt.text);
    return prompt;
  };
  auto client = std::make_unique<HttpClient>(url_);
  HttpTarget target(client.get(), TargetOptions());
  LoadLoop loop(std::move(options), client.get(), &target);
  loop.Start();
  while (!loop.done() && !stopped()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  client.reset();
  int cached = 0;
  for (const RequestRecord& record : loop.records())
    cached = std::max(cached, record.cached_tokens.value_or(0));
  // None: there is no cache, or all were sent before the first was in it.
  if (cached > 0) cache_.template_tokens = cached;
}

Status LoadRun::Stages() {
  const size_t count = std::max<size_t>(1, spec_.stages.size());
  for (size_t i = 0; i < count && !stopped(); ++i) PlayStage(static_cast<int>(i));
  return OkStatus();
}

void LoadRun::PlayStage(int index) {
  const LoadStage stage = spec_.stages.empty() ? OwnStage() : spec_.stages[index];
  if (spec_.stages.size() > 1)
    stage_name_ = fmt::format("stage {} of {}, {}, ", index + 1, spec_.stages.size(), LevelName(stage));
  Play(stage);
}

// First as much as the server takes, then shares of that.
Status LoadRun::RateSweep() {
  LoadStage full;
  const auto most = JsonNumber(FindJson(server_.version(), {"max_num_seqs"}));
  full.concurrency = most && *most >= 1 ? static_cast<int>(std::min(*most, 256.0)) : 16;
  full.requests = std::max(kCapacityRequests, 3 * full.concurrency);
  stage_name_ = "capacity, ";
  Play(full);
  const auto steady = JsonNumber(FindJson(rows_.back(), {"requests_per_s_steady"}));
  const auto capacity = steady ? steady : JsonNumber(FindJson(rows_.back(), {"requests_per_s"}));
  if (!capacity || *capacity <= 0)
    return Unavailable(
        "the capacity is not known, because no request succeeded; see the errors in a single run");
  for (const double rate : AutomaticRates(*capacity)) {
    if (stopped()) return OkStatus();
    LoadStage stage = OwnStage();
    stage.request_rate = rate;
    stage_name_ = LevelName(stage) + ", ";
    Play(stage);
  }
  return OkStatus();
}

Status LoadRun::Search() {
  const LoadSearch& search = *spec_.search;
  SearchSpec levels;
  levels.whole = !search.by_rate;
  levels.confirmations = search.confirmations;
  Json probes = Json::array();
  const auto probe = [&](double level) -> Result<bool> {
    if (stopped()) return Cancelled("interrupted");
    LoadStage stage;
    stage.requests = kNoCountLimit;
    stage.duration_s = search.probe_s;
    stage.at_least_requests = search.probe_requests;
    stage.latency_multiple = 10;
    if (search.by_rate) {
      stage.request_rate = level;
    } else {
      stage.concurrency = static_cast<int>(level);
    }
    stage_name_ = LevelName(stage) + ", ";
    Play(stage);
    const double kept = JsonNumber(FindJson(rows_.back(), {"goodput", "ratio"})).value_or(0);
    const bool passed = !stopped() && kept >= search.share;
    probes.push_back({{"level", level}, {"ratio", kept}, {"passed", passed}, {"result", rows_.size() - 1}});
    return passed;
  };
  const Result<SearchOutcome> outcome = FindHighest(levels, probe);
  if (!outcome && outcome.error().code() != StatusCode::kCancelled) return outcome.error();
  const bool known = outcome.has_value() && outcome->confirmed;
  search_ = {{"by", search.by_rate ? "rate" : "concurrency"},
             {"share", search.share},
             {"answer", known ? Json(outcome->answer) : Json(nullptr)},
             {"confirmed", known},
             {"at_highest", outcome.has_value() && outcome->at_highest},
             {"probes", std::move(probes)}};
  return OkStatus();
}

void LoadRun::WaitUntilIdle() {
  const TimePoint end = MonotonicClock::Get().Now() + kIdlePatience;
  while (MonotonicClock::Get().Now() < end && !stopped()) {
    const std::optional<ServerGauges> gauges = server_.ReadGauges();
    if (!gauges || (gauges->running.value_or(0) <= 0 && gauges->waiting.value_or(0) <= 0)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

void LoadRun::Play(const LoadStage& stage) {
  if (!rows_.empty()) WaitUntilIdle();
  LoadLoopOptions options = LoopOptions();
  options.id_prefix = run_id_;
  options.load_stage = static_cast<int>(rows_.size());
  options.first_seq = next_seq_;
  options.requests = stage.requests;
  options.duration_s = stage.duration_s;
  options.at_least_requests = stage.at_least_requests;
  options.latency_multiple = stage.latency_multiple;
  options.concurrency = stage.concurrency;
  options.ramp_up_s = stage.ramp_up_s;
  options.max_in_flight = spec_.max_in_flight;
  options.prompt = [this](int64_t i) { return dataset_.At(i); };
  if (stage.request_rate) {
    const ArrivalSpec arrivals{spec_.arrival, *stage.request_rate, spec_.burstiness, stage.ramp_up_s,
                               spec_.seed + rows_.size()};
    // A stage that waits for requests may outlast its duration.
    const double longest = stage.at_least_requests > 0 ? 20 * stage.duration_s : stage.duration_s;
    options.arrivals_s = DrawArrivals(arrivals, stage.requests, longest);
  }
  if (!dataset_.arrivals_s.empty()) {
    options.arrivals_s = dataset_.arrivals_s;
    options.requests = static_cast<int>(options.arrivals_s.size());
  }
  const bool open_loop = !options.arrivals_s.empty() || stage.request_rate;
  options.wait_when_shed =
      spec_.on_shed == OnShed::kWait || (spec_.on_shed == OnShed::kDefault && !open_loop);
  double shift_ms = 0;
  options.retries = spec_.retries;
  options.on_record = [&](RequestRecord& record) {
    if (!spec_.slo.empty()) record.slo_met = MeetsSlo(record, spec_.slo, open_loop || spec_.retries > 0);
    if (!file_) return;
    RequestRecord copy = record;
    ShiftTimes(shift_ms, &copy);
    file_->Append(copy);
  };
  LoadRowInput input;
  input.load_stage = options.load_stage;
  auto client = std::make_unique<HttpClient>(url_);
  HttpTarget target(client.get(), TargetOptions());
  LoadLoop loop(std::move(options), client.get(), &target);
  ServerWatch watch;
  const MachineActivity machine_before = ReadMachineActivity();
  const Duration cpu_before = client->thread_cpu_time();
  const TimePoint start = MonotonicClock::Get().Now();
  if (!run_start_) run_start_ = start;
  shift_ms = ToMilliseconds(start - *run_start_);
  loop.Start(start);
  Watch(loop, stage, &watch);
  const MachineActivity machine_after = ReadMachineActivity();
  const double elapsed = ToSeconds(MonotonicClock::Get().Now() - loop.run_start());
  input.client.cpu_ratio = ToSeconds(client->thread_cpu_time() - cpu_before) / std::max(elapsed, 1e-9);
  client.reset();  // joins the io thread: from here on the loop's state is ours
  loop.CancelRemaining();
  std::vector<RequestRecord> records = std::move(loop.records());
  std::sort(records.begin(), records.end(), BySequence);
  JoinLedgers(loop.run_start(), &records);
  next_seq_ += loop.num_sent();
  const std::vector<RequestRecord> outcomes = LastAttempts(records);
  input.records = outcomes;
  input.attempts = records;
  input.retries = spec_.retries;
  input.open_loop = open_loop;
  input.concurrency = stage.concurrency;
  input.max_in_flight = spec_.max_in_flight;
  input.request_rate_per_s = stage.request_rate;
  input.arrival = dataset_.arrivals_s.empty() ? ArrivalProcessName(spec_.arrival) : "trace";
  input.burstiness = spec_.burstiness;
  input.ramp_up_s = stage.ramp_up_s;
  input.timeout_s = spec_.timeout_s;
  input.ignore_eos = spec_.ignore_eos;
  input.slo = spec_.slo;
  input.percentile = spec_.percentile;
  input.num_sent = loop.num_sent();
  input.in_flight = std::move(loop.in_flight_samples());
  input.client.loop_lag_ms = std::move(loop.loop_lag_ms());
  input.cache = cache_;
  input.server = watch.ToJson(CaptureEnvironment("", 0).logical_cores);
  validity_.set_row(input.load_stage);
  rows_.push_back(LoadRow(input));
  const std::optional<double> server_cpu_s = server_.is_local() ? watch.cpu_s() : 0.0;
  rows_.back()["machine"] = MachineJson(machine_before, machine_after, server_cpu_s);
  CheckLoadRow(input, rows_.back(), &validity_);
  CheckClock(records, &validity_);
  CheckMachine(machine_before, machine_after, server_cpu_s, &validity_);
  for (RequestRecord& record : records) {
    ShiftTimes(shift_ms, &record);
    records_.push_back(std::move(record));
  }
}

void LoadRun::Watch(LoadLoop& loop, const LoadStage& stage, ServerWatch* watch) {
  TimePoint next_look = loop.run_start();
  while (!loop.done()) {
    if (stopped()) {
      loop.RequestStop();
      return;
    }
    const TimePoint now = MonotonicClock::Get().Now();
    if (now >= next_look) {
      watch->Look(server_, next_look == loop.run_start());
      next_look = now + std::chrono::seconds(1);
    }
    double fraction = loop.num_ended() / static_cast<double>(std::max(1, loop.num_planned()));
    if (stage.duration_s > 0)
      fraction = std::max(fraction, ToSeconds(now - loop.run_start()) / stage.duration_s);
    const LiveLoad live = loop.live();
    std::string what = fmt::format("{}{} done, {:.1f}/s", stage_name_, loop.num_ended(), live.requests_per_s);
    if (live.p50_ms && live.p95_ms)
      what += fmt::format(", p50 {:.0f} ms, p95 {:.0f} ms", *live.p50_ms, *live.p95_ms);
    if (live.shed > 0) what += fmt::format(", {} shed", live.shed);
    if (live.failed > 0) what += fmt::format(", {} failed", live.failed);
    progress_(std::min(1.0, fraction), what);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  watch->Look(server_, true);
}

// A request that was given up closes its ledger a step or two after its client has left; a server that goes on
// working for departed clients is not waited for.
void LoadRun::JoinLedgers(TimePoint stage_start, std::vector<RequestRecord>* records) {
  for (int attempt = 0; attempt < 4; ++attempt) {
    if (attempt > 0) std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const int found = server_.JoinLedgers(stage_start, records);
    if (!server_.has_control() || found == static_cast<int>(records->size())) return;
  }
}

}  // namespace weir
