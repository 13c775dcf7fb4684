// A `weir serve` of the test's own: started with flags and variables, waited for, signalled, ended.
//
// Owns      the process, killed at the end, and its log
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace weir {

class ServedWeir {
 public:
  // Starts it with --port 0 and whatever else is given, without any WEIR_ variable of the test's own environment, and waits
  // until it has printed that it is ready, or until it has ended.
  explicit ServedWeir(std::vector<std::string> flags, std::vector<std::string> environment = {});
  ~ServedWeir();
  ServedWeir(const ServedWeir&) = delete;
  ServedWeir& operator=(const ServedWeir&) = delete;

  bool ready() const { return ready_; }
  int port() const { return PortAfter("weir listens at "); }
  int control_port() const { return PortAfter("control     "); }
  pid_t pid() const { return pid_; }
  std::string output() const;  // stdout and stderr, so far
  void Signal(int signal) const;
  // Exit code, 128 + signal, or -1 when it still runs after that time.
  int WaitForEnd(std::chrono::seconds patience = std::chrono::seconds(60));
  bool WaitForOutput(const std::string& text, std::chrono::seconds patience = std::chrono::seconds(30)) const;

 private:
  int PortAfter(const std::string& text) const;

  std::string log_path_;
  pid_t pid_ = -1;
  bool ready_ = false;
};

}  // namespace weir
