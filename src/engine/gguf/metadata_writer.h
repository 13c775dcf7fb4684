// Metadata in GGUF's spelling, for models that come out of no file.
//
// Owns      the bytes
// Source    docs/FORMATS.md, "GGUF as weir reads it"
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gguf/model_file.h"

namespace weir {

class MetadataWriter {
 public:
  void SetUint32(std::string_view key, uint32_t value) { SetNumber(key, MetadataType::kUint32, value); }
  void SetFloat32(std::string_view key, float value) { SetNumber(key, MetadataType::kFloat32, value); }
  void SetBool(std::string_view key, bool value) {
    SetNumber(key, MetadataType::kBool, static_cast<unsigned char>(value));
  }
  void SetString(std::string_view key, std::string_view value) {
    Begin(key, MetadataType::kString);
    AppendString(value);
  }
  void SetStrings(std::string_view key, const std::vector<std::string>& values) {
    BeginArray(key, MetadataType::kString, values.size());
    for (const std::string& value : values) AppendString(value);
  }
  void SetInt32s(std::string_view key, const std::vector<int32_t>& values) {
    BeginArray(key, MetadataType::kInt32, values.size());
    for (const int32_t value : values) Append(value);
  }
  void SetInt64s(std::string_view key, const std::vector<int64_t>& values) {
    BeginArray(key, MetadataType::kInt64, values.size());
    for (const int64_t value : values) Append(value);
  }
  void SetBytes(std::string_view key, std::string_view values) {
    BeginArray(key, MetadataType::kUint8, values.size());
    bytes_ += values;
  }

  std::string& bytes() { return bytes_; }
  uint64_t num_keys() const { return num_keys_; }

 private:
  template <typename T>
  void Append(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void AppendString(std::string_view text) {
    Append<uint64_t>(text.size());
    bytes_ += text;
  }
  void Begin(std::string_view key, MetadataType type) {
    AppendString(key);
    Append(static_cast<uint32_t>(type));
    ++num_keys_;
  }
  void BeginArray(std::string_view key, MetadataType element, uint64_t count) {
    Begin(key, MetadataType::kArray);
    Append(static_cast<uint32_t>(element));
    Append(count);
  }
  template <typename T>
  void SetNumber(std::string_view key, MetadataType type, T value) {
    Begin(key, type);
    Append(value);
  }

  std::string bytes_;
  uint64_t num_keys_ = 0;
};

}  // namespace weir
