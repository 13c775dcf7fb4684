// Adapters over HTTP: chosen by `model`, listed with their parent, computed in one batch with the model itself.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/integration/api_server.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_adapter.h"

namespace weir {
namespace {

using testing::HasSubstr;

class ServerLoraTest : public testing::Test {
 protected:
  const TempFile one_{TinyAdapterFile(1).Build()};
  const TempFile two_{TinyAdapterFile(2).Build()};
  const ApiServer server_{{}, {{"one", one_.path()}, {"org/two", two_.path()}}};

  std::string TextOf(const std::string& model) const {
    return server_.Complete({{"model", model}})["choices"][0]["text"].get<std::string>();
  }
};

TEST_F(ServerLoraTest, TheModelFieldChoosesAndTheAnswerNamesIt) {
  const std::string base = TextOf("tiny");
  EXPECT_NE(TextOf("one"), base);
  EXPECT_NE(TextOf("one"), TextOf("org/two"));
  EXPECT_EQ(server_.Complete({{"model", "org/two"}})["model"], "org/two");
  EXPECT_EQ(server_.Chat({{"model", "one"}})["model"], "one");
  EXPECT_EQ(TextOf("tiny"), base);
}

TEST_F(ServerLoraTest, RequestsOfAllModelsAtOnceAnswerAsAlone) {
  const std::vector<std::string> models = {"tiny", "one", "org/two"};
  std::map<std::string, std::string> alone;
  for (const std::string& model : models) alone[model] = TextOf(model);
  std::vector<std::string> texts(9);
  std::vector<std::thread> clients;
  for (size_t i = 0; i < texts.size(); ++i)
    clients.emplace_back([&, i] { texts[i] = TextOf(models[i % models.size()]); });
  for (std::thread& client : clients) client.join();
  for (size_t i = 0; i < texts.size(); ++i) EXPECT_EQ(texts[i], alone[models[i % models.size()]]);
}

TEST_F(ServerLoraTest, ModelsListsAdaptersWithTheirParent) {
  const Json list = *ParseJson(server_.Get("/v1/models").body);
  ASSERT_EQ(list["data"].size(), 3u);
  EXPECT_EQ(list["data"][0]["id"], "tiny");
  EXPECT_TRUE(list["data"][0]["parent"].is_null());
  EXPECT_EQ(list["data"][2]["id"], "org/two");
  EXPECT_EQ(list["data"][2]["parent"], "tiny");
  EXPECT_EQ((*ParseJson(server_.Get("/v1/models/one").body))["parent"], "tiny");
  EXPECT_EQ(server_.Get("/v1/models/three").status, 404);
}

TEST_F(ServerLoraTest, UnknownNamesAreNotFoundAndTheMessageHasTheKnownOnes) {
  EXPECT_EQ(server_.Refusal("/v1/completions", {{"model", "three"}, {"prompt", "x"}}),
            "404 model_not_found model");
  EXPECT_THAT(server_.Post("/v1/completions", {{"model", "three"}, {"prompt", "x"}}).body,
              HasSubstr("org/two"));
  EXPECT_EQ(server_.Refusal("/tokenize", {{"model", "three"}, {"prompt", "x"}}), "404 model_not_found model");
  EXPECT_EQ(server_.Post("/tokenize", {{"model", "one"}, {"prompt", "x"}}).status, 200);
}

TEST_F(ServerLoraTest, MetricsTellTheAdaptersInUse) {
  TextOf("one");
  EXPECT_THAT(server_.Get("/metrics").body, HasSubstr("vllm:lora_requests_info{max_lora=\"2\","));
}

}  // namespace
}  // namespace weir
