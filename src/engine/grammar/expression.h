// Languages over bytes as trees: what automata are compiled from. Trees share parts, so copies cost nothing here.
//
// Requires  ids made by the same object; least <= most where most is given
// Threads   one compilation, one thread
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

struct Automaton;

using ExpressionId = int32_t;

struct Expression {
  enum class Kind { kBytes, kRange, kSequence, kChoice, kRepeat, kCall, kAutomaton };
  Kind kind = Kind::kBytes;
  std::string bytes{};                // kBytes; empty matches the empty text
  uint8_t low = 0, high = 0;          // kRange
  std::vector<ExpressionId> parts{};  // kSequence, kChoice (none: matches nothing), kRepeat (one)
  int least = 0, most = -1;           // kRepeat; -1: without end
  int rule = 0;                       // kCall
  std::shared_ptr<const Automaton> automaton = nullptr;  // kAutomaton
  int depth = 1;                                         // levels of parts below and with this one
};

class Expressions {
 public:
  ExpressionId Bytes(std::string_view text);
  ExpressionId Empty() { return Bytes(""); }
  ExpressionId Range(uint8_t low, uint8_t high);
  ExpressionId Sequence(std::vector<ExpressionId> parts);
  ExpressionId Choice(std::vector<ExpressionId> parts);
  ExpressionId Optional(ExpressionId part) { return Repeat(part, 0, 1); }
  ExpressionId Repeat(ExpressionId part, int least, int most);
  ExpressionId Call(int rule);
  ExpressionId Embed(std::shared_ptr<const Automaton> automaton);
  // The UTF-8 of every code point in [low, high] but surrogates.
  ExpressionId CodePoints(uint32_t low, uint32_t high);

  const Expression& at(ExpressionId id) const { return nodes_[static_cast<size_t>(id)]; }
  size_t size() const { return nodes_.size(); }

 private:
  ExpressionId Add(Expression node);

  std::vector<Expression> nodes_;
};

}  // namespace weir
