#include "perf/workload/dataset.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace weir {
namespace {

// A toy tokenizer: four letters of a word are a token.
int Count(const std::string& text) {
  std::istringstream words(text);
  int tokens = 0;
  for (std::string word; words >> word;) tokens += static_cast<int>((word.size() + 3) / 4);
  return tokens;
}

class DatasetTest : public testing::Test {
 protected:
  DatasetTest() {
    folder_ = std::filesystem::temp_directory_path() / ("weir-dataset-" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~DatasetTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name) << content;
    return (folder_ / name).string();
  }
  Result<Dataset> Load(const std::string& text, int count = 20, uint64_t seed = 1) const {
    DatasetRequest request;
    const Result<DatasetSpec> spec = ParseDataset(text);
    if (!spec) return spec.error();
    request.spec = *spec;
    request.count = count;
    request.seed = seed;
    request.count_tokens = [](const std::string& one) -> Result<int> { return Count(one); };
    return LoadDataset(request);
  }
  std::filesystem::path folder_;
};

TEST_F(DatasetTest, SpecsThatMeanNothingAreRefusedWithTheForms) {
  for (const char* text : {"", "builtins", "sharegpt", "jsonl:", "random:in=0", "random:in=12:3",
                           "random:size=3", "random:in=uniform:9:3", "random:in=lognormal:9", "random:in",
                           "prefix:shared=3", "prefix:groups=0,shared=2,own=2", "trace:"}) {
    const Result<DatasetSpec> spec = ParseDataset(text);
    ASSERT_FALSE(spec.has_value()) << text;
    EXPECT_EQ(spec.error().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(spec.error().message().find("sharegpt:FILE"), std::string::npos) << spec.error().message();
  }
}

TEST_F(DatasetTest, BuiltinContinuesWhereTheLastRunEnded) {
  DatasetRequest request;
  request.count = 5;
  const Dataset first = *LoadDataset(request);
  request.offset = 5;
  const Dataset second = *LoadDataset(request);
  std::set<std::string> ids;
  for (const Prompt& prompt : first.prompts) ids.insert(prompt.id);
  for (const Prompt& prompt : second.prompts) ids.insert(prompt.id);
  EXPECT_EQ(ids.size(), 10u);
  EXPECT_EQ(first.At(7).id, first.prompts[2].id);  // a longer run starts over
}

TEST_F(DatasetTest, RandomPromptsHaveExactlyTheLengthAskedFor) {
  const Result<Dataset> dataset = Load("random:in=128,out=uniform:10:20", 1000);
  ASSERT_TRUE(dataset.has_value()) << dataset.error().message();
  std::set<std::string> texts;
  for (const Prompt& prompt : dataset->prompts) {
    EXPECT_EQ(Count(prompt.text), 128);
    EXPECT_EQ(prompt.num_tokens, 128);
    EXPECT_GE(prompt.max_tokens, 10);
    EXPECT_LE(prompt.max_tokens, 20);
    texts.insert(prompt.text);
  }
  EXPECT_EQ(texts.size(), 1000u);
  EXPECT_EQ(dataset->expected_cache_ratio, 0);
  EXPECT_EQ(Load("random:in=128", 3)->prompts[2].text, Load("random:in=128", 3)->prompts[2].text);
  EXPECT_NE(Load("random:in=128", 3)->prompts[2].text, Load("random:in=128", 3, 2)->prompts[2].text);
  for (int tokens : {1, 2, 3, 7}) {
    const Result<Dataset> tiny = Load("random:in=" + std::to_string(tokens), 5);
    ASSERT_TRUE(tiny.has_value()) << tiny.error().message();
    for (const Prompt& prompt : tiny->prompts) EXPECT_EQ(Count(prompt.text), tokens);
  }
}

TEST_F(DatasetTest, LengthsFollowTheirDistribution) {
  Rng rng(3);
  const LengthSpec uniform = *ParseLength("uniform:64:256"), lognormal = *ParseLength("lognormal:100:0.5");
  std::vector<int> drawn;
  double sum = 0;
  for (int i = 0; i < 4000; ++i) {
    const int length = uniform.Draw(&rng);
    EXPECT_GE(length, 64);
    EXPECT_LE(length, 256);
    sum += length;
    drawn.push_back(lognormal.Draw(&rng));
  }
  EXPECT_NEAR(sum / 4000, 160, 5);
  std::sort(drawn.begin(), drawn.end());
  EXPECT_NEAR(drawn[2000], 100, 4);
  EXPECT_NEAR(std::log(drawn[3364] / 100.0), 0.5, 0.05);  // one deviation above the median
  EXPECT_EQ(ParseLength("17")->Draw(&rng), 17);
}

TEST_F(DatasetTest, PromptsOfAGroupShareTheirBeginning) {
  const Result<Dataset> dataset = Load("prefix:groups=4,shared=64,own=16", 40);
  ASSERT_TRUE(dataset.has_value()) << dataset.error().message();
  for (size_t i = 0; i < 40; ++i) {
    const std::string& text = dataset->prompts[i].text;
    EXPECT_EQ(Count(text), 80);
    const std::string& same = dataset->prompts[i % 4].text;
    size_t common = 0;
    while (common < text.size() && common < same.size() && text[common] == same[common]) ++common;
    EXPECT_GE(Count(text.substr(0, common)), 64);
  }
  EXPECT_NE(dataset->prompts[0].text.substr(0, 40), dataset->prompts[1].text.substr(0, 40));
  EXPECT_NEAR(dataset->expected_cache_ratio, 36.0 * 64 / (40 * 80), 1e-9);
}

TEST_F(DatasetTest, ShareGptTakesFirstQuestionsAndCountsWhatItDrops) {
  const std::string path = Write("share.json", R"([
    {"id":"a","conversations":[{"from":"human","value":"question one"},{"from":"gpt","value":"abcdefgh ijkl"}]},
    {"id":"b","conversations":[{"from":"gpt","value":"no question"},{"from":"human","value":"late"}]},
    {"id":"c","conversations":[{"from":"human","value":"unanswered"}]},
    {"id":"d","conversations":[]}, {"id":"e"}, 7,
    {"id":"f","conversations":[{"from":"user","value":"question two"},{"from":"assistant","value":"x"}]}])");
  const Result<Dataset> dataset = Load("sharegpt:" + path);
  ASSERT_TRUE(dataset.has_value()) << dataset.error().message();
  ASSERT_EQ(dataset->prompts.size(), 2u);
  for (const Prompt& prompt : dataset->prompts)
    EXPECT_EQ(prompt.max_tokens, prompt.text == "question one" ? 3 : 1);
  ASSERT_EQ(dataset->notes.size(), 1u);
  EXPECT_TRUE(dataset->notes[0].starts_with("5 of the conversations"));
  EXPECT_EQ(Load("sharegpt:" + Write("none.json", "[]")).error().code(), StatusCode::kDataLoss);
  EXPECT_EQ(Load("sharegpt:" + Write("object.json", "{}")).error().code(), StatusCode::kDataLoss);
}

TEST_F(DatasetTest, JsonLinesMayHoldPromptsOrConversations) {
  const std::string path = Write("p.jsonl",
                                 "{\"prompt\":\"one\",\"max_tokens\":7}\n\n"
                                 "{\"messages\":[{\"role\":\"user\",\"content\":\"two\"}]}\n");
  const Result<Dataset> dataset = Load("jsonl:" + path);
  ASSERT_TRUE(dataset.has_value()) << dataset.error().message();
  ASSERT_EQ(dataset->prompts.size(), 2u);
  EXPECT_EQ(dataset->prompts[0].text, "one");
  EXPECT_EQ(dataset->prompts[0].max_tokens, 7);
  EXPECT_EQ(dataset->prompts[1].messages, R"([{"role":"user","content":"two"}])");
}

TEST_F(DatasetTest, BadFilesAreNamedWithTheLine) {
  const std::string path = Write("bad.jsonl", "{\"prompt\":\"one\"}\n{\"text\":\"two\"}\n");
  const Result<Dataset> lines = Load("jsonl:" + path);
  ASSERT_FALSE(lines.has_value());
  EXPECT_EQ(lines.error().code(), StatusCode::kDataLoss);
  EXPECT_NE(lines.error().message().find("bad.jsonl' line 2"), std::string::npos) << lines.error().message();
  EXPECT_EQ(Load("jsonl:" + (folder_ / "missing").string()).error().code(), StatusCode::kNotFound);
  for (const char* line : {"{\"prompt\":\"x\"}", "{\"at_ms\":-1,\"prompt\":\"x\"}", "{\"at_ms\":1}",
                           "{\"at_ms\":1,\"prompt_tokens\":0}", "nonsense"}) {
    const Result<Dataset> trace = Load("trace:" + Write("t.jsonl", line));
    ASSERT_FALSE(trace.has_value()) << line;
    EXPECT_NE(trace.error().message().find("line 1"), std::string::npos) << trace.error().message();
  }
  EXPECT_EQ(Load("jsonl:" + Write("empty.jsonl", "\n \n")).error().code(), StatusCode::kDataLoss);
}

TEST_F(DatasetTest, ATraceKeepsItsTimesLengthsAndPrefixes) {
  const std::string path =
      Write("trace.jsonl",
            "{\"at_ms\":1500,\"prompt_tokens\":40,\"max_tokens\":9,\"prefix_id\":\"p\"}\n"
            "{\"at_ms\":1000,\"prompt_tokens\":30,\"prefix_id\":\"p\"}\n"
            "{\"at_ms\":1250,\"prompt\":\"as it was\"}\n");
  const Result<Dataset> trace = Load("trace:" + path);
  ASSERT_TRUE(trace.has_value()) << trace.error().message();
  ASSERT_EQ(trace->prompts.size(), 3u);
  EXPECT_EQ(trace->arrivals_s, (std::vector<double>{0, 0.25, 0.5}));
  EXPECT_EQ(Count(trace->prompts[0].text), 30);
  EXPECT_EQ(trace->prompts[1].text, "as it was");
  EXPECT_EQ(Count(trace->prompts[2].text), 40);
  EXPECT_EQ(trace->prompts[2].max_tokens, 9);
  // Half of the first prompt that names the prefix is at the head of the later one.
  std::string half = trace->prompts[0].text;
  while (Count(half) > 15) half = half.substr(0, half.rfind(' '));
  EXPECT_TRUE(trace->prompts[2].text.starts_with(half));
  EXPECT_GT(trace->expected_cache_ratio, 0);
}

TEST_F(DatasetTest, WhatCannotBeCountedIsAnError) {
  DatasetRequest request;
  request.spec = *ParseDataset("random:in=12");
  request.count_tokens = [](const std::string&) -> Result<int> { return Unavailable("no tokenizer"); };
  EXPECT_EQ(LoadDataset(request).error().code(), StatusCode::kUnavailable);
  // A tokenizer that finds ten tokens in everything: no text has twelve.
  request.count_tokens = [](const std::string&) -> Result<int> { return 10; };
  EXPECT_EQ(LoadDataset(request).error().code(), StatusCode::kInternal);
}

}  // namespace
}  // namespace weir
