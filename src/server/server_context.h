// What all requests of one server share.
//
// Owns      metrics, ledger ring and relays; the engine belongs to whoever attached it
// Threads   any
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "engine/engine.h"
#include "net/http/tls_context.h"
#include "server/event_relay.h"
#include "server/grammar_compiler.h"
#include "server/key_limiter.h"
#include "server/key_ring.h"
#include "server/ledger_ring.h"
#include "server/memory_ladder.h"
#include "server/server_metrics.h"

namespace weir {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;
  std::string control_host = "127.0.0.1";
  int control_port = 0;  // 0: any free port
  bool has_control = true;
  bool control_port_may_move = true;  // to any free port when the wanted one is taken
  std::string model_name{};
  std::vector<std::string> adapter_names{};  // of the engine's adapters, in their order
  bool cancel_on_disconnect = true;
  bool bounded_queue = true;
  bool sequential = false;                // told by /version and by the reports
  std::shared_ptr<const KeyRing> keys{};  // null: no key is asked for; ServerContext::SetKeys() replaces them
  std::vector<std::string> public_routes{};  // that need no key
  bool insecure_no_auth = false;
  bool reject_unknown_params = false;
  std::vector<std::string> allowed_hosts{};
  std::shared_ptr<const TlsContext> tls{};  // of the data listener; null: plain HTTP
  std::vector<std::string> cors_origins{};  // sites whose pages may send requests
  Duration max_request_time = std::chrono::seconds(600);
  Duration sse_keep_alive = std::chrono::seconds(10);
  bool server_timing = true;
  int stream_interval = 1;  // tokens in one event of a stream
  int max_connections = 1024;
  size_t ledger_ring = LedgerRing::kCapacity;  // closed requests that are remembered
};

struct ServerContext {
  explicit ServerContext(ServerOptions server_options)
      : options(std::move(server_options)),
        metrics(options.model_name, options.adapter_names),
        ring(options.ledger_ring),
        keys_(options.keys) {}

  const ServerOptions options;
  ServerMetrics metrics;
  KeyLimiter key_limiter;
  LedgerRing ring;
  GrammarCompiler grammars;
  std::atomic<Engine*> engine{nullptr};  // null: still loading
  std::atomic<bool> draining{false};
  std::atomic<bool> leaving{false};  // a drain is announced: not ready, but still serving
  std::atomic<MemoryStep> memory{MemoryStep::kNone};
  std::atomic<bool> stalled{false};  // work waits and the engine does not get on
  std::atomic<int> num_active{0};    // generation requests that are not closed
  std::atomic<double> tokens_per_body_byte{0.25};
  std::atomic<int> control_port{0};
  const int64_t created_s = UnixTime();
  std::atomic<const HttpServer*> data_listener{nullptr};

  // OK: requests may go ahead. Otherwise UNAVAILABLE, or RESOURCE_EXHAUSTED "memory_pressure".
  Status Availability() const;
  // What a request's `model` names: 0 the model itself, 1, 2, ... the engine's adapters. NOT_FOUND otherwise.
  Result<int> FindModel(const std::string& name) const;
  int NumConnections() const;
  static int64_t UnixTime();
  // Of a body of that length, by what bodies had so far; a body without one counts as 16 KiB.
  int64_t EstimatedPromptTokens(std::optional<uint64_t> body_bytes) const;
  EventRelay* RelayOf(IoContext& io);
  // Those of the last reload; null when no key is asked for.
  std::shared_ptr<const KeyRing> Keys() const;
  // Requires options.keys: a server that asked for no key does not begin to.
  void SetKeys(std::shared_ptr<const KeyRing> keys);
  // The end of every generation request: ring, metrics, access log.
  void Close(ClosedRequest request);

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const KeyRing> keys_ GUARDED_BY(mutex_);
  std::map<IoContext*, std::unique_ptr<EventRelay>> relays_ GUARDED_BY(mutex_);
};

}  // namespace weir
