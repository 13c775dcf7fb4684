// START HERE. The two listeners around one engine: data for clients, control for operators and measurement.
//
// Requires  Attach() before Engine::Start(). To end: BeginDrain(), wait for num_active() to become 0, Engine::Stop(),
//           then Stop(), then destroy in any order
// Owns      listeners, io threads, metrics, ledgers
// Errors    Listen: UNAVAILABLE when a port is taken, INVALID_ARGUMENT for an address that others could reach without a key
// Threads   one owner; num_active() from any
//
// It answers from the moment it listens: health at once, everything about the model once an engine is attached.
#pragma once

#include <memory>

#include "base/result.h"
#include "engine/engine.h"
#include "net/http/server.h"
#include "server/router.h"
#include "server/server_context.h"

namespace weir {

class InferenceServer {
 public:
  static Result<std::unique_ptr<InferenceServer>> Listen(ServerOptions options);
  ~InferenceServer();

  int port() const { return data_->port(); }
  int control_port() const { return context_.control_port.load(); }  // 0: off

  void Attach(Engine* engine);
  // New requests get 503 from now on; those under way go on.
  void BeginDrain();
  // Generation requests whose ledger is not closed.
  int num_active() const { return context_.num_active.load(std::memory_order_acquire); }
  void Stop();

 private:
  explicit InferenceServer(ServerOptions options);

  ServerContext context_;
  Router data_router_;
  Router control_router_;
  std::unique_ptr<HttpServer> data_;
  std::unique_ptr<HttpServer> control_;
};

}  // namespace weir
