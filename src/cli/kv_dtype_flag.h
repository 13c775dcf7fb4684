// --kv-cache-dtype, the same in every command that has it.
//
// Requires  `value` outlives the parse
#pragma once

#include "cli/choice_flag.h"
#include "engine/kvcache/kv_storage.h"

namespace weir {

inline void AddKvDtypeFlag(CLI::App& app, KvDtype* value) {
  AddChoice<KvDtype>(app, "--kv-cache-dtype", value,
                     {{"auto", KvDtype::kF16}, {"fp16", KvDtype::kF16}, {"int8", KvDtype::kInt8}},
                     "keys and values in the cache; auto is fp16, int8 takes about half the memory")
      ->default_str("auto");
}

}  // namespace weir
