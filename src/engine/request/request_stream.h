// The reader's end of one request: its events in order, and the means to stop it.
//
// Owns      a bounded single-producer single-consumer ring; shared by engine and reader
// Threads   Push: engine thread. Pop, Cancel: the reader's thread. ledger(): the reader, after the final
// event
//
// A reader that leaves the ring full is cancelled as a slow reader; the engine never waits.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/request/ledger.h"
#include "engine/request/token_event.h"

namespace weir {

class RequestStream;

// Called by the engine at most once per step with the streams that have news for this sink (the last news
// included).
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void OnNews(std::span<const std::shared_ptr<RequestStream>> streams) noexcept = 0;
};

class RequestStream {
 public:
  static constexpr int kCapacity = 1024;

  // `max_events` is what the request can produce at most: a short answer does not pay for a long ring.
  RequestStream(std::string id, EventSink* sink, int max_events = kCapacity);

  const std::string& id() const { return id_; }
  EventSink* sink() const { return sink_; }
  // For the reader: whatever it wants to find again when OnNews names this stream.
  void set_context(std::shared_ptr<void> context) { context_ = std::move(context); }
  const std::shared_ptr<void>& context() const { return context_; }

  bool Pop(TokenEvent* event);
  void Cancel() { cancelled_.store(true, std::memory_order_release); }
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

  // Engine side. False when the ring is full (one place is kept for the final event, of which there is one).
  bool Push(TokenEvent event);
  bool finished() const { return finished_; }  // engine thread: the final event was pushed
  Ledger& ledger() { return ledger_; }

 private:
  std::string id_;
  EventSink* sink_;
  std::shared_ptr<void> context_;
  std::vector<TokenEvent> ring_;   // a power of two, so that counters may wrap
  std::atomic<uint32_t> head_{0};  // next to write; the engine's
  std::atomic<uint32_t> tail_{0};  // next to read; the reader's
  bool finished_ = false;
  std::atomic<bool> cancelled_{false};
  Ledger ledger_;
};

}  // namespace weir
