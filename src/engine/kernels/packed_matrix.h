// One weight matrix in the order in which the kernels read it, and the way there from the file's order.
//
// Shapes    [out, in]; strips of KernelTable::strip_rows rows, the last one padded with zero rows. Quantized formats lie as
//           isa_formats.h says; float formats are [in][strip_rows]
// Requires  unpacked with the table it was packed for
// Owns      nothing: the model owns one buffer for all its matrices
// Errors    DATA_LOSS for a row that is no whole number of blocks, and for a scale or weight that is not finite
// Source    docs/KERNELS.md, "Row packing"
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"
#include "engine/kernels/isa_abi.h"
#include "engine/tensor/dtype.h"

namespace weir {

struct PackedMatrix {
  DType dtype = DType::kF32;
  int32_t format = kPackedF32;
  int32_t in = 0;
  int32_t out = 0;
  int32_t strip_rows = 1;
  int64_t strip_bytes = 0;
  unsigned char* data = nullptr;
  // With data null, the rows in the file's order: whoever needs a strip packs it.
  const std::byte* file_rows = nullptr;
  float rms = 0;  // root mean square of the weights, from a sample of rows; 0: not known

  int32_t num_strips() const { return (out + strip_rows - 1) / strip_rows; }
  int64_t bytes() const { return num_strips() * strip_bytes; }
  bool quantized() const { return format < kPackedF16 || format > kPackedF32; }
};

// Layout without data; `name` is for the message.
Result<PackedMatrix> LayOutMatrix(const KernelTable& kernels, DType dtype, int64_t in, int64_t out,
                                  std::string_view name);

// Fills one strip from the bytes of its rows in the file; `out` has strip_bytes.
Status PackStrip(const KernelTable& kernels, std::span<const std::byte> rows, std::string_view name,
                 int32_t strip, const PackedMatrix& matrix, unsigned char* out);
// Fills strips [first, last) of matrix.data from the bytes of their rows in the file.
Status PackStrips(const KernelTable& kernels, std::span<const std::byte> rows, std::string_view name,
                  int32_t first, int32_t last, const PackedMatrix& matrix);

// One strip that was left in its file, packed into `out`, which has strip_bytes. Requires that PackStrip() once found no
// fault in it; what became damaged since reads as zeros.
void PackFromFile(const KernelTable& kernels, const PackedMatrix& matrix, int32_t strip, unsigned char* out);

// One row as floats: the embedding of a token.
void UnpackRow(const KernelTable& kernels, const PackedMatrix& matrix, int32_t row, float* out);

}  // namespace weir
