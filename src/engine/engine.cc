#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "engine/engine_state.h"

namespace weir {

Engine::Engine(std::unique_ptr<State> state) : state_(std::move(state)) {}

Engine::~Engine() { Stop(); }

Engine::State::~State() = default;

bool Engine::Step() {
  State& s = *state_;
  StepTimes times;
  times.started = s.clock.Now();
  const TimePoint started = times.started;
  if (s.profiled != nullptr) s.profiled->Begin(StepSegment::kSchedule);
  s.DrainSubmitQueue();
  s.EndUnwanted(started);
  s.EndExpired(started);
  s.EndEvicted(started);
  s.EndOverdue(started);
  s.scheduler->Schedule(started, &s.plan);
  if (s.plan.empty()) return s.FinishIdleStep(started);
  if (s.pages != nullptr) s.pages->NoteUsed(s.pool->end_of_given());
  ChargeWaits(s.scheduler->waiting(), s.scheduler->running(), s.plan, started);
  s.PublishStep(started);
  s.NoteFirstSteps(started);
  s.BuildBatch();

  times.forward_started = s.clock.Now();
  s.Forward();
  EnterSegment(s.profiled, StepSegment::kSampling);
  times.forward_ended = s.clock.Now();
  s.Sample();
  if (!s.WeightsAreSound()) std::fill(s.tokens.begin(), s.tokens.end(), -1);
  EnterSegment(s.profiled, StepSegment::kOther);
  times.ended = s.clock.Now();
  const TimePoint ended = times.ended;

  ChargeStep(s.plan, s.cost, times);
  s.scheduler->Commit(s.plan, s.tokens);
  s.Tell(ended);
  s.Learn(started, ended);
  s.PublishLoad(ended);
  s.Deliver();
  s.Observe(times);
  DCHECK(CheckInvariants() == "");
  return true;
}

void Engine::Start() {
  State& s = *state_;
  CHECK(!s.thread.joinable());
  s.pages = std::make_unique<PagesAhead>(&s.kv);
  s.thread = std::thread([this, &s] {
    while (!s.stop.load(std::memory_order_acquire)) {
      // Read before the step: what comes during it changes the number, and the wait returns at once.
      const uint32_t seen = s.signal.load(std::memory_order_acquire);
      if (!Step()) s.signal.wait(seen, std::memory_order_acquire);
    }
  });
}

void Engine::Stop() {
  State& s = *state_;
  s.draining.store(true, std::memory_order_release);
  s.stop.store(true, std::memory_order_release);
  s.Wake();
  if (s.thread.joinable()) s.thread.join();
  {
    MutexLock lock(s.submit_mutex);
    s.closed = true;
  }
  s.DrainSubmitQueue();
  s.EndAll(Unavailable("the server stopped before the request was finished; send it to another instance")
               .WithReason("draining"));
  s.PublishLoad(s.clock.Now());
  s.Deliver();
}

void Engine::BeginDrain() { state_->draining.store(true, std::memory_order_release); }
bool Engine::draining() const { return state_->draining.load(std::memory_order_acquire); }
bool Engine::failing() const { return state_->failing.load(std::memory_order_acquire); }

bool Engine::idle() const {
  if (state_->num_live.load(std::memory_order_acquire) != 0) return false;
  MutexLock lock(state_->counters->mutex);
  return state_->counters->num_sequences == 0;
}

int64_t Engine::CountCachedTokens(uint64_t salt, std::span<const int32_t> prompt) const {
  const PrefixCache* cache = state_->prefix_cache.get();
  if (cache == nullptr || prompt.empty()) return 0;
  const std::vector<uint64_t> hashes = cache->HashBlocks(salt, prompt.first(prompt.size() - 1));
  return int64_t{cache->CountCached({salt, prompt, hashes})} * kBlockSize;
}

LoadSnapshot Engine::Load() const {
  MutexLock lock(state_->counters->mutex);
  return state_->counters->Load(state_->clock.Now());
}

LoadSnapshot Engine::Load(const Applicant& applicant) const {
  MutexLock lock(state_->counters->mutex);
  return AheadOf(state_->counters->Load(state_->clock.Now()), state_->counters->StandingOf(applicant));
}

Duration Engine::TurnOfRefused(int64_t prompt_tokens) {
  State& s = *state_;
  MutexLock lock(s.counters->mutex);
  const TimePoint now = s.clock.Now();
  return WithJitter(s.counters->refused.Join({}, s.counters->Load(now), prompt_tokens, now));
}

void Engine::SetPrefixCacheGrows(bool grows) {
  if (state_->prefix_cache != nullptr) state_->prefix_cache->SetGrows(grows);
}

std::vector<AdapterLoad> Engine::AdapterLoads() const {
  MutexLock lock(state_->counters->mutex);
  return state_->adapter_loads;
}

double Engine::ServedCost(std::string_view owner) const {
  MutexLock lock(state_->counters->mutex);
  const auto found = state_->counters->served_cost.find(owner.substr(0, owner.find('/')));
  return found == state_->counters->served_cost.end() ? 0 : found->second;
}

TimePoint Engine::last_step_ended() const {
  return TimePoint(Duration(state_->last_step_ended_ns.load(std::memory_order_relaxed)));
}

void Engine::set_step_observer(std::function<void(const StepRecord&)> observer) {
  state_->observer = std::move(observer);
}

void Engine::set_profiling(bool on) {
  state_->profiled = on ? &state_->profile : nullptr;
  state_->model->set_profile(state_->profiled);
}

bool Engine::profiling() const { return state_->profiled != nullptr; }

const EngineOptions& Engine::options() const { return state_->options; }
const std::string& Engine::max_num_seqs_reason() const { return state_->max_num_seqs_reason; }
const ModelFile& Engine::file() const { return *state_->file; }
const Model& Engine::model() const { return *state_->model; }
const Tokenizer& Engine::tokenizer() const { return *state_->tokenizer; }
const ChatTemplate* Engine::chat_template() const { return state_->chat_template.get(); }
int Engine::max_model_len() const { return state_->max_model_len; }
int64_t Engine::kv_bytes() const { return state_->kv.bytes(); }
int Engine::num_kv_blocks() const { return state_->kv.num_blocks(); }
int Engine::num_free_kv_blocks() const { return state_->num_free_blocks.load(std::memory_order_relaxed); }
int Engine::peak_kv_blocks() const { return state_->peak_used_blocks.load(std::memory_order_relaxed); }

std::string Engine::CheckInvariants() const {
  const State& s = *state_;
  if (std::string wrong = s.scheduler->CheckInvariants(); !wrong.empty()) return wrong;
  const size_t num_sequences = s.scheduler->running().size() + s.scheduler->waiting().size();
  if (s.live.size() != num_sequences) {
    return fmt::format("the scheduler holds {} sequences, the engine knows {}", num_sequences, s.live.size());
  }
  int num_reserved = 0;
  int64_t reserved_tokens = 0;
  for (const auto& [sequence, record_of_it] : s.live) {
    num_reserved += record_of_it.reservation.num_sequences();
    reserved_tokens += record_of_it.reservation.tokens();
  }
  // Others may be on their way here, so the counters are at least as large, and exact when nothing is.
  MutexLock lock(s.counters->mutex);
  if (s.counters->num_sequences < num_reserved || s.counters->tokens < reserved_tokens) {
    return fmt::format("admission counts {} sequences and {} tokens, the live reservations hold {} and {}",
                       s.counters->num_sequences, s.counters->tokens, num_reserved, reserved_tokens);
  }
  int num_of_flows = 0;
  int64_t tokens_of_flows = 0;
  for (const auto& [key, flow] : s.counters->flows) {
    num_of_flows += flow.queued.num_sequences;
    tokens_of_flows += flow.queued.tokens;
  }
  if (num_of_flows != s.counters->num_sequences || tokens_of_flows != s.counters->tokens) {
    return fmt::format("admission counts {} sequences and {} tokens, its flows {} and {}",
                       s.counters->num_sequences, s.counters->tokens, num_of_flows, tokens_of_flows);
  }
  return "";
}

}  // namespace weir
