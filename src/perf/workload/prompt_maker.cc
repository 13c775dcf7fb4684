#include "perf/workload/prompt_maker.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "perf/workload/subjects.h"

namespace weir {
namespace {

constexpr int kMaxRounds = 60;
constexpr const char* kShort[] = {"the", "of", "a", "and", "in", "to", "is", "on", "we", "it"};

std::string Join(const std::string& prefix, const std::vector<std::string>& words) {
  std::string out = prefix;
  for (const std::string& word : words) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return out;
}

}  // namespace

Result<std::string> PromptMaker::Extend(const std::string& prefix, int tokens, Rng* rng) {
  WEIR_ASSIGN_OR_RETURN(const int prefix_tokens, prefix.empty() ? Result<int>(0) : count_(prefix));
  if (prefix_tokens > tokens) {
    return InvalidArgument(
        fmt::format("a prefix of {} tokens does not fit into a prompt of {}", prefix_tokens, tokens));
  }
  std::vector<std::string> words;
  int counted = prefix_tokens;
  for (int round = 0; round < kMaxRounds; ++round) {
    if (counted == tokens && (!words.empty() || prefix_tokens == tokens)) return Join(prefix, words);
    if (counted < tokens) {
      const int missing = tokens - counted;
      // Close to the end one short word after the other: each is one token in most vocabularies.
      const int add = missing <= 4 ? 1 : std::max(1, static_cast<int>(0.9 * missing / tokens_per_word_));
      for (int i = 0; i < add; ++i) {
        const bool is_short = missing <= 4 || rng->NextBelow(3) == 0;
        words.emplace_back(is_short ? kShort[rng->NextBelow(std::size(kShort))]
                                    : Subjects()[rng->NextBelow(Subjects().size())]);
      }
    } else {
      const int drop = std::max(1, static_cast<int>((counted - tokens) / (2 * tokens_per_word_)));
      words.resize(words.size() - std::min<size_t>(words.size(), static_cast<size_t>(drop)));
    }
    WEIR_ASSIGN_OR_RETURN(counted, count_(Join(prefix, words)));
    if (words.size() >= 8)
      tokens_per_word_ = std::max(0.2, (counted - prefix_tokens) / static_cast<double>(words.size()));
  }
  return Internal(fmt::format("no prompt of {} tokens was found in {} tries; the nearest has {}", tokens,
                              kMaxRounds, counted));
}

}  // namespace weir
