// A request's answer must not depend on who shares its steps: logits are compared bit for bit, outputs token for token.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "engine/engine.h"
#include "engine/sampling/logit_row.h"
#include "tests/integration/golden_logits.h"
#include "tests/integration/model_runner.h"

namespace weir {
namespace {

constexpr int kDecodeSteps = 6;

// The golden text, one window after another: real tokens, whose logits are no noise.
std::vector<int32_t> Text() {
  std::vector<int32_t> text;
  auto windows = ReadGoldenWindows("text.bin");
  EXPECT_TRUE(windows.has_value()) << windows.error().message();
  for (const GoldenWindow& window : *windows) {
    text.insert(text.end(), window.tokens.begin(), window.tokens.end());
  }
  return text;
}

struct Mix {
  int num_sequences = 1;  // the measured one included
  int chunk = 512;        // most prompt tokens of it per step
  int num_threads = 1;
};

std::string Describe(const Mix& mix) {
  return std::to_string(mix.num_sequences) + " sequences, chunks of " + std::to_string(mix.chunk) + ", " +
         std::to_string(mix.num_threads) + " threads";
}

class BatchInvarianceTest : public testing::TestWithParam<std::tuple<const char*, KvDtype>> {
 protected:
  void SetUp() override {
    if (!MachineHasIsa(isa())) GTEST_SKIP() << "this CPU has no " << isa();
    if (kSanitized && is_generic()) GTEST_SKIP() << "more than ten minutes under a sanitizer";
    text_ = Text();
    // Over 512: a chunk boundary of every size, and attention over several pieces.
    constexpr int kPromptLength = kSanitized ? 130 : 530;
    ASSERT_GT(text_.size(), static_cast<size_t>(kPromptLength + kDecodeSteps));
    prompt_.assign(text_.begin(), text_.begin() + kPromptLength);
    if (is_generic()) prompt_.resize(20);
    forced_.assign(text_.begin() + kPromptLength, text_.begin() + kPromptLength + kDecodeSteps);
  }

  const char* isa() const { return std::get<0>(GetParam()); }
  bool is_int8() const { return std::get<1>(GetParam()) == KvDtype::kInt8; }
  // Another cache changes attention alone, so fewer companions do for it; and a sanitizer looks for other faults.
  bool takes_few_companions() const { return is_generic() || is_int8() || kSanitized; }
  // Too slow for every mix: it takes a short prompt through a few.
  bool is_generic() const { return std::string(isa()) == "generic"; }

  std::unique_ptr<ModelRunner> Load(int num_threads) {
    ModelRunner::Options options;
    options.isa = isa();
    options.kv_dtype = std::get<1>(GetParam());
    options.num_threads = num_threads;
    options.max_rows = 1024;
    options.num_blocks = 400;
    auto runner = ModelRunner::Create(options);
    EXPECT_TRUE(runner.has_value()) << runner.error().message();
    return runner.has_value() ? std::move(*runner) : nullptr;
  }

  // Logits after the prompt and after each of the forced tokens, among companions that join and leave at random and
  // do some of everything: prefill chunks, decode, with and without logits, in random order within the batch, prompts first.
  std::vector<std::vector<float>> LogitsAmong(ModelRunner& runner, const Mix& mix, uint64_t seed) {
    Rng rng(seed);
    ModelRunner::Stream measured;
    measured.tokens = prompt_;
    measured.num_prompt = static_cast<int>(prompt_.size());
    measured.tokens.insert(measured.tokens.end(), forced_.begin(), forced_.end());
    const int prompt_length = static_cast<int>(prompt_.size());
    const int total = static_cast<int>(measured.tokens.size());
    std::vector<ModelRunner::Stream> companions(static_cast<size_t>(mix.num_sequences - 1));

    std::vector<std::vector<float>> result;
    while (measured.num_computed < total) {
      const int left_of_prompt = prompt_length - measured.num_computed;
      const int count = left_of_prompt > 0 ? std::min(mix.chunk, left_of_prompt) : 1;
      const bool wants_logits = left_of_prompt <= count;
      const size_t place = rng.NextBelow(static_cast<uint64_t>(mix.num_sequences));
      int64_t num_logit_rows = 0;
      int64_t measured_row = 0;
      std::vector<Part> parts;
      for (size_t i = 0; i <= companions.size(); ++i) {
        if (i == place) parts.push_back({&measured, count, wants_logits});
        if (i < companions.size()) parts.push_back(PartOfCompanion(runner, companions[i], rng));
      }
      std::stable_partition(parts.begin(), parts.end(), [](const Part& part) {
        return part.stream->num_computed < part.stream->num_prompt;
      });
      runner.Begin();
      for (const Part& part : parts) {
        if (part.stream == &measured) measured_row = num_logit_rows;
        runner.Add(*part.stream, part.count, part.wants_logits);
        num_logit_rows += part.wants_logits;
      }
      const MatrixView<float> logits = runner.Run();
      if (wants_logits)
        result.emplace_back(logits.row(measured_row), logits.row(measured_row) + logits.columns);
    }
    runner.Release(measured);
    for (ModelRunner::Stream& companion : companions) runner.Release(companion);
    return result;
  }

  struct Part {
    ModelRunner::Stream* stream;
    int count;
    bool wants_logits;
  };
  Part PartOfCompanion(ModelRunner& runner, ModelRunner::Stream& companion, Rng& rng) {
    if (companion.num_computed == static_cast<int>(companion.tokens.size())) {
      runner.Release(companion);
      const size_t length = 1 + rng.NextBelow(90);
      const auto start = text_.begin() + static_cast<std::ptrdiff_t>(rng.NextBelow(text_.size() - length));
      companion.tokens.assign(start, start + static_cast<std::ptrdiff_t>(length));
      companion.num_computed = 0;
      companion.num_prompt = 1 + static_cast<int>(rng.NextBelow(length));
    }
    const bool in_prompt = companion.num_computed < companion.num_prompt;
    const int left = (in_prompt ? companion.num_prompt : static_cast<int>(companion.tokens.size())) -
                     companion.num_computed;
    const int count =
        std::min<int>(left, 1 + static_cast<int>(rng.NextBelow(rng.NextBelow(2) == 0 ? 1 : 15)));
    const bool wants_logits = rng.NextBelow(2) == 0;
    return {&companion, count, wants_logits};
  }

  std::vector<int32_t> text_;
  std::vector<int32_t> prompt_;
  std::vector<int32_t> forced_;
};

TEST_P(BatchInvarianceTest, LogitsAreEqualBitForBitInAnyCompanyChunkingAndThreadCount) {
  std::vector<std::vector<float>> expected;
  for (const int num_threads : {1, 2}) {
    std::unique_ptr<ModelRunner> runner = Load(num_threads);
    ASSERT_NE(runner, nullptr);
    ASSERT_EQ(runner->model().num_threads(), num_threads);
    uint64_t seed = 1;
    for (const int num_sequences :
         takes_few_companions() ? std::vector<int>{1, 3} : std::vector<int>{1, 2, 3, 8, 33}) {
      for (const int chunk : is_generic() ? std::vector<int>{16} : std::vector<int>{512, 100, 16}) {
        const Mix mix{num_sequences, chunk, num_threads};
        const std::vector<std::vector<float>> logits = LogitsAmong(*runner, mix, seed++);
        ASSERT_EQ(logits.size(), static_cast<size_t>(1 + kDecodeSteps));
        if (expected.empty()) {
          expected = logits;
          // An all-equal or unsound row would make the comparison worthless.
          for (const std::vector<float>& row : expected) ASSERT_TRUE(FindMaximum(row).sound);
          ASSERT_NE(expected[0], expected[1]);
          continue;
        }
        for (size_t i = 0; i < logits.size(); ++i) {
          const size_t bytes = expected[i].size() * sizeof(float);
          EXPECT_EQ(std::memcmp(logits[i].data(), expected[i].data(), bytes), 0)
              << "row " << i << " differs from the row alone: " << Describe(mix);
        }
      }
    }
  }
}

TEST_P(BatchInvarianceTest, EveryPromptPositionHasTheSameLogitsInOneChunkAndInMany) {
  std::unique_ptr<ModelRunner> runner = Load(2);
  ASSERT_NE(runner, nullptr);
  // Chunks of at most 64 rows, the most that may want logits.
  const int length = is_generic() ? 20 : 128;
  const auto rows_in_chunks = [&](const std::vector<int>& chunks) {
    std::vector<std::vector<float>> rows;
    ModelRunner::Stream stream;
    stream.tokens = prompt_;
    for (size_t i = 0; stream.num_computed < length; ++i) {
      runner->Begin();
      runner->Add(stream, std::min(chunks[i % chunks.size()], length - stream.num_computed), true, true);
      const MatrixView<float> logits = runner->Run();
      for (int64_t row = 0; row < logits.rows; ++row) {
        rows.emplace_back(logits.row(row), logits.row(row) + logits.columns);
      }
    }
    runner->Release(stream);
    return rows;
  };
  const auto expected = rows_in_chunks({64});
  ASSERT_EQ(expected.size(), static_cast<size_t>(length));
  for (const std::vector<int>& chunks : std::vector<std::vector<int>>{{1}, {5, 17, 1, 33}, {16}}) {
    const auto rows = rows_in_chunks(chunks);
    ASSERT_EQ(rows.size(), expected.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      ASSERT_EQ(std::memcmp(rows[i].data(), expected[i].data(), rows[i].size() * sizeof(float)), 0)
          << "position " << i << ", first chunk " << chunks[0];
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Isa, BatchInvarianceTest,
                         testing::Combine(testing::Values("generic", "avx2", "avx512vnni", "avx512bf16",
                                                          "amx"),
                                          testing::Values(KvDtype::kF16, KvDtype::kInt8)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param)) + "_" +
                                  std::string(KvDtypeName(std::get<1>(param.param)));
                         });

// Whole requests through the engine, stepped by the test so that arrivals are a function of the seed.

class NoNews : public EventSink {
 public:
  void OnNews(std::span<const std::shared_ptr<RequestStream>>) noexcept override {}
};

struct Outcome {
  std::vector<int32_t> tokens;
  std::vector<TokenLogprobs> logprobs;
  int num_final_events = 0;
  FinishReason finish = FinishReason::kNone;
  std::string error;
};

void Drain(RequestStream& stream, Outcome& outcome) {
  TokenEvent event;
  while (stream.Pop(&event)) {
    if (event.token >= 0) outcome.tokens.push_back(event.token);
    if (event.logprobs != nullptr) outcome.logprobs.push_back(*event.logprobs);
    if (event.finish == FinishReason::kNone) continue;
    ++outcome.num_final_events;
    outcome.finish = event.finish;
    outcome.error = event.error.message();
  }
}

std::vector<Request> MakeRequests(const std::vector<int32_t>& text, int count, Rng& rng) {
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request;
    request.id = "request-" + std::to_string(i);
    const size_t length = 3 + rng.NextBelow(120);
    const auto start = text.begin() + static_cast<std::ptrdiff_t>(rng.NextBelow(text.size() - length));
    request.prompt.assign(start, start + static_cast<std::ptrdiff_t>(length));
    request.max_tokens = 8 + static_cast<int>(rng.NextBelow(40));
    request.ignore_eos = i % 3 != 0;
    if (i % 2 == 0) {
      request.sampling.temperature = 0;
    } else {
      // Seeded draws and penalties must survive recomputation just as well.
      request.sampling.seed = rng.Next();
      request.sampling.top_p = 0.9f;
      request.sampling.frequency_penalty = 0.5f;
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

class EngineInvarianceTest : public testing::Test {
 protected:
  static std::unique_ptr<Engine> Create(int max_num_batched_tokens, int kv_tokens, bool prefix_cache = false,
                                        const std::string& isa = "") {
    auto path = TestModelPath();
    EXPECT_TRUE(path.has_value()) << path.error().message();
    if (!path.has_value()) return nullptr;
    EngineOptions options;
    options.model_path = *path;
    options.max_num_seqs = 8;
    options.max_num_batched_tokens = max_num_batched_tokens;
    options.max_model_len = 256;
    options.bounded_queue = false;
    options.prefix_cache = prefix_cache;
    options.isa = isa;
    const KvShape shape{30, 3, 64};
    options.kv_cache_bytes = shape.bytes_per_token() * kv_tokens;
    auto engine = Engine::Create(options);
    EXPECT_TRUE(engine.has_value()) << engine.error().message();
    return engine.has_value() ? std::move(*engine) : nullptr;
  }

  std::shared_ptr<RequestStream> Submit(Engine& engine, const Request& request) {
    auto reservation = engine.Reserve(static_cast<int64_t>(request.prompt.size()));
    EXPECT_TRUE(reservation.ok()) << reservation.refused.status.message();
    Request copy = request;
    copy.ledger.Begin(MonotonicClock::Get().Now(), Stage::kRecv);
    auto stream = engine.Submit(std::move(reservation.value), std::move(copy), &sink_);
    EXPECT_TRUE(stream.ok()) << stream.refused.status.message();
    return stream.value;
  }

  Outcome RunAlone(Engine& engine, const Request& request) {
    Outcome outcome;
    const std::shared_ptr<RequestStream> stream = Submit(engine, request);
    if (stream == nullptr) return outcome;
    for (int step = 0; step < 2000 && outcome.num_final_events == 0; ++step) {
      engine.Step();
      Drain(*stream, outcome);
    }
    return outcome;
  }

  NoNews sink_;
};

TEST_F(EngineInvarianceTest, OutputsAloneEqualOutputsAmongRandomArrivalsSmallChunksAndPreemption) {
  const std::vector<int32_t> text = Text();
  Rng rng(20);
  const std::vector<Request> requests = MakeRequests(text, 24, rng);
  std::vector<Outcome> alone;
  {
    std::unique_ptr<Engine> engine = Create(512, 4096);
    ASSERT_NE(engine, nullptr);
    for (const Request& request : requests) {
      alone.push_back(RunAlone(*engine, request));
      ASSERT_EQ(alone.back().num_final_events, 1) << request.id << " did not end";
      ASSERT_NE(alone.back().finish, FinishReason::kError) << alone.back().error;
      ASSERT_FALSE(alone.back().tokens.empty());
    }
  }

  int num_preempted = 0;
  for (const auto& [max_num_batched_tokens, kv_tokens] :
       std::vector<std::pair<int, int>>{{512, 288}, {64, 320}, {9, 272}}) {
    std::unique_ptr<Engine> engine = Create(max_num_batched_tokens, kv_tokens);
    ASSERT_NE(engine, nullptr);
    engine->set_step_observer([&](const StepRecord& record) { num_preempted += record.num_preempted; });
    std::vector<std::shared_ptr<RequestStream>> streams(requests.size());
    std::vector<Outcome> outcomes(requests.size());
    size_t num_submitted = 0;
    size_t num_ended = 0;
    int steps = 0;
    for (; num_ended < requests.size() && steps < 20000; ++steps) {
      while (num_submitted < requests.size() && rng.NextBelow(4) == 0) {
        streams[num_submitted] = Submit(*engine, requests[num_submitted]);
        ASSERT_NE(streams[num_submitted], nullptr);
        ++num_submitted;
      }
      engine->Step();
      ASSERT_EQ(engine->CheckInvariants(), "");
      num_ended = 0;
      for (size_t i = 0; i < num_submitted; ++i) {
        Drain(*streams[i], outcomes[i]);
        num_ended += outcomes[i].num_final_events > 0;
      }
    }
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ(outcomes[i].num_final_events, 1) << requests[i].id;
      EXPECT_EQ(outcomes[i].finish, alone[i].finish) << requests[i].id << " " << outcomes[i].error;
      EXPECT_EQ(outcomes[i].tokens, alone[i].tokens)
          << requests[i].id << " with " << max_num_batched_tokens << " tokens per step and " << kv_tokens
          << " in the pool";
    }
    EXPECT_TRUE(engine->idle());
    EXPECT_EQ(engine->num_free_kv_blocks(), engine->num_kv_blocks());
    std::printf("%d tokens per step, %d in the pool: %d steps, %d preemptions so far\n",
                max_num_batched_tokens, kv_tokens, steps, num_preempted);
  }
  EXPECT_GT(num_preempted, 10) << "the pools must be small enough to preempt, or this test shows nothing";
}

// A prompt's K and V must have the same bits whoever computed them, in whatever chunks and company: log-probabilities
// after prompts that were mostly found in the cache equal those after prompts computed alone from their start.
TEST_F(EngineInvarianceTest, PrefixHitsChangeNoBitOfAnyLogProbability) {
  const std::vector<int32_t> text = Text();
  for (const std::string isa : {"amx", "avx512bf16", "avx512vnni", "avx2"}) {
    if (!MachineHasIsa(isa)) {
      std::printf("this CPU has no %s\n", isa.c_str());
      continue;
    }
    Rng rng(31);
    std::vector<Request> requests = MakeRequests(text, kSanitized ? 6 : 16, rng);
    for (Request& request : requests) {
      // All begin alike, for a while that is no whole number of blocks.
      const size_t num_shared = 20 + rng.NextBelow(90);
      request.prompt.insert(request.prompt.begin(), text.begin(),
                            text.begin() + static_cast<std::ptrdiff_t>(num_shared));
      request.max_tokens = 6;
      request.sampling.num_logprobs = 4;
    }
    std::vector<Outcome> alone;
    {
      std::unique_ptr<Engine> engine = Create(512, 4096, /*prefix_cache=*/false, isa);
      ASSERT_NE(engine, nullptr);
      for (const Request& request : requests) alone.push_back(RunAlone(*engine, request));
    }
    std::unique_ptr<Engine> engine = Create(48, 512, /*prefix_cache=*/true, isa);
    ASSERT_NE(engine, nullptr);
    int64_t num_cached = 0;
    engine->set_step_observer([&](const StepRecord& record) { num_cached += record.num_cached_tokens; });
    for (int round = 0; round < 2; ++round) {
      std::vector<std::shared_ptr<RequestStream>> streams;
      for (const Request& request : requests) {
        streams.push_back(Submit(*engine, request));
        for (uint64_t steps = rng.NextBelow(4); steps > 0; --steps) engine->Step();
      }
      while (engine->Step()) ASSERT_EQ(engine->CheckInvariants(), "");
      for (size_t i = 0; i < requests.size(); ++i) {
        Outcome outcome;
        Drain(*streams[i], outcome);
        ASSERT_EQ(outcome.tokens, alone[i].tokens) << isa << ", " << requests[i].id;
        ASSERT_EQ(outcome.logprobs.size(), alone[i].logprobs.size());
        for (size_t token = 0; token < outcome.logprobs.size(); ++token) {
          EXPECT_EQ(outcome.logprobs[token].chosen, alone[i].logprobs[token].chosen)
              << isa << ", " << requests[i].id << ", token " << token;
        }
      }
    }
    EXPECT_GT(num_cached, static_cast<int64_t>(16 * requests.size())) << isa;
  }
}

}  // namespace
}  // namespace weir
