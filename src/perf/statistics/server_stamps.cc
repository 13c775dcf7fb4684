#include "perf/statistics/server_stamps.h"

#include <algorithm>

namespace weir {

std::optional<ServerStamps> StampsOf(const RequestRecord& record) {
  const auto number = [&](std::initializer_list<std::string_view> path) {
    return JsonNumber(FindJson(record.server, path));
  };
  const Json* same_boot = FindJson(record.server, {"clock", "same_boot"});
  if (same_boot == nullptr || *same_boot != true) return std::nullopt;
  const auto began = number({"clock", "scheduled_ms"}), closed = number({"clock", "closed_ms"});
  const auto prompt = number({"prompt_tokens"}), output = number({"output_tokens"});
  if (!began || !closed || !prompt || !output) return std::nullopt;
  ServerStamps stamps;
  stamps.prefill_began_ms = *began;
  stamps.first_token_ms = number({"clock", "first_token_ms"}).value_or(*closed);
  stamps.last_token_ms = number({"clock", "last_token_ms"}).value_or(stamps.first_token_ms);
  stamps.prompt_tokens = std::max(0.0, *prompt - number({"cached_tokens"}).value_or(0));
  stamps.output_tokens = *output;
  return stamps;
}

}  // namespace weir
