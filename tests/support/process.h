// Runs the built weir as a user would, and keeps what it said.
#pragma once

#include <string>
#include <vector>

namespace weir {

struct ProcessResult {
  int exit_code = -1;  // 128 + signal when a signal ended it; -1 when it had to be killed after `timeout_s`
  std::string output;  // stdout
  std::string errors;  // stderr
};

ProcessResult RunProcess(const std::vector<std::string>& arguments, const std::string& folder = ".",
                         int timeout_s = 60);

}  // namespace weir
