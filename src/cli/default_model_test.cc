#include "cli/default_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace weir {
namespace {

class DefaultModelTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("weir-cache-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_ / "models");
    unsetenv("WEIR_MODEL");
    setenv("WEIR_CACHE", folder_.c_str(), 1);
  }
  void TearDown() override {
    unsetenv("WEIR_CACHE");
    std::filesystem::remove_all(folder_);
  }
  std::filesystem::path folder_;
};

TEST_F(DefaultModelTest, ANamedModelIsTakenAsItIs) { EXPECT_EQ(FindModel("x.gguf").value(), "x.gguf"); }

TEST_F(DefaultModelTest, TheVariableComesBeforeTheCache) {
  setenv("WEIR_MODEL", "/some/where.gguf", 1);
  EXPECT_EQ(FindModel("").value(), "/some/where.gguf");
  unsetenv("WEIR_MODEL");
}

TEST_F(DefaultModelTest, AnEmptyCacheSaysWhatToRun) {
  const auto model = FindModel("");
  ASSERT_FALSE(model.has_value());
  EXPECT_EQ(model.error().code(), StatusCode::kNotFound);
  EXPECT_NE(model.error().message().find("tools/get_model.sh"), std::string::npos);
}

TEST_F(DefaultModelTest, TheScriptsNameIsFoundInTheCache) {
  // The name is written in two places; this reads the script's.
  std::ifstream script(std::string(WEIR_SOURCE_DIR) + "/tools/get_model.sh");
  std::string name;
  for (std::string line; std::getline(script, line);) {
    if (line.starts_with("name=")) name = line.substr(5);
  }
  ASSERT_NE(name, "");
  std::ofstream(folder_ / "models" / name) << "x";
  EXPECT_EQ(FindModel("").value(), (folder_ / "models" / name).string());
}

TEST_F(DefaultModelTest, TheCacheFollowsXdgWhenWeirsOwnVariableIsEmpty) {
  const char* home = std::getenv("XDG_CACHE_HOME");
  const std::string before = home == nullptr ? "" : home;
  setenv("WEIR_CACHE", "", 1);
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(CacheFolder(), "/x/weir");
  before.empty() ? unsetenv("XDG_CACHE_HOME") : setenv("XDG_CACHE_HOME", before.c_str(), 1);
}

}  // namespace
}  // namespace weir
