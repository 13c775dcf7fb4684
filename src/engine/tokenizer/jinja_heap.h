// Makes the values of one rendering, each charged to its budget before it exists.
//
// Errors    INVALID_ARGUMENT, reason "template_error", naming the budget that is spent
// Threads   one rendering, one thread
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/jinja_value.h"

namespace weir {

Status JinjaError(std::string message);

class JinjaHeap {
 public:
  explicit JinjaHeap(JinjaBudget* budget) : budget_(*budget) {}

  // Work on this many bytes or items beyond the node itself.
  Status Spend(uint64_t steps);
  Status SpendOnBytes(uint64_t bytes) { return Spend(bytes / 256); }
  // Work that looks at every character by itself.
  Status SpendOnCharacters(uint64_t bytes) { return Spend(bytes / 16); }
  // Call before building something of this size.
  Status Room(uint64_t bytes) const;

  Result<JinjaValue> NewString(JinjaText text);
  // Text that may hold what a client wrote.
  Result<JinjaValue> NewData(std::string text) { return NewString(JinjaText(std::move(text), false)); }
  Result<JinjaValue> NewList(std::vector<JinjaValue> items, bool is_tuple = false);
  // The tuple (name, list), whose items are also .grouper and .list.
  Result<JinjaValue> NewGroup(JinjaValue name, JinjaValue list);
  Result<JinjaValue> NewDict(JinjaEntries entries);
  Result<JinjaValue> NewNamespace(JinjaEntries entries);
  JinjaBudget* budget() { return &budget_; }

  ~JinjaHeap();

 private:
  JinjaBudget& budget_;
  // Emptied at the end, so that namespaces that hold each other do not live on.
  std::vector<std::shared_ptr<JinjaNamespace>> namespaces_;
};

}  // namespace weir
