#include "perf/workload/prompts.h"

#include <fmt/format.h>

#include <iterator>
#include <numeric>
#include <utility>

#include "perf/workload/subjects.h"

namespace weir {
namespace {

constexpr const char* kTasks[] = {
    "explain the subject to a curious student in a few short sentences.",
    "list the three most important facts and say why each one matters.",
    "describe a common misunderstanding and correct it politely.",
    "tell a short story in which this plays the main part.",
    "give practical advice to somebody who meets this for the first time.",
    "compare the situation a hundred years ago with the situation today.",
    "write a short dialogue between two friends who disagree about it.",
    "what should a careful person know before making a decision about it?",
};
constexpr int kNumTasks = static_cast<int>(std::size(kTasks));

constexpr const char* kWarmupSubjects[] = {
    "Rehearsals",   "Warmups", "Preludes",  "Sketches",  "Drafts",     "Scaffolds", "Limbering", "Priming",
    "Preparations", "Trials",  "Overtures", "Prologues", "Stretching", "Dry-runs",  "Mockups",   "Prototypes",
};
constexpr int kNumWarmupSubjects = static_cast<int>(std::size(kWarmupSubjects));

}  // namespace

BuiltinPrompts::BuiltinPrompts(uint64_t seed) : order_(num_first_words()) {
  std::iota(order_.begin(), order_.end(), 0);
  Rng rng(seed);
  for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.NextBelow(i)]);
}

Prompt BuiltinPrompts::Measured(int64_t index) const {
  const int64_t round = index / num_first_words();
  const int subject = order_[index % num_first_words()];
  const int task = static_cast<int>((subject + round) % kNumTasks);
  return {fmt::format("builtin-{}-{}", subject, task),
          fmt::format("{}: {}", Subjects()[subject], kTasks[task])};
}

Prompt BuiltinPrompts::Warmup(int64_t index) {
  const int subject = static_cast<int>(index % kNumWarmupSubjects);
  const int task = static_cast<int>((index / kNumWarmupSubjects + subject) % kNumTasks);
  return {fmt::format("warmup-{}-{}", subject, task),
          fmt::format("{}: {}", kWarmupSubjects[subject], kTasks[task])};
}

int BuiltinPrompts::num_first_words() { return static_cast<int>(Subjects().size()); }
int BuiltinPrompts::num_distinct() { return num_first_words() * kNumTasks; }

std::vector<TokenId> OrdinaryTokenIds(const Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (!tokenizer.is_special(id) && !tokenizer.TokenBytes(id, true).empty()) ids.push_back(id);
  }
  return ids;
}

std::vector<TokenId> RandomPrompt(std::span<const TokenId> ids, int length, Rng* rng) {
  std::vector<TokenId> prompt(length);
  for (TokenId& id : prompt) id = ids[rng->NextBelow(ids.size())];
  return prompt;
}

}  // namespace weir
