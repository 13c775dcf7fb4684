#include "engine/kernels/strip_transpose.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "tests/support/quantize.h"

namespace weir {
namespace {

constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0,   DType::kQ4_0,
                            DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ2_K,   DType::kQ3_K,
                            DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kIQ4_NL, DType::kIQ4_XS};
constexpr int kColumns = 512;

std::string Rows(DType dtype, int rows, int columns = kColumns) {
  Rng rng(static_cast<uint64_t>(dtype) + 1);
  std::vector<float> values(static_cast<size_t>(rows) * static_cast<size_t>(columns));
  for (float& value : values) value = static_cast<float>(rng.NextNormal());
  return Quantize(dtype, values);
}

PackedMatrix LayOut(const KernelTable& kernels, DType dtype, int columns, int rows) {
  auto matrix = LayOutMatrix(kernels, dtype, columns, rows, "w");
  EXPECT_TRUE(matrix.has_value());
  return *matrix;
}

Status Pack(const KernelTable& kernels, const std::string& rows, const PackedMatrix& matrix,
            std::vector<unsigned char>* out) {
  out->assign(static_cast<size_t>(matrix.strip_bytes), 0xaa);
  return PackStrip(kernels, std::as_bytes(std::span<const char>(rows)), "w", 0, matrix, out->data());
}

class StripTransposeTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!CpuSupports(GetParam())) GTEST_SKIP() << "this CPU lacks " << GetParam();
    kernels_ = *SelectKernels(GetParam());
  }
  const KernelTable* kernels_ = nullptr;
};

// A strip that lacks its last row is packed row by row: its rows must lie where those of the whole strip lie.
TEST_P(StripTransposeTest, AWholeStripHoldsTheBytesThatRowByRowPackingPutsThere) {
  const int strip_rows = kernels_->strip_rows;
  for (const DType dtype : kTypes) {
    const std::string rows = Rows(dtype, strip_rows);
    std::vector<unsigned char> whole, partial;
    const PackedMatrix matrix = LayOut(*kernels_, dtype, kColumns, strip_rows);
    ASSERT_TRUE(Pack(*kernels_, rows, matrix, &whole).ok());
    ASSERT_TRUE(Pack(*kernels_, rows, LayOut(*kernels_, dtype, kColumns, strip_rows - 1), &partial).ok());
    // What differs belongs to the last row alone: as many bytes as a row has, none of which the partial strip set.
    size_t differing = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      if (whole[i] == partial[i]) continue;
      ++differing;
      ASSERT_EQ(partial[i], 0) << Traits(dtype).name << " byte " << i;
    }
    EXPECT_LE(differing, whole.size() / static_cast<size_t>(strip_rows)) << Traits(dtype).name;
    EXPECT_GT(differing, 0u) << Traits(dtype).name;
  }
}

TEST_P(StripTransposeTest, OddWidthsOfFloatTypesArePackedToo) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const int columns = 13, rows = kernels_->strip_rows;
    PackedMatrix matrix = LayOut(*kernels_, dtype, columns, rows);
    const std::string bytes = Rows(dtype, rows, columns);
    std::vector<unsigned char> strip;
    ASSERT_TRUE(Pack(*kernels_, bytes, matrix, &strip).ok());
    const size_t size = Traits(dtype).block_bytes;
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r)
      for (size_t k = 0; k < 13; ++k)
        ASSERT_EQ(std::memcmp(strip.data() + (k * static_cast<size_t>(rows) + r) * size,
                              bytes.data() + (r * 13 + k) * size, size),
                  0);
  }
}

TEST_P(StripTransposeTest, OneNumberThatIsNotFiniteAnywhereInTheStripIsFoundAndPlaced) {
  const int strip_rows = kernels_->strip_rows;
  for (const DType dtype : kTypes) {
    const DTypeTraits& traits = Traits(dtype);
    const size_t row_bytes = kColumns / traits.block_size * traits.block_bytes;
    for (int row = 0; row < strip_rows; row += 3) {
      std::string rows = Rows(dtype, strip_rows);
      // The last block of the row, or the last number of a float type.
      char* at = rows.data() + static_cast<size_t>(row + 1) * row_bytes - traits.block_bytes;
      std::memset(at, 0xff, traits.block_bytes);
      std::vector<unsigned char> strip;
      const Status status = Pack(*kernels_, rows, LayOut(*kernels_, dtype, kColumns, strip_rows), &strip);
      EXPECT_EQ(status.code(), StatusCode::kDataLoss) << traits.name << " row " << row;
      EXPECT_NE(status.message().find("row " + std::to_string(row) + ","), std::string::npos)
          << status.message();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Paths, StripTransposeTest, testing::Values("generic", "avx2", "avx512vnni"),
                         [](const auto& path) { return path.param; });

}  // namespace
}  // namespace weir
