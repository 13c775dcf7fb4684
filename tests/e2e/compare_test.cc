// Runs that are kept, found again, compared: through the commands, with their exit codes.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "tests/support/process.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

class CompareTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weir-compare-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
    setenv("WEIR_STATE", (folder_ + "/state").c_str(), 1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  ProcessResult Weir(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), WEIR_BINARY);
    return RunProcess(arguments, folder_, 120);
  }
  std::vector<std::string> BenchFlags(const std::string& repeats) const {
    return {"bench", "--model",   model_.path(), "--batch-sizes",   "1",   "--num-prompts",
            "2",     "--threads", "1",           "--max-tokens",    "4",   "--repeats",
            repeats, "--warmup",  "1",           "--max-model-len", "256", "--allow-invalid"};
  }
  std::string BenchCommand() const {
    std::string line = "weir";
    for (const std::string& word : BenchFlags("1")) line += " " + word;
    return line;
  }
  // The runs of a machine that others use may be voided; what is compared here is the plumbing.
  void Bless(const std::string& path) const {
    Json document = *ReadJsonFile(path);
    document["validity"]["verdict"] = "VALID";
    document["void"] = Json::array();
    ASSERT_TRUE(WriteFile(path, DumpJsonPretty(document)).ok());
  }

  TinyModel model_;
  std::string folder_;
};

TEST_F(CompareTest, RunsAreListedShownAndForgotten) {
  EXPECT_NE(Weir({"runs", "list"}).output.find("no runs yet"), std::string::npos);
  std::vector<std::string> bench = BenchFlags("1");
  bench.insert(bench.end(), {"--output", "a.json"});
  ASSERT_EQ(Weir(bench).exit_code, 0);
  const std::string id = (*ReadJsonFile(folder_ + "/a.json"))["run_id"];
  const ProcessResult list = Weir({"runs", "list"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_NE(list.output.find(id), std::string::npos) << list.output;
  EXPECT_NE(list.output.find("a.json"), std::string::npos);
  const ProcessResult show = Weir({"runs", "show", "latest"});
  EXPECT_EQ(show.exit_code, 0) << show.errors;
  for (const std::string& words :
       {id, std::string("batch   1:"), std::string("Verdict: "), std::string("--max-tokens 4")})
    EXPECT_NE(show.output.find(words), std::string::npos) << words << "\n" << show.output;
  EXPECT_EQ(Weir({"runs", "show", "nothing-like-it"}).exit_code, 3);
  EXPECT_EQ(Weir({"runs"}).exit_code, 2);
  EXPECT_EQ(Weir({"runs", "rm", id.substr(0, 12), "--files"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/a.json"));
  EXPECT_NE(Weir({"runs", "list"}).output.find("no runs yet"), std::string::npos);
}

TEST_F(CompareTest, FilesAreComparedAndTheExitCodeSaysHowItCameOut) {
  std::vector<std::string> bench = BenchFlags("5");
  bench.insert(bench.end(), {"--output", "a.json"});
  ASSERT_EQ(Weir(bench).exit_code, 0);
  Bless(folder_ + "/a.json");
  const ProcessResult same = Weir({"compare", "a.json", "a.json"});
  EXPECT_EQ(same.exit_code, 0) << same.output << same.errors;
  EXPECT_NE(same.output.find("B is not worse than A"), std::string::npos) << same.output;

  Json slower = *ReadJsonFile(folder_ + "/a.json");
  for (Json& run : slower["results"][0]["runs"]) run["output_tps_steady"] = 0.01;
  ASSERT_TRUE(WriteFile(folder_ + "/slower.json", DumpJsonPretty(slower)).ok());
  const ProcessResult worse = Weir({"compare", "a.json", "slower.json", "--output", "out.json"});
  EXPECT_EQ(worse.exit_code, 1) << worse.output;
  EXPECT_EQ((*ReadJsonFile(folder_ + "/out.json"))["verdict"], "worse");
  // A known run is as good as its file.
  const std::string id = slower["run_id"];
  EXPECT_EQ(Weir({"compare", id, "slower.json"}).exit_code, 1);

  slower["model"]["sha256"] = "another";
  ASSERT_TRUE(WriteFile(folder_ + "/other.json", DumpJsonPretty(slower)).ok());
  const ProcessResult other = Weir({"compare", "a.json", "other.json"});
  EXPECT_EQ(other.exit_code, 2);
  EXPECT_NE(other.errors.find("--force"), std::string::npos) << other.errors;
  EXPECT_EQ(Weir({"compare", "a.json", "other.json", "--force"}).exit_code, 1);
}

TEST_F(CompareTest, WhatIsNoResultIsSaid) {
  ASSERT_TRUE(
      WriteFile(folder_ + "/foreign.json", "{\"schema_version\":\"2.0\",\"kind\":\"benchmark\"}").ok());
  ASSERT_TRUE(
      WriteFile(folder_ + "/rows.json", R"({"schema_version":"1.0","kind":"benchmark","results":[1,null]})")
          .ok());
  ASSERT_TRUE(
      WriteFile(folder_ + "/empty.json", R"({"schema_version":"1.0","kind":"benchmark","results":[]})").ok());
  ASSERT_TRUE(WriteFile(folder_ + "/cut.json", "{\"schema_version\":\"1.0\",").ok());
  for (const char* file : {"foreign.json", "rows.json", "cut.json", "missing.json"}) {
    const ProcessResult result = Weir({"compare", "empty.json", file});
    EXPECT_EQ(result.exit_code, 3) << file << result.errors;
    EXPECT_NE(result.errors.find(file), std::string::npos) << result.errors;
  }
  EXPECT_EQ(Weir({"compare", "empty.json", "empty.json"}).exit_code, 5);
  EXPECT_EQ(Weir({"compare", "empty.json", "weir bench"}).exit_code, 2);
  const ProcessResult failed =
      Weir({"compare", "weir bench --model no-such.gguf", "weir bench", "--runs", "1"});
  EXPECT_EQ(failed.exit_code, 4) << failed.errors;
  EXPECT_NE(failed.errors.find("no-such.gguf"), std::string::npos) << failed.errors;
}

TEST_F(CompareTest, CommandsRunInTurnsAndKeepTheirResults) {
  const ProcessResult result = Weir({"compare", BenchCommand(), BenchCommand(), "--runs", "2"});
  // Two runs prove nothing; on a machine under load they may be invalid besides.
  EXPECT_TRUE(result.exit_code == 5 || result.exit_code == 1) << result.output << result.errors;
  for (const char* file : {"a-01", "a-02", "b-01", "b-02"}) {
    const Result<Json> document = ReadJsonFile(folder_ + "/compare_results.json.runs/" + file + ".json");
    ASSERT_TRUE(document.has_value()) << file;
    EXPECT_EQ((*document)["kind"], "benchmark");
  }
  const auto id = [&](const std::string& file) {
    return (*ReadJsonFile(folder_ + "/compare_results.json.runs/" + file + ".json"))["created_at"]
        .get<std::string>();
  };
  EXPECT_LE(id("a-01"), id("b-01"));
  EXPECT_LE(id("b-02"), id("a-02"));  // A B B A
  EXPECT_EQ((*ReadJsonFile(folder_ + "/compare_results.json"))["metrics"].size(), 1u);
}

}  // namespace
}  // namespace weir
