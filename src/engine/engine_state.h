// What an engine is made of. Only engine*.cc see it.
//
// Owns      everything; the order of members is the order of construction, so that what is used outlives
//           its user
// Threads   marked per group
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "engine/admission/queue_delay.h"
#include "engine/batch/batch.h"
#include "engine/engine.h"
#include "engine/gguf/model_file.h"
#include "engine/kvcache/kv_storage.h"
#include "engine/kvcache/pages_ahead.h"
#include "engine/outbox.h"
#include "engine/reservation_counters.h"
#include "engine/scheduler/mean_lengths.h"
#include "engine/scheduler/scheduler.h"
#include "engine/scheduler/step_account.h"

namespace weir {

// What the engine knows of a sequence and the scheduler need not.
struct LiveSequence {
  Reservation reservation;
  std::vector<int32_t> stop_ids;  // that end this request
  std::unique_ptr<std::vector<TokenLogprobs>> prompt_logprobs;
  TimePoint first_scheduled{};
  bool has_begun = false;  // some of it was computed: from then on its deadline is a failure of ours
  bool is_slow_reader = false;
};

// Clients that were refused together must not come back together.
Duration WithJitter(Duration retry_after);

struct Submission {
  Reservation reservation;
  std::unique_ptr<Sequence> sequence;
};

struct Engine::State {
  // Immutable after Create().
  EngineOptions options;
  const Clock& clock;
  std::unique_ptr<ModelFile> file;
  std::unique_ptr<Tokenizer> tokenizer;
  std::unique_ptr<ChatTemplate> chat_template;
  std::unique_ptr<Model> model;
  int max_model_len = 0;
  std::string max_num_seqs_reason;  // empty: it was asked for
  int64_t pool_tokens = 0;
  std::function<void(const StepRecord&)> observer;

  // Engine thread only.
  KvStorage kv;
  std::unique_ptr<PagesAhead> pages;  // null: the engine has no thread
  std::unique_ptr<BlockPool> pool;
  std::unique_ptr<PrefixCache> prefix_cache;  // null: off. Parts of it are for any thread
  CostModel cost;
  std::unique_ptr<Scheduler> scheduler;
  std::unordered_map<Sequence*, LiveSequence> live;
  Outbox outbox;
  StepPlan plan;
  Batch batch;
  std::vector<float> logits;
  std::vector<RowMaximum> maxima;                              // of its rows
  std::vector<int32_t> tokens;                                 // one per plan entry
  std::vector<std::unique_ptr<TokenLogprobs>> token_logprobs;  // the same
  std::vector<int32_t> forbidden;                              // scratch of Sample()
  std::vector<uint64_t> allowed;                               // the same, of tokens
  std::vector<Sequence*> ending;                               // scratch
  Status weights_fault;                                        // OK, or why no weight can be trusted any more
  StepProfile profile;
  StepProfile* profiled = nullptr;  // &profile while profiling
  MeanLengths lengths;
  std::optional<QueueDelay> queue_delay;  // none: nobody is given up
  double step_seconds = 0;
  Duration predicted_step{};  // of the step that runs

  // Shared.
  std::shared_ptr<Reservation::Counters> counters;
  std::vector<AdapterLoad> adapter_loads;  // under the counters' mutex
  Mutex submit_mutex;
  std::vector<Submission> submitted GUARDED_BY(submit_mutex);
  bool closed GUARDED_BY(submit_mutex) = false;
  std::atomic<uint32_t> signal{0};  // counts reasons to wake
  std::atomic<uint64_t> next_number{0};
  std::atomic<int> num_live{0};  // submitted and without a final event
  std::atomic<int> num_free_blocks{0};
  std::atomic<int> peak_used_blocks{0};
  std::atomic<int64_t> last_step_ended_ns{0};
  std::atomic<bool> draining{false};
  std::atomic<bool> failing{false};  // weights_fault is not OK
  std::atomic<bool> stop{false};
  std::thread thread;

  explicit State(const Clock& its_clock) : clock(its_clock) {}
  ~State();

  // engine_admit.cc
  AdmissionLimits Limits(const LoadSnapshot& load) const;
  bool MakesRoom(const AdmissionLimits& limits, const LoadSnapshot& load, const Applicant& applicant);
  void PutInLine(const LoadSnapshot& load, int64_t prompt_tokens, Refusal* refusal) REQUIRES(counters->mutex);
  Status CheckFits(const Request& request) const;
  std::unique_ptr<Sequence> MakeSequence(Request request, EventSink* sink, std::shared_ptr<void> context);
  void Wake();
  // False once weights that stay in the file can no longer be trusted: then all requests end, and no more are accepted.
  bool WeightsAreSound();

  // engine_queue.cc: before the forward pass
  void DrainSubmitQueue();
  void EndUnwanted(TimePoint now);
  void EndExpired(TimePoint now);
  void EndEvicted(TimePoint now);
  void EndOverdue(TimePoint now);
  void EndAll(const Status& why);
  void NoteFirstSteps(TimePoint now);
  void End(Sequence* sequence, TokenEvent last);
  void Forget(std::unique_ptr<Sequence> sequence, TokenEvent last);

  // engine_compute.cc
  void SizeBuffers(int max_logit_rows);
  void FillAllowed(const Sequence& sequence, std::span<const int32_t> stop_ids);
  void BuildBatch();
  void Forward();
  void Sample();
  void ScorePrompt(const ScheduledSequence& entry, int first_logit_row);
  Duration TimeOneSequence(TokenOrigin origin, int num_computed, int count);
  void SeedCostModel();

  // engine_publish.cc: after it
  void Tell(TimePoint at);
  void Learn(TimePoint started, TimePoint ended);
  double PrefillRate() const;
  void PublishStep(TimePoint started);
  void PublishPlaces(LoadSnapshot* load) const;  // who runs, and who was put back
  void PublishLoad(TimePoint now);
  std::vector<AdapterLoad> CountAdapters() const;
  void Deliver();
  bool FinishIdleStep(TimePoint now);
  void Observe(const StepTimes& times);
};

}  // namespace weir
