// What the engine's tests share: a tiny model, requests with known answers, readers.
//
// Owns      nothing lasting
// Threads   as each test; CountingSink from any
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "tests/support/tiny_model.h"

namespace weir {

inline constexpr int64_t kBytesPerBlock = 4096;  // of the tiny model: 256 bytes per token

inline const TinyModel& Tiny() {
  static const TinyModel model;
  return model;
}

inline EngineOptions Options() {
  EngineOptions options;
  options.model_path = Tiny().path();
  options.num_threads = 1;
  options.max_num_seqs = 8;
  options.max_num_batched_tokens = 64;
  options.max_num_queued_reqs = 1000;
  options.kv_cache_bytes = 400 * kBytesPerBlock;
  return options;
}

inline std::unique_ptr<Engine> MakeEngine(const EngineOptions& options) {
  Result<std::unique_ptr<Engine>> engine = Engine::Create(options);
  if (!engine.has_value()) {
    ADD_FAILURE() << engine.error().message();
    return nullptr;
  }
  return std::move(engine).value();
}

inline std::vector<int32_t> Prompt(uint64_t seed, int length) {
  Rng rng(seed);
  std::vector<int32_t> tokens(length);
  for (int32_t& token : tokens) token = 3 + static_cast<int32_t>(rng.NextBelow(kTinyVocabSize - 3));
  return tokens;
}

inline Request Greedy(uint64_t seed, int num_prompt, int max_tokens) {
  Request request;
  request.id = "r" + std::to_string(seed);
  request.prompt = Prompt(seed, num_prompt);
  request.sampling.temperature = 0;
  request.max_tokens = max_tokens;
  request.ignore_eos = true;
  return request;
}

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<TokenLogprobs> prompt_logprobs;
  FinishReason finish = FinishReason::kNone;
  bool ended_by_token = false;
  int num_finals = 0;
  Status error;
};

inline void Read(RequestStream& stream, Answer* answer) {
  TokenEvent event;
  while (stream.Pop(&event)) {
    EXPECT_EQ(answer->num_finals, 0) << "an event after the final one";
    if (event.token >= 0) {
      EXPECT_EQ(event.index, static_cast<int>(answer->tokens.size()));
      answer->tokens.push_back(event.token);
    }
    if (event.prompt_logprobs != nullptr) answer->prompt_logprobs = *event.prompt_logprobs;
    if (event.finish == FinishReason::kNone) continue;
    ++answer->num_finals;
    answer->finish = event.finish;
    answer->error = event.error;
    answer->ended_by_token = event.is_end_token;
  }
}

inline std::shared_ptr<RequestStream> MustSubmit(Engine& engine, Request request, EventSink* sink = nullptr) {
  Admitted<std::shared_ptr<RequestStream>> out = engine.Submit(Reservation(), std::move(request), sink);
  EXPECT_TRUE(out.ok()) << out.refused.status.message();
  return out.value;
}

inline std::vector<Answer> RunAll(Engine& engine,
                                  const std::vector<std::shared_ptr<RequestStream>>& streams) {
  std::vector<Answer> answers(streams.size());
  while (engine.Step()) {
    for (size_t i = 0; i < streams.size(); ++i) Read(*streams[i], &answers[i]);
  }
  EXPECT_EQ(engine.CheckInvariants(), "");
  EXPECT_EQ(engine.num_free_kv_blocks(), engine.num_kv_blocks());
  EXPECT_TRUE(engine.idle());
  return answers;
}

inline Answer Alone(const EngineOptions& options, const Request& request) {
  const std::unique_ptr<Engine> engine = MakeEngine(options);
  return RunAll(*engine, {MustSubmit(*engine, request)})[0];
}

inline Duration SumOfStages(const Ledger& ledger) {
  Duration sum{};
  for (int i = 0; i < kNumStages; ++i) sum += ledger.stage(static_cast<Stage>(i));
  return sum;
}

// Reads on the engine's thread, as an io thread would after being woken.
class CountingSink final : public EventSink {
 public:
  void OnNews(std::span<const std::shared_ptr<RequestStream>> streams) noexcept override {
    MutexLock lock(mutex_);
    ++num_calls_;
    for (const auto& stream : streams) Read(*stream, &answers_[stream->id()]);
  }
  int num_calls() {
    MutexLock lock(mutex_);
    return num_calls_;
  }
  std::map<std::string, Answer> answers() {
    MutexLock lock(mutex_);
    return answers_;
  }

 private:
  Mutex mutex_;
  int num_calls_ = 0;
  std::map<std::string, Answer> answers_;
};

}  // namespace weir
