#include "engine/outbox.h"

#include <algorithm>
#include <utility>

namespace weir {

void Outbox::Add(std::shared_ptr<RequestStream> stream, TokenEvent event) {
  items_.push_back({std::move(stream), std::move(event)});
}

std::vector<std::shared_ptr<RequestStream>> Outbox::Deliver() {
  std::vector<std::shared_ptr<RequestStream>> full;
  for (Item& item : items_) {
    EventSink* const sink = item.stream->sink();
    if (!item.stream->Push(std::move(item.event))) {
      full.push_back(std::move(item.stream));
      continue;
    }
    if (sink == nullptr) continue;
    auto news = std::find_if(news_.begin(), news_.end(), [&](const News& n) { return n.sink == sink; });
    if (news == news_.end()) news = news_.insert(news_.end(), News{.sink = sink, .streams = {}});
    news->streams.push_back(std::move(item.stream));
  }
  items_.clear();
  for (News& news : news_) {
    if (!news.streams.empty()) news.sink->OnNews(news.streams);
    news.streams.clear();
  }
  // A sink that had no news may be gone before the next step, and its address may come back as another's.
  if (news_.size() > 8) news_.clear();
  return full;
}

}  // namespace weir
