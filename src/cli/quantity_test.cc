#include "cli/quantity.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(QuantityTest, ReadsTimesAndSizesWithTheirUnits) {
  EXPECT_EQ(ParseDuration("--x", "10s").value(), std::chrono::seconds(10));
  EXPECT_EQ(ParseDuration("--x", "1.5").value(), std::chrono::milliseconds(1500));
  EXPECT_EQ(ParseDuration("--x", "50ms").value(), std::chrono::milliseconds(50));
  EXPECT_EQ(ParseDuration("--x", "2m").value(), std::chrono::minutes(2));
  EXPECT_EQ(ParseSize("--x", "8GiB").value(), int64_t{8} << 30);
  EXPECT_EQ(ParseSize("--x", "0").value(), 0);
}

TEST(QuantityTest, WhatIsNoneNamesItsFlag) {
  for (const char* text : {"", "s", "-1s", "10h", "10 s", "nan", "inf", "2e9", "1s1"}) {
    const auto parsed = ParseDuration("--drain-delay", text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().param(), "--drain-delay");
  }
  for (const char* text : {"", "GiB", "-1", "8gb", "1e30", "nan"})
    EXPECT_FALSE(ParseSize("--memory-limit", text).has_value()) << text;
}

}  // namespace
}  // namespace weir
