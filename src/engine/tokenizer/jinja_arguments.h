// The arguments of a call, a filter or a test, evaluated.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/jinja_value.h"

namespace weir {

struct JinjaArguments {
  std::vector<JinjaValue> positional;
  JinjaEntries named;

  // By place or by name; null when not given.
  const JinjaValue* Find(size_t index, std::string_view name) const {
    if (index < positional.size()) return &positional[index];
    return FindEntry(named, name);
  }
  // Null unless given and text.
  const JinjaText* Text(size_t index, std::string_view name) const {
    const JinjaValue* found = Find(index, name);
    return found == nullptr ? nullptr : found->text();
  }
};

// What something may be given: the parameters by name in their order, apart by spaces. Those before a "/" have no name and are
// only counted ("_ _ /"); "*" takes whatever comes.
//
// Errors  INVALID_ARGUMENT, reason "template_error": an argument too many, given twice, or with a name that is unknown
Status CheckJinjaArguments(std::string_view kind, std::string_view name, std::string_view parameters,
                           const JinjaArguments& arguments);

}  // namespace weir
