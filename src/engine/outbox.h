// The events of one step on their way to their readers: pushed together, and every sink woken once.
//
// Owns      references to the streams until Deliver() ends
// Threads   engine thread only
#pragma once

#include <memory>
#include <vector>

#include "engine/request/request_stream.h"

namespace weir {

class Outbox {
 public:
  void Add(std::shared_ptr<RequestStream> stream, TokenEvent event);
  bool empty() const { return items_.empty(); }
  // Returns the streams whose ring was full; what was meant for them is lost.
  std::vector<std::shared_ptr<RequestStream>> Deliver();

 private:
  struct Item {
    std::shared_ptr<RequestStream> stream;
    TokenEvent event;
  };
  struct News {
    EventSink* sink = nullptr;
    std::vector<std::shared_ptr<RequestStream>> streams;
  };

  std::vector<Item> items_;
  std::vector<News> news_;  // one per sink ever seen; few, kept to reuse their memory
};

}  // namespace weir
