#include "cli/model_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

void ExpectRefused(const ModelFlags& flags, const std::string& words) {
  const auto choice = flags.Choose();
  ASSERT_FALSE(choice.has_value()) << words;
  EXPECT_EQ(choice.error().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(choice.error().message(), testing::HasSubstr(words));
}

TEST(ModelFlagsTest, AFileIsTakenAsNamed) {
  const auto choice = ModelFlags{.model = "m.gguf"}.Choose();
  ASSERT_TRUE(choice.has_value());
  EXPECT_EQ(choice->path, "m.gguf");
  EXPECT_FALSE(choice->synthetic.has_value());
  EXPECT_EQ(choice->weights, WeightStorage::kRepack);
  EXPECT_EQ((ModelFlags{.model = "m.gguf", .weights = "mmap"}.Choose()->weights), WeightStorage::kMmap);
}

TEST(ModelFlagsTest, DummyWeightsAreNamedByShapeAndQuantization) {
  const auto choice =
      ModelFlags{.load_format = "dummy", .shape = "llama-3.2-1b", .quantization = "q8_0"}.Choose();
  ASSERT_TRUE(choice.has_value()) << choice.status().message();
  ASSERT_TRUE(choice->synthetic.has_value());
  EXPECT_EQ(choice->path, "synthetic-llama-3.2-1b-q8_0");
}

TEST(ModelFlagsTest, UnknownValuesAreRefusedWithTheChoices) {
  ExpectRefused({.load_format = "onnx"}, "--load-format is 'onnx', expected one of: gguf, dummy");
  ExpectRefused({.load_format = "dummy", .shape = "x", .quantization = "q8_0"},
                "--shape is 'x', expected one of: smollm2-135m");
  ExpectRefused({.load_format = "dummy", .shape = "llama-3.2-1b"},
                "--quantization is '', expected one of: q4_k_m");
  ExpectRefused({.model = "m.gguf", .weights = "disk"}, "--weights is 'disk', expected one of: repack, mmap");
}

TEST(ModelFlagsTest, FlagsThatContradictEachOtherAreRefused) {
  ExpectRefused({.shape = "llama-3.2-1b"}, "add --load-format dummy");
  ExpectRefused({.quantization = "q8_0"}, "add --load-format dummy");
  const ModelFlags dummy{.load_format = "dummy", .shape = "llama-3.2-1b", .quantization = "q8_0"};
  ModelFlags both = dummy;
  both.model = "m.gguf";
  ExpectRefused(both, "--model names a file");
  ModelFlags mapped = dummy;
  mapped.weights = "mmap";
  ExpectRefused(mapped, "mmap needs a file");
}

}  // namespace
}  // namespace weir
