// The tiny models of tests/golden/architectures: what is expected of them, and a way to run them.
//
// Owns      ArchitectureRunner owns a model and a cache of its own; the ModelFile outlives it
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "engine/lora/lora_adapter.h"
#include "engine/model/model.h"

namespace weir {

inline constexpr int kArchitectureBlocks = 8;

inline std::string GoldenArchitecture(const std::string& name) {
  return std::string(WEIR_SOURCE_DIR "/tests/golden/architectures/") + name;
}

inline std::vector<std::string> GoldenArchitectures() {
  return {"llama", "llama_llama3",  "llama_linear", "llama_yarn", "mistral", "qwen2",    "qwen3",
          "phi3",  "phi3_longrope", "gemma2",       "gemma3",     "smollm3", "qwen3moe", "qwen3moe_mixed"};
}

struct ExpectedLogits {
  std::vector<int32_t> tokens;
  int vocab_size = 0;
  std::vector<float> logits;
};

inline std::string GoldenAdapter(const std::string& name) {
  return std::string(WEIR_SOURCE_DIR "/tests/golden/adapters/") + name;
}

inline ExpectedLogits ReadExpectedLogits(const std::string& name, bool of_adapter = false) {
  std::ifstream in((of_adapter ? GoldenAdapter(name) : GoldenArchitecture(name)) + ".logits",
                   std::ios::binary);
  ExpectedLogits expected;
  int32_t sizes[2] = {};
  in.read(reinterpret_cast<char*>(sizes), sizeof(sizes));
  expected.tokens.resize(static_cast<size_t>(sizes[0]));
  expected.vocab_size = sizes[1];
  expected.logits.resize(static_cast<size_t>(sizes[0]) * static_cast<size_t>(sizes[1]));
  in.read(reinterpret_cast<char*>(expected.tokens.data()),
          static_cast<std::streamsize>(expected.tokens.size() * 4));
  in.read(reinterpret_cast<char*>(expected.logits.data()),
          static_cast<std::streamsize>(expected.logits.size() * 4));
  EXPECT_TRUE(in.good()) << name;
  return expected;
}

struct RunnerSetting {
  std::string_view path;
  int threads = 1;
  KvDtype kv_dtype = KvDtype::kF16;
  WeightStorage storage = WeightStorage::kRepack;
  std::vector<const LoraAdapter*> adapters = {};
};

// A sequence among several that are computed together.
struct Lane {
  std::vector<int32_t> tokens;
  int adapter = 0;
  TokenOrigin origin = TokenOrigin::kPrompt;  // prompts come first
};

class ArchitectureRunner {
 public:
  ArchitectureRunner(const ModelFile& file, const RunnerSetting& setting) : pool_(kArchitectureBlocks) {
    ModelOptions options;
    options.isa = setting.path;
    options.num_threads = setting.threads;
    options.max_rows = 64;
    options.max_logit_rows = 64;
    options.kv_dtype = setting.kv_dtype;
    options.storage = setting.storage;
    options.adapters = setting.adapters;
    auto model = Model::Load(file, options);
    EXPECT_TRUE(model.has_value()) << model.error().message();
    model_ = *std::move(model);
    auto kv = KvStorage::Create(model_->config().kv_shape(), kArchitectureBlocks);
    EXPECT_TRUE(kv.has_value());
    kv_ = *std::move(kv);
  }

  const Model& model() const { return *model_; }

  // Logits of every position, in chunks of the given sizes, the last one again and again.
  std::vector<float> Run(const std::vector<int32_t>& tokens, const std::vector<int>& chunks,
                         TokenOrigin origin = TokenOrigin::kPrompt, int adapter = 0) {
    BlockTable table;
    table.Cover(pool_, static_cast<int64_t>(tokens.size()));
    std::vector<float> all;
    const auto columns = static_cast<size_t>(model_->config().vocab_size);
    size_t next = 0;
    for (int first = 0; first < static_cast<int>(tokens.size());) {
      const int count =
          std::min(chunks[std::min(next++, chunks.size() - 1)], static_cast<int>(tokens.size()) - first);
      Batch batch;
      batch.AddSequence(origin, tokens.data(), first, count, table, true, true, adapter);
      std::vector<float> logits(static_cast<size_t>(count) * columns);
      std::vector<RowMaximum> maxima(static_cast<size_t>(count));
      model_->Forward(batch, kv_, MatrixView<float>(logits.data(), count, static_cast<int64_t>(columns)),
                      maxima);
      for (int row = 0; row < count; ++row) {
        const auto begin =
            logits.begin() + static_cast<std::ptrdiff_t>(row) * static_cast<std::ptrdiff_t>(columns);
        const auto best = std::max_element(begin, begin + static_cast<std::ptrdiff_t>(columns));
        EXPECT_EQ(maxima[static_cast<size_t>(row)].best.logit, *best);
      }
      all.insert(all.end(), logits.begin(), logits.end());
      first += count;
    }
    table.Free(pool_);
    return all;
  }

  // Logits of every position of every lane, each taking 1 to 9 tokens of every step.
  std::vector<std::vector<float>> RunTogether(const std::vector<Lane>& lanes, uint64_t seed) {
    Rng rng(seed);
    const auto columns = static_cast<size_t>(model_->config().vocab_size);
    std::vector<BlockTable> tables(lanes.size());
    std::vector<std::vector<float>> all(lanes.size());
    std::vector<int> done(lanes.size());
    for (size_t i = 0; i < lanes.size(); ++i)
      tables[i].Cover(pool_, static_cast<int64_t>(lanes[i].tokens.size()));
    while (true) {
      Batch batch;
      std::vector<size_t> lane_of_row;
      for (size_t i = 0; i < lanes.size(); ++i) {
        const int left = static_cast<int>(lanes[i].tokens.size()) - done[i];
        const int count = std::min(left, 1 + static_cast<int>(rng.NextBelow(9)));
        if (count == 0) continue;
        batch.AddSequence(lanes[i].origin, lanes[i].tokens.data(), done[i], count, tables[i], true, true,
                          lanes[i].adapter);
        done[i] += count;
        lane_of_row.insert(lane_of_row.end(), static_cast<size_t>(count), i);
      }
      if (lane_of_row.empty()) break;
      std::vector<float> logits(lane_of_row.size() * columns);
      model_->Forward(batch, kv_,
                      MatrixView<float>(logits.data(), static_cast<int64_t>(lane_of_row.size()),
                                        static_cast<int64_t>(columns)),
                      {});
      for (size_t row = 0; row < lane_of_row.size(); ++row) {
        const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(row * columns);
        all[lane_of_row[row]].insert(all[lane_of_row[row]].end(), begin,
                                     begin + static_cast<std::ptrdiff_t>(columns));
      }
    }
    for (BlockTable& table : tables) table.Free(pool_);
    return all;
  }

 private:
  std::unique_ptr<Model> model_;
  BlockPool pool_;
  KvStorage kv_;
};

// The largest over all positions of |a - b| / |b|, as vectors.
inline double LargestDistance(const std::vector<float>& a, const std::vector<float>& b, int columns) {
  EXPECT_EQ(a.size(), b.size());
  double largest = 0;
  for (size_t first = 0; first < b.size(); first += static_cast<size_t>(columns)) {
    double difference = 0, magnitude = 0;
    for (size_t i = first; i < first + static_cast<size_t>(columns); ++i) {
      difference += std::pow(double{a[i]} - double{b[i]}, 2);
      magnitude += std::pow(double{b[i]}, 2);
    }
    const double distance = std::sqrt(difference / magnitude);
    if (!(distance <= largest)) largest = distance;
  }
  return largest;
}

inline bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace weir
