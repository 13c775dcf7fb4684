#include "engine/grammar/automaton.h"

#include <algorithm>
#include <array>
#include <map>
#include <string_view>
#include <utility>

namespace weir {
namespace {

constexpr size_t kMaxNetStates = 400'000;
constexpr int kMaxDepth = 400;  // of expressions: a schema's 64 levels with what each makes of itself

// With empty moves: the step between an expression and an automaton.
struct Net {
  struct State {
    std::vector<int32_t> empty;
    std::vector<Automaton::Edge> edges;
    std::vector<Automaton::Call> calls;
  };
  std::vector<State> states;

  int32_t Add() {
    states.emplace_back();
    return static_cast<int32_t>(states.size() - 1);
  }
};

class NetBuilder {
 public:
  NetBuilder(const Expressions& expressions, WorkBudget* budget, Net* net)
      : expressions_(expressions), budget_(*budget), net_(*net) {}

  // The state where the expression, begun at `from`, is done.
  Result<int32_t> Build(ExpressionId id, int32_t from) {
    WEIR_RETURN_IF_ERROR(budget_.Spend(1));
    if (net_.states.size() > kMaxNetStates)
      return GrammarError("the schema repeats too large a part too often");
    const Expression& node = expressions_.at(id);
    switch (node.kind) {
      case Expression::Kind::kBytes:
        WEIR_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(node.bytes.size())));
        for (const char c : node.bytes)
          from = Through(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c));
        return from;
      case Expression::Kind::kRange:
        return Through(from, node.low, node.high);
      case Expression::Kind::kSequence:
        for (const ExpressionId part : node.parts) {
          WEIR_ASSIGN_OR_RETURN(from, Build(part, from));
        }
        return from;
      case Expression::Kind::kChoice: {
        const int32_t end = net_.Add();
        for (const ExpressionId part : node.parts) {
          const int32_t begin = net_.Add();
          net_.states[from].empty.push_back(begin);
          WEIR_ASSIGN_OR_RETURN(const int32_t done, Build(part, begin));
          net_.states[done].empty.push_back(end);
        }
        return end;
      }
      case Expression::Kind::kRepeat:
        return BuildRepeat(node, from);
      case Expression::Kind::kCall: {
        const int32_t end = net_.Add();
        net_.states[from].calls.push_back({node.rule, end});
        return end;
      }
      case Expression::Kind::kAutomaton:
        return BuildEmbedded(*node.automaton, from);
    }
    return from;
  }

 private:
  int32_t Through(int32_t from, uint8_t low, uint8_t high) {
    const int32_t to = net_.Add();
    net_.states[from].edges.push_back({low, high, to});
    return to;
  }

  Result<int32_t> BuildRepeat(const Expression& node, int32_t from) {
    for (int i = 0; i < node.least; ++i) {
      WEIR_ASSIGN_OR_RETURN(from, Build(node.parts[0], from));
    }
    if (node.most < 0) {
      const int32_t loop = net_.Add();
      net_.states[from].empty.push_back(loop);
      WEIR_ASSIGN_OR_RETURN(const int32_t done, Build(node.parts[0], loop));
      net_.states[done].empty.push_back(loop);
      return loop;
    }
    const int32_t end = net_.Add();
    for (int i = node.least; i < node.most; ++i) {
      net_.states[from].empty.push_back(end);
      WEIR_ASSIGN_OR_RETURN(from, Build(node.parts[0], from));
    }
    net_.states[from].empty.push_back(end);
    return end;
  }

  Result<int32_t> BuildEmbedded(const Automaton& automaton, int32_t from) {
    WEIR_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(automaton.states.size())));
    const auto first = static_cast<int32_t>(net_.states.size());
    net_.states.resize(net_.states.size() + automaton.states.size() + 1);
    const auto end = static_cast<int32_t>(net_.states.size() - 1);
    net_.states[from].empty.push_back(first);
    for (size_t i = 0; i < automaton.states.size(); ++i) {
      Net::State& state = net_.states[first + i];
      state.edges = automaton.states[i].edges;
      for (Automaton::Edge& edge : state.edges) edge.target += first;
      state.calls = automaton.states[i].calls;
      for (Automaton::Call& call : state.calls) call.target += first;
      if (automaton.states[i].is_final) state.empty.push_back(end);
    }
    return end;
  }

  const Expressions& expressions_;
  WorkBudget& budget_;
  Net& net_;
};

// The subset construction.
class Determinizer {
 public:
  Determinizer(const Net& net, int32_t end, WorkBudget* budget)
      : net_(net), end_(end), budget_(*budget), seen_(net.states.size(), -1) {}

  Result<std::shared_ptr<const Automaton>> Run() {
    WEIR_RETURN_IF_ERROR(IdOf({0}).status());
    for (size_t next = 0; next < sets_.size(); ++next) {
      WEIR_RETURN_IF_ERROR(Expand(static_cast<int32_t>(next)));
    }
    return std::shared_ptr<const Automaton>(std::move(out_));
  }

 private:
  using Set = std::vector<int32_t>;

  Result<int32_t> IdOf(const Set& states) {
    ++stamp_;
    Set closed;
    for (const int32_t state : states) {
      if (std::exchange(seen_[state], stamp_) != stamp_) closed.push_back(state);
    }
    for (size_t i = 0; i < closed.size(); ++i) {
      for (const int32_t next : net_.states[closed[i]].empty) {
        if (std::exchange(seen_[next], stamp_) != stamp_) closed.push_back(next);
      }
    }
    WEIR_RETURN_IF_ERROR(budget_.Spend(static_cast<int64_t>(closed.size())));
    // States that only move on empty are told by where they lead.
    std::erase_if(closed, [&](int32_t state) {
      return state != end_ && net_.states[state].edges.empty() && net_.states[state].calls.empty();
    });
    std::sort(closed.begin(), closed.end());
    const auto [found, is_new] = ids_.emplace(closed, static_cast<int32_t>(sets_.size()));
    if (!is_new) return found->second;
    WEIR_RETURN_IF_ERROR(budget_.AddStates(1));
    sets_.push_back(&found->first);
    out_->states.emplace_back();
    out_->states.back().is_final = std::binary_search(closed.begin(), closed.end(), end_);
    return found->second;
  }

  Status Expand(int32_t id) {
    const Set& set = *sets_[id];
    std::vector<Automaton::Edge> edges;
    std::map<int32_t, Set> calls;
    std::array<bool, 257> cuts{};
    for (const int32_t state : set) {
      for (const Automaton::Edge& edge : net_.states[state].edges) {
        edges.push_back(edge);
        cuts[edge.low] = cuts[edge.high + 1] = true;
      }
      for (const Automaton::Call& call : net_.states[state].calls) calls[call.rule].push_back(call.target);
    }
    std::vector<Automaton::Edge> merged;
    Set targets;
    for (int low = 0; low < 256 && !edges.empty();) {
      int high = low + 1;
      while (high < 256 && !cuts[high]) ++high;
      targets.clear();
      for (const Automaton::Edge& edge : edges) {
        if (edge.low <= low && low <= edge.high) targets.push_back(edge.target);
      }
      WEIR_RETURN_IF_ERROR(budget_.Spend(1 + static_cast<int64_t>(edges.size()) / 8));
      if (!targets.empty()) {
        WEIR_ASSIGN_OR_RETURN(const int32_t target, IdOf(targets));
        if (!merged.empty() && merged.back().high + 1 == low && merged.back().target == target) {
          merged.back().high = static_cast<uint8_t>(high - 1);
        } else {
          merged.push_back({static_cast<uint8_t>(low), static_cast<uint8_t>(high - 1), target});
        }
      }
      low = high;
    }
    out_->states[id].edges = std::move(merged);
    for (const auto& [rule, after] : calls) {
      WEIR_ASSIGN_OR_RETURN(const int32_t target, IdOf(after));
      out_->states[id].calls.push_back({rule, target});
    }
    return OkStatus();
  }

  const Net& net_;
  const int32_t end_;
  WorkBudget& budget_;
  std::vector<int32_t> seen_;
  int32_t stamp_ = 0;
  std::map<Set, int32_t> ids_;
  std::vector<const Set*> sets_;
  std::shared_ptr<Automaton> out_ = std::make_shared<Automaton>();
};

// Runs both at once; b may be nowhere (-1), which only subtraction goes on with.
Result<std::shared_ptr<const Automaton>> Combine(const Automaton& a, const Automaton& b, bool subtract,
                                                 WorkBudget* budget) {
  auto out = std::make_shared<Automaton>();
  std::map<std::pair<int32_t, int32_t>, int32_t> ids;
  std::vector<std::pair<int32_t, int32_t>> pairs;
  const auto id_of = [&](int32_t x, int32_t y) {
    const auto [found, is_new] = ids.emplace(std::pair(x, y), static_cast<int32_t>(pairs.size()));
    if (is_new) {
      pairs.emplace_back(x, y);
      const bool in_b = y >= 0 && b.states[y].is_final;
      out->states.emplace_back();
      out->states.back().is_final = a.states[x].is_final && in_b != subtract;
    }
    return found->second;
  };
  id_of(0, 0);
  for (size_t next = 0; next < pairs.size(); ++next) {
    WEIR_RETURN_IF_ERROR(budget->AddStates(1));
    const auto [x, y] = pairs[next];
    std::vector<Automaton::Edge> edges;
    for (const Automaton::Edge& edge : a.states[x].edges) {
      WEIR_RETURN_IF_ERROR(budget->Spend(1));
      int low = edge.low;
      if (y >= 0) {
        for (const Automaton::Edge& other : b.states[y].edges) {
          if (other.high < low || other.low > edge.high) continue;
          const int begin = std::max<int>(low, other.low);
          const int end = std::min(edge.high, other.high);
          if (subtract && begin > low)
            edges.push_back(
                {static_cast<uint8_t>(low), static_cast<uint8_t>(begin - 1), id_of(edge.target, -1)});
          edges.push_back(
              {static_cast<uint8_t>(begin), static_cast<uint8_t>(end), id_of(edge.target, other.target)});
          low = end + 1;
        }
      }
      if (subtract && low <= edge.high)
        edges.push_back({static_cast<uint8_t>(low), edge.high, id_of(edge.target, -1)});
    }
    out->states[next].edges = std::move(edges);
  }
  return std::shared_ptr<const Automaton>(std::move(out));
}

}  // namespace

bool Automaton::Matches(std::string_view text) const {
  int32_t at = 0;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const auto& edges = states[at].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(),
                                   [&](const Edge& e) { return e.low <= byte && byte <= e.high; });
    if (edge == edges.end()) return false;
    at = edge->target;
  }
  return states[at].is_final;
}

Result<std::shared_ptr<const Automaton>> CompileExpression(const Expressions& expressions, ExpressionId root,
                                                           WorkBudget* budget) {
  if (expressions.at(root).depth > kMaxDepth) return GrammarError("the schema nests too deeply");
  Net net;
  const int32_t start = net.Add();
  WEIR_ASSIGN_OR_RETURN(const int32_t end, NetBuilder(expressions, budget, &net).Build(root, start));
  return Determinizer(net, end, budget).Run();
}

Result<std::shared_ptr<const Automaton>> Intersect(const Automaton& a, const Automaton& b,
                                                   WorkBudget* budget) {
  return Combine(a, b, /*subtract=*/false, budget);
}

Result<std::shared_ptr<const Automaton>> Subtract(const Automaton& a, const Automaton& b,
                                                  WorkBudget* budget) {
  return Combine(a, b, /*subtract=*/true, budget);
}

}  // namespace weir
