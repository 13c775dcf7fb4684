#include "engine/kernels/matmul.h"

#include <algorithm>

#include "base/check.h"

namespace weir {

Activations RowsOf(const KernelTable& kernels, const Activations& all, int32_t first, int32_t count) {
  if (count == all.rows) return all;
  [[maybe_unused]] const int32_t tile_rows =
      all.prompt_rows > 0 ? kernels.prompts->tile_rows : int32_t{kMaxTileRows};
  DCHECK(first % tile_rows == 0);
  DCHECK(first + count == all.rows || count % tile_rows == 0);
  Activations part = all;
  if (all.prompt_rows > 0) {
    DCHECK(first < all.prompt_rows && (first + count <= all.prompt_rows || first + count == all.rows));
    part.tiles += PromptTileBytes(kernels, first, all.columns);
  } else {
    DCHECK(all.rows - first > kMaxTileRows);  // else `first` lies within one of the last two tiles
    part.tiles += ActivationTileBytes(first, all.columns);
  }
  if (part.x != nullptr) part.x += int64_t{first} * all.columns;
  part.rows = count;
  part.prompt_rows = std::clamp(all.prompt_rows - first, 0, count);
  return part;
}

void QuantizeRows(const KernelTable& kernels, const float* x, int64_t stride, int32_t row, int32_t num_rows,
                  int32_t first_column, int32_t count, const Activations& into, const float* thresholds) {
  const int64_t first_block = first_column / 32;
  int32_t done = 0;
  while (done < num_rows && row + done < into.prompt_rows) {
    const int32_t r = row + done;
    const int32_t t = r % kernels.prompts->tile_rows;
    const int32_t together =
        std::min({num_rows - done, into.prompt_rows - r, kernels.prompts->tile_rows - t});
    kernels.prompts->to_tile(x + done * stride, stride, together, first_column, count,
                             into.tiles + PromptTileBytes(kernels, r - t, into.columns), into.columns, t,
                             thresholds == nullptr ? nullptr : thresholds + done);
    done += together;
  }
  unsigned char* const tiles = into.tiles + PromptTileBytes(kernels, into.prompt_rows, into.columns);
  const int32_t rows = into.rows - into.prompt_rows;
  // The tiles of 8 rows, then the last two, which share evenly.
  const int32_t whole = rows > 2 * kMaxTileRows ? (rows - kMaxTileRows - 1) / kMaxTileRows * kMaxTileRows : 0;
  const int32_t left = rows - whole;
  const int32_t first = left > kMaxTileRows ? (left + 1) / 2 : left;
  while (done < num_rows) {
    const int32_t r = row + done - into.prompt_rows;
    const int32_t tile_rows = r < whole ? int32_t{kMaxTileRows} : r - whole < first ? first : left - first;
    const int32_t t = r < whole ? r % kMaxTileRows : (r - whole) % first;
    const int32_t together = std::min(num_rows - done, tile_rows - t);
    const int64_t offset =
        ActivationTileBytes(r - t, into.columns) + first_block * tile_rows * kActivationBlockBytes;
    kernels.quantize(x + done * stride, stride, together, count, tiles + offset, tile_rows, t,
                     thresholds == nullptr ? nullptr : thresholds + done);
    done += together;
  }
}

void MultiplyStrips(const KernelTable& kernels, const PackedMatrix& matrix, const Activations& input,
                    int32_t first_strip, int32_t last_strip, float* y, int64_t y_stride, bool accumulate,
                    unsigned char* strip_buffer, NextStrips next) {
  if (matrix.data == nullptr) {
    DCHECK(strip_buffer != nullptr);
    PackedMatrix one = matrix;
    one.data = strip_buffer;
    for (int32_t strip = first_strip; strip < last_strip; ++strip) {
      PackFromFile(kernels, matrix, strip, strip_buffer);
      one.out = matrix.out - strip * matrix.strip_rows;
      MultiplyStrips(kernels, one, input, 0, 1, y + int64_t{strip - first_strip} * matrix.strip_rows,
                     y_stride, accumulate);
    }
    return;
  }
  IsaMatMul args;
  args.format = matrix.format;
  args.in = matrix.in;
  args.out = matrix.out;
  args.rows = input.rows;
  args.strips = matrix.data;
  args.strip_bytes = matrix.strip_bytes;
  args.activations = input.tiles;
  args.x = input.x;
  args.x_stride = input.columns;
  args.first_strip = first_strip;
  args.last_strip = last_strip;
  const bool knows_next = next.matrix != nullptr && next.matrix->data != nullptr;
  args.next_strips = knows_next ? next.matrix->data + next.first * next.matrix->strip_bytes : nullptr;
  args.next_strip_bytes = knows_next ? next.matrix->strip_bytes : 0;
  args.accumulate = accumulate ? 1 : 0;
  args.y = y;
  args.y_stride = y_stride;
  if (matrix.quantized() && input.prompt_rows > 0) {
    args.rows = input.prompt_rows;
    kernels.prompts->matmul(&args);
    args.rows = input.rows - input.prompt_rows;
    if (args.rows == 0) return;
    args.activations += PromptTileBytes(kernels, input.prompt_rows, input.columns);
    args.y += int64_t{input.prompt_rows} * y_stride;
  }
  kernels.matmul(&args);
}

}  // namespace weir
