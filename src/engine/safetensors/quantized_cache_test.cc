#include "engine/safetensors/quantized_cache.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "engine/safetensors/model_directory.h"
#include "tests/support/golden_architectures.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder()
      : path_(fs::temp_directory_path() /
              ("weir-cache-" + std::to_string(getpid()) + "-" + std::to_string(next_++))) {}
  ~Folder() { fs::remove_all(path_); }
  std::string path() const { return path_.string(); }
  std::vector<fs::path> Files() const {
    std::vector<fs::path> files;
    if (fs::is_directory(path_))
      for (const auto& entry : fs::directory_iterator(path_)) files.push_back(entry.path());
    return files;
  }

 private:
  inline static int next_ = 0;
  fs::path path_;
};

// Rows of one letter, and how often anybody asked for them.
class CountedRows final : public TensorRows {
 public:
  CountedRows(char letter, std::atomic<int>* asked) : letter_(letter), asked_(asked) {}
  std::span<const std::byte> Rows(const TensorInfo& tensor, uint64_t first, uint64_t last,
                                  std::vector<std::byte>* buffer) const override {
    ++*asked_;
    buffer->assign((last - first) * tensor.row_bytes(), static_cast<std::byte>(letter_));
    return *buffer;
  }

 private:
  char letter_;
  std::atomic<int>* asked_;
};

std::vector<TensorInfo> TwoTensors() {
  TensorInfo small{"small", DType::kF32, {3}, 0, {}};
  TensorInfo large{"large", DType::kQ8_0, {64, 1000}, 12, {}};
  return {small, large};
}

// The first letter of the rows that come out, and whether they were made for it.
struct Got {
  char letter;
  bool made;
};
Got Get(const Folder& folder, const std::string& key, char letter, uint64_t max_bytes = kMaxCacheBytes) {
  std::atomic<int> asked{0};
  const std::vector<TensorInfo> tensors = TwoTensors();
  const auto rows = CachedRows(folder.path(), key, "a model", tensors,
                               std::make_unique<CountedRows>(letter, &asked), max_bytes);
  const bool made = asked.load() > 0;
  std::vector<std::byte> buffer;
  const auto last_rows = rows->Rows(tensors[1], 998, 1000, &buffer);
  EXPECT_EQ(last_rows.size(), 2 * tensors[1].row_bytes());
  EXPECT_EQ(last_rows.front(), last_rows.back());
  EXPECT_EQ(rows->Rows(tensors[0], 0, 1, &buffer).size(), 12u);
  return {static_cast<char>(last_rows.front()), made};
}

TEST(QuantizedCache, RowsAreMadeOnceForAKey) {
  const Folder folder;
  EXPECT_TRUE(Get(folder, "one", 'a').made);
  const Got again = Get(folder, "one", 'b');
  EXPECT_EQ(again.letter, 'a');
  EXPECT_FALSE(again.made);
  EXPECT_EQ(Get(folder, "two", 'b').letter, 'b');
  EXPECT_EQ(folder.Files().size(), 2u);
}

TEST(QuantizedCache, ADamagedFileIsWrittenAnew) {
  const Folder folder;
  Get(folder, "one", 'a');
  const fs::path file = folder.Files().front();
  const std::string sound = *ReadFile(file.string());
  for (const size_t at : {size_t{0}, size_t{20}, size_t{72}, size_t{80}, size_t{4096}, sound.size() - 1}) {
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    std::ofstream(file, std::ios::binary) << damaged;
    const Got got = Get(folder, "one", 'a');
    EXPECT_TRUE(got.made) << at;
    EXPECT_EQ(got.letter, 'a');
    EXPECT_EQ(*ReadFile(file.string()), sound) << at;
  }
  for (const size_t size : {size_t{0}, size_t{100}, size_t{4096}, sound.size() - 1, sound.size() + 1}) {
    fs::resize_file(file, size);
    EXPECT_TRUE(Get(folder, "one", 'a').made) << size;
    EXPECT_EQ(*ReadFile(file.string()), sound);
  }
}

TEST(QuantizedCache, WhatWasNotUsedForLongestMakesRoom) {
  const Folder folder;
  Get(folder, "one", 'a');
  const uint64_t bytes = fs::file_size(folder.Files().front());
  Get(folder, "two", 'b');
  Get(folder, "one", 'x');  // used again
  Get(folder, "three", 'c', 2 * bytes);
  EXPECT_EQ(folder.Files().size(), 2u);
  EXPECT_EQ(Get(folder, "one", 'x', 3 * bytes).letter, 'a');
  EXPECT_EQ(Get(folder, "three", 'x', 3 * bytes).letter, 'c');
  EXPECT_TRUE(Get(folder, "two", 'x', 3 * bytes).made);
}

TEST(QuantizedCache, WithoutRoomOrFolderItIsDoneWithout) {
  const Folder folder;
  EXPECT_EQ(Get(folder, "one", 'a', 1000).letter, 'a');
  EXPECT_TRUE(folder.Files().empty());
  const Folder taken;
  ASSERT_TRUE(WriteFile(taken.path(), "a file where the folder should be").ok());
  EXPECT_EQ(Get(taken, "one", 'a').letter, 'a');
}

TEST(QuantizedCache, LeavesNoPartsAndRemovesThoseOfTheDead) {
  const Folder folder;
  fs::create_directories(folder.path());
  const std::string old = folder.path() + "/x.rows.1.part", young = folder.path() + "/y.rows.2.part";
  ASSERT_TRUE(WriteFile(old, "half").ok());
  ASSERT_TRUE(WriteFile(young, "half").ok());
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, old.c_str(), times, 0), 0);
  Get(folder, "one", 'a');
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young));
  EXPECT_EQ(folder.Files().size(), 2u);
}

TEST(QuantizedCache, AModelOutOfItHasTheSameBits) {
  for (const char* name : {"qwen3moe", "gemma3"}) {
    const Folder folder;
    const ExpectedLogits expected = ReadExpectedLogits(name);
    const auto plain = OpenModelDirectory(GoldenArchitecture(name), LoadQuantization::kQ4_0);
    ASSERT_TRUE(plain.has_value());
    const auto logits = ArchitectureRunner(**plain, {"", 2}).Run(expected.tokens, {64});
    for (int start = 0; start < 2; ++start) {
      const auto cached =
          OpenModelDirectory(GoldenArchitecture(name), LoadQuantization::kQ4_0, folder.path());
      ASSERT_TRUE(cached.has_value());
      EXPECT_TRUE(SameBits(ArchitectureRunner(**cached, {"", 2}).Run(expected.tokens, {64}), logits)) << name;
      EXPECT_EQ(folder.Files().size(), 1u);
    }
    ASSERT_TRUE(
        OpenModelDirectory(GoldenArchitecture(name), LoadQuantization::kQ8_0, folder.path()).has_value());
    EXPECT_EQ(folder.Files().size(), 2u);
  }
}

TEST(QuantizedCache, ChangedWeightsAreQuantizedAnew) {
  const Folder folder, copy;
  fs::copy(GoldenArchitecture("llama"), copy.path());
  const auto open = [&] {
    ASSERT_TRUE(OpenModelDirectory(copy.path(), LoadQuantization::kQ8_0, folder.path()).has_value());
  };
  open();
  open();
  EXPECT_EQ(folder.Files().size(), 1u);
  const std::string weights = *ReadFile(copy.path() + "/model.safetensors");
  std::ofstream(copy.path() + "/model.safetensors", std::ios::binary) << weights;
  open();
  EXPECT_EQ(folder.Files().size(), 2u);
}

}  // namespace
}  // namespace weir
