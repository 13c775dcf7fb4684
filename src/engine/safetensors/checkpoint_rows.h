// Rows of a checkpoint's tensors as the model wants them: as they lie in the file, or made into something else on the way.
//
// Owns      the checkpoint
// Threads   immutable once filled; any thread
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/gguf/model_file.h"
#include "engine/safetensors/checkpoint.h"

namespace weir {

class CheckpointRows final : public TensorRows {
 public:
  explicit CheckpointRows(Checkpoint checkpoint) : checkpoint_(std::move(checkpoint)) {}

  // Under `tensor.name`, the numbers of `stored`, each plus `added`, in the type of `tensor`.
  void Add(const TensorInfo& tensor, const StoredTensor& stored, float added);
  // As the rows of one tensor after another: those of `stored`, which have the same shape and type.
  void Add(const TensorInfo& tensor, const std::vector<const StoredTensor*>& stored);
  // Numbers that lie in no file.
  void Add(const TensorInfo& tensor, std::vector<float> values);

  std::span<const std::byte> Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                  std::vector<std::byte>* buffer) const override;
  std::span<const std::byte> Mapped(const TensorInfo& tensor, uint64_t first, uint64_t last) const override;
  Status CheckUnchanged() const override { return checkpoint_.CheckUnchanged(); }
  const Checkpoint& checkpoint() const { return checkpoint_; }

 private:
  struct Source {
    std::vector<std::span<const std::byte>> parts;  // of as many rows each
    DType dtype;
    float added;
    bool mapped;

    // Rows [first, last), which lie in one part.
    std::span<const std::byte> Rows(const TensorInfo& tensor, uint64_t first, uint64_t last) const;
  };

  // Rows that lie in one part.
  static std::span<const std::byte> Convert(const TensorInfo& tensor, const Source& source,
                                            std::span<const std::byte> stored,
                                            std::vector<std::byte>* buffer);

  Checkpoint checkpoint_;
  std::unordered_map<std::string, Source> sources_;
  std::vector<std::vector<float>> values_;
};

}  // namespace weir
