#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/sha256.h"

namespace weir {
namespace {

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "weir-file-test-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  std::string folder_;
};

TEST_F(FileTest, WritesThenReadsBack) {
  const std::string content("a\0b\n", 4);
  ASSERT_TRUE(WriteFile(Path("x"), content).ok());
  EXPECT_EQ(*ReadFile(Path("x")), content);
  ASSERT_TRUE(WriteFile(Path("x"), "new").ok());
  EXPECT_EQ(*ReadFile(Path("x")), "new");
}

TEST_F(FileTest, SaysWhyAFileCannotBeRead) {
  EXPECT_EQ(ReadFile(Path("missing")).error().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadFile(folder_).error().code(), StatusCode::kInvalidArgument);
  ASSERT_TRUE(WriteFile(Path("big"), std::string(100, 'x')).ok());
  EXPECT_FALSE(ReadFile(Path("big"), 99).has_value());
}

TEST_F(FileTest, LeavesNothingBehindWhenWritingFails) {
  EXPECT_FALSE(WriteFile(Path("no/such/folder"), "x").ok());
  EXPECT_FALSE(WriteFile(folder_, "x").ok());
  EXPECT_FALSE(CheckWritable(Path("no/such/folder")).ok());
  EXPECT_FALSE(CheckWritable(folder_).ok());
  EXPECT_TRUE(CheckWritable(Path("new")).ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(FileTest, HashesLikeTheStandardSays) {
  EXPECT_EQ(Sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  ASSERT_TRUE(WriteFile(Path("abc"), "abc").ok());
  EXPECT_EQ(*Sha256File(Path("abc")), Sha256("abc"));
  EXPECT_FALSE(Sha256File(Path("missing")).has_value());
}

}  // namespace
}  // namespace weir
