#include "engine/grammar/grammar_matcher.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace weir {
namespace {

constexpr size_t kMaxReadings = 64;
constexpr size_t kMaxVisited = 4096;  // in one Close(); no grammar of ours comes near

void Set(std::vector<uint64_t>* mask, int32_t token) {
  (*mask)[static_cast<size_t>(token) / 64] |= uint64_t{1} << (token % 64);
}

}  // namespace

GrammarMatcher::GrammarMatcher(std::shared_ptr<Grammar> grammar) : grammar_(std::move(grammar)) {
  Close({grammar_->root(), CallStacks::kEmpty}, &readings_, &can_end_);
}

std::vector<GrammarMatcher::Reading>& GrammarMatcher::Level(size_t depth) {
  if (levels_.size() <= depth) levels_.resize(depth + 1);
  return levels_[depth];
}

void GrammarMatcher::Close(Reading reading, std::vector<Reading>* out, bool* left) {
  pending_.assign(1, reading);
  visited_.clear();
  const auto add = [out](Reading one) {
    if (out->size() < kMaxReadings && std::find(out->begin(), out->end(), one) == out->end())
      out->push_back(one);
  };
  while (!pending_.empty()) {
    const Reading now = pending_.back();
    pending_.pop_back();
    const Grammar::State& state = grammar_->state(now.state);
    const int depth = stacks_.depth(now.stack) + state.height;
    if (depth > Grammar::kMaxDepth) continue;
    deepest_ = std::max(deepest_, depth);
    if (state.num_calls == 0 && !state.is_final) {
      add(now);
      continue;
    }
    if (std::find(visited_.begin(), visited_.end(), now) != visited_.end()) continue;
    if (visited_.size() >= kMaxVisited) continue;
    visited_.push_back(now);
    if (state.num_edges > 0) add(now);
    if (state.is_final) {
      if (now.stack == CallStacks::kEmpty) {
        *left = true;
      } else {
        pending_.push_back({stacks_.return_state(now.stack), stacks_.below(now.stack)});
      }
    }
    for (const Automaton::Call& call : grammar_->calls(state)) {
      const Grammar::State& after = grammar_->state(call.target);
      int32_t stack = now.stack;
      if (!after.only_returns()) {
        if (stacks_.depth(now.stack) + after.height > Grammar::kMaxDepth) continue;
        stack = stacks_.Push(call.target, now.stack);
      }
      pending_.push_back({grammar_->start_of(call.rule), stack});
    }
  }
}

void GrammarMatcher::Step(std::span<const Reading> from, uint8_t byte, std::vector<Reading>* out,
                          bool* left) {
  for (const Reading& reading : from) {
    for (const Automaton::Edge& edge : grammar_->edges(grammar_->state(reading.state))) {
      if (byte > edge.high) continue;
      if (byte >= edge.low) Close({edge.target, reading.stack}, out, left);
      break;
    }
  }
}

void GrammarMatcher::Walk(const TokenTrie& trie, const std::vector<Reading>& from,
                          std::vector<uint64_t>* mask) {
  if (from.empty()) return;
  Level(static_cast<size_t>(trie.max_depth()));
  levels_[0] = from;
  const auto nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    std::vector<Reading>& here = levels_[node.depth];
    here.clear();
    bool left = false;
    const size_t mark = stacks_.Mark();
    Step(levels_[node.depth - 1], node.byte, &here, &left);
    if (here.empty()) stacks_.Rollback(mark);
    if (left || !here.empty()) {
      for (int32_t k = 0; k < node.num_tokens; ++k) Set(mask, trie.tokens()[node.first_token + k]);
    }
    i = here.empty() ? static_cast<size_t>(node.end) : i + 1;
  }
}

// What happens inside the rule does not depend on who called it; where a token goes on behind the rule's end, its rest is
// put aside.
Grammar::Mask GrammarMatcher::ComputeMask(int32_t state) {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary();
  const TokenTrie& trie = vocabulary.trie;
  const size_t mark = stacks_.Mark();
  std::vector<uint64_t> bits(vocabulary.mask_words(), 0);
  size_t num_set = 0;
  std::vector<std::pair<std::string_view, int32_t>> rests;
  std::vector<uint16_t> exits;  // depths on the current path behind which the rule was complete
  Level(static_cast<size_t>(trie.max_depth()));
  levels_[0].assign(1, {state, CallStacks::kEmpty});
  deepest_ = 0;
  const auto nodes = trie.nodes();
  for (size_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    while (!exits.empty() && exits.back() >= node.depth) exits.pop_back();
    std::vector<Reading>& here = levels_[node.depth];
    here.clear();
    bool left = false;
    Step(levels_[node.depth - 1], node.byte, &here, &left);
    const bool allowed = left || !here.empty();
    for (int32_t k = 0; k < node.num_tokens; ++k) {
      const int32_t token = trie.tokens()[node.first_token + k];
      if (allowed) {
        Set(&bits, token);
        ++num_set;
      } else {
        for (const uint16_t exit : exits) rests.emplace_back(vocabulary.texts[token].substr(exit), token);
      }
    }
    if (left) exits.push_back(node.depth);
    i = here.empty() && exits.empty() ? static_cast<size_t>(node.end) : i + 1;
  }
  stacks_.Rollback(mark);
  Grammar::Mask out;
  out.depth = deepest_;
  out.beyond = TokenTrie::Build(std::move(rests));
  if (num_set > bits.size()) {
    out.bits = std::move(bits);
  } else {
    for (size_t word = 0; word < bits.size(); ++word) {
      for (uint64_t rest = bits[word]; rest != 0; rest &= rest - 1)
        out.tokens.push_back(static_cast<int32_t>(word * 64 + static_cast<size_t>(__builtin_ctzll(rest))));
    }
  }
  return out;
}

const Grammar::Mask& GrammarMatcher::MaskOf(int32_t state) {
  const Grammar::Mask* known = grammar_->FindMask(state);
  return known != nullptr ? *known : grammar_->KeepMask(state, ComputeMask(state));
}

void GrammarMatcher::FillMask(std::vector<uint64_t>* mask) {
  mask->assign(grammar_->vocabulary().mask_words(), 0);
  const size_t mark = stacks_.Mark();
  for (const Reading& reading : readings_) {
    const Grammar::Mask& own = MaskOf(reading.state);
    if (stacks_.depth(reading.stack) + own.depth > Grammar::kMaxDepth) {
      // So deep that the limit may cut what the mask allows.
      Walk(grammar_->vocabulary().trie, {reading}, mask);
      stacks_.Rollback(mark);
      continue;
    }
    for (size_t word = 0; word < own.bits.size(); ++word) (*mask)[word] |= own.bits[word];
    for (const int32_t token : own.tokens) Set(mask, token);
    if (own.beyond.empty() || reading.stack == CallStacks::kEmpty) continue;
    bool left = false;
    after_.clear();
    Close({stacks_.return_state(reading.stack), stacks_.below(reading.stack)}, &after_, &left);
    Walk(own.beyond, after_, mask);
    stacks_.Rollback(mark);
  }
  if (grammar_->has_free_keys()) ForbidRepeatedKeys(mask);
}

void GrammarMatcher::ForbidRepeatedKeys(std::vector<uint64_t>* mask) const {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary();
  for (const int32_t token : vocabulary.with_quotes) {
    uint64_t& word = (*mask)[static_cast<size_t>(token) / 64];
    const uint64_t bit = uint64_t{1} << (token % 64);
    if ((word & bit) != 0 && keys_.WouldRepeat(vocabulary.texts[token])) word &= ~bit;
  }
}

bool GrammarMatcher::Accept(int32_t token) {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary();
  if (token < 0 || token >= vocabulary.size() || vocabulary.texts[token].empty()) return false;
  const bool has_free_keys = grammar_->has_free_keys();
  if (has_free_keys && keys_.WouldRepeat(vocabulary.texts[token])) return false;
  std::vector<Reading> now = readings_;
  std::vector<Reading> next;
  bool left = can_end_;
  for (const char c : vocabulary.texts[token]) {
    next.clear();
    left = false;
    Step(now, static_cast<uint8_t>(c), &next, &left);
    if (next.empty() && !left) return false;
    now.swap(next);
  }
  readings_ = std::move(now);
  can_end_ = left;
  if (has_free_keys) keys_.Accept(vocabulary.texts[token]);
  return true;
}

}  // namespace weir
