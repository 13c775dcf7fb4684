#include "engine/tokenizer/jinja_heap.h"

#include <fmt/format.h>

namespace weir {
namespace {

// A shared object costs more than its bytes: reference counts and the allocator's own.
constexpr size_t kObjectOverhead = 48;

Status CheckDepth(int depth) {
  if (depth <= JinjaBudget::kMaxDepth) return OkStatus();
  return JinjaError(fmt::format("values nested deeper than {} levels", JinjaBudget::kMaxDepth));
}

}  // namespace

Status JinjaError(std::string message) {
  return InvalidArgument(std::move(message)).WithReason("template_error");
}

JinjaHeap::~JinjaHeap() {
  for (const std::shared_ptr<JinjaNamespace>& name_space : namespaces_) name_space->entries.clear();
}

Status JinjaHeap::Spend(uint64_t steps) {
  if (budget_.Step(steps)) return OkStatus();
  return JinjaError(fmt::format("the budget of {} steps is spent", JinjaBudget::kMaxSteps));
}

Status JinjaHeap::Room(uint64_t bytes) const {
  if (budget_.HasRoom(bytes)) return OkStatus();
  return JinjaError(
      fmt::format("the budget of {} bytes of live values is spent", JinjaBudget::kMaxLiveBytes));
}

Result<JinjaValue> JinjaHeap::NewString(JinjaText text) {
  WEIR_RETURN_IF_ERROR(Room(sizeof(JinjaString) + kObjectOverhead + text.footprint()));
  WEIR_RETURN_IF_ERROR(SpendOnBytes(text.size()));
  return JinjaValue::Of(
      std::shared_ptr<const JinjaString>(std::make_shared<JinjaString>(std::move(text), &budget_)));
}

Result<JinjaValue> JinjaHeap::NewList(std::vector<JinjaValue> items, bool is_tuple) {
  WEIR_RETURN_IF_ERROR(Room(sizeof(JinjaList) + kObjectOverhead + items.size() * sizeof(JinjaValue)));
  WEIR_RETURN_IF_ERROR(Spend(items.size() / 16));
  auto list = std::make_shared<JinjaList>(std::move(items), &budget_);
  list->is_tuple = is_tuple;
  WEIR_RETURN_IF_ERROR(CheckDepth(list->depth));
  return JinjaValue::Of(std::shared_ptr<const JinjaList>(std::move(list)));
}

Result<JinjaValue> JinjaHeap::NewGroup(JinjaValue name, JinjaValue list) {
  std::vector<JinjaValue> items;
  items.push_back(std::move(name));
  items.push_back(std::move(list));
  WEIR_RETURN_IF_ERROR(Room(sizeof(JinjaList) + kObjectOverhead + items.size() * sizeof(JinjaValue)));
  auto group = std::make_shared<JinjaList>(std::move(items), &budget_);
  group->is_tuple = true;
  group->is_group = true;
  WEIR_RETURN_IF_ERROR(CheckDepth(group->depth));
  return JinjaValue::Of(std::shared_ptr<const JinjaList>(std::move(group)));
}

Result<JinjaValue> JinjaHeap::NewDict(JinjaEntries entries) {
  WEIR_RETURN_IF_ERROR(Room(sizeof(JinjaDict) + kObjectOverhead + EntryBytes(entries)));
  WEIR_RETURN_IF_ERROR(Spend(entries.size() / 16));
  auto dict = std::make_shared<JinjaDict>(std::move(entries), &budget_);
  WEIR_RETURN_IF_ERROR(CheckDepth(dict->depth));
  return JinjaValue::Of(std::shared_ptr<const JinjaDict>(std::move(dict)));
}

Result<JinjaValue> JinjaHeap::NewNamespace(JinjaEntries entries) {
  const size_t bytes = sizeof(JinjaNamespace) + kObjectOverhead + EntryBytes(entries);
  WEIR_RETURN_IF_ERROR(Room(bytes));
  budget_.Hold(bytes);  // for the rest of the rendering
  auto out = std::make_shared<JinjaNamespace>();
  out->entries = std::move(entries);
  namespaces_.push_back(out);
  return JinjaValue::Of(std::move(out));
}

}  // namespace weir
