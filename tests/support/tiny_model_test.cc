#include "tests/support/tiny_model.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>
#include <string>

#include "engine/gguf/model_file.h"
#include "tests/support/tiny_vocabulary.h"

namespace weir {
namespace {

TEST(TinyModelTest, OpensAsAModelOfEveryWeightType) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                            DType::kQ5_0, DType::kQ5_1}) {
    TinyModelOptions options;
    options.weight_type = dtype;
    const TinyModel model(options);
    const auto file = ModelFile::Open(model.path());
    ASSERT_TRUE(file.has_value()) << file.error().message();
    EXPECT_EQ((*file)->tensors().size(), 2u + 2 * 9);
    EXPECT_EQ((*file)->FindTensor("blk.1.ffn_down.weight")->dtype, dtype);
    EXPECT_EQ((*file)->FindTensor("blk.1.ffn_down.weight")->row_length(), 128u);
    EXPECT_EQ((*file)->FindTensor("token_embd.weight")->num_rows(), 512u);
  }
}

TEST(TinyModelTest, SameSeedSameFileOtherSeedOtherFile) {
  TinyModelOptions other;
  other.seed = 2;
  EXPECT_EQ(TinyModelFile({}).Build(), TinyModelFile({}).Build());
  EXPECT_NE(TinyModelFile({}).Build(), TinyModelFile(other).Build());
}

TEST(TinyModelTest, TheFileGoesWithTheModel) {
  std::string path;
  {
    const TinyModel model;
    path = model.path();
    EXPECT_EQ(access(path.c_str(), R_OK), 0);
  }
  EXPECT_NE(access(path.c_str(), R_OK), 0);
}

TEST(TinyVocabularyTest, TokensAreUniqueAndMergesMakeTokens) {
  const TinyVocabulary vocabulary = MakeTinyVocabulary();
  const std::set<std::string> known(vocabulary.tokens.begin(), vocabulary.tokens.end());
  EXPECT_EQ(known.size(), 512u);
  EXPECT_EQ(vocabulary.types.size(), 512u);
  EXPECT_EQ(vocabulary.merges.size(), 253u);
  for (const std::string& merge : vocabulary.merges) {
    const size_t gap = merge.find(' ');
    EXPECT_TRUE(known.count(merge.substr(0, gap)) == 1 && known.count(merge.substr(gap + 1)) == 1) << merge;
    EXPECT_EQ(known.count(merge.substr(0, gap) + merge.substr(gap + 1)), 1u) << merge;
  }
}

}  // namespace
}  // namespace weir
