#include "cli/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "cli/model_summary.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

using testing::HasSubstr;

struct Output {
  int code;
  std::string out;
  std::string errors;
};

Output Inspect(const std::vector<std::string>& arguments) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Output output;
  output.code = RunInspect(arguments);
  output.out = testing::internal::GetCapturedStdout();
  output.errors = testing::internal::GetCapturedStderr();
  return output;
}

TEST(InspectTest, ShowsShapeTypesMemoryMetadataAndTensors) {
  const TinyModel model;
  const Output output = Inspect({model.path()});
  EXPECT_EQ(output.code, 0) << output.errors;
  EXPECT_THAT(output.out, HasSubstr("llama: 2 layers, width 64, 4 heads (2 for keys and values) of 16"));
  EXPECT_THAT(output.out, HasSubstr("512 tokens, embeddings also used as lm-head"));
  EXPECT_THAT(output.out, HasSubstr("Q4_1"));
  EXPECT_THAT(output.out, HasSubstr("weir can serve it  yes"));
  EXPECT_THAT(output.out, HasSubstr("2 layers x 2 heads x 16"));
  EXPECT_THAT(output.out, HasSubstr("... 512 in all]"));
  EXPECT_THAT(output.out, HasSubstr("blk.*.attn_k.weight"));
  EXPECT_THAT(output.out, HasSubstr("in 2 tensors"));
}

TEST(InspectTest, TellsAdaptersFromModels) {
  const std::string golden = WEIR_SOURCE_DIR "/tests/golden/adapters/";
  for (const char* name : {"llama.plain", "llama.plain.gguf"}) {
    const Output output = Inspect({golden + name, "--tensors"});
    EXPECT_EQ(output.code, 0) << output.errors;
    EXPECT_THAT(output.out, HasSubstr("14 pairs, rank 4"));
    EXPECT_THAT(output.out, HasSubstr("blk.1.ffn_down.weight"));
    EXPECT_THAT(output.out, HasSubstr("scale 2.5"));
    const Json json = *ParseJson(Inspect({golden + name, "--json"}).out);
    EXPECT_EQ(json["type"], "adapter");
    EXPECT_EQ(json["pairs"].size(), 14u);
  }
}

TEST(InspectTest, ListsEveryTensorWhenAsked) {
  const TinyModel model;
  const Output output = Inspect({model.path(), "--tensors"});
  EXPECT_THAT(output.out, HasSubstr("blk.1.attn_k.weight"));
  EXPECT_THAT(output.out, HasSubstr("64 x 32"));
}

TEST(InspectTest, JsonHoldsTheSameNumbers) {
  const TinyModel model;
  const Output output = Inspect({"--json", model.path()});
  EXPECT_EQ(output.code, 0);
  const auto json = ParseJson(output.out);
  ASSERT_TRUE(json.has_value()) << json.error().message();
  EXPECT_EQ((*json)["servable"], true);
  EXPECT_EQ((*json)["config"]["num_layers"], 2);
  EXPECT_EQ((*json)["memory"]["kv_bytes_per_token"], 2 * 2 * 2 * 2 * 16);
  EXPECT_EQ((*json)["metadata"]["tokenizer.ggml.tokens"]["count"], 512);
  EXPECT_EQ((*json)["metadata"]["general.name"], "Tiny");
  EXPECT_EQ((*json)["tensors"].size(), 20u);
  int64_t bytes = 0;
  for (const Json& type : (*json)["types"]) bytes += type["bytes"].get<int64_t>();
  EXPECT_EQ((*json)["memory"]["weight_bytes"], bytes);
}

TEST(InspectTest, BadFilesAndFlagsHaveTheirExitCodes) {
  EXPECT_EQ(Inspect({"/nonexistent.gguf"}).code, 3);
  const TempFile text("just text");
  const Output damaged = Inspect({text.path()});
  EXPECT_EQ(damaged.code, 3);
  EXPECT_EQ(damaged.out, "");
  EXPECT_THAT(damaged.errors, HasSubstr("not a GGUF file"));
  GgufWriter contradictory = TinyModelFile();
  contradictory.SetUint32("llama.attention.head_count", 0);
  EXPECT_EQ(Inspect({TempFile(contradictory.Build()).path()}).code, 3);
  const Output flag = Inspect({text.path(), "--tensor"});
  EXPECT_EQ(flag.code, 2);
  EXPECT_THAT(flag.errors, HasSubstr("did you mean '--tensors'?"));
}

TEST(InspectTest, AnUnknownArchitectureIsDescribedWithTheReason) {
  GgufWriter writer = TinyModelFile();
  writer.SetString("general.architecture", "hovercraft");
  const TempFile file(writer.Build());
  const Output output = Inspect({file.path()});
  EXPECT_EQ(output.code, 0);
  EXPECT_THAT(output.out, HasSubstr("hovercraft"));
  EXPECT_THAT(output.out, HasSubstr("weir can serve it  no: "));
}

TEST(ModelSummaryTest, SaysWhatFitsTheMachine) {
  const TinyModel model;
  const auto file = ModelFile::Open(model.path());
  ASSERT_TRUE(file.has_value());
  const int64_t token_bytes = 256;
  int64_t weights = 0;
  for (const TensorInfo& tensor : (*file)->tensors()) weights += static_cast<int64_t>(tensor.data.size());
  MachineMemory machine;
  machine.total_bytes = machine.available_bytes = weights + 100 * token_bytes;
  const auto fits = SummarizeModel(**file, machine, 1.0);
  ASSERT_TRUE(fits.has_value());
  EXPECT_EQ(fits->memory->tokens_that_fit, 100);
  // 16 codes and a scale instead of 16 halves.
  const auto int8 = SummarizeModel(**file, machine, 1.0, KvDtype::kInt8);
  ASSERT_TRUE(int8.has_value());
  EXPECT_EQ(int8->memory->kv_bytes_per_token, 2 * 2 * 2 * (16 + 4));
  EXPECT_EQ(int8->memory->tokens_that_fit, 100 * token_bytes / 160);
  machine.available_bytes = weights - 1;
  EXPECT_EQ(SummarizeModel(**file, machine, 1.0)->memory->tokens_that_fit, 0);
}

}  // namespace
}  // namespace weir
