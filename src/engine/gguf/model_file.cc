#include "engine/gguf/model_file.h"

#include <fmt/format.h>

#include <utility>

#include "base/utf8.h"
#include "engine/gguf/gguf_reader.h"
#include "engine/gguf/mapped_file.h"
#include "engine/gguf/metadata_value.h"

namespace weir {
namespace {

Status Named(const std::string& path, Status status) {
  std::string message = fmt::format("{}: {}", path, status.message());
  return Status(status.code(), std::move(message));
}

}  // namespace

struct ModelFile::State {
  std::string path;
  std::unique_ptr<MappedFile> file;
  GgufContents contents;

  template <typename T>
  Result<T> Get(std::string_view key, Result<T> (*convert)(const MetadataEntry&)) const {
    const auto found = contents.metadata.index.Find(key);
    if (!found) {
      return DataLoss(
          fmt::format("{}: key \"{}\" is missing; the model file is incomplete or of another kind", path,
                      QuoteForMessage(key)));
    }
    Result<T> value = convert(contents.metadata.entries[*found]);
    if (!value.has_value()) return Named(path, std::move(value).error());
    return value;
  }
  template <typename T>
  Result<T> GetOr(std::string_view key, T fallback, Result<T> (*convert)(const MetadataEntry&)) const {
    if (!contents.metadata.index.Find(key)) return fallback;
    return Get(key, convert);
  }
};

uint64_t TensorInfo::num_elements() const {
  uint64_t product = 1;
  for (const uint64_t dim : dims) product *= dim;
  return product;
}

Result<std::unique_ptr<ModelFile>> ModelFile::Open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  auto file = MappedFile::Open(path);
  if (!file.has_value()) return Named(path, std::move(file).error());
  state->file = std::move(*file);
  auto contents = ReadGguf(state->file->bytes());
  // A file that somebody still writes looks damaged in any way: say so first.
  const Status unchanged = state->file->CheckUnchanged();
  if (!unchanged.ok()) return Named(path, unchanged);
  if (!contents.has_value()) return Named(path, std::move(contents).error());
  state->contents = std::move(*contents);
  return std::unique_ptr<ModelFile>(new ModelFile(std::move(state)));
}

ModelFile::ModelFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelFile::~ModelFile() = default;

const std::string& ModelFile::path() const { return state_->path; }
uint64_t ModelFile::file_bytes() const { return state_->file->bytes().size(); }
uint32_t ModelFile::version() const { return state_->contents.version; }
std::span<const MetadataEntry> ModelFile::metadata() const { return state_->contents.metadata.entries; }
std::span<const TensorInfo> ModelFile::tensors() const { return state_->contents.directory.tensors; }

const MetadataEntry* ModelFile::FindMetadata(std::string_view key) const {
  const auto found = state_->contents.metadata.index.Find(key);
  return found ? &state_->contents.metadata.entries[*found] : nullptr;
}

const TensorInfo* ModelFile::FindTensor(std::string_view name) const {
  const auto found = state_->contents.directory.index.Find(name);
  return found ? &state_->contents.directory.tensors[*found] : nullptr;
}

Result<uint64_t> ModelFile::GetUint(std::string_view key) const { return state_->Get(key, ValueAsUint); }
Result<double> ModelFile::GetFloat(std::string_view key) const { return state_->Get(key, ValueAsFloat); }
Result<bool> ModelFile::GetBool(std::string_view key) const { return state_->Get(key, ValueAsBool); }
Result<std::string_view> ModelFile::GetString(std::string_view key) const {
  return state_->Get(key, ValueAsString);
}
Result<std::span<const std::string_view>> ModelFile::GetStringArray(std::string_view key) const {
  return state_->Get(key, ValueAsStrings);
}
Result<std::vector<float>> ModelFile::GetFloatArray(std::string_view key) const {
  return state_->Get(key, ValueAsFloats);
}
Result<std::vector<int64_t>> ModelFile::GetIntArray(std::string_view key) const {
  return state_->Get(key, ValueAsInts);
}

Result<uint64_t> ModelFile::GetUintOr(std::string_view key, uint64_t fallback) const {
  return state_->GetOr(key, fallback, ValueAsUint);
}
Result<double> ModelFile::GetFloatOr(std::string_view key, double fallback) const {
  return state_->GetOr(key, fallback, ValueAsFloat);
}
Result<bool> ModelFile::GetBoolOr(std::string_view key, bool fallback) const {
  return state_->GetOr(key, fallback, ValueAsBool);
}

Status ModelFile::CheckUnchanged() const {
  Status status = state_->file->CheckUnchanged();
  return status.ok() ? status : Named(state_->path, std::move(status));
}

void ModelFile::DropPages(const TensorInfo& tensor) const { state_->file->DropPages(tensor.data); }

}  // namespace weir
