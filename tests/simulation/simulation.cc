#include "tests/simulation/simulation.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/scheduler/continuous.h"
#include "engine/scheduler/sequential.h"
#include "engine/scheduler/waiting_order.h"

namespace weir {
namespace {

constexpr int kOperations = 120;
// Far above what the slowest machine drawn needs for the largest load drawn.
constexpr int kMaxSteps = 200000;

// A token stream that is a function of sequence and place, as the sampler's is.
int32_t TokenAt(uint64_t number, int index) {
  return static_cast<int32_t>((number * 2654435761u + index * 40503u) % 50000);
}

uint64_t Extend(uint64_t prefix, int32_t token) {
  return (prefix ^ static_cast<uint64_t>(token)) * 0x9e3779b97f4a7c15u + 1;
}

}  // namespace

Simulation::Simulation(uint64_t seed) : rng_(seed) {
  sweep_seconds_ = 0.001 + 0.020 * rng_.NextDouble();
  token_seconds_ = 0.0002 + 0.002 * rng_.NextDouble();
  kv_seconds_ = 1e-8 * rng_.NextDouble();
  is_sequential_ = rng_.NextBelow(8) == 0;
  has_echo_ = rng_.NextBelow(4) == 0;
  SchedulerLimits limits;
  limits.max_num_seqs = 1 + static_cast<int>(rng_.NextBelow(24));
  limits.max_num_batched_tokens = limits.max_num_seqs + static_cast<int>(rng_.NextBelow(200));
  limits.itl_objective = std::chrono::milliseconds(5 + rng_.NextBelow(100));
  limits.max_prompt_logit_rows = 1 + static_cast<int>(rng_.NextBelow(32));
  admission_.bounded = rng_.NextBelow(4) != 0;
  admission_.max_num_queued_reqs = static_cast<int>(rng_.NextBelow(4 * limits.max_num_seqs + 1));
  admission_.max_num_queued_tokens = 100 + static_cast<int64_t>(rng_.NextBelow(20000));
  admission_.ttft_objective = std::chrono::milliseconds(100 + rng_.NextBelow(20000));
  pool_ = std::make_unique<BlockPool>(8 + static_cast<int>(rng_.NextBelow(53)));
  slots_.resize(static_cast<size_t>(pool_->num_blocks()) * kBlockSize);
  has_cache_ = !is_sequential_ && rng_.NextBelow(4) != 0;
  // Now and then all hashes collide, or nearly all.
  const uint64_t hash_mask = rng_.NextBelow(4) == 0 ? rng_.NextBelow(2) : ~uint64_t{0};
  if (has_cache_) cache_ = std::make_unique<PrefixCache>(pool_.get(), hash_mask);
  if (is_sequential_) {
    scheduler_ = std::make_unique<SequentialScheduler>(limits, pool_.get(), &cost_);
  } else {
    scheduler_ = std::make_unique<ContinuousScheduler>(limits, pool_.get(), &cost_, cache_.get());
  }
}

Simulation::~Simulation() = default;

LoadSnapshot Simulation::Load() const {
  LoadSnapshot load;
  load.at = now_;
  load.num_running = static_cast<int>(scheduler_->running().size());
  load.num_waiting = num_promised_;
  for (const auto& sequence : scheduler_->waiting())
    load.num_waiting += sequence->num_preemptions > 0 ? 1 : 0;
  load.queued_tokens = promised_tokens_;
  load.free_blocks = pool_->num_free();
  load.total_blocks = pool_->num_blocks();
  load.max_num_seqs = scheduler_->limits().max_num_seqs;
  load.prefill_tokens_per_s = prefill_rate_;
  load.request_seconds = request_seconds_;
  load.step_seconds = sweep_seconds_;
  return load;
}

// Half of the prompts begin like others; their number stands for what is their own.
void Simulation::MakePrompt(Sequence* sequence) {
  const int num_shared = rng_.NextBelow(2) == 0 ? 0 : static_cast<int>(rng_.NextBelow(200));
  const uint64_t family = uint64_t{1} << 40 | rng_.NextBelow(2);
  for (int i = 0; i < sequence->num_prompt_tokens; ++i)
    sequence->tokens.push_back(TokenAt(i < num_shared ? family : sequence->number, i));
  sequence->request.prompt = sequence->tokens;
  sequence->request.owner.salt = rng_.NextBelow(3) == 0 ? 1 : 2;
  if (has_cache_) sequence->block_hashes = cache_->HashBlocks(sequence->request.owner.salt, sequence->tokens);
}

std::string Simulation::Arrive() {
  const int64_t pool_tokens = int64_t{pool_->num_blocks()} * kBlockSize;
  // Mostly short, now and then one that needs nearly the whole pool.
  const int64_t longest = rng_.NextBelow(10) == 0 ? pool_tokens : std::max<int64_t>(2, pool_tokens / 4);
  const int num_prompt = 1 + static_cast<int>(rng_.NextBelow(longest - 1));
  const int max_tokens = 1 + static_cast<int>(rng_.NextBelow(std::min<int64_t>(longest - num_prompt, 60)));
  std::optional<Duration> budget;
  if (rng_.NextBelow(4) == 0) budget = std::chrono::milliseconds(1 + rng_.NextBelow(5000));
  const LoadSnapshot load = Load();
  const auto refusal = Decide(admission_, load, num_prompt, budget);
  if (refusal) {
    ++counts_.refused;
    const bool is_idle = load.num_running == 0 && load.num_waiting == 0;
    if (is_idle && refusal->reason != "deadline_unmeetable") {
      return fmt::format("an idle engine refused a request with {}", refusal->reason);
    }
    if (refusal->retry_after < std::chrono::milliseconds(100) ||
        refusal->retry_after > std::chrono::seconds(60)) {
      return fmt::format("a refusal asks to wait {} s", ToSeconds(refusal->retry_after));
    }
    return "";
  }
  ++counts_.accepted;
  auto sequence = std::make_unique<Sequence>();
  sequence->number = next_number_++;
  sequence->num_prompt_tokens = num_prompt;
  MakePrompt(sequence.get());
  sequence->request.service_class = static_cast<RequestClass>(rng_.NextBelow(4));
  sequence->request.prompt_logprobs = has_echo_ && rng_.NextBelow(3) == 0;
  if (budget && admission_.bounded) sequence->latest_first_token = now_ + *budget;
  sequence->request.owner.name = rng_.NextBelow(3) == 0 ? "a" : "b";
  sequence->arrived = now_;
  const Sequence* added = scheduler_->Add(std::move(sequence));
  clients_[added] = {.max_tokens = max_tokens, .reserved_tokens = num_prompt};
  num_promised_ += 1;
  promised_tokens_ += num_prompt;
  return "";
}

void Simulation::Forget(const Sequence* sequence) {
  const Client& client = clients_.at(sequence);
  promised_tokens_ -= client.reserved_tokens;
  num_promised_ -= client.holds_place ? 1 : 0;
  clients_.erase(sequence);
}

std::string Simulation::CancelOne() {
  const auto running = scheduler_->running();
  const auto waiting = scheduler_->waiting();
  const size_t count = running.size() + waiting.size();
  if (count == 0) return "";
  const size_t which = rng_.NextBelow(count);
  Sequence* sequence = which < running.size() ? running[which].get() : waiting[which - running.size()].get();
  const auto blocks = sequence->table.blocks();
  const auto held = static_cast<int>(std::count_if(
      blocks.begin(), blocks.end(), [&](BlockId block) { return pool_->num_references(block) == 1; }));
  const int free_before = pool_->num_free();
  Forget(sequence);
  scheduler_->Remove(sequence);
  ++counts_.cancelled;
  if (pool_->num_free() != free_before + held) return "a cancelled sequence left blocks behind";
  return "";
}

double Simulation::TrueStepSeconds() {
  const double seconds = std::max(sweep_seconds_, token_seconds_ * plan_.num_tokens) +
                         kv_seconds_ * static_cast<double>(plan_.kv_tokens_read);
  const double noise = 0.9 + 0.2 * rng_.NextDouble();
  return seconds * noise * (rng_.NextBelow(200) == 0 ? 20.0 : 1.0);
}

std::string Simulation::Step() {
  for (auto& sequence : scheduler_->Expire(now_)) {
    ++counts_.expired;
    if (sequence->num_output_tokens() > 0)
      return fmt::format("sequence {} expired after it began", sequence->number);
    Forget(sequence.get());
  }
  const Sequence* oldest = scheduler_->running().empty() ? nullptr : scheduler_->running().front().get();
  scheduler_->Schedule(now_, &plan_);
  ++counts_.steps;
  counts_.preempted += static_cast<int64_t>(plan_.preempted.size());
  if (std::string wrong = scheduler_->CheckPlan(plan_); !wrong.empty()) return wrong;
  if (std::string wrong = CheckAll(); !wrong.empty()) return wrong;
  if (plan_.empty() && !scheduler_->empty()) return "there is work, but the plan is empty";
  for (const Sequence* preempted : plan_.preempted) {
    if (preempted == oldest)
      return fmt::format("the oldest running sequence, {}, was preempted", preempted->number);
  }
  for (const auto& sequence : scheduler_->waiting()) {
    if (sequence->num_overtaken > kMaxOvertaken) {
      return fmt::format("sequence {} was overtaken {} times", sequence->number, sequence->num_overtaken);
    }
  }
  if (plan_.empty()) return "";
  if (std::string wrong = CheckProgress(); !wrong.empty()) return wrong;
  return CommitStep();
}

// Who starts, and what the policy promises about it.
std::string Simulation::CheckProgress() {
  int num_decodes = 0;
  for (const ScheduledSequence& entry : plan_.entries) {
    num_decodes += entry.is_decode ? 1 : 0;
    if (!entry.is_first) continue;
    counts_.longest_wait = std::max(counts_.longest_wait, now_ - entry.sequence->arrived);
    if (is_sequential_ && has_started_ && entry.sequence->number < last_started_)
      return "sequential mode left the order";
    last_started_ = entry.sequence->number;
    has_started_ = true;
  }
  int num_ready = 0;
  for (const auto& sequence : scheduler_->running()) num_ready += sequence->is_decode() ? 1 : 0;
  if (num_decodes != num_ready)
    return fmt::format("{} sequences could decode, {} do", num_ready, num_decodes);
  if (is_sequential_ && plan_.entries.size() > 1) return "sequential mode batched";
  return "";
}

std::string Simulation::ReadAndWriteSlots() {
  for (const ScheduledSequence& entry : plan_.entries) {
    const Sequence& sequence = *entry.sequence;
    uint64_t prefix = 0;
    const int end = sequence.num_computed_tokens + entry.num_scheduled_tokens;
    for (int i = 0; i < end; ++i) {
      prefix = Extend(prefix, sequence.tokens[i]);
      Slot& slot = slots_[sequence.table.SlotOf(i)];
      if (i >= sequence.num_computed_tokens) {
        slot = {prefix, sequence.request.owner.salt};
      } else if (slot.prefix != prefix || slot.salt != sequence.request.owner.salt) {
        return fmt::format("sequence {} reads a foreign token at {} of {}", sequence.number, i, end);
      }
    }
  }
  return "";
}

std::string Simulation::CommitStep() {
  if (std::string wrong = ReadAndWriteSlots(); !wrong.empty()) return wrong;
  const double seconds = TrueStepSeconds();
  now_ += FromSeconds(seconds);
  std::vector<int32_t> tokens(plan_.entries.size(), -1);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const ScheduledSequence& entry = plan_.entries[i];
    Client& client = clients_.at(entry.sequence);
    if (entry.is_first && client.holds_place) {
      client.holds_place = false;
      --num_promised_;
      // What was found costs nothing.
      client.reserved_tokens -= entry.sequence->num_cached_tokens;
      promised_tokens_ -= entry.sequence->num_cached_tokens;
      counts_.cached_tokens += entry.sequence->num_cached_tokens;
    }
    if (!entry.is_decode) {
      const int64_t computed = std::min<int64_t>(client.reserved_tokens, entry.num_scheduled_tokens);
      client.reserved_tokens -= computed;
      promised_tokens_ -= computed;
    }
    if (entry.samples) tokens[i] = TokenAt(entry.sequence->number, entry.sequence->num_tokens());
  }
  scheduler_->Commit(plan_, tokens);
  cost_.Observe(plan_.num_tokens, plan_.kv_tokens_read, FromSeconds(seconds), plan_.kind());
  if (plan_.num_prefill_tokens > 0) prefill_rate_ = plan_.num_prefill_tokens / seconds;
  for (const ScheduledSequence& entry : plan_.entries) {
    const Sequence& sequence = *entry.sequence;
    if (!entry.samples || sequence.num_output_tokens() < clients_.at(&sequence).max_tokens) continue;
    for (int i = 0; i < sequence.num_tokens(); ++i) {
      const bool in_prompt = i < sequence.num_prompt_tokens;
      if (sequence.tokens[i] != (in_prompt ? sequence.request.prompt[i] : TokenAt(sequence.number, i)))
        return fmt::format("sequence {} lost a token", sequence.number);
    }
    request_seconds_ = ToSeconds(now_ - sequence.arrived);
    Forget(&sequence);
    scheduler_->Remove(entry.sequence);
    ++counts_.finished;
  }
  return "";
}

std::string Simulation::CheckAll() const {
  if (std::string wrong = scheduler_->CheckInvariants(); !wrong.empty()) return wrong;
  int num_places = 0;
  int64_t tokens = 0;
  for (const auto& [sequence, client] : clients_) {
    num_places += client.holds_place ? 1 : 0;
    tokens += client.reserved_tokens;
  }
  if (num_places != num_promised_ || tokens != promised_tokens_) {
    return fmt::format("the door counts {} places and {} tokens, the clients hold {} and {}", num_promised_,
                       promised_tokens_, num_places, tokens);
  }
  if (clients_.size() != scheduler_->running().size() + scheduler_->waiting().size())
    return "a sequence was lost";
  return "";
}

std::string Simulation::Run() {
  for (int i = 0; i < kOperations; ++i) {
    std::string wrong;
    const uint64_t kind = rng_.NextBelow(20);
    if (kind < 7) {
      wrong = Arrive();
    } else if (kind < 8) {
      wrong = CancelOne();
    } else if (kind < 9) {
      now_ += FromSeconds(rng_.NextDouble());
    } else {
      wrong = Step();
    }
    if (wrong.empty()) wrong = CheckAll();
    if (!wrong.empty()) return fmt::format("operation {}: {}", i, wrong);
  }
  // Nobody comes any more: all that was accepted must end.
  for (int i = 0; !scheduler_->empty(); ++i) {
    std::string wrong = Step();
    if (wrong.empty()) wrong = CheckAll();
    if (wrong.empty() && i == kMaxSteps) wrong = "the work does not end";
    if (!wrong.empty()) return fmt::format("step {} after the last arrival: {}", i, wrong);
  }
  if (pool_->num_free() != pool_->num_blocks()) return "blocks are still in use at the end";
  if (num_promised_ != 0 || promised_tokens_ != 0) return "the door still counts somebody at the end";
  if (counts_.accepted != counts_.finished + counts_.cancelled + counts_.expired) {
    return fmt::format("{} were accepted, but {} finished, {} were cancelled, {} expired", counts_.accepted,
                       counts_.finished, counts_.cancelled, counts_.expired);
  }
  return "";
}

}  // namespace weir
