#include "engine/synthetic/synthetic_model.h"

#include <gtest/gtest.h>

#include "engine/synthetic/synthetic_shape.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

std::unique_ptr<ModelFile> Make(const char* shape, const char* quantization) {
  auto made = MakeSyntheticModel(SyntheticSpec{shape, quantization});
  EXPECT_TRUE(made.has_value()) << made.status().message();
  return made.has_value() ? std::move(*made) : nullptr;
}

uint64_t Parameters(const ModelFile& file) {
  uint64_t sum = 0;
  for (const TensorInfo& tensor : file.tensors()) sum += tensor.num_elements();
  return sum;
}

TEST(SyntheticModelTest, ShapesHaveTheParametersOfTheModelsTheyAreNamedAfter) {
  EXPECT_EQ(Parameters(*Make("smollm2-135m", "bf16")), 134'515'008u);
  EXPECT_EQ(Parameters(*Make("llama-3.2-1b", "bf16")), 1'235'814'400u);
  EXPECT_EQ(Parameters(*Make("llama-3.2-3b", "bf16")), 3'212'749'824u);
  EXPECT_EQ(Parameters(*Make("llama-3.1-8b", "bf16")), 8'030'261'248u);
}

TEST(SyntheticModelTest, FilesAreAsLargeAsThoseOfTheRealModels) {
  // 16 bits per weight, and norms of 32.
  EXPECT_NEAR(static_cast<double>(Make("llama-3.2-3b", "bf16")->file_bytes()), 6.43e9, 0.01e9);
  EXPECT_NEAR(static_cast<double>(Make("llama-3.2-1b", "q4_k_m")->file_bytes()), 0.80e9, 0.01e9);
  EXPECT_NEAR(static_cast<double>(Make("llama-3.2-3b", "q4_k_m")->file_bytes()), 2.01e9, 0.02e9);
  EXPECT_NEAR(static_cast<double>(Make("llama-3.1-8b", "q4_k_m")->file_bytes()), 4.91e9, 0.03e9);
}

TEST(SyntheticModelTest, AnyTextEncodesToItsBytesAndComesBack) {
  const auto file = Make("llama-3.2-1b", "q8_0");
  const auto tokenizer = Tokenizer::Create(*file);
  ASSERT_TRUE(tokenizer.has_value()) << tokenizer.status().message();
  EXPECT_EQ((*tokenizer)->vocab_size(), 128256);
  const std::string text = "Grüße, 世界!\n\t\x7f";
  const auto ids = (*tokenizer)->Encode(text, SpecialTokens::kAsText, false);
  ASSERT_TRUE(ids.has_value());
  EXPECT_EQ(ids->size(), text.size());
  EXPECT_EQ((*tokenizer)->Decode(*ids, true), text);
}

TEST(SyntheticModelTest, TextOfOtherTokensCannotPassForLanguage) {
  const auto tokenizer = Tokenizer::Create(*Make("smollm2-135m", "q4_1"));
  ASSERT_TRUE(tokenizer.has_value());
  EXPECT_EQ((*tokenizer)->Decode(std::vector<TokenId>{300, 49000}, true), "#300#49000");
  EXPECT_TRUE((*tokenizer)->is_special(49151));
}

TEST(SyntheticModelTest, TheChatTemplateMarksTurnsWithControlTokens) {
  const auto file = Make("smollm2-135m", "q4_1");
  const auto tokenizer = Tokenizer::Create(*file);
  ASSERT_TRUE(tokenizer.has_value());
  const auto chat = ChatTemplate::Create(*file->GetString("tokenizer.chat_template"), **tokenizer);
  ASSERT_TRUE(chat.has_value()) << chat.status().message();
  const auto ids = (*chat)->RenderAndEncode({{"user", "a", ""}}, true);
  ASSERT_TRUE(ids.has_value()) << ids.status().message();
  EXPECT_EQ(ids->front(), 49150);  // <|im_start|>
  EXPECT_EQ((*tokenizer)->Decode(*ids, true), "user\na\nassistant\n");
}

TEST(SyntheticModelTest, AnUnknownShapeIsRefusedBeforeAnythingIsMade) {
  const SyntheticSpec spec{"gpt-4", "q8_0"};
  EXPECT_EQ(CheckSyntheticSpec(spec).code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeSyntheticModel(spec).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckSyntheticSpec({"llama-3.2-1b", "q3_k"}).code(), StatusCode::kInvalidArgument);
}

TEST(SyntheticModelTest, NothingIsReadFromAFile) {
  const auto file = Make("smollm2-135m", "q8_0");
  EXPECT_FALSE(file->in_file());
  EXPECT_TRUE(file->CheckUnchanged().ok());
  const TensorInfo* tensor = file->FindTensor("blk.29.ffn_down.weight");
  ASSERT_NE(tensor, nullptr);
  EXPECT_TRUE(tensor->data.empty());
  std::vector<std::byte> buffer;
  EXPECT_EQ(file->Rows(*tensor, 3, 5, &buffer).size(), 2 * tensor->row_bytes());
  file->DropPages(*tensor, 3, 5);  // a hint that nobody needs
}

}  // namespace
}  // namespace weir
