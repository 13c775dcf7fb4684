#include "server/inference_server.h"

#include <fmt/format.h>

#include <thread>
#include <utility>

namespace weir {
namespace {

bool IsLoopbackAddress(const std::string& host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

// On few cores a second io thread would only take time from the kernels.
int NumIoThreads() { return std::thread::hardware_concurrency() <= 4 ? 1 : 2; }

Result<std::unique_ptr<HttpServer>> ListenForControl(const ServerOptions& options, HttpHandler* handler) {
  HttpServerOptions http{.host = options.host, .port = options.control_port, .num_io_threads = 1};
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
  if (!IsLoopbackAddress(options.host) && !options.insecure_no_auth) {
    return InvalidArgument(
               fmt::format(
                   "--host {} can be reached from other machines, and this server asks for no key; use "
                   "127.0.0.1, or give --insecure-no-auth if everybody may use it",
                   options.host))
        .WithParam("--host");
  }
  std::unique_ptr<InferenceServer> server(new InferenceServer(std::move(options)));
  const ServerOptions& chosen = server->context_.options;
  WEIR_ASSIGN_OR_RETURN(
      server->data_,
      HttpServer::Listen({.host = chosen.host, .port = chosen.port, .num_io_threads = NumIoThreads()},
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
