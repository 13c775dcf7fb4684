// What a forward pass adds for the rows that have a LoRA adapter: y += scale * B (A x), for each matrix that it adapts.
//
// Shapes    x [rows of the batch, columns of the matrix]; A x [rows, rank] in memory of its own
// Requires  Begin() before a pass; Shrink() of a matrix before its Add()
// Owns      the adapters' weights; memory for A x, sized once
// Threads   Begin() and Shrink() on the engine thread; Add() on any, of disjoint rows or columns
//
// Base rows are not touched, and a row's sum does not depend on the rows beside it: so its bits are those it has alone.
// A pass without adapters has nothing to do here.
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/batch/batch.h"
#include "engine/kernels/isa_abi.h"
#include "engine/kernels/thread_pool.h"
#include "engine/lora/lora_adapter.h"
#include "engine/model/lora_weights.h"

namespace weir {

class LoraStep {
 public:
  LoraStep() = default;
  static Result<LoraStep> Create(std::span<const LoraAdapter* const> adapters, const ModelConfig& config,
                                 const KernelTable& kernels, int max_rows);

  void Begin(const Batch& batch);
  bool empty() const { return segments_.empty(); }
  // Whether a row of the pass needs the input of this matrix.
  bool Adapts(int layer, LoraTarget target) const;

  // A x of up to three matrices that have the same input.
  void Shrink(ThreadPool& pool, int layer, std::initializer_list<LoraTarget> targets, const float* x,
              int columns);
  // `y`: of row first_row, columns of the strips [first_strip, last_strip).
  void Add(int layer, LoraTarget target, int first_row, int num_rows, int first_strip, int last_strip,
           float* y, int64_t stride) const;

  // Calls body(row) for the pass's rows in [first_row, first_row + num_rows) that have an adapter.
  template <typename Body>
  void ForEachRow(int first_row, int num_rows, const Body& body) const {
    for (const Segment& segment : segments_) {
      const int last = std::min(first_row + num_rows, segment.first_row + segment.num_rows);
      for (int row = std::max(first_row, segment.first_row); row < last; ++row) body(row);
    }
  }

  int64_t memory_bytes() const;

 private:
  // Neighbouring rows with the same adapter.
  struct Segment {
    const LoraWeights* weights;
    int first_row;
    int num_rows;
  };
  struct Task {
    const LoraFactor* factor;
    int slot;
    int first_row;
    int num_rows;
  };
  static constexpr int kSlots = 3;
  static int SlotOf(LoraTarget target);
  float* Shrunk(int slot, int row) const;

  const KernelTable* kernels_ = nullptr;
  std::vector<LoraWeights> adapters_;
  int max_rows_ = 0;
  int rank_ = 0;  // the largest
  std::vector<Segment> segments_;
  std::vector<Task> tasks_;
  AlignedBuffer shrunk_;  // [slots, max_rows, rank]
};

}  // namespace weir
