#include "engine/gguf/metadata_value.h"

#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>

#include "base/utf8.h"
#include "engine/gguf/metadata_reader.h"

namespace weir {
namespace {

std::string Described(const MetadataEntry& entry) {
  if (entry.type != MetadataType::kArray) return std::string(MetadataTypeName(entry.type));
  return fmt::format("array of {} {}", entry.count, MetadataTypeName(entry.element_type));
}

Status WrongType(const MetadataEntry& entry, std::string_view expected) {
  return DataLoss(fmt::format("key \"{}\" at byte {} is {}, expected {}", QuoteForMessage(entry.key),
                              entry.offset, Described(entry), expected));
}

template <typename T>
T Load(const MetadataEntry& entry, uint64_t index) {
  T value;
  std::memcpy(&value, entry.data.data() + index * sizeof(T), sizeof(T));
  return value;
}

// Sign and magnitude apart, so that uint64 and int64 need no common type.
struct Integer {
  bool negative;
  uint64_t bits;  // two's complement when negative
};

template <typename T>
Integer LoadSigned(const MetadataEntry& entry, uint64_t index) {
  const int64_t value = Load<T>(entry, index);
  return {value < 0, static_cast<uint64_t>(value)};
}

std::optional<Integer> IntegerAt(const MetadataEntry& entry, uint64_t index) {
  switch (entry.element_type) {
    case MetadataType::kUint8:
      return Integer{false, Load<uint8_t>(entry, index)};
    case MetadataType::kUint16:
      return Integer{false, Load<uint16_t>(entry, index)};
    case MetadataType::kUint32:
      return Integer{false, Load<uint32_t>(entry, index)};
    case MetadataType::kUint64:
      return Integer{false, Load<uint64_t>(entry, index)};
    case MetadataType::kInt8:
      return LoadSigned<int8_t>(entry, index);
    case MetadataType::kInt16:
      return LoadSigned<int16_t>(entry, index);
    case MetadataType::kInt32:
      return LoadSigned<int32_t>(entry, index);
    case MetadataType::kInt64:
      return LoadSigned<int64_t>(entry, index);
    default:
      return std::nullopt;
  }
}

std::optional<double> FloatAt(const MetadataEntry& entry, uint64_t index) {
  if (entry.element_type == MetadataType::kFloat32) return Load<float>(entry, index);
  if (entry.element_type == MetadataType::kFloat64) return Load<double>(entry, index);
  return std::nullopt;
}

bool IsScalar(const MetadataEntry& entry) { return entry.type != MetadataType::kArray; }

}  // namespace

Result<uint64_t> ValueAsUint(const MetadataEntry& entry) {
  const auto value = IsScalar(entry) ? IntegerAt(entry, 0) : std::nullopt;
  if (!value) return WrongType(entry, "an integer");
  if (value->negative) {
    return DataLoss(fmt::format("key \"{}\" at byte {} is {}, expected no negative number",
                                QuoteForMessage(entry.key), entry.offset, static_cast<int64_t>(value->bits)));
  }
  return value->bits;
}

Result<double> ValueAsFloat(const MetadataEntry& entry) {
  if (IsScalar(entry)) {
    if (const auto value = FloatAt(entry, 0)) {
      if (std::isfinite(*value)) return *value;
      return DataLoss(fmt::format("key \"{}\" at byte {} is {}, expected a finite number",
                                  QuoteForMessage(entry.key), entry.offset, *value));
    }
    if (const auto value = IntegerAt(entry, 0)) {
      return value->negative ? static_cast<double>(static_cast<int64_t>(value->bits))
                             : static_cast<double>(value->bits);
    }
  }
  return WrongType(entry, "a number");
}

Result<bool> ValueAsBool(const MetadataEntry& entry) {
  if (entry.type != MetadataType::kBool) return WrongType(entry, "bool");
  return entry.data[0] != std::byte{0};
}

Result<std::string_view> ValueAsString(const MetadataEntry& entry) {
  if (entry.type != MetadataType::kString) return WrongType(entry, "string");
  return entry.strings[0];
}

Result<std::span<const std::string_view>> ValueAsStrings(const MetadataEntry& entry) {
  if (IsScalar(entry) || (entry.element_type != MetadataType::kString && entry.count > 0)) {
    return WrongType(entry, "an array of strings");
  }
  return std::span<const std::string_view>(entry.strings);
}

Result<std::vector<float>> ValueAsFloats(const MetadataEntry& entry) {
  if (IsScalar(entry)) return WrongType(entry, "an array of floats");
  std::vector<float> out;
  for (uint64_t i = 0; i < entry.count; ++i) {
    const auto value = FloatAt(entry, i);
    if (!value) return WrongType(entry, "an array of floats");
    out.push_back(static_cast<float>(*value));
  }
  return out;
}

Result<std::vector<int64_t>> ValueAsInts(const MetadataEntry& entry) {
  if (IsScalar(entry)) return WrongType(entry, "an array of integers");
  std::vector<int64_t> out;
  for (uint64_t i = 0; i < entry.count; ++i) {
    const auto value = IntegerAt(entry, i);
    if (!value) return WrongType(entry, "an array of integers");
    if (!value->negative && value->bits > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return DataLoss(
          fmt::format("key \"{}\" at byte {} has element {} of value {}, expected at most 2^63 - 1",
                      QuoteForMessage(entry.key), entry.offset, i, value->bits));
    }
    out.push_back(static_cast<int64_t>(value->bits));
  }
  return out;
}

}  // namespace weir
