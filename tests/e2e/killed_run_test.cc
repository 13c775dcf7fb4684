// A load test that was killed is still worth a report, which says what it lacks.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "tests/support/process.h"
#include "tests/support/served_weir.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

class KilledRunTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weir-killed-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Killed as soon as ten requests have ended.
  void KillALoadTest(int port) const {
    const std::string script =
        std::string(WEIR_BINARY) + " load --url http://127.0.0.1:" + std::to_string(port) +
        " --requests 900000 --max-tokens 4 --concurrency 2 --output load.json & pid=$!;"
        " until [ \"$(wc -l < load.json.requests.jsonl.part)\" -gt 10 ]; do sleep 0.02; done;"
        " kill -KILL $pid; wait $pid; exit 0";
    ASSERT_EQ(RunProcess({"/bin/sh", "-c", script}, folder_, 100).exit_code, 0);
    ASSERT_FALSE(std::filesystem::exists(folder_ + "/load.json"));
  }
  ProcessResult Report(const std::string& file) const {
    return RunProcess({WEIR_BINARY, "report", file}, folder_, 60);
  }

  std::string folder_;
};

TEST_F(KilledRunTest, IsReportedWithWhatItLacks) {
  const TinyModel model;
  const ServedWeir server({"--model", model.path(), "--max-model-len", "256"});
  ASSERT_TRUE(server.ready()) << server.output();
  KillALoadTest(server.port());

  const ProcessResult result = Report("load.json");  // the name that it would have had
  ASSERT_EQ(result.exit_code, 0) << result.output << result.errors;
  const Json report = *ReadJsonFile(folder_ + "/report.json");
  const Json& document = report["load_tests"][0]["document"];
  EXPECT_TRUE(document["killed"] == true);
  EXPECT_GE(document["results"][0]["counts"]["ok"].get<int>(), 10);
  EXPECT_GT(document["results"][0]["output_tps"].get<double>(), 0);
  EXPECT_EQ(document["parameters"]["max_tokens"], 4);
  EXPECT_TRUE(report["root_causes"][0]["known"] == true);  // answers bring the server's account along
  const std::string markdown = *ReadFile(folder_ + "/report.md");
  for (const char* said :
       {"the run was killed", "of 900000 requests had ended", "missing: the server's accounts"})
    EXPECT_NE(markdown.find(said), std::string::npos) << said;

  // Killed in the middle of a line.
  const std::string part = folder_ + "/load.json.requests.jsonl.part";
  std::ofstream(part, std::ios::app) << "{\"id\":\"cut";
  ASSERT_EQ(Report(part).exit_code, 0);
  EXPECT_NE(ReadFile(folder_ + "/report.md")->find("the last line was cut off"), std::string::npos);
}

TEST_F(KilledRunTest, FilesThatAreNoneOfItsKindAreNamed) {
  for (const char* content :
       {"", "\n", "{\"run\":{}}\n", "{\"id\":\"a\"}\n", "no json\n",
        "{\"run\":{\"kind\":\"load_test\",\"schema_version\":\"1.0\"}}\n",
        "{\"run\":{\"kind\":\"load_test\",\"schema_version\":\"1.0\"}}\n{\"id\":5}\n"}) {
    ASSERT_TRUE(WriteFile(folder_ + "/x.part", content).ok());
    const ProcessResult result = Report("x.part");
    EXPECT_EQ(result.exit_code, 3) << content;
    EXPECT_NE(result.errors.find("x.part"), std::string::npos) << result.errors;
  }
}

}  // namespace
}  // namespace weir
