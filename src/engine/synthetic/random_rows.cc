#include "engine/synthetic/random_rows.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/rng.h"
#include "engine/synthetic/random_blocks.h"

namespace weir {
namespace {

constexpr uint64_t kPeriodBytes = uint64_t{2} << 20;
constexpr uint64_t kOverhangBytes = uint64_t{9} << 18;  // the longest range that need not be copied
constexpr uint64_t kNormBytes = uint64_t{64} << 10;     // of F32, which only norms have

uint64_t NextPrime(uint64_t from) {
  const auto is_prime = [](uint64_t n) {
    for (uint64_t d = 2; d * d <= n; ++d)
      if (n % d == 0) return false;
    return n > 1;
  };
  while (!is_prime(from)) ++from;
  return from;
}

// FNV-1a: where a tensor starts must not depend on which other tensors there are.
uint64_t HashOf(std::string_view name, uint64_t seed) {
  uint64_t hash = 14695981039346656037u ^ seed;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return Rng(hash).Next();
}

}  // namespace

RandomRows::RandomRows(std::span<const TensorInfo> tensors, uint64_t seed) : seed_(seed) {
  for (const TensorInfo& tensor : tensors) {
    Region& region = regions_[tensor.dtype];
    if (!region.bytes.empty()) continue;
    const uint64_t block = Traits(tensor.dtype).block_bytes;
    const bool is_norm = tensor.dtype == DType::kF32;
    region.period = NextPrime((is_norm ? kNormBytes : kPeriodBytes) / block);
    const uint64_t overhang = (is_norm ? kNormBytes : kOverhangBytes) / block;
    region.bytes.resize((region.period + overhang) * block);
    const std::span<std::byte> bytes(region.bytes);
    FillRandomBlocks(tensor.dtype, seed + static_cast<uint64_t>(tensor.dtype),
                     bytes.first(region.period * block));
    for (uint64_t at = region.period * block; at < bytes.size(); at += region.period * block)
      std::memcpy(bytes.data() + at, bytes.data(), std::min(region.period * block, bytes.size() - at));
  }
}

std::span<const std::byte> RandomRows::Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                            std::vector<std::byte>* buffer) const {
  const Region& region = regions_.at(tensor.dtype);
  const DTypeTraits& traits = Traits(tensor.dtype);
  const uint64_t blocks_per_row = tensor.row_length() / traits.block_size;
  const uint64_t from = (HashOf(tensor.name, seed_) % region.period + first * blocks_per_row) % region.period;
  const uint64_t wanted = (last - first) * blocks_per_row * traits.block_bytes;
  const std::span<const std::byte> rest =
      std::span<const std::byte>(region.bytes).subspan(from * traits.block_bytes);
  if (wanted <= rest.size()) return rest.first(wanted);
  CHECK(buffer != nullptr);
  buffer->resize(wanted);
  const uint64_t period_bytes = region.period * traits.block_bytes;
  uint64_t done = 0;
  for (uint64_t at = from * traits.block_bytes; done < wanted; at = 0) {
    const uint64_t count = std::min(period_bytes - at, wanted - done);
    std::memcpy(buffer->data() + done, region.bytes.data() + at, count);
    done += count;
  }
  return *buffer;
}

}  // namespace weir
