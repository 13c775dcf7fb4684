// A set of rules that call each other, ready to be followed byte by byte.
//
// Requires  rules[i] calls only rules of the same set
// Owns      its states, and a cache of token masks that the matcher fills
// Errors    INVALID_ARGUMENT "unsupported_schema": no text can match, left recursion, nesting beyond kMaxDepth
// Threads   immutable after Create(), but for the masks: whoever prepares it, and then the engine thread only
//
// No dead ends: Create() removes every edge that leads nowhere, also because the vocabulary has no token for a byte. What
// is left can always be completed, one single-byte token at a time, within kMaxDepth calls.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "engine/grammar/automaton.h"
#include "engine/grammar/grammar_vocabulary.h"

namespace weir {

class Grammar : public std::enable_shared_from_this<Grammar> {
 public:
  static constexpr int kMaxDepth = 72;  // calls at a time: JSON of 64 levels

  struct State {
    int32_t first_edge = 0, num_edges = 0;
    int32_t first_call = 0, num_calls = 0;
    int32_t height = 0;      // calls that completing the rule from here needs at a time
    int32_t mask_class = 0;  // states of one class allow the same tokens
    bool is_final = false;
    bool only_returns() const { return is_final && num_edges == 0 && num_calls == 0; }
  };
  // The tokens that a state allows, whatever called its rule.
  struct Mask {
    std::vector<uint64_t> bits;  // one of the two
    std::vector<int32_t> tokens;
    TokenTrie beyond;  // rests of tokens that leave the rule: the caller decides
    int depth = 0;     // of calls that computing it went through
    size_t bytes() const { return bits.size() * 8 + tokens.size() * 4 + beyond.nodes().size() * 16 + 64; }
  };

  static Result<std::shared_ptr<Grammar>> Create(std::span<const std::shared_ptr<const Automaton>> rules,
                                                 std::span<const std::string> rule_names, int root,
                                                 std::shared_ptr<const GrammarVocabulary> vocabulary);

  int32_t root() const { return starts_[static_cast<size_t>(root_)]; }
  int32_t start_of(int32_t rule) const { return starts_[static_cast<size_t>(rule)]; }
  const State& state(int32_t id) const { return states_[static_cast<size_t>(id)]; }
  std::span<const Automaton::Edge> edges(const State& state) const {
    return std::span(edges_).subspan(static_cast<size_t>(state.first_edge),
                                     static_cast<size_t>(state.num_edges));
  }
  std::span<const Automaton::Call> calls(const State& state) const {
    return std::span(calls_).subspan(static_cast<size_t>(state.first_call),
                                     static_cast<size_t>(state.num_calls));
  }
  size_t num_states() const { return states_.size(); }
  // It allows keys of objects that it does not name, so that one could come twice; before it is shared.
  bool has_free_keys() const { return has_free_keys_; }
  void set_has_free_keys(bool has) { has_free_keys_ = has; }
  const GrammarVocabulary& vocabulary() const { return *vocabulary_; }

  // Computes masks until all are known or the time is over or nobody wants them. Before it is shared with the engine.
  void Prepare(Duration budget, const std::function<bool()>& is_cancelled = nullptr);
  // Null: not known yet, or no room to keep it.
  const Mask* FindMask(int32_t state) const;
  // The mask, kept if there is room; otherwise valid until the next call.
  const Mask& KeepMask(int32_t state, Mask mask);

 private:
  static constexpr size_t kMaxMaskBytes = 4 << 20;

  void Flatten(std::span<const std::shared_ptr<const Automaton>> rules);
  void FindHeights();
  void RemoveDeadEnds();
  Status RefuseLeftRecursion(std::span<const std::string> rule_names) const;
  void FindMaskClasses();

  std::vector<State> states_;
  std::vector<Automaton::Edge> edges_;
  std::vector<Automaton::Call> calls_;
  std::vector<int32_t> starts_;   // by rule
  std::vector<int32_t> rule_of_;  // by state
  int root_ = 0;
  bool has_free_keys_ = false;
  std::shared_ptr<const GrammarVocabulary> vocabulary_;
  std::unordered_map<int32_t, Mask> masks_;  // by class
  size_t mask_bytes_ = 0;
  Mask unkept_;
};

}  // namespace weir
