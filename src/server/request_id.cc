#include "server/request_id.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/rng.h"

namespace weir {
namespace {

bool IsValidId(std::string_view id) {
  constexpr size_t kMaxBytes = 64;
  return !id.empty() && id.size() <= kMaxBytes && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

}  // namespace

std::string MakeId(std::string_view prefix) {
  static thread_local Rng rng(RandomSeed());
  return fmt::format("{}{:016x}{:08x}", prefix, rng.Next(), static_cast<uint32_t>(rng.Next()));
}

std::string RequestIdOf(const HttpRequestHead& head) {
  const std::string* sent = head.Find("X-Request-Id");
  return sent != nullptr && IsValidId(*sent) ? *sent : MakeId("req-");
}

}  // namespace weir
