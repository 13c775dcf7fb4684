// One thread that runs one asio context, with its timers. Server and client are both built on it.
//
// Owns      the thread; Stop() ends it and is idempotent, also run by the destructor
// Errors    an exception out of a posted function is logged and the loop goes on
// Threads   Post, PostAt and PostAfter from any thread, also after Stop(), when they do nothing
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "net/http/server.h"
#include "net/http/timer_queue.h"

namespace weir {

class IoThread final : public IoContext {
 public:
  explicit IoThread(const char* name);
  ~IoThread() override;
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  Status Start();  // UNAVAILABLE when the system gives no thread
  // Runs `last` on the thread, then ends the loop and joins.
  void Stop(std::function<void()> last);

  void Post(std::function<void()> function) override;
  std::shared_ptr<void> PostAfter(Duration delay, std::function<void()> function) override;
  void PostAt(TimePoint when, std::function<void()> function);

  boost::asio::io_context& context() { return context_; }
  TimerQueue& timers() { return timers_; }  // on the thread only
  Duration cpu_time() const;
  // For the Date header; formatted once a second. On the thread only.
  const std::string& Date();

 private:
  void Run();

  const char* name_;
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  TimerQueue timers_;
  std::thread thread_;
  std::string date_;
  std::time_t date_second_ = 0;
};

}  // namespace weir
