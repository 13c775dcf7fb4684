#include "server/thread_states.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

#include "base/file.h"

namespace weir {

std::vector<std::string> ThreadStates() {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task", error)) {
    const auto stat = ReadFile((entry.path() / "stat").string(), 4096);
    if (!stat.has_value()) continue;  // it has just ended
    // "tid (name) state ppid ... utime stime": a name may hold anything, so its end is the last parenthesis.
    const size_t begin = stat->find('(');
    const size_t end = stat->rfind(')');
    if (begin == std::string::npos || end == std::string::npos || end <= begin) continue;
    char state = '?';
    unsigned long user = 0, system = 0;
    std::sscanf(stat->c_str() + end + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state, &user,
                &system);
    const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    out.push_back(fmt::format("{}: {}, {:.1f} s of CPU", stat->substr(begin + 1, end - begin - 1), state,
                              static_cast<double>(user + system) / ticks));
  }
  return out;
}

}  // namespace weir
