#include "engine/gguf/gguf_reader.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <string_view>

#include "base/utf8.h"
#include "engine/gguf/metadata_value.h"

namespace weir {
namespace {

constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMinAlignment = 8;
constexpr uint64_t kMaxAlignment = 65'536;

Status NotGguf(std::span<const std::byte> file) {
  const std::string_view head(reinterpret_cast<const char*>(file.data()),
                              file.size() < 24 ? file.size() : 24);
  if (head.empty()) return DataLoss("not a GGUF file: it is empty");
  std::string hint;
  if (head.starts_with("version https://git-lfs"))
    hint = "; this is a Git LFS pointer, fetch the file itself";
  if (head.starts_with("<")) hint = "; this looks like a web page saved in the model's place";
  return DataLoss(fmt::format("not a GGUF file: it begins with \"{}\", expected \"GGUF\"{}",
                              QuoteForMessage(head.substr(0, 4)), hint));
}

Result<uint32_t> ReadVersion(ByteReader& reader) {
  uint32_t version;
  if (!reader.Read(&version)) return DataLoss("cut off inside the version, at byte 4");
  if (version == 2 || version == 3) return version;
  if (version != 0 && (version & 0xffff) == 0) {
    return Unimplemented("big-endian file; convert it to little-endian");
  }
  return Unimplemented(fmt::format("GGUF version {}, supported: 2 and 3", version));
}

Status JudgeCount(std::string_view what, uint64_t count, uint64_t bytes_left, uint64_t min_bytes,
                  uint64_t cap) {
  const uint64_t most = bytes_left / min_bytes;
  if (count > most) {
    return DataLoss(
        fmt::format("header announces {} {}, but the file has room for at most {}", count, what, most));
  }
  if (count > cap)
    return Unimplemented(fmt::format("header announces {} {}, weir reads at most {}", count, what, cap));
  return OkStatus();
}

Result<uint64_t> ReadAlignment(const Metadata& metadata) {
  const auto found = metadata.index.Find("general.alignment");
  if (!found) return kDefaultAlignment;
  WEIR_ASSIGN_OR_RETURN(const uint64_t alignment, ValueAsUint(metadata.entries[*found]));
  if (!std::has_single_bit(alignment) || alignment < kMinAlignment || alignment > kMaxAlignment) {
    return DataLoss(fmt::format("key \"general.alignment\" is {}, expected a power of two from {} to {}",
                                alignment, kMinAlignment, kMaxAlignment));
  }
  return alignment;
}

}  // namespace

Result<GgufContents> ReadGguf(std::span<const std::byte> file) {
  static_assert(std::endian::native == std::endian::little, "GGUF values are read in place");
  GgufContents out;
  ByteReader reader(file);
  std::span<const std::byte> magic;
  if (!reader.Take(4, &magic) || std::memcmp(magic.data(), "GGUF", 4) != 0) return NotGguf(file);
  WEIR_ASSIGN_OR_RETURN(out.version, ReadVersion(reader));
  uint64_t num_tensors;
  uint64_t num_keys;
  if (!reader.Read(&num_tensors) || !reader.Read(&num_keys)) {
    return DataLoss(fmt::format("cut off inside the header: {} bytes, expected at least 24", file.size()));
  }
  WEIR_RETURN_IF_ERROR(JudgeCount("keys", num_keys, reader.remaining(), kMinKeyBytes, kMaxKeys));
  WEIR_RETURN_IF_ERROR(JudgeCount("tensors", num_tensors, reader.remaining() - num_keys * kMinKeyBytes,
                                  kMinTensorBytes, kMaxTensors));
  WEIR_ASSIGN_OR_RETURN(out.metadata, ReadMetadata(reader, num_keys));
  WEIR_RETURN_IF_ERROR(JudgeCount("tensors", num_tensors, reader.remaining(), kMinTensorBytes, kMaxTensors));
  WEIR_ASSIGN_OR_RETURN(const uint64_t alignment, ReadAlignment(out.metadata));
  WEIR_ASSIGN_OR_RETURN(out.directory, ReadTensors(reader, num_tensors, alignment, file));
  return out;
}

}  // namespace weir
