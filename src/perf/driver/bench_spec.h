// What `weir bench` measures, and the call that does it.
//
// Errors    RunBenchmark: as Engine::Create; INVALID_ARGUMENT for a spec that contradicts itself. An interrupted run is a
//           result, with "interrupted": true and what was measured
// Threads   the caller's thread steps the engine; `progress` runs on it
// Source    docs/MEASUREMENT.md, "Direct benchmark"
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "engine/engine.h"
#include "perf/driver/progress.h"
#include "perf/recorder/request_record.h"
#include "perf/workload/dataset.h"

namespace weir {

enum class KvDtype;  // engine/kvcache

enum class Batching { kContinuous, kStatic };
enum class Tail { kFill, kDrain };
enum class BenchMode { kStudy, kMatrix };

inline constexpr int kUsualModelLen = 4096;

struct BenchSpec {
  std::string model_path;                  // of synthetic weights, their name
  std::optional<SyntheticSpec> synthetic;  // instead of a file; prompts are then random token ids
  LoadQuantization quantization = LoadQuantization::kNone;  // of a Hugging Face directory
  std::string quantized_cache;                              // as EngineOptions
  WeightStorage weights = WeightStorage::kRepack;
  BenchMode mode = BenchMode::kStudy;
  std::vector<int> batch_sizes = {1, 2, 4, 8};
  bool up_to_max = false;  // and 16, 32, 64 ... as far as memory goes
  int num_prompts = 15;    // measured prompts per row and repeat
  DatasetSpec dataset;     // what they are; the built-in list
  int prompt_tokens = 0;  // random token ids instead, that many, without the chat template; 0: natural length
  bool prefix_cache = false;  // on where it is the subject
  int max_tokens = 100;       // output tokens of each, forced
  int max_model_len = 0;      // 0: the model's own, at most kUsualModelLen
  double memory_utilization = 0.9;
  Batching batching = Batching::kContinuous;
  Tail tail = Tail::kFill;
  int repeats = 5;
  int warmup = 3;  // warm-up prompts per row
  double temperature = 0;
  uint64_t seed = 1;
  int threads = 0;                 // 0: the engine's default
  int max_num_batched_tokens = 0;  // 0: the engine's default
  KvDtype kv_dtype{};              // fp16
  std::string isa;                 // empty: the engine's default
  bool profile = false;            // split every step's time into segments

  // The other half of a measurement in turns, run between repeats: A B B A A B B A, so that a machine that changes its speed
  // hits both halves alike. Once per repeat; an error ends the benchmark.
  std::function<Status(int repeat)> other_half;
  int prompt_offset = 0;     // first prompt of the built-in list to use
  bool probe_limits = true;  // else rows have no limit

  // Matrix mode.
  std::vector<int> prompt_lens = {512};
  int gen_len = 128;

  std::vector<std::string> command;                     // stored in the file
  const std::atomic<bool>* stop = nullptr;              // set: finish with what was measured
  std::function<void(const RequestRecord&)> on_record;  // every measured request; may be empty
};

// The content of benchmark_results.json.
Result<Json> RunBenchmark(const BenchSpec& spec, const ProgressFunction& progress);

}  // namespace weir
