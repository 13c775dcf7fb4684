#include "cli/server_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "net/http/client.h"

extern char** environ;

namespace weir {
namespace {

constexpr Duration kStartTimeout = std::chrono::seconds(120);

// A port that nobody listens on now. Another process could take it before the child does; then the child says
// so.
Result<int> FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  const bool ok = fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  if (fd >= 0) close(fd);
  if (!ok) return Unavailable(fmt::format("no free loopback port: {}", std::strerror(errno)));
  return static_cast<int>(ntohs(address.sin_port));
}

std::string LastLine(const std::string& path) {
  const Result<std::string> log = ReadFile(path);
  if (!log || log->empty()) return "it logged nothing";
  const size_t end = log->find_last_not_of('\n');
  const size_t begin = log->rfind('\n', end);
  return log->substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? -1 : begin));
}

Result<pid_t> Spawn(const std::vector<std::string>& arguments, const std::string& log_path) {
  std::vector<char*> argv;
  for (const std::string& one : arguments) argv.push_back(const_cast<char*>(one.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  // A group of its own: Ctrl-C in the terminal reaches the study, which then stops its server in order.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  // What the operator's own server should do has no say in a measurement.
  std::vector<char*> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const bool sets_option =
        text.starts_with("WEIR_") && !text.starts_with("WEIR_CACHE=") && !text.starts_with("WEIR_ISA=");
    if (!sets_option) environment.push_back(*variable);
  }
  environment.push_back(nullptr);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return Unavailable(fmt::format("cannot start the server process: {}", std::strerror(error)));
  return pid;
}

}  // namespace

Result<ServerProcess> ServerProcess::Start(const std::string& model, const std::vector<std::string>& flags,
                                           const std::string& log_path, const std::atomic<bool>& stop) {
  WEIR_ASSIGN_OR_RETURN(const int port, FreePort());
  std::vector<std::string> arguments = {"weir",   "serve",     "--model", model,
                                        "--host", "127.0.0.1", "--port",  fmt::format("{}", port)};
  arguments.emplace_back("--exit-with-parent");
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  WEIR_ASSIGN_OR_RETURN(const pid_t pid, Spawn(arguments, log_path));
  ServerProcess server(pid, port);

  HttpClient client(Url{"127.0.0.1", port, "/"});
  const TimePoint end = MonotonicClock::Get().Now() + kStartTimeout;
  while (MonotonicClock::Get().Now() < end) {
    if (stop.load()) return Cancelled("interrupted while the server was starting");
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) {
      server.pid_ = -1;
      return Unavailable(fmt::format("the server ended while starting (exit code {}): {}; its log is {}",
                                     WIFEXITED(status) ? WEXITSTATUS(status) : -1, LastLine(log_path),
                                     log_path));
    }
    ClientRequest request;
    request.method = "GET";
    request.path = "/ready";
    request.timeout = std::chrono::seconds(2);
    if (client.Call(std::move(request)).status == 200) return server;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return Unavailable(fmt::format("the server was not ready after {} s; its log is {}",
                                 std::chrono::duration_cast<std::chrono::seconds>(kStartTimeout).count(),
                                 log_path));
}

ServerProcess::~ServerProcess() { Stop(); }

ServerProcess::ServerProcess(ServerProcess&& other) noexcept : pid_(other.pid_), port_(other.port_) {
  other.pid_ = -1;
}

ServerProcess& ServerProcess::operator=(ServerProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(port_, other.port_);
  return *this;
}

std::string ServerProcess::url() const { return fmt::format("http://127.0.0.1:{}", port_); }

void ServerProcess::Stop(Duration patience) {
  if (pid_ < 0) return;
  kill(pid_, SIGTERM);
  const TimePoint end = MonotonicClock::Get().Now() + patience;
  while (waitpid(pid_, nullptr, WNOHANG) == 0) {
    if (MonotonicClock::Get().Now() >= end) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  pid_ = -1;
}

}  // namespace weir
