#include "server/server_context.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "base/utf8.h"

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
  if (memory.load(std::memory_order_relaxed) == MemoryStep::kRefuse) {
    return ResourceExhausted(
               "the server's memory is nearly used up, so it takes no new requests for now; try again later")
        .WithReason("memory_pressure");
  }
  return OkStatus();
}

Result<int> ServerContext::FindModel(const std::string& name) const {
  if (name == options.model_name) return 0;
  const auto& adapters = options.adapter_names;
  const auto found = std::find(adapters.begin(), adapters.end(), name);
  if (found != adapters.end()) return static_cast<int>(found - adapters.begin()) + 1;
  return NotFound(
             fmt::format("there is no model \"{}\" here; this server has \"{}\"{}", QuoteForMessage(name),
                         options.model_name,
                         adapters.empty() ? "" : fmt::format(" and \"{}\"", fmt::join(adapters, "\", \""))))
      .WithReason("model_not_found")
      .WithParam("model");
}

int ServerContext::NumConnections() const {
  const HttpServer* listener = data_listener.load(std::memory_order_acquire);
  return listener == nullptr ? 0 : listener->num_connections();
}

int64_t ServerContext::UnixTime() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

int64_t ServerContext::EstimatedPromptTokens(std::optional<uint64_t> body_bytes) const {
  constexpr uint64_t kUnknownBodyBytes = 16 << 10;
  return static_cast<int64_t>(static_cast<double>(body_bytes.value_or(kUnknownBodyBytes)) *
                              tokens_per_body_byte.load(std::memory_order_relaxed));
}

EventRelay* ServerContext::RelayOf(IoContext& io) {
  MutexLock lock(mutex_);
  std::unique_ptr<EventRelay>& relay = relays_[&io];
  if (relay == nullptr) relay = std::make_unique<EventRelay>(io);
  return relay.get();
}

std::shared_ptr<const KeyRing> ServerContext::Keys() const {
  MutexLock lock(mutex_);
  return keys_;
}

void ServerContext::SetKeys(std::shared_ptr<const KeyRing> keys) {
  CHECK(options.keys != nullptr && keys != nullptr);
  MutexLock lock(mutex_);
  keys_ = std::move(keys);
}

void ServerContext::Close(ClosedRequest request) {
  metrics.ObserveClosed(request);
  if (LogEnabled(LogLevel::kInfo)) LogRaw(AccessLogLine(request));
  ring.Add(std::move(request));
}

}  // namespace weir
