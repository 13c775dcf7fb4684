#include "engine/tensor/dequantize.h"

#include <gtest/gtest.h>

#include <cstring>

#include "engine/tensor/blocks.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

template <typename T>
std::span<const std::byte> BytesOf(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

template <typename Block>
std::vector<float> Expanded(DType dtype, const Block& block) {
  auto out = DequantizeAll(dtype, BytesOf(block), 32);
  EXPECT_TRUE(out.has_value());
  return out.has_value() ? *out : std::vector<float>(32);
}

TEST(DequantizeTest, Q4BlocksSplitLowAndHighNibbles) {
  BlockQ4_0 q4_0{FloatToHalf(0.5f), {}};
  BlockQ4_1 q4_1{FloatToHalf(0.5f), FloatToHalf(-3.0f), {}};
  for (int j = 0; j < 16; ++j) q4_0.qs[j] = q4_1.qs[j] = static_cast<uint8_t>(j | ((15 - j) << 4));
  const auto a = Expanded(DType::kQ4_0, q4_0);
  const auto b = Expanded(DType::kQ4_1, q4_1);
  for (int j = 0; j < 16; ++j) {
    EXPECT_EQ(a[j], 0.5f * static_cast<float>(j - 8));
    EXPECT_EQ(a[j + 16], 0.5f * static_cast<float>(7 - j));
    EXPECT_EQ(b[j], 0.5f * static_cast<float>(j) - 3.0f);
    EXPECT_EQ(b[j + 16], 0.5f * static_cast<float>(15 - j) - 3.0f);
  }
}

TEST(DequantizeTest, Q5BlocksTakeTheFifthBitOfEachElement) {
  BlockQ5_0 q5_0{FloatToHalf(2.0f), {}, {}};
  BlockQ5_1 q5_1{FloatToHalf(2.0f), FloatToHalf(1.0f), {}, {}};
  for (int element = 0; element < 32; ++element) {  // element e holds the value e
    const int shift = element < 16 ? 0 : 4;
    q5_0.qs[element % 16] |= static_cast<uint8_t>((element & 0xf) << shift);
    q5_0.qh[element / 8] |= static_cast<uint8_t>((element >> 4) << (element % 8));
  }
  std::memcpy(q5_1.qs, q5_0.qs, 16);
  std::memcpy(q5_1.qh, q5_0.qh, 4);
  const auto a = Expanded(DType::kQ5_0, q5_0);
  const auto b = Expanded(DType::kQ5_1, q5_1);
  for (int e = 0; e < 32; ++e) {
    EXPECT_EQ(a[e], 2.0f * static_cast<float>(e - 16));
    EXPECT_EQ(b[e], 2.0f * static_cast<float>(e) + 1.0f);
  }
}

TEST(DequantizeTest, Q8BlocksAreSigned) {
  BlockQ8_0 block{FloatToHalf(0.25f), {}};
  for (int e = 0; e < 32; ++e) block.qs[e] = static_cast<int8_t>(e * 8 - 128);
  const auto out = Expanded(DType::kQ8_0, block);
  for (int e = 0; e < 32; ++e) EXPECT_EQ(out[e], 0.25f * static_cast<float>(e * 8 - 128));
}

TEST(DequantizeTest, PlainTypesReadFromUnalignedBytes) {
  std::vector<std::byte> bytes(1 + 8);
  const uint16_t halves[2] = {FloatToHalf(1.5f), FloatToHalf(-4.0f)};
  const uint16_t bfloats[2] = {FloatToBFloat16(1.5f), FloatToBFloat16(-4.0f)};
  const float floats[2] = {1.5f, -4.0f};
  const auto expect = [&](DType dtype, const void* values, size_t size) {
    std::memcpy(bytes.data() + 1, values, size);
    auto out = DequantizeAll(dtype, std::span(bytes).subspan(1, size), 2);
    ASSERT_TRUE(out.has_value());
    EXPECT_EQ(*out, (std::vector<float>{1.5f, -4.0f}));
  };
  expect(DType::kF16, halves, sizeof(halves));
  expect(DType::kBF16, bfloats, sizeof(bfloats));
  expect(DType::kF32, floats, sizeof(floats));
}

TEST(DequantizeTest, TypesWithoutReferenceAreUnimplemented) {
  const auto out = DequantizeAll(DType::kQ6_K, {}, 0);
  ASSERT_FALSE(out.has_value());
  EXPECT_EQ(out.error().code(), StatusCode::kUnimplemented);
  EXPECT_NE(out.error().message().find("Q6_K"), std::string::npos);
}

}  // namespace
}  // namespace weir
