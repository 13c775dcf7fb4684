// The weights of a Hugging Face directory: one safetensors file, or the shards that its index names.
//
// Owns      the mappings
// Errors    NOT_FOUND without weights · DATA_LOSS for an index and shards that contradict each other, and names that leave
//           the directory · UNIMPLEMENTED for weights in another format. Messages name the file
// Threads   immutable after Open()
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/safetensors/safetensors_file.h"

namespace weir {

class Checkpoint {
 public:
  static Result<Checkpoint> Open(const std::string& directory);

  // In the order of the files, so that loading reads from front to back.
  const std::vector<const StoredTensor*>& tensors() const { return tensors_; }
  const StoredTensor* Find(const std::string& name) const;
  Status CheckUnchanged() const;
  // The files with their sizes and times of change: equal for equal content, as far as can be told without reading it.
  std::string Identity() const;

 private:
  Status Add(const std::string& path);

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<const StoredTensor*> tensors_;
  std::map<std::string, const StoredTensor*> by_name_;
};

}  // namespace weir
