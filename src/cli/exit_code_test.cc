#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/command.h"

namespace weir {
namespace {

TEST(ExitCodeTest, EachCauseHasTheCodeOfItsGroup) {
  EXPECT_EQ(ExitCode(OkStatus()), 0);
  EXPECT_EQ(ExitCode(Internal("bug")), 1);
  EXPECT_EQ(ExitCode(InvalidArgument("flag")), 2);
  EXPECT_EQ(ExitCode(NotFound("file")), 3);
  EXPECT_EQ(ExitCode(DataLoss("file")), 3);
  EXPECT_EQ(ExitCode(Unimplemented("type")), 3);
  EXPECT_EQ(ExitCode(Unavailable("server")), 4);
  EXPECT_EQ(ExitCode(Unauthenticated("key")), 4);
  EXPECT_EQ(ExitCode(ResourceExhausted("memory")), 4);
  EXPECT_EQ(ExitCode(DeadlineExceeded("late")), 4);
  EXPECT_EQ(ExitCode(Cancelled("Ctrl-C")), 130);
}

TEST(FailTest, PrintsCommandAndMessageOnOneLineOfStderr) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(Fail("inspect", DataLoss("m.gguf: cut off")), 3);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "weir inspect: m.gguf: cut off\n");
}

TEST(NearestNameTest, TypingErrorsFindTheirName) {
  const std::vector<std::string> known = {"run",    "serve", "bench",   "load",
                                          "report", "chat",  "inspect", "doctor"};
  EXPECT_EQ(NearestName("sevre", known), "serve");  // two neighbours swapped
  EXPECT_EQ(NearestName("inspct", known), "inspect");
  EXPECT_EQ(NearestName("docter", known), "doctor");
  EXPECT_EQ(NearestName("insp", known), "inspect");
}

TEST(NearestNameTest, NothingCloseMeansNoSuggestion) {
  const std::vector<std::string> known = {"run", "serve", "bench"};
  EXPECT_EQ(NearestName("xyz", known), "");
  EXPECT_EQ(NearestName("", known), "");
  EXPECT_EQ(NearestName(std::string(100000, 'r'), known), "");
  EXPECT_EQ(NearestName("run", {}), "");
}

}  // namespace
}  // namespace weir
