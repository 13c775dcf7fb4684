#include "cli/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "cli/flags.h"

namespace weir {
namespace {

class SettingsTest : public testing::Test {
 protected:
  SettingsTest() {
    app_.add_option("--port", port_, "port")->check(CLI::Range(0, 65535));
    app_.add_option("--share,--old-share", share_, "share");
    app_.add_option("--name", name_, "name");
    app_.add_option("--allowed-host", hosts_, "hosts")->delimiter(',');
    app_.add_flag("--insecure", insecure_, "switch");
    app_.add_option("--config", config_, "file");
  }
  void TearDown() override {
    for (const char* name : {"WEIR_PORT", "WEIR_NAME", "WEIR_INSECURE", "WEIR_ALLOWED_HOST", "WEIR_CONFIG"})
      unsetenv(name);
  }
  Status Fill(const std::vector<std::string>& arguments, const std::string& toml) {
    const Result<bool> parsed = ParseFlags(app_, arguments);
    if (!parsed.has_value()) return parsed.error();
    WEIR_RETURN_IF_ERROR(settings_.TakeEnvironment());
    WEIR_ASSIGN_OR_RETURN(const TomlFile file, ParseToml(toml, "weir.toml"));
    return settings_.TakeFile(file);
  }

  int port_ = 8000;
  double share_ = 0.9;
  std::string name_ = "a \"quoted\" name";
  std::vector<std::string> hosts_;
  bool insecure_ = false;
  std::string config_;
  CLI::App app_{"serves", "weir serve"};
  Settings settings_{&app_, "serve", {"config"}};
};

TEST_F(SettingsTest, TheFlagGoesBeforeTheEnvironmentAndThatBeforeTheFile) {
  setenv("WEIR_PORT", "2", 1);
  setenv("WEIR_NAME", "environment", 1);
  ASSERT_TRUE(Fill({"--port", "1"}, "[serve]\nport = 3\nname = \"file\"\nshare = 0.5\n").ok());
  EXPECT_EQ(port_, 1);
  EXPECT_EQ(name_, "environment");
  EXPECT_EQ(share_, 0.5);
  EXPECT_FALSE(insecure_);
}

TEST_F(SettingsTest, SwitchesAndListsWorkInAllThree) {
  setenv("WEIR_INSECURE", "1", 1);
  ASSERT_TRUE(Fill({}, "[serve]\nallowed_host = [\"a\", \"b\"]\n").ok());
  EXPECT_TRUE(insecure_);
  EXPECT_EQ(hosts_, (std::vector<std::string>{"a", "b"}));
}

TEST_F(SettingsTest, AListFromTheEnvironmentIsSplitAtCommas) {
  setenv("WEIR_ALLOWED_HOST", "a,b", 1);
  ASSERT_TRUE(Fill({}, "").ok());
  EXPECT_EQ(hosts_, (std::vector<std::string>{"a", "b"}));
}

TEST_F(SettingsTest, AnEmptyVariableCountsAsUnset) {
  setenv("WEIR_PORT", "", 1);
  ASSERT_TRUE(Fill({}, "[serve]\nport = 3\n").ok());
  EXPECT_EQ(port_, 3);
}

TEST_F(SettingsTest, WhatIsPrintedIsAConfigFileOfTheSameValues) {
  setenv("WEIR_PORT", "2", 1);
  ASSERT_TRUE(Fill({"--insecure"}, "[serve]\nshare = 0.25\nallowed_host = [\"x\"]\n").ok());
  const std::string printed = settings_.Render();
  EXPECT_NE(printed.find("port = 2  # environment WEIR_PORT\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("share = 0.25  # weir.toml:2\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("insecure = true  # flag\n"), std::string::npos) << printed;
  EXPECT_NE(printed.find("name = \"a \\\"quoted\\\" name\"  # default\n"), std::string::npos) << printed;
  const Result<TomlFile> again = ParseToml(printed, "printed.toml");
  ASSERT_TRUE(again.has_value()) << again.error().message();
  unsetenv("WEIR_PORT");
  SettingsTest_WhatIsPrintedIsAConfigFileOfTheSameValues_Test fresh;
  const Result<bool> parsed = ParseFlags(fresh.app_, {});
  ASSERT_TRUE(parsed.has_value());
  const Status taken = fresh.settings_.TakeFile(*again);
  ASSERT_TRUE(taken.ok()) << taken.message();
  EXPECT_EQ(fresh.settings_.Values(), settings_.Values());
  EXPECT_EQ(fresh.port_, 2);
  EXPECT_EQ(fresh.name_, name_);
}

TEST_F(SettingsTest, MistakesAreNamedWithTheirPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"[serve]\n\nprot = 1\n", "weir.toml:3: unknown key 'prot'; did you mean 'port'?"},
      {"[serve]\nzzzzzzzz = 1\n", "weir.toml:2: unknown key 'zzzzzzzz'; 'weir serve --print-config' lists"},
      {"[serv]\nport = 1\n", "weir.toml:1: unknown table 'serv'; did you mean [serve]?"},
      {"port = 1\n", "weir.toml:1: unknown key 'port'; did you mean [serve]?"},
      {"[serve]\nport = 70000\n", "weir.toml:2: "},
      {"[serve]\nport = \"many\"\n", "weir.toml:2: "},
      {"[serve]\nport = [1]\n", "weir.toml:2: 'port' must be a number"},
      {"[serve]\ninsecure = \"true\"\n", "weir.toml:2: 'insecure' must be true or false"},
      {"[serve]\nname = { a = 1 }\n", "weir.toml:2: 'name' must be a text"},
      {"[serve]\nconfig = \"other.toml\"\n", "weir.toml:2: unknown key 'config'"},
      {"[serve]\nport = 1\nport = 2\n", "weir.toml:3:"},
      {"[serve\n", "weir.toml:1:"},
  };
  for (const auto& [toml, expected] : cases) {
    SettingsTest_MistakesAreNamedWithTheirPlace_Test fresh;
    const Status status = fresh.Fill({}, toml);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << toml;
    EXPECT_NE(status.message().find(expected), std::string::npos)
        << status.message() << "\nexpected: " << expected;
  }
}

TEST_F(SettingsTest, AWrongVariableIsNamed) {
  setenv("WEIR_PORT", "seventy", 1);
  EXPECT_NE(Fill({}, "").message().find("environment WEIR_PORT: "), std::string::npos);
  setenv("WEIR_PORT", "1", 1);
  setenv("WEIR_INSECURE", "yes", 1);
  SettingsTest_AWrongVariableIsNamed_Test fresh;
  EXPECT_NE(fresh.Fill({}, "").message().find("environment WEIR_INSECURE: insecure is 'yes'"),
            std::string::npos);
}

TEST_F(SettingsTest, AnErrorFoundLaterStillNamesThePlace) {
  ASSERT_TRUE(Fill({}, "[serve]\nname = \"soon\"\n").ok());
  const Status located =
      settings_.Locate(InvalidArgument("--name is 'soon', expected a time").WithParam("--name"));
  EXPECT_EQ(located.message(), "weir.toml:2: --name is 'soon', expected a time");
  const Status other = settings_.Locate(InvalidArgument("--port is odd").WithParam("--port"));
  EXPECT_EQ(other.message(), "--port is odd");
}

}  // namespace
}  // namespace weir
