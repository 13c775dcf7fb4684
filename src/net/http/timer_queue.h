// Many timers on one asio timer. A handle holds no asio object, so it may outlive the io context.
//
// Units     absolute monotonic time
// Owns      one steady_timer; functions without a handle, until they ran
// Threads   the io context's thread only
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>

#include "base/clock.h"

namespace weir {

class TimerQueue {
 public:
  struct Entry {
    std::function<void()> function;
  };

  explicit TimerQueue(boost::asio::io_context& context) : timer_(context) {}

  // Runs the entry's function at `when`, unless the entry is gone by then.
  void Add(TimePoint when, const std::shared_ptr<Entry>& entry);
  void AddDetached(TimePoint when, std::function<void()> function);

 private:
  struct Item {
    std::weak_ptr<Entry> entry;
    std::shared_ptr<Entry> owned;  // detached ones
  };

  void Insert(TimePoint when, Item item);
  void Arm();
  void RunDue();

  boost::asio::steady_timer timer_;
  std::multimap<TimePoint, Item> items_;
  bool armed_ = false;
  TimePoint armed_for_{};
};

}  // namespace weir
