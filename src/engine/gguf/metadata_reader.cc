#include "engine/gguf/metadata_reader.h"

#include <fmt/format.h>

#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr uint32_t kNumTypes = 13;

// One entry at a time, so that messages can always name key and offset.
class EntryReader {
 public:
  EntryReader(ByteReader& reader, uint64_t& num_strings) : reader_(reader), num_strings_(num_strings) {}

  Result<MetadataEntry> Read(uint64_t number, std::string_view* key) {
    entry_.offset = reader_.offset();
    if (!reader_.TakeString(key)) {
      return DataLoss(fmt::format("name of key {} at byte {} is longer than the {} bytes left in the file",
                                  number, entry_.offset, reader_.remaining()));
    }
    if (key->empty()) return DataLoss(fmt::format("key {} at byte {} has no name", number, entry_.offset));
    entry_.key = std::string(key->substr(0, kMaxKeyLength));
    if (key->size() > kMaxKeyLength) {
      return Bad(fmt::format("has a name of {} bytes, expected at most {}", key->size(), kMaxKeyLength));
    }
    WEIR_ASSIGN_OR_RETURN(entry_.type, ReadType());
    entry_.element_type = entry_.type;
    if (entry_.type == MetadataType::kArray) {
      WEIR_RETURN_IF_ERROR(ReadArrayHead());
    }
    if (entry_.element_type == MetadataType::kString) {
      WEIR_RETURN_IF_ERROR(ReadStrings());
    } else {
      WEIR_RETURN_IF_ERROR(ReadNumbers());
    }
    return std::move(entry_);
  }

 private:
  Status Bad(const std::string& what) const {
    return DataLoss(
        fmt::format("key \"{}\" at byte {} {}", QuoteForMessage(entry_.key), entry_.offset, what));
  }

  Result<MetadataType> ReadType() {
    uint32_t number;
    if (!reader_.Read(&number)) return Bad("ends before its type");
    if (number >= kNumTypes)
      return Bad(fmt::format("has value type {}, expected 0 to {}", number, kNumTypes - 1));
    return static_cast<MetadataType>(number);
  }

  Status ReadArrayHead() {
    WEIR_ASSIGN_OR_RETURN(entry_.element_type, ReadType());
    if (entry_.element_type == MetadataType::kArray)
      return Bad("is an array of arrays, which no known key is");
    if (!reader_.Read(&entry_.count)) return Bad("ends before its array length");
    const uint64_t element = MetadataTypeBytes(entry_.element_type);
    const uint64_t least = element == 0 ? sizeof(uint64_t) : element;  // an empty string is its length alone
    const uint64_t most = reader_.remaining() / least;
    if (entry_.count > most) {
      return Bad(fmt::format("is an array of {}, but the file has room for at most {}", entry_.count, most));
    }
    return OkStatus();
  }

  Status ReadStrings() {
    if (entry_.count > kMaxStrings - num_strings_) {
      return Bad(fmt::format("brings the file's strings above {}, the most weir reads", kMaxStrings));
    }
    num_strings_ += entry_.count;
    entry_.strings.reserve(entry_.count);
    for (uint64_t i = 0; i < entry_.count; ++i) {
      const uint64_t at = reader_.offset();
      std::string_view text;
      if (!reader_.TakeString(&text)) {
        return Bad(fmt::format(
            "has a string (number {} at byte {}) that is longer than the {} bytes left in the file", i, at,
            reader_.remaining()));
      }
      entry_.strings.push_back(text);
    }
    return OkStatus();
  }

  Status ReadNumbers() {
    // No overflow: ReadArrayHead() held the count against the bytes left, and one value has 8 bytes at most.
    if (!reader_.Take(entry_.count * MetadataTypeBytes(entry_.element_type), &entry_.data)) {
      return Bad("ends before its value");
    }
    if (entry_.element_type != MetadataType::kBool) return OkStatus();
    for (const std::byte value : entry_.data) {
      if (static_cast<unsigned>(value) > 1) {
        return Bad(fmt::format("has a boolean of value {}, expected 0 or 1", static_cast<unsigned>(value)));
      }
    }
    return OkStatus();
  }

  ByteReader& reader_;
  uint64_t& num_strings_;
  MetadataEntry entry_;
};

}  // namespace

Result<Metadata> ReadMetadata(ByteReader& reader, uint64_t num_keys) {
  Metadata out;
  out.entries.reserve(num_keys);
  out.index.Reserve(num_keys);
  uint64_t num_strings = 0;
  for (uint64_t i = 0; i < num_keys; ++i) {
    std::string_view key;
    WEIR_ASSIGN_OR_RETURN(MetadataEntry entry, EntryReader(reader, num_strings).Read(i, &key));
    out.index.Add(key, static_cast<uint32_t>(i));
    out.entries.push_back(std::move(entry));
  }
  if (const auto twice = out.index.Finish()) {
    const MetadataEntry& first = out.entries[twice->first];
    return DataLoss(fmt::format("key \"{}\" is there twice, at bytes {} and {}", QuoteForMessage(first.key),
                                first.offset, out.entries[twice->second].offset));
  }
  return out;
}

std::string_view MetadataTypeName(MetadataType type) {
  constexpr std::string_view kNames[kNumTypes] = {"uint8",  "int8",    "uint16", "int16",  "uint32",
                                                  "int32",  "float32", "bool",   "string", "array",
                                                  "uint64", "int64",   "float64"};
  return kNames[static_cast<uint32_t>(type)];
}

uint64_t MetadataTypeBytes(MetadataType type) {
  constexpr uint64_t kBytes[kNumTypes] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<uint32_t>(type)];
}

}  // namespace weir
