#include "engine/request/request_stream.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace weir {

RequestStream::RequestStream(std::string id, EventSink* sink, int max_events)
    : id_(std::move(id)),
      sink_(sink),
      // One more than it can produce: the place of the final event is never used by another.
      ring_(std::bit_ceil(static_cast<uint32_t>(std::clamp(max_events + 1, 2, kCapacity)))) {}

bool RequestStream::Pop(TokenEvent* event) {
  const uint32_t tail = tail_.load(std::memory_order_relaxed);
  if (tail == head_.load(std::memory_order_acquire)) return false;
  *event = std::move(ring_[tail & (ring_.size() - 1)]);
  tail_.store(tail + 1, std::memory_order_release);
  return true;
}

bool RequestStream::Push(TokenEvent event) {
  CHECK(!finished_);
  const bool is_final = event.finish != FinishReason::kNone;
  const uint32_t head = head_.load(std::memory_order_relaxed);
  const uint32_t num_unread = head - tail_.load(std::memory_order_acquire);
  const uint32_t room = static_cast<uint32_t>(ring_.size()) - (is_final ? 0 : 1);
  if (num_unread >= room) return false;
  // Before the event becomes visible: from then on the stream belongs to the reader.
  finished_ = is_final;
  ring_[head & (ring_.size() - 1)] = std::move(event);
  head_.store(head + 1, std::memory_order_release);
  return true;
}

}  // namespace weir
