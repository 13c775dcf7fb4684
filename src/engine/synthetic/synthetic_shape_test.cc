#include "engine/synthetic/synthetic_shape.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(SyntheticShapeTest, AnUnknownNameIsRefusedWithTheChoices) {
  const auto shape = FindSyntheticShape("llama-9");
  ASSERT_FALSE(shape.has_value());
  EXPECT_EQ(shape.error().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(shape.error().message(),
            "--shape is 'llama-9', expected one of: smollm2-135m, llama-3.2-1b, llama-3.2-3b, llama-3.1-8b");
  const auto quantization = FindQuantization("");
  ASSERT_FALSE(quantization.has_value());
  EXPECT_EQ(quantization.error().message(),
            "--quantization is '', expected one of: q4_k_m, q8_0, q4_0, q4_1, bf16");
}

TEST(SyntheticShapeTest, TheMediumMixHasSixBitsInTheOuterLayersAndInEveryThirdBetween) {
  std::string layers;
  for (uint32_t layer = 0; layer < 16; ++layer) {
    const DType down = TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kFeedForwardDown, layer, 16, 8192);
    EXPECT_EQ(TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kAttentionValue, layer, 16, 2048), down);
    EXPECT_EQ(TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kOther, layer, 16, 2048), DType::kQ4_K);
    layers += down == DType::kQ6_K ? '6' : '4';
  }
  EXPECT_EQ(layers, "6644644644644666");
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kHead, 0, 16, 2048), DType::kQ6_K);
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kEmbedding, 0, 16, 2048), DType::kQ4_K);
}

TEST(SyntheticShapeTest, RowsThatHoldNoWholeSuperBlockGetATypeOfThirtyTwoColumns) {
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kOther, 5, 30, 576), DType::kQ5_0);
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kHead, 0, 30, 576), DType::kQ8_0);
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4KM, MatrixRole::kFeedForwardDown, 0, 30, 1536), DType::kQ6_K);
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4_1, MatrixRole::kHead, 0, 30, 576), DType::kQ8_0);
}

TEST(SyntheticShapeTest, OtherQuantizationsAreOneTypeButForTheHead) {
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ8_0, MatrixRole::kHead, 0, 16, 2048), DType::kQ8_0);
  EXPECT_EQ(TypeOfMatrix(Quantization::kBF16, MatrixRole::kHead, 0, 16, 2048), DType::kBF16);
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4_0, MatrixRole::kHead, 0, 16, 2048), DType::kQ6_K);
  EXPECT_EQ(TypeOfMatrix(Quantization::kQ4_0, MatrixRole::kAttentionValue, 0, 16, 2048), DType::kQ4_0);
}

}  // namespace
}  // namespace weir
