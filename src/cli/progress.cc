#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace weir {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kPlainLine = std::chrono::seconds(10);
// Work that ends sooner needs no progress: what fails at once is then one clear line and nothing else.
constexpr Duration kQuiet = std::chrono::seconds(2);
constexpr int kBarWidth = 24;

int TerminalWidth() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

// "1:05" left, or nothing while too little is known to say.
std::string TimeLeft(double fraction, Duration elapsed) {
  if (fraction < 0.05 || fraction >= 1 || elapsed < std::chrono::seconds(2)) return "";
  const int64_t seconds = static_cast<int64_t>(ToSeconds(elapsed) * (1 - fraction) / fraction + 0.5);
  return fmt::format(", {}:{:02} left", seconds / 60, seconds % 60);
}

}  // namespace

ProgressBar::ProgressBar(std::string title)
    : title_(std::move(title)), terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() { Finish(); }

void ProgressBar::Update(double fraction, std::string_view what) {
  const TimePoint now = MonotonicClock::Get().Now();
  if (started_ == TimePoint{}) started_ = now;
  const bool first = last_ == TimePoint{};
  if (first && !terminal_ && now - started_ < kQuiet) return;
  if (!first && now - last_ < (terminal_ ? kRedraw : kPlainLine)) return;
  last_ = now;
  Draw(std::clamp(fraction, 0.0, 1.0), what);
}

void ProgressBar::Draw(double fraction, std::string_view what) {
  const Duration elapsed = last_ - started_;
  const std::string text = fmt::format("{:3.0f} % {}{}", fraction * 100, what, TimeLeft(fraction, elapsed));
  if (!terminal_) {
    fmt::print(stderr, "{}: {}\n", title_, text);
    return;
  }
  const int filled = static_cast<int>(fraction * kBarWidth + 0.5);
  std::string line = fmt::format("{} [{}{}] {}", title_, std::string(filled, '#'),
                                 std::string(kBarWidth - filled, '.'), text);
  const size_t width = static_cast<size_t>(std::max(20, TerminalWidth() - 1));
  if (line.size() > width) line.resize(width);
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  drawn_ = true;
}

void ProgressBar::Finish() {
  if (drawn_) {
    fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
  }
  drawn_ = false;
  started_ = last_ = TimePoint{};
}

}  // namespace weir
