#include "engine/model/lora_step.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/kernels/matmul.h"

namespace weir {
namespace {

constexpr int kRowsPerTask = 32;

}  // namespace

Result<LoraStep> LoraStep::Create(std::span<const LoraAdapter* const> adapters, const ModelConfig& config,
                                  const KernelTable& kernels, int max_rows) {
  LoraStep out;
  out.kernels_ = &kernels;
  out.max_rows_ = max_rows;
  for (const LoraAdapter* adapter : adapters) {
    WEIR_ASSIGN_OR_RETURN(LoraWeights weights, LoraWeights::Pack(*adapter, config, kernels));
    out.rank_ = std::max(out.rank_, weights.rank);
    out.adapters_.push_back(std::move(weights));
  }
  if (adapters.empty()) return out;
  const auto floats =
      static_cast<size_t>(kSlots) * static_cast<size_t>(max_rows) * static_cast<size_t>(out.rank_);
  WEIR_ASSIGN_OR_RETURN(out.shrunk_, AlignedBuffer::Allocate(floats * sizeof(float)));
  out.segments_.reserve(static_cast<size_t>(max_rows));
  // A sequence may end within the rows of a task.
  out.tasks_.reserve(static_cast<size_t>(kSlots) * static_cast<size_t>(max_rows));
  return out;
}

int64_t LoraStep::memory_bytes() const {
  auto bytes = static_cast<int64_t>(shrunk_.size());
  for (const LoraWeights& weights : adapters_) bytes += static_cast<int64_t>(weights.buffer.size());
  return bytes;
}

void LoraStep::Begin(const Batch& batch) {
  segments_.clear();
  for (const BatchSequence& sequence : batch.sequences) {
    if (sequence.adapter == 0) continue;
    DCHECK(sequence.adapter > 0 && static_cast<size_t>(sequence.adapter) <= adapters_.size());
    const LoraWeights* const weights = &adapters_[static_cast<size_t>(sequence.adapter) - 1];
    const bool continues = !segments_.empty() && segments_.back().weights == weights &&
                           segments_.back().first_row + segments_.back().num_rows == sequence.first_row;
    if (continues)
      segments_.back().num_rows += sequence.num_rows;
    else
      segments_.push_back({weights, sequence.first_row, sequence.num_rows});
  }
}

bool LoraStep::Adapts(int layer, LoraTarget target) const {
  return std::any_of(segments_.begin(), segments_.end(),
                     [&](const Segment& segment) { return segment.weights->Find(layer, target) != nullptr; });
}

int LoraStep::SlotOf(LoraTarget target) {
  switch (target) {
    case LoraTarget::kK:
    case LoraTarget::kUp:
      return 1;
    case LoraTarget::kV:
      return 2;
    default:
      return 0;
  }
}

float* LoraStep::Shrunk(int slot, int row) const {
  return shrunk_.as<float>() + (int64_t{slot} * max_rows_ + row) * rank_;
}

void LoraStep::Shrink(ThreadPool& pool, int layer, std::initializer_list<LoraTarget> targets, const float* x,
                      int columns) {
  tasks_.clear();
  for (const Segment& segment : segments_)
    for (const LoraTarget target : targets) {
      const LoraFactor* const factor = segment.weights->Find(layer, target);
      if (factor == nullptr) continue;
      for (int row = 0; row < segment.num_rows; row += kRowsPerTask)
        tasks_.push_back({factor, SlotOf(target), segment.first_row + row,
                          std::min(kRowsPerTask, segment.num_rows - row)});
    }
  if (tasks_.empty()) return;
  pool.Run(static_cast<int>(tasks_.size()), [&](int index, int) {
    const Task& task = tasks_[static_cast<size_t>(index)];
    const PackedMatrix& a = task.factor->a;
    DCHECK(a.in == columns);
    const Activations input{nullptr, x + int64_t{task.first_row} * columns, task.num_rows, columns};
    float* const out = Shrunk(task.slot, task.first_row);
    MultiplyStrips(*kernels_, a, input, 0, a.num_strips(), out, rank_, false);
    for (int row = 0; row < task.num_rows; ++row)
      kernels_->scale(out + int64_t{row} * rank_, a.out, task.factor->scale);
  });
}

void LoraStep::Add(int layer, LoraTarget target, int first_row, int num_rows, int first_strip, int last_strip,
                   float* y, int64_t stride) const {
  for (const Segment& segment : segments_) {
    const int first = std::max(first_row, segment.first_row);
    const int last = std::min(first_row + num_rows, segment.first_row + segment.num_rows);
    if (first >= last) continue;
    const LoraFactor* const factor = segment.weights->Find(layer, target);
    if (factor == nullptr) continue;
    Activations input;
    input.x = Shrunk(SlotOf(target), first);
    input.rows = last - first;
    input.columns = rank_;  // from row to row; the product reads the first b.in of them
    MultiplyStrips(*kernels_, factor->b, input, first_strip, last_strip,
                   y + int64_t{first - first_row} * stride, stride, true);
  }
}

}  // namespace weir
