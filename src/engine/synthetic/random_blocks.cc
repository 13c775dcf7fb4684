#include "engine/synthetic/random_blocks.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/rng.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

constexpr double kDeviation = 0.02;

// Deviation of a code that takes each of `count` neighbouring integers equally often.
double UniformDeviation(int count) { return std::sqrt((static_cast<double>(count) * count - 1) / 12); }

class BlockMaker {
 public:
  explicit BlockMaker(uint64_t seed) : rng_(seed) {}

  void Fill(DType dtype, std::byte* out) {
    switch (dtype) {
      case DType::kF32:
        return Put(out, static_cast<float>(0.9 + 0.2 * rng_.NextDouble()));
      case DType::kF16:
        return Put(out, FloatToHalf(Weight()));
      case DType::kBF16:
        return Put(out, FloatToBFloat16(Weight()));
      case DType::kQ8_0:
        return ByteSymmetric(out);
      case DType::kQ4_0:
        Put(out, FloatToHalf(Scale(UniformDeviation(16))));
        return Bytes(out + 2, 16);
      case DType::kQ4_1:
        return NibbleMin(out);
      case DType::kQ5_0:
        Put(out, FloatToHalf(Scale(UniformDeviation(32))));
        return Bytes(out + 2, 4 + 16);
      case DType::kQ4_K:
        return SuperNibble(out);
      case DType::kQ6_K:
        return SuperSix(out);
      default:
        CHECK(false);  // CanMakeBlocks() said no
    }
  }

 private:
  template <typename T>
  void Put(std::byte* out, T value) {
    std::memcpy(out, &value, sizeof value);
  }
  float Weight() { return static_cast<float>((rng_.NextDouble() - 0.5) * std::sqrt(12.0) * kDeviation); }
  // Blocks differ in loudness, as they do in trained models.
  float Scale(double code_deviation) {
    return static_cast<float>(kDeviation / code_deviation * (0.75 + 0.5 * rng_.NextDouble()));
  }
  void Bytes(std::byte* out, int count) {
    for (int i = 0; i < count; i += 4) Put(out + i, static_cast<uint32_t>(rng_.Next() >> 32));
  }

  void ByteSymmetric(std::byte* out) {
    Put(out, FloatToHalf(Scale(UniformDeviation(255))));
    Bytes(out + 2, 32);
    // No quantizer writes -128.
    for (int i = 2; i < 34; ++i)
      if (out[i] == std::byte{0x80}) out[i] = std::byte{0};
  }
  void NibbleMin(std::byte* out) {
    const float scale = Scale(UniformDeviation(16));
    Put(out, FloatToHalf(scale));
    Put(out + 2, FloatToHalf(-7.5f * scale));
    Bytes(out + 4, 16);
  }
  // w = d * s * q - dmin * m for 8 parts of 32. With m = s and dmin = 7.5 d the mean is 0; s, of 6 bits, is 32 to 63.
  void SuperNibble(std::byte* out) {
    const float scale = Scale(UniformDeviation(16) * 47.5);
    Put(out, FloatToHalf(scale));
    Put(out + 2, FloatToHalf(7.5f * scale));
    unsigned char s[8];
    for (unsigned char& value : s) value = static_cast<unsigned char>(32 + rng_.NextBelow(32));
    for (int i = 0; i < 4; ++i) {
      // The first four lie in the low 6 bits; of the other four the upper two bits lie above them, the rest in nibbles.
      const auto low = static_cast<unsigned char>(s[i] | (s[i + 4] >> 4) << 6);
      Put(out + 4 + i, low);
      Put(out + 8 + i, low);
      Put(out + 12 + i, static_cast<unsigned char>((s[i + 4] & 15) | (s[i + 4] & 15) << 4));
    }
    Bytes(out + 16, 128);
  }
  // w = d * s * (q - 32) for 16 parts of 16; s, a signed byte, is 64 to 127.
  void SuperSix(std::byte* out) {
    Bytes(out, 128 + 64);
    for (int i = 0; i < 16; ++i) Put(out + 192 + i, static_cast<unsigned char>(64 + rng_.NextBelow(64)));
    Put(out + 208, FloatToHalf(Scale(UniformDeviation(64) * 95.5)));
  }

  Rng rng_;
};

}  // namespace

bool CanMakeBlocks(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ4_K:
    case DType::kQ6_K:
      return true;
    default:
      return false;
  }
}

void FillRandomBlocks(DType dtype, uint64_t seed, std::span<std::byte> out) {
  const size_t bytes = Traits(dtype).block_bytes;
  CHECK(CanMakeBlocks(dtype) && out.size() % bytes == 0);
  BlockMaker maker(seed);
  for (size_t at = 0; at < out.size(); at += bytes) maker.Fill(dtype, out.data() + at);
}

}  // namespace weir
