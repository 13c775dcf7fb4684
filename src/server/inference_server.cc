#include "server/inference_server.h"

#include <thread>
#include <utility>

#include "base/log.h"
#include "server/access.h"
#include "server/thread_states.h"

namespace weir {
namespace {

// On few cores a second io thread would only take time from the kernels.
int NumIoThreads() { return std::thread::hardware_concurrency() <= 4 ? 1 : 2; }

Result<std::unique_ptr<HttpServer>> ListenForControl(const ServerOptions& options, HttpHandler* handler) {
  HttpServerOptions http{.host = options.control_host, .port = options.control_port, .num_io_threads = 1};
  Result<std::unique_ptr<HttpServer>> listener = HttpServer::Listen(http, handler);
  if (listener.has_value() || !options.control_port_may_move) return listener;
  http.port = 0;
  return HttpServer::Listen(http, handler);
}

}  // namespace

InferenceServer::InferenceServer(ServerOptions options)
    : context_(std::move(options)),
      data_router_(&context_, kDataListener),
      control_router_(&context_, kControlListener) {}

InferenceServer::~InferenceServer() { Stop(); }

Result<std::unique_ptr<InferenceServer>> InferenceServer::Listen(ServerOptions options) {
  WEIR_RETURN_IF_ERROR(CheckAccessOptions(options));
  std::unique_ptr<InferenceServer> server(new InferenceServer(std::move(options)));
  const ServerOptions& chosen = server->context_.options;
  WEIR_ASSIGN_OR_RETURN(server->data_, HttpServer::Listen({.host = chosen.host,
                                                           .port = chosen.port,
                                                           .num_io_threads = NumIoThreads(),
                                                           .max_connections = chosen.max_connections,
                                                           .tls = chosen.tls},
                                                          &server->data_router_));
  server->context_.data_listener.store(server->data_.get(), std::memory_order_release);
  if (chosen.has_control) {
    WEIR_ASSIGN_OR_RETURN(server->control_, ListenForControl(chosen, &server->control_router_));
    server->context_.control_port = server->control_->port();
  }
  return server;
}

void InferenceServer::Attach(Engine* engine) {
  engine->set_step_observer([this](const StepRecord& step) { context_.metrics.ObserveStep(step); });
  context_.engine.store(engine, std::memory_order_release);
}

void InferenceServer::SetKeys(std::shared_ptr<const KeyRing> keys) { context_.SetKeys(std::move(keys)); }

void InferenceServer::SetTls(std::shared_ptr<const TlsContext> tls) { data_->SetTls(std::move(tls)); }

bool InferenceServer::CheckProgress() {
  const Engine* engine = context_.engine.load(std::memory_order_acquire);
  if (engine == nullptr) return true;
  const bool stalled =
      watchdog_.Observe(!engine->idle(), engine->last_step_ended(), FromSeconds(engine->Load().step_seconds),
                        MonotonicClock::Get().Now());
  if (stalled && !context_.stalled.load()) {
    LogError("the engine has work and has not finished a step for too long; its threads:");
    for (const std::string& thread : ThreadStates()) LogError("  {}", thread);
  }
  if (!stalled && context_.stalled.load()) LogWarning("the engine gets on again");
  context_.stalled.store(stalled);
  return !stalled;
}

void InferenceServer::ObserveMemory(int64_t used, int64_t limit) {
  const MemoryStep before = memory_.step();
  const MemoryStep step = memory_.Observe(used, limit);
  if (step == before) return;
  constexpr int64_t kMib = 1 << 20;
  LogWarning("memory: {} of {} MiB are used; {}", used / kMib, limit / kMib,
             step == MemoryStep::kRefuse ? "new requests are refused"
             : step == MemoryStep::kSpare
                 ? "connections close after each answer, the prefix cache does not grow"
                 : "there is room again");
  context_.memory.store(step, std::memory_order_relaxed);
  data_->SetClosesAfterResponse(step != MemoryStep::kNone);
  if (Engine* engine = context_.engine.load(std::memory_order_acquire))
    engine->SetPrefixCacheGrows(step == MemoryStep::kNone);
}

void InferenceServer::BeginDrain() {
  context_.draining.store(true, std::memory_order_release);
  data_->BeginDrain();
}

void InferenceServer::Stop() {
  context_.grammars.Stop();  // it posts to the io threads
  if (data_ != nullptr) data_->Stop();
  if (control_ != nullptr) control_->Stop();
}

}  // namespace weir
