#include "engine/tensor/dequantize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

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
  return DequantizeAll(dtype, BytesOf(block), 32);
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
    const auto out = DequantizeAll(dtype, std::span(bytes).subspan(1, size), 2);
    EXPECT_EQ(out, (std::vector<float>{1.5f, -4.0f}));
  };
  expect(DType::kF16, halves, sizeof(halves));
  expect(DType::kBF16, bfloats, sizeof(bfloats));
  expect(DType::kF32, floats, sizeof(floats));
}

// The fixture holds random blocks of every type and what the gguf package reads in them.
TEST(DequantizeTest, EveryTypeReadsAsThePublishedReaderReadsIt) {
  std::ifstream file(WEIR_SOURCE_DIR "/tests/golden/dequantize/blocks.bin", std::ios::binary);
  ASSERT_TRUE(file.is_open());
  const std::string bytes(std::istreambuf_iterator<char>(file), {});
  std::set<DType> seen;
  for (size_t at = 0; at < bytes.size();) {
    uint32_t header[3];  // type, bytes of blocks, elements
    ASSERT_LE(at + sizeof(header), bytes.size());
    std::memcpy(header, bytes.data() + at, sizeof(header));
    at += sizeof(header);
    ASSERT_LE(at + header[1] + 4 * size_t{header[2]}, bytes.size());
    const DTypeTraits* traits = FindDType(header[0]);
    ASSERT_NE(traits, nullptr) << header[0];
    ASSERT_EQ(header[2] % traits->block_size, 0u);
    ASSERT_EQ(header[2] / traits->block_size * traits->block_bytes, header[1]);
    const auto found =
        DequantizeAll(traits->dtype, std::as_bytes(std::span(bytes)).subspan(at, header[1]), header[2]);
    at += header[1];
    std::vector<float> expected(header[2]);
    std::memcpy(expected.data(), bytes.data() + at, 4 * expected.size());
    at += 4 * expected.size();
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_EQ(found[i], expected[i]) << traits->name << " element " << i;
    seen.insert(traits->dtype);
  }
  EXPECT_EQ(seen.size(), 15u);
}

}  // namespace
}  // namespace weir
