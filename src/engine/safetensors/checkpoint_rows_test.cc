#include "engine/safetensors/checkpoint_rows.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/file.h"
#include "base/json.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kRows = 64, kColumns = 1024;
constexpr uint64_t kBytes = kRows * kColumns * 2;

// A checkpoint of two BF16 matrices, each row of which holds its number.
class Folder {
 public:
  Folder() : path_(fs::temp_directory_path() / ("weir-rows-" + std::to_string(getpid()))) {
    fs::create_directory(path_);
    const auto entry = [](uint64_t first) {
      return Json{{"dtype", "BF16"}, {"shape", {kRows, kColumns}}, {"data_offsets", {first, first + kBytes}}};
    };
    const std::string header = DumpJson({{"a", entry(0)}, {"b", entry(kBytes)}});
    const uint64_t size = header.size();
    std::string bytes(reinterpret_cast<const char*>(&size), sizeof size);
    bytes += header;
    for (uint64_t row = 0; row < 2 * kRows; ++row) bytes.append(kColumns * 2, static_cast<char>(row % kRows));
    EXPECT_TRUE(WriteFile(file(), bytes).ok());
  }
  ~Folder() { fs::remove_all(path_); }
  std::string path() const { return path_.string(); }
  std::string file() const { return (path_ / "model.safetensors").string(); }

 private:
  fs::path path_;
};

TensorInfo Info(const std::string& name, DType dtype, std::vector<uint64_t> dims) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.dims = std::move(dims);
  return tensor;
}

std::unique_ptr<CheckpointRows> Open(const Folder& folder) {
  auto checkpoint = Checkpoint::Open(folder.path());
  EXPECT_TRUE(checkpoint.has_value()) << checkpoint.error().message();
  return std::make_unique<CheckpointRows>(std::move(*checkpoint));
}

// Of this process's mappings of the file.
size_t ResidentBytes(const std::string& path) {
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  size_t resident = 0;
  bool ours = false;
  while (std::getline(smaps, line)) {
    unsigned long from = 0, to = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2)
      ours = line.ends_with(path);
    else if (ours && std::sscanf(line.c_str(), "Rss: %lu kB", &kib) == 1)
      resident += size_t{kib} << 10;
  }
  return resident;
}

TEST(CheckpointRowsTest, RowsOfOneTensorLieInTheFileWhateverBecomesOfThem) {
  const Folder folder;
  const auto rows = Open(folder);
  const StoredTensor& a = *rows->checkpoint().Find("a");
  const TensorInfo same = Info("same", DType::kBF16, {kColumns, kRows});
  const TensorInfo other = Info("other", DType::kQ8_0, {kColumns, kRows});
  const TensorInfo both = Info("both", DType::kBF16, {kColumns, kRows, 2});
  const TensorInfo made = Info("made", DType::kF32, {3});
  rows->Add(same, a, 0.0f);
  rows->Add(other, a, 0.0f);
  rows->Add(both, std::vector<const StoredTensor*>{&a, rows->checkpoint().Find("b")});
  rows->Add(made, std::vector<float>{1, 2, 3});
  for (const TensorInfo* tensor : {&same, &other}) {
    const auto mapped = rows->Mapped(*tensor, 5, 9);
    EXPECT_EQ(mapped.data(), a.data.data() + 5 * kColumns * 2);
    EXPECT_EQ(mapped.size(), 4 * kColumns * 2);
  }
  EXPECT_EQ(rows->Mapped(both, kRows + 3, kRows + 4).data(),
            rows->checkpoint().Find("b")->data.data() + 3 * kColumns * 2);
  EXPECT_TRUE(rows->Mapped(both, kRows - 1, kRows + 1).empty());
  EXPECT_TRUE(rows->Mapped(same, 7, 7).empty());
  // Dropped pages of memory would be zeros.
  EXPECT_TRUE(rows->Mapped(made, 0, 1).empty());
}

TEST(CheckpointRowsTest, DroppedRowsNeedNoMemoryUntilTheyAreReadAgain) {
  const Folder folder;
  auto rows = Open(folder);
  TensorInfo info = Info("a", DType::kBF16, {kColumns, kRows});
  rows->Add(info, *rows->checkpoint().Find("a"), 0.0f);
  const auto file = ModelFile::Assemble("two matrices", "", 0, {info}, std::move(rows));
  ASSERT_TRUE(file.has_value()) << file.error().message();
  const TensorInfo& tensor = (*file)->tensors()[0];
  const auto last_row = [&] {
    std::vector<std::byte> buffer;
    const auto bytes = (*file)->Rows(tensor, 0, kRows, &buffer);
    int sum = 0;
    for (const std::byte byte : bytes) sum += static_cast<int>(byte);
    EXPECT_EQ(sum, static_cast<int>(kRows * (kRows - 1) / 2 * kColumns * 2));
    return bytes.back();
  };
  (*file)->ReadAhead(tensor, 0, kRows);
  EXPECT_EQ(last_row(), std::byte{kRows - 1});
  const size_t before = ResidentBytes(folder.file());
  EXPECT_GE(before, kBytes);
  (*file)->DropPages(tensor, 0, kRows);
  // What shares a page with its neighbours stays.
  EXPECT_LE(ResidentBytes(folder.file()) + kBytes, before + 3 * static_cast<size_t>(getpagesize()));
  EXPECT_EQ(last_row(), std::byte{kRows - 1});
}

}  // namespace
}  // namespace weir
