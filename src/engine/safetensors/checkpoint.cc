#include "engine/safetensors/checkpoint.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/utf8.h"

namespace weir {
namespace {

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr size_t kMaxShards = 4096;

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

// A shard lies beside its index: a name that could lead anywhere else is refused, not cleaned.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.size() < 256 &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
}

// Shard -> the tensors that the index looks for in it.
Result<std::map<std::string, std::set<std::string>>> ReadIndex(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(const Json index, ReadJsonFile(path));
  const auto bad = [&](const std::string& what) {
    return DataLoss(fmt::format("{}: {}; the file is damaged, fetch it again", path, what));
  };
  const Json* map = FindJson(index, {"weight_map"});
  if (map == nullptr || !map->is_object() || map->empty()) return bad("has no object \"weight_map\"");
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string())
      return bad(fmt::format("tensor \"{}\" has no file name", QuoteForMessage(tensor)));
    const auto& name = shard.get_ref<const std::string&>();
    if (!IsPlainName(name))
      return bad(fmt::format("tensor \"{}\" is said to lie in \"{}\", expected a file of this directory",
                             QuoteForMessage(tensor), QuoteForMessage(name)));
    shards[name].insert(tensor);
    if (shards.size() > kMaxShards) return bad(fmt::format("names more than {} files", kMaxShards));
  }
  return shards;
}

Status NoWeights(const std::string& directory) {
  for (const char* other : {"pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.safetensors"})
    if (Exists(directory + "/" + other))
      return Unimplemented(fmt::format(
          "{}: has {} but no {}; convert it with transformers' save_pretrained(safe_serialization=True)",
          directory, other, kSingle));
  return NotFound(
      fmt::format("{}: has neither {} nor {}; name a GGUF file or a directory with both config.json and "
                  "weights",
                  directory, kSingle, kIndex));
}

}  // namespace

Status Checkpoint::Add(const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(auto file, SafetensorsFile::Open(path));
  for (const StoredTensor& tensor : file->tensors()) {
    tensors_.push_back(&tensor);
    if (!by_name_.emplace(tensor.name, &tensor).second)
      return DataLoss(
          fmt::format("{}: tensor \"{}\" is in another file too; the directory mixes two models, fetch it "
                      "again",
                      path, QuoteForMessage(tensor.name)));
  }
  files_.push_back(std::move(file));
  return OkStatus();
}

Result<Checkpoint> Checkpoint::Open(const std::string& directory) {
  Checkpoint out;
  const std::string index = directory + "/" + kIndex;
  if (!Exists(index)) {
    if (!Exists(directory + "/" + kSingle)) return NoWeights(directory);
    WEIR_RETURN_IF_ERROR(out.Add(directory + "/" + kSingle));
    return out;
  }
  WEIR_ASSIGN_OR_RETURN(const auto shards, ReadIndex(index));
  for (const auto& [name, tensors] : shards) {
    const std::string path = directory + "/" + name;
    WEIR_RETURN_IF_ERROR(out.Add(path));
    std::set<std::string> found;
    for (const StoredTensor& tensor : out.files_.back()->tensors()) found.insert(tensor.name);
    for (const std::string& tensor : tensors)
      if (!found.contains(tensor))
        return DataLoss(fmt::format("{}: tensor \"{}\" is missing, which {} says is there; fetch both again",
                                    path, QuoteForMessage(tensor), kIndex));
    for (const std::string& tensor : found)
      if (!tensors.contains(tensor))
        return DataLoss(fmt::format("{}: tensor \"{}\" is not in {}; fetch both again", path,
                                    QuoteForMessage(tensor), kIndex));
  }
  return out;
}

const StoredTensor* Checkpoint::Find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

std::string Checkpoint::Identity() const {
  std::string identity;
  for (const auto& file : files_) {
    const std::string& path = file->path();
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) info = {};
    std::error_code error;
    identity += fmt::format("{} {} {} {} {}.{}\n", std::filesystem::canonical(path, error).string(),
                            static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino),
                            info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  }
  return identity;
}

Status Checkpoint::CheckUnchanged() const {
  for (const auto& file : files_) WEIR_RETURN_IF_ERROR(file->CheckUnchanged());
  return OkStatus();
}

}  // namespace weir
