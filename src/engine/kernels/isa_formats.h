// How each quantized format lies in a strip, for packing and for all kernels; included inside an anonymous namespace.
//
// Shapes    a strip of R rows is a sequence of super-blocks of 32 * super columns. super = 1: codes, then [R] fp16 scales,
//           then [R] fp16 mins if the format has its own. super = 8: [R] fp16 scales, [R] fp16 mins, the small scales of
//           all 8 blocks, the codes of all 8 blocks
//           small scales of a block: groups = 1: [R] bytes, then [R] bytes of mins; groups = 2: [R][2] signed bytes, or
//           with own mins [R][2] bytes with the scale in the low and the min in the high half
//           codes of a block: vectors of [R][4] bytes, code vector v being columns 4v to 4v + 3. First the low bits: bytes;
//           nibbles, v and v + 4 in one byte (adjacent: 2i and 2i + 1); or pairs of bits, 4i to 4i + 3 in one byte. Then
//           the high bits: single bits, that of v being bit v of a byte; or pairs, 4i to 4i + 3 in one byte
// Requires  isa_abi.h included before, outside the namespace
// Source    docs/KERNELS.md, "Row packing"
#pragma once

struct FormatTraits {
  int low_bits;   // 8, 4 or 2
  int high_bits;  // 0, 1 or 2
  bool adjacent;  // which nibbles share a byte
  int offset;  // taken from a code; 128 for signed bytes and for table values, on paths that need unsigned codes
  bool own_min;  // of the block or group
  int super;     // blocks of 32 that share an fp16 scale
  int groups;    // small scales per block: none, one, or two of 16 columns
  bool table;    // codes stand for kIq4Values
};

// The values of 4-bit codes of IQ4_NL and IQ4_XS.
static constexpr signed char kTableValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                                 1,    13,   25,  38,  53,  69,  89,  113};

static constexpr bool IsFloatFormat(int format) { return format >= kPackedF16 && format <= kPackedF32; }

static constexpr FormatTraits TraitsOf(int format) {
  switch (format) {
    case kPackedNibbleMin:
      return {4, 0, false, 0, true, 1, 0, false};
    case kPackedNibbleSymmetric:
      return {4, 0, false, 8, false, 1, 0, false};
    case kPackedByteSymmetric:
      return {8, 0, false, 128, false, 1, 0, false};
    case kPackedQ5_0:
      return {4, 1, false, 16, false, 1, 0, false};
    case kPackedQ5_1:
      return {4, 1, false, 0, true, 1, 0, false};
    case kPackedQ2K:
      return {2, 0, false, 0, true, 8, 2, false};
    case kPackedQ3K:
      return {2, 1, false, 4, false, 8, 2, false};
    case kPackedQ4K:
      return {4, 0, false, 0, true, 8, 1, false};
    case kPackedQ5K:
      return {4, 1, false, 0, true, 8, 1, false};
    case kPackedQ6K:
      return {4, 2, true, 32, false, 8, 2, false};
    case kPackedIq4Nl:
      return {4, 0, false, 128, false, 1, 0, true};
    default:  // kPackedIq4Xs
      return {4, 0, false, 128, false, 8, 1, true};
  }
}

// Vectors of low bits, and of high bits, in a block.
static constexpr int LowVectors(FormatTraits f) { return f.low_bits; }
static constexpr int CodeVectors(FormatTraits f) { return f.low_bits + f.high_bits; }
// Bytes per row.
static constexpr int CodeBytes(FormatTraits f) { return 4 * CodeVectors(f); }
static constexpr int FloatScaleBytes(FormatTraits f) { return f.own_min ? 4 : 2; }
static constexpr int SmallScaleBytes(FormatTraits f) {
  return f.groups == 0 ? 0 : f.groups == 1 && !f.own_min ? 1 : 2;
}
static constexpr int SuperBytes(FormatTraits f) {
  return FloatScaleBytes(f) + f.super * (SmallScaleBytes(f) + CodeBytes(f));
}
// Where the parts of a super-block begin, per row.
static constexpr int ScalesAt(FormatTraits f) { return f.super == 1 ? CodeBytes(f) : 0; }
static constexpr int CodesAt(FormatTraits f) {
  return f.super == 1 ? 0 : FloatScaleBytes(f) + f.super * SmallScaleBytes(f);
}

// The vector of low bits that holds code vector v, and how far up in a byte.
static constexpr int LowVectorOf(FormatTraits f, int v) {
  return f.low_bits == 8 ? v : f.low_bits == 2 ? v / 4 : f.adjacent ? v / 2 : v % 4;
}
static constexpr int LowShiftOf(FormatTraits f, int v) {
  return f.low_bits == 8 ? 0 : f.low_bits == 2 ? v % 4 * 2 : (f.adjacent ? v % 2 : v / 4) * 4;
}
static constexpr int HighVectorOf(FormatTraits f, int v) {
  return f.low_bits + (f.high_bits == 2 ? v / 4 : 0);
}
static constexpr int HighShiftOf(FormatTraits f, int v) { return f.high_bits == 2 ? v % 4 * 2 : v; }

// The code of a row and a column, 0 to 31, of the block whose codes begin at `codes`.
static inline int CodeAt(FormatTraits f, const unsigned char* codes, int strip_rows, int row, int column) {
  const int v = column / 4;
  const int at = 4 * row + column % 4;
  const int mask = (1 << f.low_bits) - 1;
  int code = codes[4 * strip_rows * LowVectorOf(f, v) + at] >> LowShiftOf(f, v) & mask;
  if (f.high_bits != 0) {
    const int high = codes[4 * strip_rows * HighVectorOf(f, v) + at] >> HighShiftOf(f, v);
    code |= (high & ((1 << f.high_bits) - 1)) << f.low_bits;
  }
  return code;
}

// The small scales and mins of a row in a block: per group, or 1 and -1 without groups.
struct SmallScales {
  int scale[2];
  int min[2];
};
static inline SmallScales SmallScalesAt(FormatTraits f, const unsigned char* super, int strip_rows, int row,
                                        int block) {
  SmallScales out = {{1, 1}, {-1, -1}};
  const unsigned char* scales = super + (FloatScaleBytes(f) + block * SmallScaleBytes(f)) * strip_rows;
  for (int g = 0; g < 2; ++g) {
    if (f.groups == 1) {
      out.scale[g] = static_cast<signed char>(scales[row]);
      if (f.own_min) out.min[g] = scales[strip_rows + row];
    } else if (f.groups == 2) {
      const unsigned char byte = scales[2 * row + g];
      out.scale[g] = f.own_min ? byte & 15 : static_cast<signed char>(byte);
      out.min[g] = byte >> 4;
    }
  }
  return out;
}
