// Load tests against a scripted server: a folder of their own, and the records read back.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "perf/driver/load_spec.h"
#include "perf/statistics/validity.h"
#include "tests/integration/scripted_server.h"

namespace weir {

class LoadScriptedTest : public testing::Test {
 protected:
  LoadScriptedTest() {
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("weir-load-{}-{}", getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  ~LoadScriptedTest() override { std::filesystem::remove_all(folder_); }

  LoadSpec Spec(const ScriptedServer& server) const {
    LoadSpec spec;
    spec.url = server.url();
    spec.warmup = 0;
    spec.concurrency = 1;
    spec.timeout_s = 5;
    spec.records_path = (folder_ / "load.requests.jsonl").string();
    return spec;
  }

  Json Run(const LoadSpec& spec) {
    const Result<Json> document = RunLoadTest(spec, {});
    EXPECT_TRUE(document.has_value()) << document.status().message();
    if (!document) return nullptr;
    records_.clear();
    std::istringstream lines(*ReadFile(spec.records_path));
    std::string line;
    while (std::getline(lines, line)) records_.push_back(*RequestRecordFromJson(*ParseJson(line)));
    return *document;
  }

  std::filesystem::path folder_;
  std::vector<RequestRecord> records_;
};

// Of the first check with that id.
inline Verdict VerdictOf(const Json& document, std::string_view id) {
  for (const Json& check : document["validity"]["checks"]) {
    if (check["id"] != id) continue;
    return check["verdict"] == "INVALID" ? Verdict::kInvalid
           : check["verdict"] == "WARN"  ? Verdict::kWarn
                                         : Verdict::kValid;
  }
  ADD_FAILURE() << id << " was not judged";
  return Verdict::kValid;
}

}  // namespace weir
