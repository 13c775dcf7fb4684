#include "tests/support/served_weir.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <thread>

extern char** environ;

namespace weir {
namespace {

constexpr auto kPoll = std::chrono::milliseconds(10);

}  // namespace

ServedWeir::ServedWeir(std::vector<std::string> flags, std::vector<std::string> environment) {
  log_path_ = (std::filesystem::temp_directory_path() / "weir-served-XXXXXX").string();
  const int log = mkstemp(log_path_.data());
  std::vector<std::string> arguments = {WEIR_BINARY, "serve", "--port", "0"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!std::string_view(*variable).starts_with("WEIR_")) environment.emplace_back(*variable);
  }
  std::vector<char*> argv, envp;
  for (std::string& one : arguments) argv.push_back(one.data());
  for (std::string& one : environment) envp.push_back(one.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  pid_ = fork();
  if (pid_ == 0) {
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(log, 1);
    dup2(log, 2);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(log);
  for (int i = 0; i < 6000; ++i) {
    // What is printed last, so that everything before it is there.
    if (output().find("\ncurl http") != std::string::npos) {
      ready_ = true;
      return;
    }
    siginfo_t ended{};
    if (waitid(P_PID, static_cast<id_t>(pid_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == pid_)
      return;
    std::this_thread::sleep_for(kPoll);
  }
}

ServedWeir::~ServedWeir() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  unlink(log_path_.c_str());
}

std::string ServedWeir::output() const {
  std::ifstream file(log_path_, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

int ServedWeir::PortAfter(const std::string& text) const {
  const std::string all = output();
  const size_t at = all.find(text + "http");
  if (at == std::string::npos) return 0;
  const size_t end = all.find_first_of(" \n", at + text.size());
  const size_t colon = all.rfind(':', end);
  return std::atoi(all.c_str() + colon + 1);
}

void ServedWeir::Signal(int signal) const { kill(pid_, signal); }

int ServedWeir::WaitForEnd(std::chrono::seconds patience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  int status = 0;
  while (waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > end) return -1;
    std::this_thread::sleep_for(kPoll);
  }
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool ServedWeir::WaitForOutput(const std::string& text, std::chrono::seconds patience) const {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (output().find(text) == std::string::npos) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

}  // namespace weir
