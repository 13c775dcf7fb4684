#include "server/server_context.h"

#include <utility>

#include "base/log.h"

namespace weir {

Status ServerContext::Availability() const {
  if (draining.load(std::memory_order_acquire)) {
    return Unavailable(
               "the server is shutting down and takes no new requests; send this one to another instance")
        .WithReason("draining");
  }
  if (engine.load(std::memory_order_acquire) == nullptr) {
    return Unavailable("the model is still loading; try again shortly").WithReason("model_loading");
  }
  return OkStatus();
}

int ServerContext::NumConnections() const {
  const HttpServer* listener = data_listener.load(std::memory_order_acquire);
  return listener == nullptr ? 0 : listener->num_connections();
}

int64_t ServerContext::UnixTime() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

EventRelay* ServerContext::RelayOf(IoContext& io) {
  MutexLock lock(mutex_);
  std::unique_ptr<EventRelay>& relay = relays_[&io];
  if (relay == nullptr) relay = std::make_unique<EventRelay>(io);
  return relay.get();
}

void ServerContext::Close(ClosedRequest request) {
  metrics.ObserveClosed(request);
  if (LogEnabled(LogLevel::kInfo)) LogRaw(AccessLogLine(request));
  ring.Add(std::move(request));
}

}  // namespace weir
