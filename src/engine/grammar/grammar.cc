#include "engine/grammar/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "engine/grammar/grammar_matcher.h"

namespace weir {
namespace {

constexpr int32_t kEndless = 1 << 20;
constexpr size_t kMaxRefinedStates = 20000;  // beyond, finding equal states costs more than it saves

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  hash *= 0xff51afd7ed558ccdULL;
  return hash ^ (hash >> 32);
}

}  // namespace

Result<std::shared_ptr<Grammar>> Grammar::Create(std::span<const std::shared_ptr<const Automaton>> rules,
                                                 std::span<const std::string> rule_names, int root,
                                                 std::shared_ptr<const GrammarVocabulary> vocabulary) {
  auto grammar = std::make_shared<Grammar>();
  grammar->root_ = root;
  grammar->vocabulary_ = std::move(vocabulary);
  grammar->Flatten(rules);
  grammar->FindHeights();
  const int32_t height = grammar->state(grammar->root()).height;
  if (height >= kEndless) {
    return GrammarError(
        "no text can match the schema: it contradicts itself, requires an endless value, or needs a "
        "character that this "
        "model has no token for");
  }
  if (height > kMaxDepth) return GrammarError("the schema requires a value that nests too deeply");
  grammar->RemoveDeadEnds();
  WEIR_RETURN_IF_ERROR(grammar->RefuseLeftRecursion(rule_names));
  grammar->FindMaskClasses();
  return grammar;
}

// Edges are cut to the bytes that the vocabulary has.
void Grammar::Flatten(std::span<const std::shared_ptr<const Automaton>> rules) {
  const auto& has = vocabulary_->single_bytes;
  for (size_t rule = 0; rule < rules.size(); ++rule) {
    const auto first = static_cast<int32_t>(states_.size());
    starts_.push_back(first);
    for (const Automaton::State& from : rules[rule]->states) {
      State& state = states_.emplace_back();
      rule_of_.push_back(static_cast<int32_t>(rule));
      state.is_final = from.is_final;
      state.first_edge = static_cast<int32_t>(edges_.size());
      for (const Automaton::Edge& edge : from.edges) {
        for (int low = edge.low; low <= edge.high;) {
          if (!has[static_cast<size_t>(low)]) {
            ++low;
            continue;
          }
          int high = low;
          while (high < edge.high && has[static_cast<size_t>(high) + 1]) ++high;
          edges_.push_back({static_cast<uint8_t>(low), static_cast<uint8_t>(high), first + edge.target});
          low = high + 1;
        }
      }
      state.num_edges = static_cast<int32_t>(edges_.size()) - state.first_edge;
      state.first_call = static_cast<int32_t>(calls_.size());
      for (const Automaton::Call& call : from.calls) calls_.push_back({call.rule, first + call.target});
      state.num_calls = static_cast<int32_t>(from.calls.size());
    }
  }
}

// The least over all ways to complete a rule of the most calls open at a time on that way, by relaxation from the final
// states backwards, the lowest first.
void Grammar::FindHeights() {
  struct Use {
    int32_t state;
    int32_t call;  // -1: an edge
  };
  std::vector<std::vector<Use>> users(states_.size());  // whose height depends on this state's
  for (size_t id = 0; id < states_.size(); ++id) {
    State& state = states_[id];
    state.height = kEndless;
    const auto self = static_cast<int32_t>(id);
    for (const Automaton::Edge& edge : edges(state)) users[edge.target].push_back({self, -1});
    for (int32_t i = state.first_call; i < state.first_call + state.num_calls; ++i) {
      users[calls_[i].target].push_back({self, i});
      users[start_of(calls_[i].rule)].push_back({self, i});
    }
  }
  std::vector<std::vector<int32_t>> by_height(1);
  const auto lower = [&](int32_t id, int32_t height) {
    if (height >= states_[id].height || height > kMaxDepth + 1) return;
    states_[id].height = height;
    if (by_height.size() <= static_cast<size_t>(height)) by_height.resize(height + 1);
    by_height[height].push_back(id);
  };
  for (size_t id = 0; id < states_.size(); ++id) {
    if (states_[id].is_final) lower(static_cast<int32_t>(id), 0);
  }
  for (size_t height = 0; height < by_height.size(); ++height) {
    for (size_t i = 0; i < by_height[height].size(); ++i) {
      const int32_t id = by_height[height][i];
      if (states_[id].height != static_cast<int32_t>(height)) continue;
      for (const Use& use : users[id]) {
        if (use.call < 0) {
          lower(use.state, states_[id].height);
          continue;
        }
        const Automaton::Call& call = calls_[use.call];
        const int32_t callee = states_[start_of(call.rule)].height;
        const int32_t after = states_[call.target].height;
        if (callee >= kEndless || after >= kEndless) continue;
        const int32_t own = states_[call.target].only_returns() ? 0 : 1;
        lower(use.state, std::max(callee + own, after));
      }
    }
  }
}

void Grammar::RemoveDeadEnds() {
  std::vector<Automaton::Edge> edges;
  std::vector<Automaton::Call> calls;
  for (State& state : states_) {
    const auto first_edge = static_cast<int32_t>(edges.size());
    for (const Automaton::Edge& edge : this->edges(state)) {
      if (states_[edge.target].height < kEndless) edges.push_back(edge);
    }
    const auto first_call = static_cast<int32_t>(calls.size());
    for (const Automaton::Call& call : this->calls(state)) {
      if (states_[start_of(call.rule)].height < kEndless && states_[call.target].height < kEndless)
        calls.push_back(call);
    }
    state.first_edge = first_edge;
    state.num_edges = static_cast<int32_t>(edges.size()) - first_edge;
    state.first_call = first_call;
    state.num_calls = static_cast<int32_t>(calls.size()) - first_call;
  }
  edges_ = std::move(edges);
  calls_ = std::move(calls);
}

// A rule that can come back to itself without a byte would be called without end.
Status Grammar::RefuseLeftRecursion(std::span<const std::string> rule_names) const {
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> color(states_.size(), kNew);
  struct Visit {
    int32_t state;
    int32_t next = 0;  // two per call: into it, and past it when it may be empty
  };
  std::vector<Visit> path;
  for (const int32_t start : starts_) {
    if (color[start] != kNew) continue;
    path.push_back({start});
    color[start] = kOpen;
    while (!path.empty()) {
      Visit& visit = path.back();
      const State& from = states_[visit.state];
      if (visit.next >= 2 * from.num_calls) {
        color[visit.state] = kDone;
        path.pop_back();
        continue;
      }
      const Automaton::Call& call = calls_[from.first_call + visit.next / 2];
      const bool into = visit.next % 2 == 0;
      ++visit.next;
      if (!into && !states_[start_of(call.rule)].is_final) continue;
      const int32_t to = into ? start_of(call.rule) : call.target;
      if (color[to] == kOpen) {
        return GrammarError(
            fmt::format("{} refers to itself without anything in between", rule_names[rule_of_[to]]));
      }
      if (color[to] == kDone) continue;
      color[to] = kOpen;
      path.push_back({to});
    }
  }
  return OkStatus();
}

// Two states whose next bytes, as many as the longest token has, cannot be told apart. Calls count as different unless they
// are the same.
void Grammar::FindMaskClasses() {
  for (size_t id = 0; id < states_.size(); ++id) states_[id].mask_class = static_cast<int32_t>(id);
  if (states_.size() > kMaxRefinedStates) return;
  const auto count = [](const std::vector<uint64_t>& hashes) {
    std::vector<uint64_t> sorted = hashes;
    std::sort(sorted.begin(), sorted.end());
    return std::unique(sorted.begin(), sorted.end()) - sorted.begin();
  };
  std::vector<uint64_t> now(states_.size()), next(states_.size());
  for (size_t id = 0; id < states_.size(); ++id) now[id] = states_[id].is_final ? 1 : 2;
  std::ptrdiff_t num_classes = count(now);
  for (int round = 0; round <= vocabulary_->trie.max_depth(); ++round) {
    for (size_t id = 0; id < states_.size(); ++id) {
      const State& state = states_[id];
      uint64_t hash = state.is_final ? 1 : 2;
      for (const Automaton::Edge& edge : edges(state))
        hash = Mix(Mix(hash, (uint64_t{edge.low} << 8) | edge.high), now[edge.target]);
      for (const Automaton::Call& call : calls(state))
        hash = Mix(hash, (static_cast<uint64_t>(call.rule) << 32) | static_cast<uint32_t>(call.target));
      // Two heights may end differently near the deepest level.
      next[id] = Mix(hash, static_cast<uint64_t>(state.height));
    }
    now.swap(next);
    const std::ptrdiff_t refined = count(now);
    if (refined == num_classes && round > 0) break;
    num_classes = refined;
  }
  std::unordered_map<uint64_t, int32_t> first;
  for (size_t id = 0; id < states_.size(); ++id)
    states_[id].mask_class = first.emplace(now[id], static_cast<int32_t>(id)).first->second;
}

const Grammar::Mask* Grammar::FindMask(int32_t state) const {
  const auto found = masks_.find(states_[state].mask_class);
  return found == masks_.end() ? nullptr : &found->second;
}

const Grammar::Mask& Grammar::KeepMask(int32_t state, Mask mask) {
  mask_bytes_ += mask.bytes();
  if (mask_bytes_ > kMaxMaskBytes) {
    mask_bytes_ -= mask.bytes();
    unkept_ = std::move(mask);
    return unkept_;
  }
  return masks_.emplace(states_[state].mask_class, std::move(mask)).first->second;
}

void Grammar::Prepare(Duration budget, const std::function<bool()>& is_cancelled) {
  const TimePoint end = MonotonicClock::Get().Now() + budget;
  GrammarMatcher matcher(shared_from_this());
  for (size_t id = 0; id < states_.size(); ++id) {
    if (states_[id].num_edges == 0 || FindMask(static_cast<int32_t>(id)) != nullptr) continue;
    if (mask_bytes_ >= kMaxMaskBytes / 2) return;
    if (is_cancelled && is_cancelled()) return;
    matcher.MaskOf(static_cast<int32_t>(id));
    if (MonotonicClock::Get().Now() > end) return;
  }
}

}  // namespace weir
