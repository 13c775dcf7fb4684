// One .safetensors file: its directory of tensors, all bounds checked against the file.
//
// Owns      the mapping; views live as long as the SafetensorsFile
// Errors    NOT_FOUND no such file · DATA_LOSS damaged or contradictory · UNIMPLEMENTED an element type that weir lacks.
//           Messages name the tensor, expected and found
// Threads   immutable after Open()
// Source    docs/FORMATS.md, "Hugging Face directories"
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/gguf/mapped_file.h"
#include "engine/tensor/dtype.h"

namespace weir {

struct StoredTensor {
  std::string name;
  DType dtype;                  // F32, F16 or BF16
  std::vector<uint64_t> shape;  // outermost first; empty for a scalar
  std::span<const std::byte> data;
  uint64_t offset = 0;  // in the file
};

class SafetensorsFile {
 public:
  static Result<std::unique_ptr<SafetensorsFile>> Open(const std::string& path);

  const std::string& path() const { return path_; }
  std::span<const StoredTensor> tensors() const { return tensors_; }
  Status CheckUnchanged() const;

 private:
  SafetensorsFile() = default;

  std::string path_;
  std::unique_ptr<MappedFile> file_;
  std::vector<StoredTensor> tensors_;
};

}  // namespace weir
