// A `weir serve` child process: the server under test runs apart from the load generator, as a user's would.
//
// Owns      the child and its log file; the destructor stops it
// Errors    Start: UNAVAILABLE when it does not become ready; the message quotes the last line of its log
// Threads   one owner
#pragma once

#include <sys/types.h>

#include <atomic>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weir {

class ServerProcess {
 public:
  // Runs this very program with `serve`, the model, a free port and `flags`; returns once /ready answers 200.
  static Result<ServerProcess> Start(const std::string& model, const std::vector<std::string>& flags,
                                     const std::string& log_path, const std::atomic<bool>& stop);
  ~ServerProcess();
  ServerProcess(ServerProcess&& other) noexcept;
  ServerProcess& operator=(ServerProcess&& other) noexcept;

  std::string url() const;
  // Asks politely, then insists: departed clients' work of the broken mode would otherwise run on for long.
  void Stop(Duration patience = std::chrono::seconds(1));

 private:
  ServerProcess(pid_t pid, int port) : pid_(pid), port_(port) {}
  pid_t pid_ = -1;
  int port_ = 0;
};

}  // namespace weir
