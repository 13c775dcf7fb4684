#include "engine/synthetic/random_rows.h"

#include <gtest/gtest.h>

#include <cstring>

namespace weir {
namespace {

TensorInfo Tensor(const char* name, DType dtype, std::vector<uint64_t> dims) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.dims = std::move(dims);
  return tensor;
}

std::vector<std::byte> Copy(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

TEST(RandomRowsTest, ARowIsTheSameInWhicheverRangeItIsAskedFor) {
  const std::vector<TensorInfo> tensors = {Tensor("a", DType::kQ8_0, {2048, 9000}),
                                           Tensor("b", DType::kBF16, {2048, 3000})};
  const RandomRows rows(tensors, 1);
  for (const TensorInfo& tensor : tensors) {
    // All rows at once are longer than any region, so they are put together in the buffer.
    std::vector<std::byte> buffer;
    const std::vector<std::byte> all = Copy(rows.Rows(tensor, 0, tensor.num_rows(), &buffer));
    ASSERT_EQ(all.size(), tensor.num_bytes());
    EXPECT_EQ(buffer.size(), all.size());
    const uint64_t step = 37;
    for (uint64_t first = 0; first + step <= tensor.num_rows(); first += step) {
      const auto part = rows.Rows(tensor, first, first + step, nullptr);
      ASSERT_EQ(part.size(), step * tensor.row_bytes());
      ASSERT_EQ(std::memcmp(part.data(), all.data() + first * tensor.row_bytes(), part.size()), 0) << first;
    }
  }
}

TEST(RandomRowsTest, TensorsOfOneTypeDiffer) {
  const std::vector<TensorInfo> tensors = {Tensor("a", DType::kQ4_1, {64, 8}),
                                           Tensor("b", DType::kQ4_1, {64, 8})};
  const RandomRows rows(tensors, 1);
  EXPECT_NE(Copy(rows.Rows(tensors[0], 0, 8, nullptr)), Copy(rows.Rows(tensors[1], 0, 8, nullptr)));
}

TEST(RandomRowsTest, AnotherSeedMakesOtherRows) {
  const std::vector<TensorInfo> tensors = {Tensor("a", DType::kQ4_1, {64, 8})};
  const RandomRows one(tensors, 1), same(tensors, 1), other(tensors, 2);
  EXPECT_EQ(Copy(one.Rows(tensors[0], 0, 8, nullptr)), Copy(same.Rows(tensors[0], 0, 8, nullptr)));
  EXPECT_NE(Copy(one.Rows(tensors[0], 0, 8, nullptr)), Copy(other.Rows(tensors[0], 0, 8, nullptr)));
}

}  // namespace
}  // namespace weir
