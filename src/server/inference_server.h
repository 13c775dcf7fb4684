// START HERE. The two listeners around one engine: data for clients, control for operators and measurement.
//
// Requires  Attach() before Engine::Start(). To end: BeginDrain(), wait for num_active() to become 0, Engine::Stop(),
//           then Stop(), then destroy in any order
// Owns      listeners, io threads, metrics, ledgers
// Errors    Listen: UNAVAILABLE when a port is taken, INVALID_ARGUMENT for an address that others could reach without a key
//           and for what else server/access.h refuses
// Threads   one owner; num_active() from any
//
// It answers from the moment it listens: health at once, everything about the model once an engine is attached.
#pragma once

#include <memory>

#include "base/result.h"
#include "engine/engine.h"
#include "net/http/server.h"
#include "server/progress_watchdog.h"
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
  // Requests under way keep theirs. Requires ServerOptions::keys.
  void SetKeys(std::shared_ptr<const KeyRing> keys);
  // Of new connections; requires ServerOptions::tls.
  void SetTls(std::shared_ptr<const TlsContext> tls);
  void CountReload(bool ok) { context_.metrics.CountReload(ok); }
  // To be called about once a second. False while there is work and no progress, which /health then says as well.
  bool CheckProgress();
  // To be called about four times a second: what the process uses of what it may, in bytes.
  void ObserveMemory(int64_t used, int64_t limit);
  // No longer ready, so that balancers look elsewhere; everything is still answered.
  void AnnounceDrain() { context_.leaving.store(true, std::memory_order_release); }
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
  ProgressWatchdog watchdog_;
  MemoryLadder memory_;
  std::unique_ptr<HttpServer> data_;
  std::unique_ptr<HttpServer> control_;
};

}  // namespace weir
