// How rows are split into tiles, and the outer loops of the matrix product, included inside the anonymous namespace of
// the vector ISA files, after isa_formats.h. The file has defined before: kStripRows,
// MultiplyBlocks<Format, T> and MultiplyFloats<Format, T, Strips>.
//
// Threads   pure functions
//
// Tiles have 8 rows, but the last two share evenly: 9 rows become 5 + 4, never 8 + 1, for a lone row would read all
// weights for itself.
#pragma once

// Strips that a tile of T rows of a float format takes together: a strip alone would wait for its own sums.
static constexpr int StripsTogether(int t) { return t <= 2 ? 4 : t <= 4 ? 2 : 1; }
enum { kMaxStrips = 4 };

// `count` strips for float formats, one for the others. `valid` matrix rows from the first strip's on.
template <int Format, int T>
static void TileProduct(const IsaMatMul& args, const unsigned char* strip, int32_t count, int32_t first_row,
                        float* y, int32_t valid) {
  if constexpr (IsFloatFormat(Format)) {
    constexpr int32_t kTogether = StripsTogether(T);
    const float* x = args.x + first_row * args.x_stride;
    int32_t i = 0;
    for (; i + kTogether <= count; i += kTogether)
      MultiplyFloats<Format, T, kTogether>(args, strip + i * args.strip_bytes, x, y + i * kStripRows,
                                           valid - i * kStripRows);
    if constexpr (kTogether > 2)
      for (; i + 2 <= count; i += 2)
        MultiplyFloats<Format, T, 2>(args, strip + i * args.strip_bytes, x, y + i * kStripRows,
                                     valid - i * kStripRows);
    for (; i < count; ++i)
      MultiplyFloats<Format, T, 1>(args, strip + i * args.strip_bytes, x, y + i * kStripRows,
                                   valid - i * kStripRows);
  } else {
    const int64_t offset = static_cast<int64_t>(first_row) * (args.in / 32) * kActivationBlockBytes;
    MultiplyBlocks<Format, T>(strip, args.activations + offset, args.in / 32, first_row == 0, y,
                              args.y_stride, valid, args.accumulate != 0);
  }
}

template <int Format>
static void AllTiles(const IsaMatMul& args, const unsigned char* strip, int32_t count, float* y,
                     int32_t valid) {
  for (int32_t row = 0; row < args.rows;) {
    const int32_t left = args.rows - row;
    const int32_t tile_rows = left > 2 * kMaxTileRows ? int32_t{kMaxTileRows}
                              : left > kMaxTileRows   ? (left + 1) / 2
                                                      : left;
    float* out = y + row * args.y_stride;
    switch (tile_rows) {
      case 1:
        TileProduct<Format, 1>(args, strip, count, row, out, valid);
        break;
      case 2:
        TileProduct<Format, 2>(args, strip, count, row, out, valid);
        break;
      case 3:
        TileProduct<Format, 3>(args, strip, count, row, out, valid);
        break;
      case 4:
        TileProduct<Format, 4>(args, strip, count, row, out, valid);
        break;
      case 5:
        TileProduct<Format, 5>(args, strip, count, row, out, valid);
        break;
      case 6:
        TileProduct<Format, 6>(args, strip, count, row, out, valid);
        break;
      case 7:
        TileProduct<Format, 7>(args, strip, count, row, out, valid);
        break;
      default:
        TileProduct<Format, 8>(args, strip, count, row, out, valid);
        break;
    }
    row += tile_rows;
  }
}

template <int Format>
static void StripRange(const IsaMatMul& args) {
  if (args.rows <= 0) return;
  // More tiles than one would read several strips again from further away than one.
  const int32_t step = IsFloatFormat(Format) && args.rows <= kMaxTileRows ? kMaxStrips : 1;
  for (int32_t s = args.first_strip; s < args.last_strip; s += step) {
    const int32_t count = args.last_strip - s < step ? args.last_strip - s : step;
    const unsigned char* strip = args.strips + s * args.strip_bytes;
    float* y = args.y + static_cast<int64_t>(s - args.first_strip) * kStripRows;
    const int32_t left = args.out - s * kStripRows;
    AllTiles<Format>(args, strip, count, y, left);
  }
}

static void MatMul(const IsaMatMul* args) {
  switch (args->format) {
    case kPackedNibbleMin:
      return StripRange<kPackedNibbleMin>(*args);
    case kPackedNibbleSymmetric:
      return StripRange<kPackedNibbleSymmetric>(*args);
    case kPackedByteSymmetric:
      return StripRange<kPackedByteSymmetric>(*args);
    case kPackedF16:
      return StripRange<kPackedF16>(*args);
    case kPackedBF16:
      return StripRange<kPackedBF16>(*args);
    case kPackedF32:
      return StripRange<kPackedF32>(*args);
    case kPackedQ4K:
      return StripRange<kPackedQ4K>(*args);
    case kPackedQ6K:
      return StripRange<kPackedQ6K>(*args);
    case kPackedQ5_0:
      return StripRange<kPackedQ5_0>(*args);
    case kPackedQ5_1:
      return StripRange<kPackedQ5_1>(*args);
    case kPackedQ5K:
      return StripRange<kPackedQ5K>(*args);
    case kPackedQ2K:
      return StripRange<kPackedQ2K>(*args);
    case kPackedQ3K:
      return StripRange<kPackedQ3K>(*args);
    case kPackedIq4Nl:
      return StripRange<kPackedIq4Nl>(*args);
    default:
      return StripRange<kPackedIq4Xs>(*args);
  }
}
