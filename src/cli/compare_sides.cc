#include "cli/compare_sides.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "cli/result_file.h"
#include "perf/recorder/run_index.h"

extern char** environ;

namespace weir {
namespace {

bool Exists(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

Result<std::string> FileOf(const std::string& text) {
  if (Exists(text)) return text;
  const Result<std::vector<RunEntry>> found = RunIndex().Find(text);
  if (found && found->size() == 1) return found->front().file;
  if (found && found->size() > 1) {
    return InvalidArgument(
        fmt::format("'{}' fits {} runs; give more of the id, or the file", text, found->size()));
  }
  return NotFound(
      fmt::format("'{}' is neither a file nor a run; 'weir runs list' shows the runs, and a command needs "
                  "blanks between its words",
                  text));
}

// A path as one word of the shell.
std::string Quoted(const std::string& path) {
  std::string out = "'";
  for (const char c : path) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// "weir bench ..." means this program, wherever it lies.
std::string WithOwnPath(const std::string& command) {
  if (!command.starts_with("weir ")) return command;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? command : Quoted(self.string()) + command.substr(4);
}

std::string LastLine(const std::string& path) {
  const Result<std::string> log = ReadFile(path);
  if (!log || log->empty()) return "it said nothing";
  const size_t end = log->find_last_not_of('\n');
  if (end == std::string::npos) return "it said nothing";
  const size_t begin = log->rfind('\n', end);
  return log->substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? -1 : begin));
}

Result<pid_t> Spawn(const std::string& shell_line, const std::string& log_path) {
  std::string shell = "sh", flag = "-c", line = shell_line;
  char* argv[] = {shell.data(), flag.data(), line.data(), nullptr};
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, "/bin/sh", &actions, nullptr, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return Unavailable(fmt::format("cannot start '{}': {}", shell_line, std::strerror(error)));
  return pid;
}

Result<Json> RunOnce(const std::string& command, const std::string& output, const std::atomic<bool>& stop) {
  const std::string log = output + ".log";
  std::error_code ignored;
  std::filesystem::remove(output, ignored);
  WEIR_ASSIGN_OR_RETURN(const pid_t pid,
                        Spawn("exec " + WithOwnPath(command) + " --output " + Quoted(output), log));
  int status = 0;
  bool told = false;
  while (waitpid(pid, &status, WNOHANG) == 0) {
    if (stop.load() && !told) {
      kill(pid, SIGTERM);  // it finishes with what it has measured
      told = true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (stop.load()) return Cancelled("interrupted");
  // An INVALID run ends with 1 and has its file: that is for the comparison to judge.
  Result<Json> document = ReadResultFile(output);
  if (document) return document;
  return Unavailable(fmt::format("'{}' left no result (exit code {}): {}; its log is {}", command,
                                 WIFEXITED(status) ? WEXITSTATUS(status) : -1, LastLine(log), log));
}

}  // namespace

bool IsCommand(const std::string& text) {
  return text.find(' ') != std::string::npos && text.find_first_not_of(' ') != std::string::npos &&
         !Exists(text);
}

Result<ComparisonSide> ReadSide(const std::string& text) {
  ComparisonSide side{text, {}};
  std::vector<std::string> files = {text};
  if (!Exists(text)) {
    files.clear();
    for (size_t begin = 0; begin <= text.size();) {
      const size_t comma = std::min(text.find(',', begin), text.size());
      files.push_back(text.substr(begin, comma - begin));
      begin = comma + 1;
    }
  }
  for (const std::string& one : files) {
    WEIR_ASSIGN_OR_RETURN(const std::string path, FileOf(one));
    WEIR_ASSIGN_OR_RETURN(Json document, ReadResultFile(path));
    side.documents.push_back(std::move(document));
  }
  return side;
}

bool BeginsWithB(int run) { return run % 2 == 1; }

Status RunInterleaved(const CommandPair& pair, const ProgressFunction& progress, ComparisonSide* a,
                      ComparisonSide* b) {
  std::error_code error;
  std::filesystem::create_directories(pair.folder, error);
  if (error)
    return InvalidArgument(fmt::format("cannot make the folder '{}': {}", pair.folder, error.message()));
  a->name = pair.a;
  b->name = pair.b;
  for (int i = 0; i < 2 * pair.runs; ++i) {
    const int run = i / 2;
    const bool is_b = BeginsWithB(run) == (i % 2 == 0);
    progress(i / (2.0 * pair.runs), fmt::format("{}, run {} of {}", is_b ? "B" : "A", run + 1, pair.runs));
    WEIR_ASSIGN_OR_RETURN(
        Json document,
        RunOnce(is_b ? pair.b : pair.a,
                fmt::format("{}/{}-{:02}.json", pair.folder, is_b ? "b" : "a", run + 1), *pair.stop));
    (is_b ? b : a)->documents.push_back(std::move(document));
  }
  return OkStatus();
}

}  // namespace weir
