#include "server/event_relay.h"

#include <utility>

namespace weir {

void EventRelay::OnNews(std::span<const std::shared_ptr<RequestStream>> streams) noexcept {
  {
    MutexLock lock(mutex_);
    pending_.insert(pending_.end(), streams.begin(), streams.end());
    if (is_posted_) return;
    is_posted_ = true;
  }
  io_.Post([this] { Visit(); });
}

void EventRelay::Visit() {
  std::vector<std::shared_ptr<RequestStream>> streams;
  {
    MutexLock lock(mutex_);
    streams.swap(pending_);
    is_posted_ = false;
  }
  for (const std::shared_ptr<RequestStream>& stream : streams) {
    // A copy: the reader may let go of itself while it runs.
    const std::shared_ptr<void> context = stream->context();
    static_cast<StreamReader*>(context.get())->on_news();
  }
}

}  // namespace weir
