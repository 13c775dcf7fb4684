#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace weir {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) return InvalidArgument("odd");
  return value / 2;
}

Result<int> Quarter(int value) {
  WEIR_ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

TEST(ResultTest, CarriesAValueOrTheReasonWhyNot) {
  EXPECT_EQ(*Quarter(8), 2);
  const Result<int> failed = Quarter(6);
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(failed.error().message(), "odd");
}

TEST(ResultTest, HoldsMoveOnlyValues) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(7));
  std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 7);
}

TEST(StatusTest, KeepsReasonAndParamBesideTheMessage) {
  const Status status = InvalidArgument("bad").WithReason("invalid_value").WithParam("top_p");
  EXPECT_EQ(status.reason(), "invalid_value");
  EXPECT_EQ(status.param(), "top_p");
  EXPECT_EQ(StatusCodeName(status.code()), "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace weir
