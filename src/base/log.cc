#include "base/log.h"

#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

namespace weir {
namespace {

constexpr size_t kQueueLines = 8192;

// Two loggers share one thread: the second writes lines as they are. Only that thread writes, so the sinks need no lock.
struct Loggers {
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::shared_ptr<spdlog::async_logger> text;
  std::shared_ptr<spdlog::async_logger> raw;

  Loggers() {
    pool = std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1);
    auto text_sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
    text_sink->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    auto raw_sink = std::make_shared<spdlog::sinks::stderr_sink_st>();
    raw_sink->set_pattern("%v");
    text = std::make_shared<spdlog::async_logger>("text", text_sink, pool,
                                                  spdlog::async_overflow_policy::overrun_oldest);
    raw = std::make_shared<spdlog::async_logger>("raw", raw_sink, pool,
                                                 spdlog::async_overflow_policy::overrun_oldest);
    text->set_level(spdlog::level::trace);
  }
};

Loggers& Get() {
  static Loggers loggers;
  return loggers;
}

std::atomic<LogLevel> current_level{LogLevel::kInfo};

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

}  // namespace

void SetLogLevel(LogLevel level) { current_level.store(level, std::memory_order_relaxed); }

bool LogEnabled(LogLevel level) { return level >= current_level.load(std::memory_order_relaxed); }

void LogLine(LogLevel level, std::string_view line) { Get().text->log(ToSpdlog(level), line); }

void LogRaw(std::string_view line) { Get().raw->log(spdlog::level::info, line); }

uint64_t LogDropped() { return Get().pool->overrun_counter(); }

void FlushLog() {
  Get().text->flush();
  Get().raw->flush();
}

}  // namespace weir
