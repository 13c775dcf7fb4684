// Follows one output through a grammar, token by token, and says which tokens may come next.
//
// Shapes    masks: one bit per token, (vocabulary + 63) / 64 words
// Requires  a token given to Accept() was allowed by FillMask()
// Owns      its place in the grammar; fills the grammar's cache of masks
// Threads   engine thread only (all matchers of a grammar share its cache)
//
// Where the grammar is ambiguous all readings are followed, up to a bound: a reading that is dropped can only make the
// output less free, never wrong, because each of the others can be completed by itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/grammar/call_stacks.h"
#include "engine/grammar/grammar.h"
#include "engine/grammar/unique_keys.h"

namespace weir {

class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<Grammar> grammar);

  // Sets the bits of all tokens that may come next. Tokens that end the output are not among them: see can_end().
  void FillMask(std::vector<uint64_t>* mask);
  // False, and nothing changes, when the token was not allowed.
  bool Accept(int32_t token);
  bool can_end() const { return can_end_; }
  bool must_end() const { return can_end_ && readings_.empty(); }

 private:
  friend class Grammar;
  struct Reading {
    int32_t state;
    int32_t stack;
    bool operator==(const Reading&) const = default;
  };

  const Grammar::Mask& MaskOf(int32_t state);
  Grammar::Mask ComputeMask(int32_t state);
  // Follows calls and returns until bytes are needed. `left`: the lowest rule was completed.
  void Close(Reading reading, std::vector<Reading>* out, bool* left);
  void Step(std::span<const Reading> from, uint8_t byte, std::vector<Reading>* out, bool* left);
  // Sets the tokens of the trie that can follow.
  void ForbidRepeatedKeys(std::vector<uint64_t>* mask) const;
  void Walk(const TokenTrie& trie, const std::vector<Reading>& from, std::vector<uint64_t>* mask);
  std::vector<Reading>& Level(size_t depth);

  std::shared_ptr<Grammar> grammar_;
  CallStacks stacks_;
  std::vector<Reading> readings_;
  bool can_end_ = false;
  UniqueKeys keys_;  // followed only where the grammar has free ones
  // Scratch.
  std::vector<std::vector<Reading>> levels_;
  std::vector<Reading> pending_, visited_, after_;
  int deepest_ = 0;  // of what Close() went through
};

}  // namespace weir
