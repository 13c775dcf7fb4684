#include "engine/tensor/dequantize.h"

#include <cstring>

#include "base/check.h"
#include "engine/tensor/block_codes.h"
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

void ExpandBlocks(DType dtype, const std::byte* source, std::span<float> out) {
  const DTypeTraits& traits = Traits(dtype);
  const CodeRule rule = RuleOf(dtype);
  const bool small_scales = traits.block_size == kSuperBlockSize;
  BlockCodes block;
  for (size_t first = 0; first < out.size(); first += traits.block_size, source += traits.block_bytes) {
    ReadBlock(dtype, source, &block);
    const float scale = HalfToFloat(block.scale);
    const float min = HalfToFloat(block.min);
    for (uint32_t k = 0; k < traits.block_size; ++k) {
      const size_t group = k / static_cast<uint32_t>(rule.group);
      int code = block.codes[k] - rule.offset;
      if (rule.table != nullptr) code = rule.table[block.codes[k]];
      if (rule.signed_bytes) code = static_cast<int8_t>(block.codes[k]);
      float value =
          static_cast<float>(code) * (small_scales ? scale * static_cast<float>(block.scales[group]) : scale);
      if (rule.own_min) value += small_scales ? -(min * static_cast<float>(block.mins[group])) : min;
      out[first + k] = value;
    }
  }
}

}  // namespace

void Dequantize(DType dtype, std::span<const std::byte> source, std::span<float> out) {
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
    default:
      ExpandBlocks(dtype, bytes, out);
      break;
  }
}

std::vector<float> DequantizeAll(DType dtype, std::span<const std::byte> source, size_t elements) {
  std::vector<float> out(elements);
  Dequantize(dtype, source, out);
  return out;
}

}  // namespace weir
