#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "base/utf8.h"
#include "cli/model_summary.h"

namespace weir {
namespace {

template <typename T>
Json Number(const MetadataEntry& entry, uint64_t index) {
  T value;
  std::memcpy(&value, entry.data.data() + index * sizeof(T), sizeof(T));
  return value;
}

Json Element(const MetadataEntry& entry, uint64_t index) {
  switch (entry.element_type) {
    case MetadataType::kUint8:
      return Number<uint8_t>(entry, index);
    case MetadataType::kInt8:
      return Number<int8_t>(entry, index);
    case MetadataType::kUint16:
      return Number<uint16_t>(entry, index);
    case MetadataType::kInt16:
      return Number<int16_t>(entry, index);
    case MetadataType::kUint32:
      return Number<uint32_t>(entry, index);
    case MetadataType::kInt32:
      return Number<int32_t>(entry, index);
    case MetadataType::kUint64:
      return Number<uint64_t>(entry, index);
    case MetadataType::kInt64:
      return Number<int64_t>(entry, index);
    case MetadataType::kFloat32:
      return Number<float>(entry, index);
    case MetadataType::kFloat64:
      return Number<double>(entry, index);
    case MetadataType::kBool:
      return entry.data[index] != std::byte{0};
    case MetadataType::kString:
      return std::string(entry.strings[index]);
    case MetadataType::kArray:
      break;  // the reader refuses arrays of arrays
  }
  return nullptr;
}

std::string ElementText(const MetadataEntry& entry, uint64_t index, size_t max_bytes) {
  if (entry.element_type == MetadataType::kString) {
    return fmt::format("\"{}\"", QuoteForMessage(entry.strings[index], max_bytes));
  }
  if (entry.element_type == MetadataType::kFloat32) {
    // As a float: widened to double, 1e-5 would show digits that the file does not have.
    return fmt::format("{}", Element(entry, index).get<float>());
  }
  return DumpJson(Element(entry, index));
}

}  // namespace

std::string DescribeValue(const MetadataEntry& entry, size_t max_bytes) {
  if (entry.type != MetadataType::kArray) return ElementText(entry, 0, max_bytes);
  constexpr uint64_t kShown = 6;
  std::string out = "[";
  for (uint64_t i = 0; i < entry.count; ++i) {
    const std::string element = ElementText(entry, i, max_bytes / 3);
    if (i >= kShown || out.size() + element.size() > max_bytes) {
      return out + fmt::format(", ... {} in all]", entry.count);
    }
    out += (i == 0 ? "" : ", ") + element;
  }
  return out + "]";
}

Json MetadataJson(const MetadataEntry& entry) {
  if (entry.type != MetadataType::kArray) return Element(entry, 0);
  constexpr uint64_t kShown = 16;
  Json elements = Json::array();
  for (uint64_t i = 0; i < std::min(entry.count, kShown); ++i) elements.push_back(Element(entry, i));
  if (entry.count <= kShown) return elements;
  return {{"count", entry.count}, {"first", elements}};
}

}  // namespace weir
