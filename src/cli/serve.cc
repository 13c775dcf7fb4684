#include "cli/serve.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>
#include <utility>

#include "cli/command.h"
#include "cli/serve_flags.h"
#include "cli/weight_text.h"
#include "server/inference_server.h"

namespace weir {
namespace {

constexpr Duration kPoll = std::chrono::milliseconds(50);
// For the last bytes of answers that the engine was told to end.
constexpr Duration kFarewell = std::chrono::seconds(2);

TimePoint Now() { return MonotonicClock::Get().Now(); }

double Mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// SIGINT and SIGTERM, kept from every thread that starts after it and read by the main thread alone.
class Signals {
 public:
  Signals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  // The signal that came within `patience`, or 0.
  int Wait(Duration patience) const {
    const timespec time{.tv_sec = patience.count() / 1000000000, .tv_nsec = patience.count() % 1000000000};
    const int signal = sigtimedwait(&set_, nullptr, &time);
    return signal > 0 ? signal : 0;
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
Result<std::unique_ptr<Engine>> Load(const EngineOptions& options, const Signals& signals) {
  Loading loading;
  loading.thread = std::thread([&] {
    loading.engine = Engine::Create(options);
    loading.is_over.store(true, std::memory_order_release);
  });
  while (!loading.is_over.load(std::memory_order_acquire)) {
    if (const int signal = signals.Wait(kPoll))
      signals.Obey(signal);  // nothing is under way that could be lost
  }
  loading.thread.join();
  return std::move(loading.engine);
}

void PrintAddresses(const ServeSpec& spec, const InferenceServer& server) {
  const std::string host = spec.server.host == "0.0.0.0" ? "127.0.0.1" : spec.server.host;
  fmt::print("weir listens at http://{}:{} and loads {}\n", host, server.port(), spec.engine.model_path);
  if (spec.engine.synthetic.has_value())
    fmt::print("  warning     synthetic weights: for measuring only, every answer is noise\n");
  fmt::print("  model       {}\n", spec.server.model_name);
  if (server.control_port() != 0) {
    fmt::print("  control     http://{}:{}\n", host, server.control_port());
  } else {
    fmt::print("  control     off\n");
  }
  if (const std::string switches = BrokenModeSwitches(spec); !switches.empty()) {
    fmt::print("  warning    {} rebuild(s) a broken server for comparison; do not use it otherwise\n",
               switches);
  }
  if (spec.server.insecure_no_auth)
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
  fmt::print("  compute     {} threads, {} kernels\n", options.num_threads, engine.model().isa());
  fmt::print("  ready       after {:.1f} s; try:\n", ToSeconds(loading));
  const std::string host = spec.server.host == "0.0.0.0" ? "127.0.0.1" : spec.server.host;
  if (engine.chat_template() != nullptr) {
    fmt::print(
        "curl http://{}:{}/v1/chat/completions -H 'Content-Type: application/json' -d "
        "'{{\"model\":\"{}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n",
        host, server.port(), spec.server.model_name);
  } else {
    fmt::print(
        "curl http://{}:{}/v1/completions -H 'Content-Type: application/json' -d "
        "'{{\"model\":\"{}\",\"prompt\":\"Hello\"}}'\n",
        host, server.port(), spec.server.model_name);
  }
  std::fflush(stdout);
}

// The exit code. A second signal does not wait for anything.
int Drain(const ServeSpec& spec, const Signals& signals, InferenceServer& server, Engine& engine) {
  fmt::print("draining: {} requests are under way; a second signal ends at once\n", server.num_active());
  std::fflush(stdout);
  server.BeginDrain();
  engine.BeginDrain();
  int exit_code = 0;
  const TimePoint end = Now() + spec.drain_timeout;
  while (server.num_active() > 0) {
    if (signals.Wait(kPoll) != 0) {
      exit_code = 130;
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
  while (exit_code != 130 && server.num_active() > 0 && Now() < farewell_end) signals.Wait(kPoll);
  server.Stop();
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
  Result<std::unique_ptr<Engine>> engine = Load(spec.engine, signals);
  if (!engine.has_value()) {
    (*server)->Stop();
    return Fail("serve", engine.error());
  }
  (*server)->Attach(engine->get());
  (*engine)->Start();
  PrintReady(spec, **server, **engine, Now() - started);

  while (signals.Wait(std::chrono::seconds(3600)) == 0) {
  }
  return Drain(spec, signals, **server, **engine);
}

}  // namespace weir
