// Tells a service manager, systemd that is, how the server is doing: one datagram to $NOTIFY_SOCKET each.
//
// Owns      a socket, when there is something to tell it to
// Errors    none: a manager that does not listen must not stop a server
// Threads   one
// Source    sd_notify(3); the protocol is four lines long, so no library is needed
//
// Without $NOTIFY_SOCKET every call does nothing.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace weir {

class ServiceManager {
 public:
  // Takes the variables out of the environment, so that no child process speaks in our name.
  ServiceManager();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Still loading, and for so much longer at most.
  void Loading(Duration patience, std::string_view status) const;
  void Ready(std::string_view status) const;
  void Reloading() const;  // until Ready()
  void Stopping(Duration patience, std::string_view status) const;
  // I am alive. When watchdog_interval() is set it must come at least that often, or the manager restarts us.
  void Alive() const;
  // Half of what the manager waits; empty when it does not watch.
  std::optional<Duration> watchdog_interval() const { return watchdog_interval_; }

 private:
  void Send(const std::string& message) const;

  int fd_ = -1;
  std::optional<Duration> watchdog_interval_;
};

}  // namespace weir
