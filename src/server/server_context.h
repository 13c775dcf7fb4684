// What all requests of one server share.
//
// Owns      metrics, ledger ring and relays; the engine belongs to whoever attached it
// Threads   any
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "engine/engine.h"
#include "server/event_relay.h"
#include "server/grammar_compiler.h"
#include "server/ledger_ring.h"
#include "server/server_metrics.h"

namespace weir {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;
  int control_port = 0;  // 0: any free port
  bool has_control = true;
  bool control_port_may_move = true;  // to any free port when the wanted one is taken
  std::string model_name;
  bool cancel_on_disconnect = true;
  bool bounded_queue = true;
  bool sequential = false;  // told by /version and by the reports
  bool insecure_no_auth = false;
  bool reject_unknown_params = false;
  std::vector<std::string> allowed_hosts;
  Duration max_request_time = std::chrono::seconds(600);
  Duration sse_keep_alive = std::chrono::seconds(10);
  bool server_timing = true;
};

struct ServerContext {
  explicit ServerContext(ServerOptions server_options)
      : options(std::move(server_options)), metrics(options.model_name) {}

  const ServerOptions options;
  ServerMetrics metrics;
  LedgerRing ring;
  GrammarCompiler grammars;
  std::atomic<Engine*> engine{nullptr};  // null: still loading
  std::atomic<bool> draining{false};
  std::atomic<int> num_active{0};  // generation requests that are not closed
  std::atomic<double> tokens_per_body_byte{0.25};
  std::atomic<int> control_port{0};
  const int64_t created_s = UnixTime();
  std::atomic<const HttpServer*> data_listener{nullptr};

  // OK: requests may go ahead. Otherwise UNAVAILABLE.
  Status Availability() const;
  int NumConnections() const;
  static int64_t UnixTime();
  EventRelay* RelayOf(IoContext& io);
  // The end of every generation request: ring, metrics, access log.
  void Close(ClosedRequest request);

 private:
  Mutex mutex_;
  std::map<IoContext*, std::unique_ptr<EventRelay>> relays_ GUARDED_BY(mutex_);
};

}  // namespace weir
