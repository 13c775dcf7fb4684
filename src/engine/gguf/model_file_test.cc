#include "engine/gguf/model_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/gguf_writer.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

class ModelFileTest : public testing::Test {
 protected:
  // The file must outlive nothing: the mapping stays when the name is gone.
  std::unique_ptr<ModelFile> Open(const GgufWriter& writer) {
    const TempFile file(writer.Build());
    auto opened = ModelFile::Open(file.path());
    EXPECT_TRUE(opened.has_value()) << opened.error().message();
    return opened.has_value() ? std::move(*opened) : nullptr;
  }
};

TEST_F(ModelFileTest, MetadataAndTensorsAreThoseOfTheFile) {
  const GgufWriter writer = TinyModelFile();
  const auto file = Open(writer);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->version(), 3u);
  EXPECT_EQ(file->file_bytes(), writer.Build().size());
  EXPECT_EQ(file->metadata().size(), writer.keys.size());
  EXPECT_EQ(file->GetString("general.architecture").value(), "llama");
  EXPECT_EQ(file->GetUint("llama.embedding_length").value(), 64u);
  EXPECT_EQ(file->GetStringArray("tokenizer.ggml.tokens").value()[2], "<|im_end|>");
  EXPECT_EQ(file->GetIntArray("tokenizer.ggml.token_type").value()[0], 3);
  EXPECT_FALSE(file->GetBool("tokenizer.ggml.add_bos_token").value());
  ASSERT_EQ(file->tensors().size(), writer.tensors.size());
  for (size_t i = 0; i < writer.tensors.size(); ++i) {
    const TensorInfo* tensor = file->FindTensor(writer.tensors[i].name);
    ASSERT_EQ(tensor, &file->tensors()[i]);
    EXPECT_EQ(tensor->dims, writer.tensors[i].dims);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(tensor->data.data()), tensor->data.size()),
              writer.tensors[i].data);
  }
}

TEST_F(ModelFileTest, VersionTwoReadsLikeThree) {
  GgufWriter writer = TinyModelFile();
  writer.version = 2;
  const auto file = Open(writer);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->version(), 2u);
  EXPECT_NE(file->FindTensor("output_norm.weight"), nullptr);
}

TEST_F(ModelFileTest, MissingKeysAreNamedAndFallbacksUsed) {
  const auto file = Open(TinyModelFile());
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->FindMetadata("no.such"), nullptr);
  EXPECT_EQ(file->FindTensor("no.such"), nullptr);
  const auto missing = file->GetUint("no.such");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), StatusCode::kDataLoss);
  EXPECT_NE(missing.error().message().find("\"no.such\" is missing"), std::string::npos);
  EXPECT_EQ(file->GetUintOr("no.such", 7).value(), 7u);
  EXPECT_EQ(file->GetFloatOr("no.such", 0.5).value(), 0.5);
  EXPECT_TRUE(file->GetBoolOr("no.such", true).value());
  EXPECT_FALSE(file->GetUintOr("general.architecture", 7).has_value());  // there, but a string
}

TEST_F(ModelFileTest, IntegersConvertWhenTheyFit) {
  GgufWriter writer;
  writer.SetRaw("u8", 0, std::string("\xff", 1));
  writer.SetRaw("i8", 1, std::string("\xff", 1));
  writer.SetRaw("u16", 2, std::string("\xff\xff", 2));
  writer.SetInt32("i32", 2147483647);
  writer.SetUint64("u64", UINT64_MAX);
  writer.SetFloat32("f32", 0.25f);
  writer.SetFloat32("nan", std::numeric_limits<float>::quiet_NaN());
  writer.SetFloat32Array("floats", {0.5f, -1.0f});
  const auto file = Open(writer);
  ASSERT_NE(file, nullptr);
  EXPECT_EQ(file->GetUint("u8").value(), 255u);
  EXPECT_EQ(file->GetUint("u16").value(), 65535u);
  EXPECT_EQ(file->GetUint("i32").value(), 2147483647u);
  EXPECT_EQ(file->GetUint("u64").value(), UINT64_MAX);
  EXPECT_FALSE(file->GetUint("i8").has_value());  // -1
  EXPECT_EQ(file->GetFloat("i8").value(), -1.0);
  EXPECT_EQ(file->GetFloat("f32").value(), 0.25);
  EXPECT_FALSE(file->GetFloat("nan").has_value());
  EXPECT_FALSE(file->GetUint("f32").has_value());
  EXPECT_FALSE(file->GetBool("u8").has_value());
  EXPECT_EQ(file->GetFloatArray("floats").value(), (std::vector<float>{0.5f, -1.0f}));
  EXPECT_FALSE(file->GetIntArray("floats").has_value());
  EXPECT_FALSE(file->GetStringArray("floats").has_value());
  EXPECT_FALSE(file->GetIntArray("u8").has_value());
}

TEST_F(ModelFileTest, DroppedPagesReadAgainFromTheFile) {
  const GgufWriter writer = TinyModelFile();
  const auto file = Open(writer);
  ASSERT_NE(file, nullptr);
  const TensorInfo* tensor = file->FindTensor("token_embd.weight");
  file->DropPages(*tensor, 0, tensor->num_rows());
  file->ReadAhead(*tensor, 0, tensor->num_rows());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(tensor->data.data()), tensor->data.size()),
            writer.tensors[0].data);
}

TEST_F(ModelFileTest, WhatIsNoRegularFileIsRefusedAtOnce) {
  const auto missing = ModelFile::Open("/nonexistent/m.gguf");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code(), StatusCode::kNotFound);
  const auto directory = ModelFile::Open("/");
  ASSERT_FALSE(directory.has_value());
  EXPECT_EQ(directory.error().code(), StatusCode::kInvalidArgument);
  const TempFile place("");
  const std::string pipe = place.path() + ".pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  const auto fifo = ModelFile::Open(pipe);  // must not wait for a writer
  unlink(pipe.c_str());
  ASSERT_FALSE(fifo.has_value());
  EXPECT_EQ(fifo.error().code(), StatusCode::kInvalidArgument);
}

TEST_F(ModelFileTest, AFileOfOnlyMetadataOpens) {
  GgufWriter writer;
  writer.SetUint32("k", 1);
  const auto file = Open(writer);
  ASSERT_NE(file, nullptr);
  EXPECT_TRUE(file->tensors().empty());
}

}  // namespace
}  // namespace weir
