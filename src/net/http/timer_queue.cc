#include "net/http/timer_queue.h"

#include <exception>
#include <utility>

#include "base/log.h"

namespace weir {

void TimerQueue::Add(TimePoint when, const std::shared_ptr<Entry>& entry) { Insert(when, {entry, nullptr}); }

void TimerQueue::AddDetached(TimePoint when, std::function<void()> function) {
  auto entry = std::make_shared<Entry>();
  entry->function = std::move(function);
  Insert(when, {entry, entry});
}

void TimerQueue::Insert(TimePoint when, Item item) {
  items_.emplace(when, std::move(item));
  Arm();
}

void TimerQueue::Arm() {
  if (items_.empty()) return;
  const TimePoint first = items_.begin()->first;
  if (armed_ && armed_for_ <= first) return;
  armed_ = true;
  armed_for_ = first;
  timer_.expires_at(first);  // cancels the wait for a later time
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) RunDue();
  });
}

void TimerQueue::RunDue() {
  armed_ = false;
  const TimePoint now = MonotonicClock::Get().Now();
  while (!items_.empty() && items_.begin()->first <= now) {
    const Item item = std::move(items_.begin()->second);
    items_.erase(items_.begin());
    if (const std::shared_ptr<Entry> entry = item.entry.lock()) {
      const std::function<void()> function = std::move(entry->function);
      try {
        if (function) function();
      } catch (const std::exception& error) {
        LogError("http: a timer's function threw: {}", error.what());
      }
    }
  }
  Arm();
}

}  // namespace weir
