#include "net/http/io_thread.h"

#include <pthread.h>
#include <time.h>

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace weir {

IoThread::IoThread(const char* name)
    : name_(name), context_(1), work_(boost::asio::make_work_guard(context_)), timers_(context_) {}

IoThread::~IoThread() { Stop(nullptr); }

Status IoThread::Start() {
  try {
    thread_ = std::thread([this] { Run(); });
  } catch (const std::system_error& error) {
    return Unavailable(std::string("cannot start the thread ") + name_ + ": " + error.what());
  }
  pthread_setname_np(thread_.native_handle(), name_);
  return OkStatus();
}

void IoThread::Stop(std::function<void()> last) {
  if (!thread_.joinable()) return;
  Post([this, last = std::move(last)] {
    if (last) last();
    context_.stop();
  });
  thread_.join();
}

void IoThread::Run() {
  while (true) {
    try {
      context_.run();
      return;
    } catch (const std::exception& error) {
      LogError("{}: an exception reached the io loop: {}", name_, error.what());
    }
  }
}

void IoThread::Post(std::function<void()> function) { boost::asio::post(context_, std::move(function)); }

std::shared_ptr<void> IoThread::PostAfter(Duration delay, std::function<void()> function) {
  auto entry = std::make_shared<TimerQueue::Entry>();
  entry->function = std::move(function);
  const TimePoint when = MonotonicClock::Get().Now() + delay;
  boost::asio::dispatch(context_, [this, when, weak = std::weak_ptr<TimerQueue::Entry>(entry)] {
    if (const auto alive = weak.lock()) timers_.Add(when, alive);
  });
  return entry;
}

void IoThread::PostAt(TimePoint when, std::function<void()> function) {
  boost::asio::dispatch(context_, [this, when, function = std::move(function)]() mutable {
    timers_.AddDetached(when, std::move(function));
  });
}

Duration IoThread::cpu_time() const {
  clockid_t clock{};
  timespec used{};
  // The handle stays valid until the join.
  if (!thread_.joinable() ||
      pthread_getcpuclockid(const_cast<std::thread&>(thread_).native_handle(), &clock) != 0 ||
      clock_gettime(clock, &used) != 0) {
    return Duration(0);
  }
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

const std::string& IoThread::Date() {
  const std::time_t now = std::time(nullptr);
  if (now != date_second_) {
    date_second_ = now;
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[64];
    // %a and %b follow the C locale, which the program never changes.
    date_.assign(text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts));
  }
  return date_;
}

}  // namespace weir
