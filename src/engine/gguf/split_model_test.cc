#include "engine/gguf/split_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "engine/gguf/model_file.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

namespace fs = std::filesystem;

// The tiny model in three files, as the format's own tool splits it: metadata in the first, each with split keys.
class SplitTinyModel {
 public:
  SplitTinyModel()
      : folder_(fs::temp_directory_path() /
                ("weir-split-" + std::to_string(getpid()) + "-" + std::to_string(next_++))) {
    fs::create_directory(folder_);
    const GgufWriter whole = TinyModelFile();
    parts_[0].keys = whole.keys;
    for (size_t i = 0; i < whole.tensors.size(); ++i) parts_[i % 3].tensors.push_back(whole.tensors[i]);
    for (uint32_t i = 0; i < 3; ++i) {
      parts_[i].SetRaw("split.no", 2, {static_cast<char>(i), '\0'});
      parts_[i].SetRaw("split.count", 2, {'\3', '\0'});
      parts_[i].SetInt32("split.tensors.count", static_cast<int32_t>(whole.tensors.size()));
    }
    Write();
  }
  ~SplitTinyModel() { fs::remove_all(folder_); }

  std::string path(int part) const {
    return (folder_ / ("tiny-0000" + std::to_string(part + 1) + "-of-00003.gguf")).string();
  }
  GgufWriter& part(int i) { return parts_[i]; }
  void Write() const {
    for (int i = 0; i < 3; ++i) std::ofstream(path(i), std::ios::binary) << parts_[i].Build();
  }
  Status Open(int from = 0) const { return ModelFile::Open(path(from)).status(); }

 private:
  inline static int next_ = 0;
  fs::path folder_;
  GgufWriter parts_[3];
};

TEST(SplitModel, IsTheWholeModelFromWhicheverPart) {
  const TempFile whole_file(TinyModelFile().Build());
  const auto whole = ModelFile::Open(whole_file.path());
  ASSERT_TRUE(whole.has_value());
  EXPECT_EQ((*whole)->num_files(), 1u);
  const SplitTinyModel split;
  for (int from = 0; from < 3; ++from) {
    const auto file = ModelFile::Open(split.path(from));
    ASSERT_TRUE(file.has_value()) << file.error().message();
    EXPECT_TRUE((*file)->in_file());
    EXPECT_EQ((*file)->num_files(), 3u);
    EXPECT_EQ((*file)->file_bytes(),
              fs::file_size(split.path(0)) + fs::file_size(split.path(1)) + fs::file_size(split.path(2)));
    EXPECT_EQ((*file)->GetString("general.architecture").value(), "llama");
    EXPECT_EQ((*file)->tensors().size(), (*whole)->tensors().size());
    uint64_t offset = 0;
    for (const TensorInfo& tensor : (*file)->tensors()) {
      const TensorInfo* same = (*whole)->FindTensor(tensor.name);
      ASSERT_NE(same, nullptr);
      EXPECT_EQ((*file)->FindTensor(tensor.name), &tensor);
      EXPECT_EQ(tensor.dims, same->dims);
      EXPECT_TRUE(std::ranges::equal((*file)->Rows(tensor, 0, tensor.num_rows(), nullptr), same->data));
      EXPECT_GT(tensor.offset, offset);  // as the parts lie one after another
      offset = tensor.offset;
    }
    EXPECT_TRUE((*file)->CheckUnchanged().ok());
  }
}

TEST(SplitModel, APartThatChangesIsNoticedByName) {
  const SplitTinyModel split;
  const auto file = ModelFile::Open(split.path(0));
  ASSERT_TRUE(file.has_value());
  fs::resize_file(split.path(1), 64);
  const Status status = (*file)->CheckUnchanged();
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_NE(status.message().find(split.path(1)), std::string::npos) << status.message();
}

TEST(SplitModel, G14RefusesBadSplits) {
  struct Case {
    std::function<void(SplitTinyModel&)> damage;
    StatusCode code;
    std::string message;
    int from = 0;
  };
  const std::string tensor = "token_embd.weight";
  for (const Case& c : {
           Case{[](SplitTinyModel& s) { fs::remove(s.path(2)); }, StatusCode::kNotFound,
                "00003-of-00003.gguf: no such file, which is part 3 of the 3"},
           Case{[](SplitTinyModel& s) { fs::remove(s.path(0)); }, StatusCode::kNotFound,
                "00001-of-00003.gguf", 1},
           Case{[](SplitTinyModel& s) {
                  fs::copy_file(s.path(1), s.path(2), fs::copy_options::overwrite_existing);
                },
                StatusCode::kDataLoss, "split.no: expected 2, found 1"},
           Case{[](SplitTinyModel& s) { s.part(1).SetUint32("split.count", 4); }, StatusCode::kDataLoss,
                "split.count: expected 3, found 4"},
           Case{[](SplitTinyModel& s) { s.part(0).SetUint32("split.count", 2); }, StatusCode::kDataLoss,
                "-00001-of-00002.gguf"},
           Case{[](SplitTinyModel& s) { s.part(0).SetUint32("split.count", 1u << 31); },
                StatusCode::kUnimplemented, "at most 1000"},
           Case{[](SplitTinyModel& s) { s.part(0).SetUint32("split.no", 3); }, StatusCode::kDataLoss,
                "expected less than the 3"},
           Case{[](SplitTinyModel& s) { s.part(0).SetString("split.count", "../../etc/passwd"); },
                StatusCode::kDataLoss, "expected an integer"},
           Case{[](SplitTinyModel& s) { s.part(2).SetString("general.architecture", "qwen3"); },
                StatusCode::kDataLoss, "general.architecture is not what the first part says"},
           Case{[](SplitTinyModel& s) { s.part(2).tensors.pop_back(); }, StatusCode::kDataLoss,
                "split.tensors.count says"},
           Case{[&](SplitTinyModel& s) {
                  GgufTensor copy = *s.part(0).FindTensor(tensor);
                  s.part(1).tensors.back() = std::move(copy);
                },
                StatusCode::kDataLoss, "token_embd.weight is there twice"},
           Case{[](SplitTinyModel& s) { s.part(1).magic = "GGUX"; }, StatusCode::kDataLoss,
                "00002-of-00003.gguf: not a GGUF file"},
       }) {
    SplitTinyModel split;
    const size_t before = split.part(0).tensors.size();
    c.damage(split);
    const bool on_disk = c.message.find("no such file") != std::string::npos || c.from != 0 ||
                         c.message.find("expected 2, found 1") != std::string::npos;
    if (!on_disk) split.Write();
    EXPECT_EQ(split.part(0).tensors.size(), before);
    const Status status = split.Open(c.from);
    EXPECT_EQ(status.code(), c.code) << c.message << ": " << status.message();
    EXPECT_NE(status.message().find(c.message), std::string::npos) << status.message();
  }
}

TEST(SplitModel, G14RefusesANameThatSaysNothingOfItsSiblings) {
  const SplitTinyModel split;
  for (const char* name : {"tiny.gguf", "tiny-00001-of-00002.gguf", "tiny-00002-of-00003.gguf.1"}) {
    const std::string renamed = (fs::path(split.path(0)).parent_path() / name).string();
    fs::copy_file(split.path(1), renamed, fs::copy_options::overwrite_existing);
    const Status status = ModelFile::Open(renamed).status();
    EXPECT_EQ(status.code(), StatusCode::kDataLoss) << name;
    EXPECT_NE(status.message().find("-00002-of-00003.gguf"), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace weir
