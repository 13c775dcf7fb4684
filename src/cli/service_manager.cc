#include "cli/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace weir {
namespace {

std::string Take(const char* name) {
  const char* value = std::getenv(name);
  const std::string text = value != nullptr ? value : "";
  unsetenv(name);
  return text;
}

int64_t Microseconds(Duration time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

// Connected, so that each message needs no address; -1 for what is no socket of a manager.
int Connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) return -1;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract name space
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), length) == 0) return fd;
  close(fd);
  return -1;
}

}  // namespace

ServiceManager::ServiceManager() : fd_(Connect(Take("NOTIFY_SOCKET"))) {
  const std::string pid = Take("WATCHDOG_PID");
  const int64_t microseconds = std::atoll(Take("WATCHDOG_USEC").c_str());
  const bool is_for_us = pid.empty() || std::atoll(pid.c_str()) == getpid();
  if (fd_ >= 0 && is_for_us && microseconds > 0)
    watchdog_interval_ = std::chrono::microseconds(std::max<int64_t>(1000, microseconds / 2));
}

ServiceManager::~ServiceManager() {
  if (fd_ >= 0) close(fd_);
}

void ServiceManager::Send(const std::string& message) const {
  if (fd_ >= 0) static_cast<void>(send(fd_, message.data(), message.size(), MSG_NOSIGNAL));
}

void ServiceManager::Loading(Duration patience, std::string_view status) const {
  Send(fmt::format("EXTEND_TIMEOUT_USEC={}\nSTATUS={}\n", Microseconds(patience), status));
}

void ServiceManager::Ready(std::string_view status) const {
  Send(fmt::format("READY=1\nSTATUS={}\n", status));
}

void ServiceManager::Reloading() const {
  Send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading\n",
                   Microseconds(MonotonicClock::Get().Now().time_since_epoch())));
}

void ServiceManager::Stopping(Duration patience, std::string_view status) const {
  Send(fmt::format("STOPPING=1\nEXTEND_TIMEOUT_USEC={}\nSTATUS={}\n", Microseconds(patience), status));
}

void ServiceManager::Alive() const { Send("WATCHDOG=1\n"); }

}  // namespace weir
