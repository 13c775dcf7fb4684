#include "engine/gguf/model_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/utf8.h"
#include "engine/gguf/gguf_reader.h"
#include "engine/gguf/mapped_file.h"
#include "engine/gguf/metadata_value.h"
#include "engine/gguf/split_model.h"

namespace weir {
namespace {

Status Named(const std::string& path, Status status) {
  std::string message = fmt::format("{}: {}", path, status.message());
  return Status(status.code(), std::move(message));
}

}  // namespace

struct ModelFile::State {
  std::string path;
  struct File {
    std::string path;
    std::unique_ptr<MappedFile> mapping;
  };
  std::vector<File> files;           // empty when assembled
  std::string metadata;              // what `contents` points into when assembled
  std::unique_ptr<TensorRows> rows;  // null when in files
  GgufContents contents;

  // Maps and reads one more file.
  Result<GgufContents> Read(const std::string& from) {
    auto mapping = MappedFile::Open(from);
    if (!mapping.has_value()) return Named(from, std::move(mapping).error());
    files.push_back({from, std::move(*mapping)});
    const MappedFile& file = *files.back().mapping;
    auto read = ReadGguf(file.bytes());
    // A file that somebody still writes looks damaged in any way: say so first.
    const Status unchanged = file.CheckUnchanged();
    if (!unchanged.ok()) return Named(from, unchanged);
    if (!read.has_value()) return Named(from, std::move(read).error());
    return read;
  }
  // Reads all parts of the split model to which `path` belongs.
  Status ReadParts(const SplitPlace& place);
  Status IndexTensors() {
    TensorDirectory& directory = contents.directory;
    directory.index = NameIndex();
    directory.index.Reserve(directory.tensors.size());
    for (size_t i = 0; i < directory.tensors.size(); ++i)
      directory.index.Add(directory.tensors[i].name, static_cast<uint32_t>(i));
    if (const auto twice = directory.index.Finish())
      return DataLoss(
          fmt::format("{}: tensor {} is there twice", path, directory.tensors[twice->first].name));
    return OkStatus();
  }

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

Status ModelFile::State::ReadParts(const SplitPlace& place) {
  auto paths = PartPaths(path, place);
  if (!paths.has_value()) return Named(path, std::move(paths).error());
  files.clear();
  SplitPlace of_first;
  uint64_t bytes_before = 0;
  for (uint64_t i = 0; i < place.count; ++i) {
    const std::string& from = (*paths)[i];
    auto part = Read(from);
    if (!part.has_value() && part.error().code() == StatusCode::kNotFound)
      return NotFound(
          fmt::format("{}: no such file, which is part {} of the {} of {}; fetch it into the same folder",
                      from, i + 1, place.count, path));
    if (!part.has_value()) return std::move(part).error();
    if (i == 0) {
      auto read = ReadSplitPlace(part->metadata);
      if (!read.has_value()) return Named(from, std::move(read).error());
      of_first = *read;
    }
    Status matches = CheckPart(i == 0 ? *part : contents, of_first, *part, i);
    if (!matches.ok()) return Named(from, std::move(matches));
    for (TensorInfo& tensor : part->directory.tensors) tensor.offset += bytes_before;
    bytes_before += files.back().mapping->bytes().size();
    if (i == 0) {
      contents = std::move(*part);
      continue;
    }
    std::vector<TensorInfo>& all = contents.directory.tensors;
    std::move(part->directory.tensors.begin(), part->directory.tensors.end(), std::back_inserter(all));
  }
  const size_t found = contents.directory.tensors.size();
  if (of_first.num_tensors && *of_first.num_tensors != found)
    return DataLoss(fmt::format("{}: key split.tensors.count says {}, the parts have {}; fetch them again",
                                paths->front(), *of_first.num_tensors, found));
  return IndexTensors();
}

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
  WEIR_ASSIGN_OR_RETURN(state->contents, state->Read(path));
  auto place = ReadSplitPlace(state->contents.metadata);
  if (!place.has_value()) return Named(path, std::move(place).error());
  if (place->count > 1) WEIR_RETURN_IF_ERROR(state->ReadParts(*place));
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
  state->contents.directory.tensors = std::move(tensors);
  WEIR_RETURN_IF_ERROR(state->IndexTensors());
  return std::unique_ptr<ModelFile>(new ModelFile(std::move(state)));
}

ModelFile::ModelFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
ModelFile::~ModelFile() = default;

const std::string& ModelFile::path() const { return state_->path; }
bool ModelFile::in_file() const { return !state_->files.empty(); }
size_t ModelFile::num_files() const { return state_->files.size(); }
uint64_t ModelFile::file_bytes() const {
  uint64_t bytes = 0;
  for (const State::File& file : state_->files) bytes += file.mapping->bytes().size();
  if (in_file()) return bytes;
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
  for (const State::File& file : state_->files) {
    Status status = file.mapping->CheckUnchanged();
    if (!status.ok()) return Named(file.path, std::move(status));
  }
  return OkStatus();
}

std::span<const std::byte> ModelFile::Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                           std::vector<std::byte>* buffer) const {
  if (!in_file()) return state_->rows->Rows(tensor, first, last, buffer);
  return tensor.data.subspan(first * tensor.row_bytes(), (last - first) * tensor.row_bytes());
}

std::span<const std::byte> ModelFile::Mapped(const TensorInfo& tensor, uint64_t first, uint64_t last) const {
  return in_file() ? Rows(tensor, first, last, nullptr) : state_->rows->Mapped(tensor, first, last);
}

void ModelFile::ReadAhead(const TensorInfo& tensor, uint64_t first_row, uint64_t last_row) const {
  MappedFile::ReadAhead(Mapped(tensor, first_row, last_row));
}

void ModelFile::DropPages(const TensorInfo& tensor, uint64_t first_row, uint64_t last_row) const {
  MappedFile::DropPages(Mapped(tensor, first_row, last_row));
}

}  // namespace weir
