#include "engine/gguf/split_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.h"
#include "engine/gguf/metadata_value.h"

namespace weir {
namespace {

// As many as names with five digits; far fewer than descriptors would allow.
constexpr uint64_t kMaxParts = 1000;
constexpr std::string_view kNumber = "split.no";
constexpr std::string_view kCount = "split.count";
constexpr std::string_view kTensors = "split.tensors.count";

Result<std::optional<uint64_t>> Find(const Metadata& metadata, std::string_view key) {
  const auto found = metadata.index.Find(key);
  if (!found) return std::optional<uint64_t>();
  WEIR_ASSIGN_OR_RETURN(const uint64_t value, ValueAsUint(metadata.entries[*found]));
  return std::optional<uint64_t>(value);
}

std::string Ending(uint64_t number, uint64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

}  // namespace

Result<SplitPlace> ReadSplitPlace(const Metadata& metadata) {
  SplitPlace place;
  WEIR_ASSIGN_OR_RETURN(const auto count, Find(metadata, kCount));
  WEIR_ASSIGN_OR_RETURN(const auto number, Find(metadata, kNumber));
  WEIR_ASSIGN_OR_RETURN(place.num_tensors, Find(metadata, kTensors));
  place.count = std::max<uint64_t>(1, count.value_or(1));
  place.number = number.value_or(0);
  if (place.count > kMaxParts)
    return Unimplemented(
        fmt::format("key {}: {} parts, weir joins at most {}; merge some", kCount, place.count, kMaxParts));
  if (place.number >= place.count)
    return DataLoss(fmt::format("key {}: expected less than the {} of {}, found {}", kNumber, place.count,
                                kCount, place.number));
  return place;
}

Result<std::vector<std::string>> PartPaths(const std::string& path, const SplitPlace& place) {
  const std::string ending = Ending(place.number, place.count);
  if (!path.ends_with(ending))
    return DataLoss(fmt::format(
        "is part {} of {} of a split model, but its name does not end in \"{}\", so the others cannot be "
        "found; give all parts the names they were published under",
        place.number + 1, place.count, ending));
  const std::string stem = path.substr(0, path.size() - ending.size());
  std::vector<std::string> paths;
  for (uint64_t i = 0; i < place.count; ++i) paths.push_back(stem + Ending(i, place.count));
  return paths;
}

Status CheckPart(const GgufContents& first, const SplitPlace& of_first, const GgufContents& part,
                 uint64_t number) {
  WEIR_ASSIGN_OR_RETURN(const SplitPlace place, ReadSplitPlace(part.metadata));
  const auto differs = [](std::string_view key, uint64_t found, uint64_t expected) {
    return DataLoss(
        fmt::format("key {}: expected {}, found {}; the parts are not of one model, fetch them again", key,
                    expected, found));
  };
  if (place.count != of_first.count) return differs(kCount, place.count, of_first.count);
  if (place.number != number) return differs(kNumber, place.number, number);
  for (const MetadataEntry& entry : part.metadata.entries) {
    if (entry.key == kNumber) continue;
    const auto found = first.metadata.index.Find(entry.key);
    if (!found) continue;
    const MetadataEntry& other = first.metadata.entries[*found];
    if (entry.type != other.type || !std::ranges::equal(entry.data, other.data) ||
        entry.strings != other.strings)
      return DataLoss(fmt::format(
          "key {} is not what the first part says; the parts are not of one model, fetch them again",
          QuoteForMessage(entry.key)));
  }
  return OkStatus();
}

}  // namespace weir
