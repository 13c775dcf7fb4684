// START HERE. The engine turns requests into token events: Reserve, Submit, Cancel from any thread; Step on its own.
//
// Requires  Create() before all else; Start() or a caller that calls Step() in a loop, never both
// Owns      model, tokenizer, KV cache, scheduler, its thread and the kernel workers
// Errors    Create: as ModelFile, Tokenizer, Model; RESOURCE_EXHAUSTED when weights and one full context do not fit memory.
//           Reserve and Submit: RESOURCE_EXHAUSTED with a retry time when the policy refuses, UNAVAILABLE while draining,
//           INVALID_ARGUMENT "context_length_exceeded" for what can never fit
// Threads   Reserve, Submit, Load, Cancel (through the stream): any. Step: one thread
//
// A step decides (scheduler), computes (model), chooses (sampling) and tells (streams), in that order and in no other.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/admission/admission.h"
#include "engine/memory_plan.h"
#include "engine/model/model.h"
#include "engine/request/request.h"
#include "engine/request/request_stream.h"
#include "engine/safetensors/load_quantization.h"
#include "engine/synthetic/synthetic_model.h"
#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {

enum class SchedulerPolicy { kContinuous, kSequential };

// A LoRA adapter: requests choose it by its number, from 1 on.
struct AdapterSpec {
  std::string name;
  std::string path;
};

struct EngineOptions {
  std::string model_path;
  std::optional<SyntheticSpec> synthetic;                   // instead of a file
  LoadQuantization quantization = LoadQuantization::kNone;  // of a Hugging Face directory
  std::string quantized_cache;  // folder where quantized weights are kept between starts; empty: nowhere
  WeightStorage weights = WeightStorage::kRepack;
  std::vector<AdapterSpec> adapters = {};
  int num_threads = 0;              // 0: all cores
  int max_num_seqs = 0;             // 0: automatic, see memory_plan.h
  int max_num_batched_tokens = 0;   // 0: automatic, which is 512; never below max_num_seqs
  int max_model_len = 0;            // 0: the model's own
  int most_model_len = 0;           // of the model's own; 0: all of it
  double memory_utilization = 0.9;  // share of the machine's memory offered to weights and KV cache
  int64_t memory_limit_bytes =
      0;  // of this process, if less than the machine and the control group have; 0: none
  int64_t kv_cache_bytes = 0;  // 0: what memory_utilization leaves, at most max_num_seqs full contexts
  KvDtype kv_dtype = KvDtype::kF16;
  SchedulerPolicy policy = SchedulerPolicy::kContinuous;
  bool prefix_cache = true;  // prompts that begin alike are computed once; never in sequential mode
  uint64_t prefix_hash_mask = ~uint64_t{0};  // for tests, which let all hashes collide
  const Clock* clock = nullptr;              // for tests, which count its readings; null: the monotonic one
  bool bounded_queue = true;
  bool cancel_on_disconnect = true;  // read by the server
  Duration tokenizer_delay{};        // a planted fault, read by the server: every prompt takes so much longer
  int max_num_queued_reqs = -1;      // -1: 4 x max_num_seqs
  int64_t max_num_queued_tokens = -1;  // -1: automatic
  Duration ttft_objective = std::chrono::seconds(10);
  Duration itl_objective = std::chrono::milliseconds(50);
  std::string isa;
  std::function<void(double)> on_progress;  // loading, 0 to 1
  // Asked for max_num_seqs before the weights are loaded, instead of the number above; the same range holds.
  std::function<int(const SequenceRoom&)> choose_max_num_seqs;
};

// Whose turn in the queue it is to be.
struct Applicant {
  RequestOwner owner;
  RequestClass service_class = RequestClass::kDefault;
  bool is_retry = false;  // was refused before: shed first when the queue fills
};

// A place promised before tokenizing; released exactly once, whichever way the request ends. May outlive the engine.
class Reservation {
 public:
  Reservation() = default;
  Reservation(Reservation&& other) noexcept;
  Reservation& operator=(Reservation&& other) noexcept;
  ~Reservation();
  bool valid() const { return counters_ != nullptr; }
  int64_t tokens() const { return tokens_; }
  int num_sequences() const { return num_sequences_; }
  // One of several sequences (n > 1, an array of prompts) with its share of the tokens, for a Submit() of its own.
  Reservation Split();

 private:
  friend class Engine;
  struct Counters;
  struct Flow;
  // Gives back a part: a sequence when it starts to run, tokens as they are computed.
  void Shrink(int num_sequences, int64_t tokens);
  void Resize(int64_t tokens);
  // To the account of another owner or class.
  void Move(const Applicant& applicant);
  void Release();

  std::shared_ptr<Counters> counters_;
  Flow* flow_ = nullptr;  // of the counters; counts what this one holds
  int num_sequences_ = 0;
  int64_t tokens_ = 0;
};

// Status plus how long to wait before trying again; zero when waiting does not help.
struct Refused {
  Status status;
  Duration retry_after{};
};

template <typename T>
struct Admitted {
  T value{};
  Refused refused;  // status OK: admitted
  bool ok() const { return refused.status.ok(); }
};

// Sequences of one adapter.
struct AdapterLoad {
  int num_running = 0;
  int num_waiting = 0;
};

// Called after each step, on the engine thread; for the benchmark's step breakdown and the server's metrics.
struct StepRecord {
  TimePoint started{};
  TimePoint ended{};
  int num_tokens = 0;
  int num_prefill_tokens = 0;
  int num_sequences = 0;
  int num_running = 0;
  int num_waiting = 0;
  int64_t kv_tokens_read = 0;
  Duration predicted{};  // of the whole step; zero: not known yet
  int num_preempted = 0;
  int64_t num_queried_tokens = 0;  // of prompts that begin in this step, looked up in the prefix cache
  int64_t num_cached_tokens = 0;   // and found there
  Duration schedule{}, forward{}, sample{}, publish{};
  bool is_profiled = false;
  StepSegments segments{};  // sum to the step; all zero unless profiled
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> Create(const EngineOptions& options);
  ~Engine();

  Admitted<Reservation> Reserve(int64_t estimated_prompt_tokens, int num_sequences = 1,
                                std::optional<Duration> first_token_budget = std::nullopt,
                                const Applicant& applicant = {});
  // Takes one sequence of the reservation; without a valid one it asks for a place itself. The stream gets exactly one
  // final event. `sink` outlives it, and may be null for a reader that polls.
  Admitted<std::shared_ptr<RequestStream>> Submit(Reservation reservation, Request request, EventSink* sink,
                                                  std::shared_ptr<void> context = nullptr);

  // How many tokens of a prompt the prefix cache would save now; for estimates, because it changes every step.
  int64_t CountCachedTokens(uint64_t salt, std::span<const int32_t> prompt) const;

  // False when there was nothing to do.
  bool Step();
  // Runs Step() on a thread of its own until Stop(), sleeping while there is nothing to do.
  void Start();
  // Ends the thread after the current step; what still runs gets an error event UNAVAILABLE "draining".
  void Stop();
  // From now on Reserve refuses with UNAVAILABLE "draining"; what was accepted goes on.
  void BeginDrain();
  bool draining() const;
  // No step can succeed any more: every request ends with an error, and only a new process helps.
  bool failing() const;
  bool idle() const;  // nothing queued, nothing running

  LoadSnapshot Load() const;
  // As it looks to a newcomer: only what is served before it counts as waiting.
  LoadSnapshot Load(const Applicant& applicant) const;
  // When somebody should come back whom the engine gave up while it waited: a turn of its own, as at the door.
  Duration TurnOfRefused(int64_t prompt_tokens);
  // False: what the cache holds is still found, and nothing is added. Any thread.
  void SetPrefixCacheGrows(bool grows);
  // Of each adapter, as of the last step.
  std::vector<AdapterLoad> AdapterLoads() const;
  // Prompt tokens computed for an owner, and output tokens at their price; those it speaks for included.
  double ServedCost(std::string_view owner) const;
  TimePoint last_step_ended() const;
  void set_step_observer(std::function<void(const StepRecord&)> observer);  // before Start()
  // From the next step on its segments are recorded. Engine thread (the observer is on it), or before Start().
  void set_profiling(bool on);
  bool profiling() const;

  const EngineOptions& options() const;  // automatic values filled in
  // Why it is that many sequences, like "32, by 2 threads"; empty when they were asked for.
  const std::string& max_num_seqs_reason() const;
  const ModelFile& file() const;
  const Model& model() const;
  const Tokenizer& tokenizer() const;
  const ChatTemplate* chat_template() const;  // null when the file has none
  int max_model_len() const;
  int64_t kv_bytes() const;
  int num_kv_blocks() const;
  int num_free_kv_blocks() const;
  int peak_kv_blocks() const;
  // Empty when sound; of scheduler, blocks and reservations. Engine thread, or while no thread steps.
  std::string CheckInvariants() const;

 private:
  struct State;
  explicit Engine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir
