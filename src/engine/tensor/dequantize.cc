#include "engine/tensor/dequantize.h"

#include <fmt/format.h>

#include <cstring>

#include "base/check.h"
#include "engine/tensor/blocks.h"
#include "engine/tensor/half.h"

namespace weir {
namespace {

// A file promises no alignment beyond 2 bytes, and a damaged one not even that.
template <typename T>
T Load(const std::byte* source) {
  T value;
  std::memcpy(&value, source, sizeof(T));
  return value;
}

void Expand(const BlockQ4_0& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((block.qs[j] & 0xf) - 8) * scale;
    out[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * scale;
  }
}

void Expand(const BlockQ4_1& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float min = HalfToFloat(block.min);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(block.qs[j] & 0xf) * scale + min;
    out[j + 16] = static_cast<float>(block.qs[j] >> 4) * scale + min;
  }
}

template <typename Block>
int FiveBits(const Block& block, int j) {
  const int low = j < 16 ? block.qs[j] & 0xf : block.qs[j - 16] >> 4;
  const int high = (block.qh[j / 8] >> (j % 8)) & 1;
  return low | (high << 4);
}

void Expand(const BlockQ5_0& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (int j = 0; j < kQuantBlockSize; ++j) out[j] = static_cast<float>(FiveBits(block, j) - 16) * scale;
}

void Expand(const BlockQ5_1& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  const float min = HalfToFloat(block.min);
  for (int j = 0; j < kQuantBlockSize; ++j) out[j] = static_cast<float>(FiveBits(block, j)) * scale + min;
}

void Expand(const BlockQ8_0& block, float* out) {
  const float scale = HalfToFloat(block.scale);
  for (int j = 0; j < kQuantBlockSize; ++j) out[j] = static_cast<float>(block.qs[j]) * scale;
}

template <typename Block>
void ExpandBlocks(const std::byte* source, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += kQuantBlockSize, source += sizeof(Block)) {
    Expand(Load<Block>(source), out.data() + i);
  }
}

}  // namespace

bool CanDequantize(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ8_0:
      return true;
    default:
      return false;
  }
}

Status Dequantize(DType dtype, std::span<const std::byte> source, std::span<float> out) {
  if (!CanDequantize(dtype)) {
    return Unimplemented(
        fmt::format("weights of type {} cannot be computed with; convert the model to one of F32 F16 "
                    "BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0",
                    Traits(dtype).name));
  }
  const DTypeTraits& traits = Traits(dtype);
  CHECK(out.size() % traits.block_size == 0);
  CHECK(source.size() / traits.block_bytes >= out.size() / traits.block_size);
  const std::byte* bytes = source.data();
  switch (dtype) {
    case DType::kF32:
      if (!out.empty()) std::memcpy(out.data(), bytes, out.size() * sizeof(float));
      break;
    case DType::kF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = HalfToFloat(Load<uint16_t>(bytes + 2 * i));
      break;
    case DType::kBF16:
      for (size_t i = 0; i < out.size(); ++i) out[i] = BFloat16ToFloat(Load<uint16_t>(bytes + 2 * i));
      break;
    case DType::kQ4_0:
      ExpandBlocks<BlockQ4_0>(bytes, out);
      break;
    case DType::kQ4_1:
      ExpandBlocks<BlockQ4_1>(bytes, out);
      break;
    case DType::kQ5_0:
      ExpandBlocks<BlockQ5_0>(bytes, out);
      break;
    case DType::kQ5_1:
      ExpandBlocks<BlockQ5_1>(bytes, out);
      break;
    default:
      ExpandBlocks<BlockQ8_0>(bytes, out);
      break;
  }
  return OkStatus();
}

Result<std::vector<float>> DequantizeAll(DType dtype, std::span<const std::byte> source, size_t elements) {
  std::vector<float> out(elements);
  WEIR_RETURN_IF_ERROR(Dequantize(dtype, source, out));
  return out;
}

}  // namespace weir
