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
  std::unique_ptr<MappedFile> file;  // null when assembled
  std::string metadata;              // what `contents` points into when assembled
  std::unique_ptr<TensorRows> rows;  // null when in a file
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

uint64_t TensorInfo::row_bytes() const {
  const DTypeTraits& traits = Traits(dtype);
  return row_length() / traits.block_size * traits.block_bytes;
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

Result<std::unique_ptr<ModelFile>> ModelFile::Assemble(std::string name, std::string metadata,
                                                       uint64_t num_keys, std::vector<TensorInfo> tensors,
                                                       std::unique_ptr<TensorRows> rows) {
  auto state = std::make_unique<State>();
  state->path = std::move(name);
  state->metadata = std::move(metadata);
  state->rows = std::move(rows);
  state->contents.version = 3;
  ByteReader reader(std::as_bytes(std::span<const char>(state->metadata)));
  Result<Metadata> entries = ReadMetadata(reader, num_keys);
  if (!entries.has_value()) return Named(state->path, std::move(entries).error());
  state->contents.metadata = std::move(*entries);
  TensorDirectory& directory = state->contents.directory;
  directory.tensors = std::move(tensors);
  for (size_t i = 0; i < directory.tensors.size(); ++i)
    directory.index.Add(directory.tensors[i].name, static_cast<uint32_t>(i));
  if (const auto twice = directory.index.Finish())
    return DataLoss(
        fmt::format("{}: tensor {} is there twice", state->path, directory.tensors[twice->first].name));
  return std::unique_ptr<ModelFile>(new ModelFile(std::move(state)));
}

ModelFile::ModelFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelFile::~ModelFile() = default;

const std::string& ModelFile::path() const { return state_->path; }
bool ModelFile::in_file() const { return state_->file != nullptr; }
uint64_t ModelFile::file_bytes() const {
  if (in_file()) return state_->file->bytes().size();
  uint64_t bytes = 0;
  for (const TensorInfo& tensor : tensors()) bytes += tensor.num_bytes();
  return bytes;
}
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
  if (!in_file()) return state_->rows->CheckUnchanged();
  Status status = state_->file->CheckUnchanged();
  return status.ok() ? status : Named(state_->path, std::move(status));
}

std::span<const std::byte> ModelFile::Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                           std::vector<std::byte>* buffer) const {
  if (!in_file()) return state_->rows->Rows(tensor, first, last, buffer);
  return tensor.data.subspan(first * tensor.row_bytes(), (last - first) * tensor.row_bytes());
}

void ModelFile::ReadAhead(const TensorInfo& tensor, uint64_t first_row, uint64_t last_row) const {
  if (in_file()) state_->file->ReadAhead(Rows(tensor, first_row, last_row, nullptr));
}

void ModelFile::DropPages(const TensorInfo& tensor, uint64_t first_row, uint64_t last_row) const {
  if (in_file()) state_->file->DropPages(Rows(tensor, first_row, last_row, nullptr));
}

}  // namespace weir
