#include "cli/flags.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/command.h"

namespace weir {
namespace {

struct Parsed {
  std::string model;
  int concurrency = 1;
  bool json = false;
  Result<bool> result = false;
};

Parsed Parse(const std::vector<std::string>& arguments) {
  Parsed out;
  CLI::App app("measures", "weir measure");
  app.add_option("MODEL", out.model, "model file")->required();
  app.add_option("--concurrency", out.concurrency, "requests at once");
  app.add_flag("--json", out.json, "machine-readable");
  out.result = ParseFlags(app, arguments);
  return out;
}

TEST(FlagsTest, ValuesArriveInAnyOrder) {
  const Parsed parsed = Parse({"--concurrency=8", "m.gguf", "--json"});
  ASSERT_TRUE(parsed.result.has_value()) << parsed.result.error().message();
  EXPECT_TRUE(*parsed.result);
  EXPECT_EQ(parsed.model, "m.gguf");
  EXPECT_EQ(parsed.concurrency, 8);
  EXPECT_TRUE(parsed.json);
}

TEST(FlagsTest, UnknownFlagGetsTheNearestOne) {
  for (const char* flag : {"--concurency", "--concurrency2", "--conc"}) {
    const Parsed parsed = Parse({"m.gguf", flag, "3"});
    ASSERT_FALSE(parsed.result.has_value()) << flag;
    EXPECT_EQ(parsed.result.error().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(parsed.result.error().message().find("did you mean '--concurrency'?"), std::string::npos)
        << parsed.result.error().message();
  }
}

TEST(FlagsTest, UnknownFlagIsNamedEvenWhenSomethingRequiredIsMissing) {
  const Parsed parsed = Parse({"--jsn"});
  ASSERT_FALSE(parsed.result.has_value());
  EXPECT_NE(parsed.result.error().message().find("'--jsn'"), std::string::npos)
      << parsed.result.error().message();
}

TEST(FlagsTest, ErrorsAreOneLine) {
  const std::vector<std::vector<std::string>> cases = {{},
                                                       {"m.gguf", "--concurrency", "eight"},
                                                       {"m.gguf", "--concurrency"},
                                                       {"m.gguf", "more"},
                                                       {"a", "--x\ny"}};
  for (const auto& arguments : cases) {
    const Parsed parsed = Parse(arguments);
    ASSERT_FALSE(parsed.result.has_value());
    EXPECT_EQ(ExitCode(parsed.result.error()), 2);
    EXPECT_EQ(parsed.result.error().message().find('\n'), std::string::npos)
        << parsed.result.error().message();
  }
}

TEST(FlagsTest, HelpEndsTheCommandWithoutAnError) {
  testing::internal::CaptureStdout();
  const Parsed parsed = Parse({"--help"});
  EXPECT_NE(testing::internal::GetCapturedStdout().find("--concurrency"), std::string::npos);
  ASSERT_TRUE(parsed.result.has_value());
  EXPECT_FALSE(*parsed.result);
}

}  // namespace
}  // namespace weir
