#include "tests/integration/golden_logits.h"

#include <cstring>
#include <span>

#include "base/file.h"
#include "base/json.h"

namespace weir {
namespace {

const char kDirectory[] = WEIR_SOURCE_DIR "/tests/golden/logits/";

// Little-endian, as written; the machines that run weir are.
class Reader {
 public:
  explicit Reader(std::string bytes) : bytes_(std::move(bytes)) {}

  template <typename T>
  std::vector<T> Take(size_t count) {
    std::vector<T> values(count);
    if (bytes_.size() - at_ < count * sizeof(T)) {
      truncated_ = true;
      return values;
    }
    std::memcpy(values.data(), bytes_.data() + at_, count * sizeof(T));
    at_ += count * sizeof(T);
    return values;
  }
  template <typename T>
  T TakeOne() {
    return Take<T>(1).front();
  }
  bool truncated() const { return truncated_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  size_t at_ = 0;
  bool truncated_ = false;
};

}  // namespace

Result<std::vector<GoldenGreedy>> ReadGoldenGreedy() {
  WEIR_ASSIGN_OR_RETURN(const Json file, ReadJsonFile(std::string(kDirectory) + "greedy.json"));
  std::vector<GoldenGreedy> result;
  for (const Json& entry : file) {
    result.push_back({entry.at("name").get<std::string>(), entry.at("prompt").get<std::vector<int32_t>>(),
                      entry.at("tokens").get<std::vector<int32_t>>(),
                      entry.at("gaps").get<std::vector<double>>()});
  }
  return result;
}

Result<std::vector<GoldenWindow>> ReadGoldenWindows(std::string_view file) {
  const std::string path = std::string(kDirectory) + std::string(file);
  WEIR_ASSIGN_OR_RETURN(std::string bytes, ReadFile(path));
  Reader reader(std::move(bytes));
  const std::vector<char> magic = reader.Take<char>(4);
  if (std::string_view(magic.data(), magic.size()) != "WGL3") return DataLoss(path + ": not a WGL3 file");
  const int32_t num_windows = reader.TakeOne<int32_t>();
  const auto num_top = static_cast<size_t>(reader.TakeOne<int32_t>());
  const auto num_samples = static_cast<size_t>(reader.TakeOne<int32_t>());
  const double unit = reader.TakeOne<int32_t>();

  std::vector<GoldenWindow> windows;
  for (int32_t w = 0; w < num_windows && !reader.truncated(); ++w) {
    GoldenWindow& window = windows.emplace_back();
    const auto length = static_cast<size_t>(reader.TakeOne<int32_t>());
    window.first = reader.TakeOne<int32_t>();
    window.tokens = reader.Take<int32_t>(length);
    const size_t count = length - static_cast<size_t>(window.first);
    const std::vector<uint16_t> top = reader.Take<uint16_t>(count * num_top);
    const std::vector<uint16_t> top_logprobs = reader.Take<uint16_t>(count * num_top);
    const std::vector<uint16_t> sample = reader.Take<uint16_t>(count * num_samples);
    const std::vector<uint16_t> sample_logprobs = reader.Take<uint16_t>(count * num_samples);
    const std::vector<float> rest = reader.Take<float>(count);
    for (size_t i = 0; i < count; ++i) {
      GoldenPosition& position = window.positions.emplace_back();
      position.rest = rest[i];
      for (size_t j = i * num_top; j < (i + 1) * num_top; ++j) {
        position.top.push_back(top[j]);
        position.top_logprobs.push_back(-top_logprobs[j] / unit);
      }
      for (size_t j = i * num_samples; j < (i + 1) * num_samples; ++j) {
        position.sample.push_back(sample[j]);
        position.sample_logprobs.push_back(-sample_logprobs[j] / unit);
      }
    }
  }
  if (reader.truncated() || !reader.at_end())
    return DataLoss(path + ": its size is not what its header says");
  return windows;
}

}  // namespace weir
