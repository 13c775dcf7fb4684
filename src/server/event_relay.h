// Carries the engine's news to one io thread: at most one wake-up per step, whatever the number of streams.
//
// Requires  streams whose context is a StreamReader; outlives the engine's use of it
// Threads   OnNews: engine. Readers are called on the io thread
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "engine/request/request_stream.h"
#include "net/http/server.h"

namespace weir {

// What a stream's context points to.
struct StreamReader {
  std::function<void()> on_news;
};

class EventRelay final : public EventSink {
 public:
  explicit EventRelay(IoContext& io) : io_(io) {}

  void OnNews(std::span<const std::shared_ptr<RequestStream>> streams) noexcept override;

 private:
  void Visit();

  IoContext& io_;
  Mutex mutex_;
  std::vector<std::shared_ptr<RequestStream>> pending_ GUARDED_BY(mutex_);
  bool is_posted_ GUARDED_BY(mutex_) = false;
};

}  // namespace weir
