// What a template computes with. There is no object model: a value has the methods and attributes listed in
// jinja_methods.h and no others.
//
// Owns      lists, dicts and strings are shared and never change; a namespace changes and lives until the rendering ends
// Requires  values made with a budget die before it
// Threads   one rendering, one thread; literals of a template are shared between threads and never change
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "engine/tokenizer/jinja_budget.h"
#include "engine/tokenizer/jinja_text.h"

namespace weir {

struct JinjaMacro;
struct JinjaStatement;
struct JinjaString;
struct JinjaList;
struct JinjaDict;
struct JinjaNamespace;
struct JinjaLoop;

// Functions that exist without being defined.
enum class JinjaFunction { kRange, kNamespace, kDict, kRaiseException, kStrftimeNow };

// The variables that a macro or a recursive loop sees beside the template's: those of the scopes [frame_begin, num_scopes) of the
// evaluator, as long as `serial` is still the number of the last of them. None when num_scopes is 0.
struct JinjaView {
  uint16_t frame_begin = 0;
  uint16_t num_scopes = 0;
  uint32_t serial = 0;
};

// A macro, or the body of a call block, with what it sees.
struct JinjaClosure {
  const JinjaMacro* macro = nullptr;
  JinjaView view;
};

// A method that is read and not called: only that it exists is known.
struct JinjaMethod {};

class JinjaValue {
 public:
  struct Undefined {
    std::string_view name;  // inside the parsed template, which outlives the value
  };
  struct None {};
  using Variant = std::variant<Undefined, None, bool, int64_t, double, std::shared_ptr<const JinjaString>,
                               std::shared_ptr<const JinjaList>, std::shared_ptr<const JinjaDict>,
                               std::shared_ptr<JinjaNamespace>, std::shared_ptr<const JinjaLoop>,
                               JinjaClosure, JinjaFunction, JinjaMethod>;

  JinjaValue() = default;
  template <typename T>
  static JinjaValue Of(T value) {
    JinjaValue out;
    out.variant_ = std::move(value);
    return out;
  }
  static JinjaValue MakeUndefined(std::string_view name) { return Of(Undefined{name}); }
  static JinjaValue MakeNone() { return Of(None{}); }

  template <typename T>
  bool Is() const {
    return std::holds_alternative<T>(variant_);
  }
  template <typename T>
  const T* Get() const {
    return std::get_if<T>(&variant_);
  }

  bool is_undefined() const { return Is<Undefined>(); }
  bool is_none() const { return Is<None>(); }
  bool is_number() const { return Is<bool>() || Is<int64_t>() || Is<double>(); }
  // Null when it is something else.
  const JinjaText* text() const;
  const std::vector<JinjaValue>* list() const;
  bool is_tuple() const;
  const JinjaDict* dict() const;
  JinjaNamespace* name_space() const;
  const JinjaLoop* loop() const;
  // bool counts as 0 or 1.
  bool AsInt(int64_t* out) const;
  bool AsDouble(double* out) const;

  bool Truthy() const;
  // Containers inside containers; bounded, so recursion over a value is bounded.
  int depth() const;
  // "a list", for messages.
  std::string_view kind_name() const;

 private:
  Variant variant_;
};

// Gives its bytes back to the budget when it dies.
struct JinjaCharge {
  JinjaCharge() = default;
  JinjaCharge(JinjaBudget* owner, size_t amount) : budget(owner), bytes(amount) { budget->Hold(bytes); }
  JinjaCharge(const JinjaCharge&) = delete;
  JinjaCharge& operator=(const JinjaCharge&) = delete;
  ~JinjaCharge() {
    if (budget != nullptr) budget->Release(bytes);
  }
  JinjaBudget* budget = nullptr;
  size_t bytes = 0;
};

struct JinjaString {
  JinjaString(JinjaText value, JinjaBudget* budget)
      : text(std::move(value)), charge(budget, sizeof(JinjaString) + text.footprint()) {}
  // A literal of the template, which outlives every rendering.
  explicit JinjaString(JinjaText value) : text(std::move(value)) {}
  JinjaText text;
  JinjaCharge charge;
};

struct JinjaList {
  JinjaList(std::vector<JinjaValue> values, JinjaBudget* budget)
      : items(std::move(values)), charge(budget, sizeof(JinjaList) + items.size() * sizeof(JinjaValue)) {
    for (const JinjaValue& item : items) depth = std::max(depth, 1 + item.depth());
  }
  std::vector<JinjaValue> items;
  JinjaCharge charge;
  int depth = 1;
  bool is_tuple = false;  // prints with parentheses; otherwise a list
  bool is_group = false;  // a tuple of groupby, whose items are also .grouper and .list
};

using JinjaEntries = std::vector<std::pair<std::string, JinjaValue>>;

const JinjaValue* FindEntry(const JinjaEntries& entries, std::string_view key);
void SetEntry(JinjaEntries* entries, std::string_view key, JinjaValue value);
size_t EntryBytes(const JinjaEntries& entries);

struct JinjaDict {
  JinjaDict(JinjaEntries values, JinjaBudget* budget)
      : entries(std::move(values)), charge(budget, sizeof(JinjaDict) + EntryBytes(entries)) {
    for (const auto& [key, value] : entries) depth = std::max(depth, 1 + value.depth());
  }
  JinjaEntries entries;  // in order of insertion
  JinjaCharge charge;
  int depth = 1;
};

struct JinjaNamespace {
  JinjaEntries entries;
};

struct JinjaLoop {
  std::shared_ptr<const JinjaList> items;
  size_t index = 0;
  std::shared_ptr<std::vector<JinjaValue>> changed{};  // what loop.changed was asked last
  const JinjaStatement* recursive = nullptr;           // the loop, if loop(...) may run it again
  JinjaView view{};                                    // what its body sees beside its own variables
  int depth = 0;                                       // calls of loop(...) around this one
};

// Python's ==: numbers by value, text by its bytes, containers by their items. Costs a step per item compared; false once
// the budget is spent, which the next step reports.
bool JinjaEquals(const JinjaValue& a, const JinjaValue& b, JinjaBudget* budget);

}  // namespace weir
