// The part of a step that computes: the plan flattened, the forward pass, and the choice of tokens.

#include <algorithm>

#include "base/check.h"
#include "base/log.h"
#include "engine/engine_state.h"
#include "engine/sampling/bad_words.h"
#include "engine/sampling/logprobs.h"

namespace weir {

void Engine::State::SizeBuffers(int max_logit_rows) {
  logits.resize(static_cast<size_t>(max_logit_rows) * model->config().vocab_size);
  maxima.resize(static_cast<size_t>(max_logit_rows));
}

void Engine::State::BuildBatch() {
  batch.Clear();
  plan.PutPromptsFirst();
  for (const ScheduledSequence& entry : plan.entries) {
    Sequence& sequence = *entry.sequence;
    // A recomputed prompt has its scores already.
    const auto& scores = live.at(&sequence).prompt_logprobs;
    const bool wants_all = scores != nullptr && static_cast<int>(scores->size()) < sequence.num_prompt_tokens;
    batch.AddSequence(sequence.in_prompt() ? TokenOrigin::kPrompt : TokenOrigin::kGenerated,
                      sequence.tokens.data(), sequence.num_computed_tokens, entry.num_scheduled_tokens,
                      sequence.table, entry.samples, wants_all, sequence.request.adapter);
  }
}

void Engine::State::Forward() {
  const int64_t rows = static_cast<int64_t>(batch.logit_rows.size());
  const int64_t columns = model->config().vocab_size;
  CHECK(static_cast<size_t>(rows * columns) <= logits.size());
  model->Forward(batch, kv, MatrixView<float>(logits.data(), rows, columns),
                 std::span(maxima).first(static_cast<size_t>(rows)));
}

bool Engine::State::WeightsAreSound() {
  if (options.weights != WeightStorage::kMmap) return true;
  if (weights_fault.ok()) {
    const Status changed = file->CheckUnchanged();
    if (changed.ok()) return true;
    LogError("{}; no more requests are accepted, start again", changed.message());
    weights_fault = Internal(changed.message()).WithReason("weights_changed");
    failing.store(true, std::memory_order_release);
    draining.store(true, std::memory_order_release);
  }
  return false;
}

void Engine::State::Sample() {
  tokens.assign(plan.entries.size(), -1);
  token_logprobs.clear();
  token_logprobs.resize(plan.entries.size());
  const size_t columns = model->config().vocab_size;
  size_t next_row = 0;
  for (size_t i = 0; i < plan.entries.size(); ++i) {
    const ScheduledSequence& entry = plan.entries[i];
    Sequence& sequence = *entry.sequence;
    const size_t first_row = next_row;
    const int end_row = batch.sequences[i].first_row + batch.sequences[i].num_rows;
    while (next_row < batch.logit_rows.size() && batch.logit_rows[next_row] < end_row) ++next_row;
    if (next_row == first_row) continue;
    ScorePrompt(entry, static_cast<int>(first_row));
    if (!entry.samples || sequence.request.max_tokens == 0) continue;
    const std::span<float> row(logits.data() + (next_row - 1) * columns, columns);
    const int index = sequence.num_output_tokens();
    const LiveSequence& record_of_it = live.at(&sequence);
    forbidden.clear();
    if (index < sequence.request.min_tokens) forbidden = record_of_it.stop_ids;
    AppendBadWordEnds(sequence.request.sampling.bad_words,
                      std::span<const int32_t>(sequence.tokens).subspan(sequence.num_prompt_tokens),
                      &forbidden);
    const bool is_constrained = sequence.matcher != nullptr;
    if (is_constrained) FillAllowed(sequence, record_of_it.stop_ids);
    SampledToken sampled = sequence.sampler->Sample(
        row, maxima[next_row - 1], index, forbidden,
        is_constrained ? std::span<const uint64_t>(allowed) : std::span<const uint64_t>());
    tokens[i] = sampled.token;
    token_logprobs[i] = std::move(sampled.logprobs);
    if (sampled.token < 0) continue;
    sequence.sampler->Accept(sampled.token);
    if (!is_constrained) continue;
    const auto& stops = record_of_it.stop_ids;
    if (std::find(stops.begin(), stops.end(), sampled.token) != stops.end()) continue;
    // Cannot happen: the mask came from the same matcher. Text that breaks the promise must not go out all the same.
    if (!sequence.matcher->Accept(sampled.token)) tokens[i] = -1;
  }
}

// What the grammar allows, less what is forbidden if anything else is left: the text must come to its end.
void Engine::State::FillAllowed(const Sequence& sequence, std::span<const int32_t> stop_ids) {
  sequence.matcher->FillMask(&allowed);
  allowed.resize((static_cast<size_t>(model->config().vocab_size) + 63) / 64, 0);
  const auto bit = [](int32_t token) { return uint64_t{1} << (token % 64); };
  if (sequence.matcher->can_end()) {
    for (const int32_t id : stop_ids) allowed[static_cast<size_t>(id) / 64] |= bit(id);
  }
  if (forbidden.empty()) return;
  const std::vector<uint64_t> all = allowed;
  for (const int32_t id : forbidden) allowed[static_cast<size_t>(id) / 64] &= ~bit(id);
  if (std::all_of(allowed.begin(), allowed.end(), [](uint64_t word) { return word == 0; })) allowed = all;
  forbidden.clear();
}

// Row p holds what the model expects after token p, so it scores token p + 1.
void Engine::State::ScorePrompt(const ScheduledSequence& entry, int first_logit_row) {
  Sequence& sequence = *entry.sequence;
  const auto& scores = live.at(&sequence).prompt_logprobs;
  if (scores == nullptr) return;
  const size_t columns = model->config().vocab_size;
  for (int i = 0; i < entry.num_scheduled_tokens; ++i) {
    const int scored = sequence.num_computed_tokens + i + 1;
    if (scored >= sequence.num_prompt_tokens) break;
    if (scored != static_cast<int>(scores->size())) continue;  // known from before a preemption
    const std::span<const float> row(logits.data() + static_cast<size_t>(first_logit_row + i) * columns,
                                     columns);
    scores->push_back(
        LogprobsOf(row, sequence.tokens[scored],
                   std::max({0, sequence.request.sampling.num_logprobs, sequence.request.num_prompt_top})));
  }
}

// A sequence of equal tokens, whose first ones count as computed: what they hold does not matter to the time. The fastest of
// a few, because the first meets cold memory, and a busy machine can only make a step slower.
Duration Engine::State::TimeOneSequence(TokenOrigin origin, int num_computed, int count) {
  Duration fastest = Duration::max();
  const std::vector<int32_t> all(num_computed + count, 0);
  for (int repeat = 0; repeat < 3; ++repeat) {
    BlockTable table;
    table.Cover(*pool, num_computed + count);
    batch.Clear();
    batch.AddSequence(origin, all.data(), num_computed, count, table, /*wants_last_logits=*/true);
    const TimePoint forward_started = clock.Now();
    Forward();
    fastest = std::min(fastest, clock.Now() - forward_started);
    table.Free(*pool);
  }
  return fastest;
}

// A few real steps, so that neither the first request nor its predictions start from nothing.
void Engine::State::SeedCostModel() {
  constexpr Duration kBudget = std::chrono::milliseconds(1500);
  const TimePoint started = clock.Now();
  const int longest =
      static_cast<int>(std::min<int64_t>({options.max_num_batched_tokens, max_model_len, pool_tokens}));
  for (int count = 1;; count = std::min(count * 8, longest)) {
    const bool is_small = count <= 8;  // such steps will mostly be decodes
    const Duration fastest =
        TimeOneSequence(is_small ? TokenOrigin::kGenerated : TokenOrigin::kPrompt, 0, count);
    cost.Observe(count, KvTokensRead(0, count), fastest,
                 is_small ? StepKind::kDecodesOnly : StepKind::kWithPrompts);
    // The next size takes up to eight times as long.
    if (count >= longest || clock.Now() - started > kBudget / 8) break;
  }
  // One piece at the beginning of a prompt and the same deep in it.
  const int piece = std::min(longest, 64);
  const auto depth = static_cast<int>(std::min<int64_t>({2048, max_model_len - piece, pool_tokens - piece}));
  if (depth <= 0 || clock.Now() - started > kBudget / 2) return;
  const Duration without = TimeOneSequence(TokenOrigin::kPrompt, 0, piece);
  const Duration with = TimeOneSequence(TokenOrigin::kPrompt, depth, piece);
  cost.SeedKvCost(KvTokensRead(depth, piece) - KvTokensRead(0, piece), with, without);
}

}  // namespace weir
