#include "engine/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace weir {
namespace {

TEST(KernelsTest, GenericRunsEverywhere) {
  const auto kernels = SelectKernels("generic");
  ASSERT_TRUE(kernels.has_value()) << kernels.error().message();
  EXPECT_STREQ((*kernels)->name, "generic");
}

TEST(KernelsTest, EveryPathIsGivenOrRefusedAsTheCpuSays) {
  for (const std::string_view path : KnownKernelPaths()) {
    const auto kernels = SelectKernels(path);
    EXPECT_EQ(kernels.has_value(), CpuSupports(path)) << path;
    if (kernels.has_value()) {
      EXPECT_EQ((*kernels)->name, path);
    }
  }
}

TEST(KernelsTest, UnknownPathIsRefusedWithTheChoices) {
  const auto kernels = SelectKernels("avx9000");
  ASSERT_FALSE(kernels.has_value());
  EXPECT_EQ(kernels.error().code(), StatusCode::kInvalidArgument);
  EXPECT_NE(kernels.error().message().find("avx9000"), std::string::npos) << kernels.error().message();
  EXPECT_NE(kernels.error().message().find("generic"), std::string::npos) << kernels.error().message();
}

TEST(KernelsTest, VariableForcesAPath) {
  ASSERT_EQ(setenv("WEIR_ISA", "generic", 1), 0);
  const auto forced = SelectKernels("");
  ASSERT_EQ(setenv("WEIR_ISA", "nonsense", 1), 0);
  const auto refused = SelectKernels("");
  unsetenv("WEIR_ISA");
  ASSERT_TRUE(forced.has_value());
  EXPECT_STREQ((*forced)->name, "generic");
  ASSERT_FALSE(refused.has_value());
  EXPECT_NE(refused.error().message().find("WEIR_ISA"), std::string::npos) << refused.error().message();
}

}  // namespace
}  // namespace weir
