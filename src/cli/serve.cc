#include "cli/serve.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "cli/command.h"
#include "cli/serve_flags.h"
#include "cli/service_manager.h"
#include "cli/weight_text.h"
#include "server/inference_server.h"

namespace weir {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(50);
constexpr Duration kProgressCheck = std::chrono::seconds(1);
constexpr Duration kMemoryCheck = std::chrono::milliseconds(250);
// What a service manager waits for the next word while a model loads.
constexpr Duration kLoadingPatience = std::chrono::seconds(60);
// For the last bytes of answers that the engine was told to end.
constexpr Duration kFarewell = std::chrono::seconds(2);
constexpr int kInterruptedExit = 130;

TimePoint Now() { return MonotonicClock::Get().Now(); }

double Mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// SIGINT, SIGTERM and SIGHUP, kept from every thread that starts after it and read by the main thread alone.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    sigaddset(&set_, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  // The signal that came within `patience`, or 0.
  int Wait(Duration patience) const {
    const timespec time{.tv_sec = patience.count() / 1000000000, .tv_nsec = patience.count() % 1000000000};
    const int signal = sigtimedwait(&set_, nullptr, &time);
    return signal > 0 ? signal : 0;
  }
  // The same, but for SIGHUP: what is loading or ending has nothing to reload.
  int WaitToEnd(Duration patience) const {
    const int signal = Wait(patience);
    return signal == SIGHUP ? 0 : signal;
  }
  // Ends the process as if nobody had caught it.
  void Obey(int signal) const {
    std::signal(signal, SIG_DFL);
    raise(signal);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t set_;
  sigset_t before_;
};

struct Loading {
  std::atomic<bool> is_over{false};
  Result<std::unique_ptr<Engine>> engine = Unavailable("not loaded");
  std::thread thread;
};

// On a thread of its own, so that a signal ends the program while a large model is being read.
Result<std::unique_ptr<Engine>> Load(const EngineOptions& options, const Signals& signals,
                                     const ServiceManager& manager) {
  Loading loading;
  loading.thread = std::thread([&] {
    loading.engine = Engine::Create(options);
    loading.is_over.store(true, std::memory_order_release);
  });
  TimePoint next_word{};
  while (!loading.is_over.load(std::memory_order_acquire)) {
    if (Now() >= next_word) {
      manager.Loading(kLoadingPatience, fmt::format("loading {}", options.model_path));
      next_word = Now() + kLoadingPatience / 4;
    }
    if (const int signal = signals.WaitToEnd(kPoll))
      signals.Obey(signal);  // nothing is under way that could be lost
  }
  loading.thread.join();
  return std::move(loading.engine);
}

const char* Scheme(const ServeSpec& spec) { return spec.server.tls != nullptr ? "https" : "http"; }

void PrintAddresses(const ServeSpec& spec, const InferenceServer& server) {
  const std::string host = spec.server.host == "0.0.0.0" ? "127.0.0.1" : spec.server.host;
  fmt::print("weir listens at {}://{}:{} and loads {}\n", Scheme(spec), host, server.port(),
             spec.engine.model_path);
  if (spec.engine.synthetic.has_value())
    fmt::print("  warning     synthetic weights: for measuring only, every answer is noise\n");
  fmt::print("  model       {}\n", spec.server.model_name);
  for (const AdapterSpec& adapter : spec.engine.adapters)
    fmt::print("  adapter     {} from {}\n", adapter.name, adapter.path);
  if (server.control_port() != 0) {
    fmt::print("  control     http://{}:{}\n", spec.server.control_host, server.control_port());
  } else {
    fmt::print("  control     off\n");
  }
  if (const std::string switches = BrokenModeSwitches(spec); !switches.empty()) {
    fmt::print("  warning    {} rebuild(s) a broken server for comparison; do not use it otherwise\n",
               switches);
  }
  if (spec.server.keys != nullptr)
    fmt::print("  keys        {}; every request needs one{}\n", spec.server.keys->keys().size(),
               spec.server.public_routes.empty()
                   ? ""
                   : fmt::format(" but for {}", fmt::join(spec.server.public_routes, ", ")));
  if (spec.server.insecure_no_auth && spec.server.keys == nullptr)
    fmt::print("  warning     no key is asked for: everybody who can reach it may use it\n");
  std::fflush(stdout);
}

void PrintReady(const ServeSpec& spec, const InferenceServer& server, const Engine& engine,
                Duration loading) {
  const EngineOptions& options = engine.options();
  fmt::print(
      "  memory      weights {:.0f} MiB, KV cache {:.0f} MiB {} ({} blocks of 16 tokens), prefix cache {}\n",
      Mib(engine.model().memory_bytes()), Mib(engine.kv_bytes()), KvDtypeName(engine.options().kv_dtype),
      engine.num_kv_blocks(), options.prefix_cache ? "on" : "off");
  fmt::print("  weights     {}\n", DescribeWeights(engine.model().weight_facts()));
  fmt::print("  limits      {} sequences and {} tokens per step, {} waiting, context {}\n",
             options.max_num_seqs, options.max_num_batched_tokens,
             options.bounded_queue ? fmt::format("at most {}", options.max_num_queued_reqs) : "any number",
             engine.max_model_len());
  if (const std::string& why = engine.max_num_seqs_reason(); !why.empty())
    fmt::print("  automatic   --max-num-seqs {}\n", why);
  fmt::print("  compute     {} threads, {} kernels\n", options.num_threads, engine.model().isa());
  fmt::print("  ready       after {:.1f} s; try:\n", ToSeconds(loading));
  const std::string host = spec.server.host == "0.0.0.0" ? "127.0.0.1" : spec.server.host;
  const char* key = spec.server.keys != nullptr ? " -H \"Authorization: Bearer $WEIR_API_KEY\"" : "";
  if (engine.chat_template() != nullptr) {
    fmt::print(
        "curl {}://{}:{}/v1/chat/completions{} -H 'Content-Type: application/json' -d "
        "'{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n",
        Scheme(spec), host, server.port(), key, spec.server.model_name);
  } else {
    fmt::print(
        "curl {}://{}:{}/v1/completions{} -H 'Content-Type: application/json' -d "
        "'{{\"model\":\"{}\",\"prompt\":\"Hello\"}}'\n",
        Scheme(spec), host, server.port(), key, spec.server.model_name);
  }
  std::fflush(stdout);
}

// Keys, certificate and log level as flags, environment and file say now. All of it or, after a mistake, nothing.
Status Reload(const std::vector<std::string>& arguments, const ServeSpec& running, InferenceServer& server) {
  WEIR_ASSIGN_OR_RETURN(const ServeSpec wanted, RereadServeFlags(arguments));
  if ((wanted.server.keys == nullptr) != (running.server.keys == nullptr))
    return InvalidArgument("whether keys are asked for changes only with a restart");
  if ((wanted.server.tls == nullptr) != (running.server.tls == nullptr))
    return InvalidArgument("whether clients must speak TLS changes only with a restart");
  if (wanted.server.keys != nullptr) server.SetKeys(wanted.server.keys);
  if (wanted.server.tls != nullptr) server.SetTls(wanted.server.tls);
  SetLogLevel(wanted.log_level);
  std::vector<std::string> unchanged;
  for (const auto& [name, value] : wanted.values) {
    const bool is_reloaded =
        name == "log_level" || name == "api_keys_file" || name == "tls_cert" || name == "tls_key";
    if (!is_reloaded && running.values.at(name) != value) unchanged.push_back(name);
  }
  if (!unchanged.empty())
    LogWarning("reload: {} changed, which takes a restart to have an effect", fmt::join(unchanged, ", "));
  return OkStatus();
}

// Until a signal says to end, or the engine can do nothing more.
void Serve(const std::vector<std::string>& arguments, const ServeSpec& spec, const Signals& signals,
           const ServiceManager& manager, InferenceServer& server, const Engine& engine) {
  const std::string serving = fmt::format("serving {} on port {}", spec.server.model_name, server.port());
  manager.Ready(serving);
  const Duration interval = std::min(manager.watchdog_interval().value_or(kProgressCheck), kProgressCheck);
  const bool had_terminal = isatty(STDIN_FILENO) != 0;
  const int64_t memory_limit = ReadMachineMemory(spec.engine.memory_limit_bytes).total_bytes;
  TimePoint next_progress_check = Now() + interval;
  while (true) {
    const int signal = signals.Wait(std::min(interval, kMemoryCheck));
    server.ObserveMemory(ReadOwnMemory(), memory_limit);
    // A terminal that was closed means the end, as for any program that was started in one.
    if (signal == SIGHUP && had_terminal && isatty(STDIN_FILENO) == 0) return;
    if (signal == SIGHUP) {
      manager.Reloading();
      const Status status = Reload(arguments, spec, server);
      server.CountReload(status.ok());
      if (status.ok()) {
        LogInfo("reloaded keys, certificate and log level");
      } else {
        LogError("reload: {}; everything stays as it was", status.message());
      }
      manager.Ready(serving);
    } else if (signal != 0) {
      return;
    }
    if (engine.failing()) {
      LogError("the engine has failed for good; the server ends, to be started again");
      return;
    }
    if (Now() < next_progress_check) continue;
    next_progress_check = Now() + interval;
    // A manager that hears nothing more restarts the process.
    if (server.CheckProgress() && manager.watchdog_interval().has_value()) manager.Alive();
  }
}

// Not ready, but serving, until balancers have noticed. False: a second signal came.
bool WaitForBalancers(const ServeSpec& spec, const Signals& signals, InferenceServer& server) {
  if (spec.drain_delay == Duration::zero()) return true;
  fmt::print("not ready; draining in {:.0f} s\n", ToSeconds(spec.drain_delay));
  std::fflush(stdout);
  server.AnnounceDrain();
  const TimePoint end = Now() + spec.drain_delay;
  while (Now() < end) {
    if (signals.WaitToEnd(kPoll) != 0) return false;
  }
  return true;
}

// The exit code. A second signal does not wait for anything.
int Drain(const ServeSpec& spec, const Signals& signals, InferenceServer& server, Engine& engine) {
  if (!engine.failing() && !WaitForBalancers(spec, signals, server)) {
    engine.Stop();
    server.Stop();
    return kInterruptedExit;
  }
  fmt::print("draining: {} requests are under way; a second signal ends at once\n", server.num_active());
  std::fflush(stdout);
  server.BeginDrain();
  engine.BeginDrain();
  int exit_code = engine.failing() ? 1 : 0;
  const TimePoint end = Now() + spec.drain_timeout;
  while (server.num_active() > 0) {
    if (signals.WaitToEnd(kPoll) != 0) {
      exit_code = kInterruptedExit;
      break;
    }
    if (Now() >= end) {
      fmt::print(stderr,
                 "weir serve: {} requests were not finished within {:.0f} s; they end with an error\n",
                 server.num_active(), ToSeconds(spec.drain_timeout));
      exit_code = 1;
      break;
    }
  }
  engine.Stop();
  const TimePoint farewell_end = Now() + kFarewell;
  while (exit_code != kInterruptedExit && server.num_active() > 0 && Now() < farewell_end)
    signals.Wait(kPoll);
  server.Stop();
  fmt::print("drained: {} KV blocks in use\n", engine.num_kv_blocks() - engine.num_free_kv_blocks());
  return exit_code;
}

}  // namespace

int RunServe(const std::vector<std::string>& arguments) {
  const Result<std::optional<ServeSpec>> parsed = ReadServeFlags(arguments);
  if (!parsed.has_value()) return Fail("serve", parsed.error());
  if (!parsed->has_value()) return 0;
  const ServeSpec& spec = **parsed;
  SetLogLevel(spec.log_level);
  const Signals signals;
  const ServiceManager manager;
  if (spec.exits_with_parent) {
    const pid_t parent = getppid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) return 0;  // it ended in between
  }

  // The port first: a taken one is told at once, not after a minute of loading.
  Result<std::unique_ptr<InferenceServer>> server = InferenceServer::Listen(spec.server);
  if (!server.has_value()) return Fail("serve", server.error());
  PrintAddresses(spec, **server);
  const TimePoint started = Now();
  Result<std::unique_ptr<Engine>> engine = Load(spec.engine, signals, manager);
  if (!engine.has_value()) {
    (*server)->Stop();
    return Fail("serve", engine.error());
  }
  (*server)->Attach(engine->get());
  (*engine)->Start();
  PrintReady(spec, **server, **engine, Now() - started);

  Serve(arguments, spec, signals, manager, **server, **engine);
  manager.Stopping(spec.drain_delay + spec.drain_timeout + 2 * kFarewell, "draining");
  return Drain(spec, signals, **server, **engine);
}

}  // namespace weir
