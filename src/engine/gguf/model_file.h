// A model file as the rest of the engine sees it: metadata and a directory of tensors, all bounds already checked.
//
// Owns      the mapping; views into it (strings, arrays, tensor data) live as long as the ModelFile
// Errors    NOT_FOUND no such file · INVALID_ARGUMENT a directory · DATA_LOSS damaged or contradictory ·
//           UNIMPLEMENTED version or tensor type that weir lacks. Messages name key or tensor, byte offset,
//           expected and found
// Threads   immutable after Open() or Assemble()
// Source    docs/FORMATS.md, "GGUF as weir reads it"
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tensor/dtype.h"

namespace weir {

enum class MetadataType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

struct MetadataEntry {
  std::string key;
  MetadataType type;
  MetadataType element_type;              // of an array; otherwise equals type
  uint64_t count = 1;                     // elements of an array
  std::span<const std::byte> data;        // raw little-endian value(s); empty for strings
  std::vector<std::string_view> strings;  // string value (one) or string array
  uint64_t offset = 0;                    // in the file, for messages
};

struct TensorInfo {
  std::string name;
  DType dtype;
  std::vector<uint64_t> dims;       // GGUF order: dims[0] is the row length (the input width of a matrix)
  uint64_t offset = 0;              // in the file, or in the parts of a split model one after another
  std::span<const std::byte> data;  // of a tensor in a file; empty when its rows are made on demand

  uint64_t num_elements() const;
  uint64_t row_length() const { return dims.empty() ? 1 : dims[0]; }
  uint64_t num_rows() const { return row_length() == 0 ? 0 : num_elements() / row_length(); }
  uint64_t row_bytes() const;
  uint64_t num_bytes() const { return num_rows() * row_bytes(); }
};

// Makes the rows of tensors that lie in no file, a few at a time: nobody ever holds a whole tensor.
//
// Requires  a row is the same whichever range it is asked in
// Threads   any
class TensorRows {
 public:
  virtual ~TensorRows() = default;
  // Rows [first, last) as a file would have them; points into this object or into `buffer`.
  virtual std::span<const std::byte> Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                          std::vector<std::byte>* buffer) const = 0;
  // The bytes of a mapped file that Rows() makes them of, where these lie in one piece; else nothing.
  virtual std::span<const std::byte> Mapped(const TensorInfo& /*tensor*/, uint64_t /*first*/,
                                            uint64_t /*last*/) const {
    return {};
  }
  // As ModelFile::CheckUnchanged().
  virtual Status CheckUnchanged() const { return OkStatus(); }
};

class ModelFile {
 public:
  // Of a split model any part; its siblings are found by its name.
  static Result<std::unique_ptr<ModelFile>> Open(const std::string& path);
  // A model without a file: `num_keys` metadata entries in GGUF's spelling (DATA_LOSS when they are not), and tensors.
  static Result<std::unique_ptr<ModelFile>> Assemble(std::string name, std::string metadata,
                                                     uint64_t num_keys, std::vector<TensorInfo> tensors,
                                                     std::unique_ptr<TensorRows> rows);
  ~ModelFile();
  ModelFile(const ModelFile&) = delete;
  ModelFile& operator=(const ModelFile&) = delete;

  const std::string& path() const;  // of an assembled one, its name
  bool in_file() const;
  uint64_t file_bytes() const;  // of all parts; of an assembled one, of its tensors
  size_t num_files() const;     // 0 of an assembled one, more than 1 of a split one
  uint32_t version() const;
  std::span<const MetadataEntry> metadata() const;
  std::span<const TensorInfo> tensors() const;

  const MetadataEntry* FindMetadata(std::string_view key) const;
  const TensorInfo* FindTensor(std::string_view name) const;

  // Typed access. A missing key or a wrong type is DATA_LOSS naming the key; integer types convert when the
  // value fits.
  Result<uint64_t> GetUint(std::string_view key) const;
  Result<double> GetFloat(std::string_view key) const;
  Result<bool> GetBool(std::string_view key) const;
  Result<std::string_view> GetString(std::string_view key) const;
  Result<std::span<const std::string_view>> GetStringArray(std::string_view key) const;
  Result<std::vector<float>> GetFloatArray(std::string_view key) const;
  Result<std::vector<int64_t>> GetIntArray(std::string_view key) const;
  // The default when the key is absent; a present key of the wrong type is still an error.
  Result<uint64_t> GetUintOr(std::string_view key, uint64_t fallback) const;
  Result<double> GetFloatOr(std::string_view key, double fallback) const;
  Result<bool> GetBoolOr(std::string_view key, bool fallback) const;

  // DATA_LOSS once the file was cut, rewritten or unreadable after Open(): what was read since may be wrong,
  // so a loader asks when it is done. A file that shrinks while mapped reads as zeros from there on; it never
  // ends the process.
  Status CheckUnchanged() const;

  // Rows [first, last) of a tensor in the file's format. They lie in the mapping or, for an assembled model,
  // possibly in `buffer`.
  std::span<const std::byte> Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                  std::vector<std::byte>* buffer) const;
  // Hints for bytes of a file that Rows() gave or will give: that they are wanted soon, and that they will not be
  // read again (after repacking).
  void ReadAhead(const TensorInfo& tensor, uint64_t first_row, uint64_t last_row) const;
  void DropPages(const TensorInfo& tensor, uint64_t first_row, uint64_t last_row) const;

 private:
  struct State;
  std::span<const std::byte> Mapped(const TensorInfo& tensor, uint64_t first, uint64_t last) const;
  explicit ModelFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir
