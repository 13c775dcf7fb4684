// What becomes of a server process when others end.
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/process.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

// Starts a server from a shell that ends two seconds later; the server's process id.
pid_t ServerOfAShellThatEnds(const std::string& flags) {
  const TinyModel model;
  const ProcessResult shell = RunProcess({"/bin/sh", "-c",
                                          "\"$0\" serve --model \"$1\" --port 0 --control-port off " + flags +
                                              " >/dev/null 2>&1 & echo $!; sleep 2; kill -0 $!",
                                          WEIR_BINARY, model.path()});
  EXPECT_EQ(shell.exit_code, 0) << "the server did not run: " << shell.errors;
  return static_cast<pid_t>(std::atoi(shell.output.c_str()));
}

// Nobody may have waited for it, where process 1 is not an init.
bool Runs(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  return (stat >> number >> name >> state) && state != "Z" && state != "X";
}

bool EndsWithin(pid_t pid, std::chrono::seconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (Runs(pid)) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

TEST(ServeProcessTest, EndsWithItsParentWhenAskedTo) {
  const pid_t pid = ServerOfAShellThatEnds("--exit-with-parent");
  ASSERT_GT(pid, 0);
  EXPECT_TRUE(EndsWithin(pid, std::chrono::seconds(20)));
  kill(pid, SIGKILL);
}

TEST(ServeProcessTest, OutlivesItsParentOtherwise) {
  const pid_t pid = ServerOfAShellThatEnds("");
  ASSERT_GT(pid, 0);
  EXPECT_FALSE(EndsWithin(pid, std::chrono::seconds(1)));
  kill(pid, SIGTERM);
  EXPECT_TRUE(EndsWithin(pid, std::chrono::seconds(20)));
}

}  // namespace
}  // namespace weir
