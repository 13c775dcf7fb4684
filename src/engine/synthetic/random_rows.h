// Rows of random weights for tensors of any size, out of a few megabytes of random blocks per type.
//
// Owns      one region per type that the tensors have
// Threads   immutable; any thread
//
// Row r of a tensor is the region from block (start + r * blocks per row) on, wrapped around. The region is a prime number
// of blocks long, so rows begin at different blocks as long as there are any, and a range of rows is one piece of
// memory that nobody has to generate or copy: a loader is measured, not this.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "engine/gguf/model_file.h"

namespace weir {

class RandomRows final : public TensorRows {
 public:
  RandomRows(std::span<const TensorInfo> tensors, uint64_t seed);

  std::span<const std::byte> Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                  std::vector<std::byte>* buffer) const override;

 private:
  struct Region {
    uint64_t period = 0;           // blocks
    std::vector<std::byte> bytes;  // the period, then its beginning once more
  };

  std::map<DType, Region> regions_;
  uint64_t seed_;
};

}  // namespace weir
