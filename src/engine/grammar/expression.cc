#include "engine/grammar/expression.h"

#include <algorithm>
#include <utility>

namespace weir {
namespace {

// Ranges of equally long sequences whose bytes vary independently behind a common head.
struct ByteRanges {
  uint8_t low[4];
  uint8_t high[4];
  int size;
};

int Encode(uint32_t code, uint8_t* out) {
  if (code < 0x80) {
    out[0] = static_cast<uint8_t>(code);
    return 1;
  }
  const int size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (int i = size - 1; i > 0; --i) {
    out[i] = static_cast<uint8_t>(0x80 | (code & 0x3F));
    code >>= 6;
  }
  constexpr uint8_t kLead[] = {0, 0, 0xC0, 0xE0, 0xF0};
  out[0] = static_cast<uint8_t>(kLead[size] | code);
  return size;
}

void Split(uint32_t low, uint32_t high, std::vector<ByteRanges>* out) {
  // Where the length of the encoding changes, then where a trailing byte would not run over all its values.
  for (const uint32_t last : {0x7Fu, 0x7FFu, 0xFFFFu}) {
    if (low <= last && high > last) {
      Split(low, last, out);
      Split(last + 1, high, out);
      return;
    }
  }
  const int size = high < 0x80 ? 1 : high < 0x800 ? 2 : high < 0x10000 ? 3 : 4;
  for (int i = 1; i < size; ++i) {
    const uint32_t mask = (1u << (6 * i)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      Split(low, low | mask, out);
      Split((low | mask) + 1, high, out);
      return;
    }
    if ((high & mask) != mask) {
      Split(low, (high & ~mask) - 1, out);
      Split(high & ~mask, high, out);
      return;
    }
  }
  ByteRanges ranges{};
  ranges.size = Encode(low, ranges.low);
  Encode(high, ranges.high);
  out->push_back(ranges);
}

}  // namespace

ExpressionId Expressions::Add(Expression node) {
  for (const ExpressionId part : node.parts) node.depth = std::max(node.depth, 1 + at(part).depth);
  nodes_.push_back(std::move(node));
  return static_cast<ExpressionId>(nodes_.size() - 1);
}

ExpressionId Expressions::Bytes(std::string_view text) {
  return Add({.kind = Expression::Kind::kBytes, .bytes = std::string(text)});
}

ExpressionId Expressions::Range(uint8_t low, uint8_t high) {
  return Add({.kind = Expression::Kind::kRange, .low = low, .high = high});
}

ExpressionId Expressions::Sequence(std::vector<ExpressionId> parts) {
  if (parts.size() == 1) return parts[0];
  return Add({.kind = Expression::Kind::kSequence, .parts = std::move(parts)});
}

ExpressionId Expressions::Choice(std::vector<ExpressionId> parts) {
  if (parts.size() == 1) return parts[0];
  return Add({.kind = Expression::Kind::kChoice, .parts = std::move(parts)});
}

ExpressionId Expressions::Repeat(ExpressionId part, int least, int most) {
  if (least == 1 && most == 1) return part;
  return Add({.kind = Expression::Kind::kRepeat, .parts = {part}, .least = least, .most = most});
}

ExpressionId Expressions::Call(int rule) { return Add({.kind = Expression::Kind::kCall, .rule = rule}); }

ExpressionId Expressions::Embed(std::shared_ptr<const Automaton> automaton) {
  return Add({.kind = Expression::Kind::kAutomaton, .automaton = std::move(automaton)});
}

ExpressionId Expressions::CodePoints(uint32_t low, uint32_t high) {
  std::vector<ByteRanges> all;
  if (low < 0xD800) Split(low, std::min(high, 0xD7FFu), &all);
  if (high > 0xDFFF) Split(std::max(low, 0xE000u), std::min(high, 0x10FFFFu), &all);
  std::vector<ExpressionId> choices;
  for (const ByteRanges& ranges : all) {
    std::vector<ExpressionId> bytes;
    for (int i = 0; i < ranges.size; ++i) bytes.push_back(Range(ranges.low[i], ranges.high[i]));
    choices.push_back(Sequence(std::move(bytes)));
  }
  return Choice(std::move(choices));
}

}  // namespace weir
