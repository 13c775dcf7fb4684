#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>

#include "cli/command.h"

namespace weir {
namespace {

// Changes, insertions, deletions and swaps of neighbours that lead from a to b: a swap is the commonest
// typing error.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

int ExitCode(const Status& status) {
  switch (status.code()) {
    case StatusCode::kOk:
      return 0;
    case StatusCode::kInternal:
      return 1;
    case StatusCode::kInvalidArgument:
      return 2;
    case StatusCode::kNotFound:
    case StatusCode::kDataLoss:
    case StatusCode::kUnimplemented:
      return 3;
    case StatusCode::kUnauthenticated:
    case StatusCode::kResourceExhausted:
    case StatusCode::kUnavailable:
    case StatusCode::kDeadlineExceeded:
      return 4;
    case StatusCode::kCancelled:
      return 130;
  }
  return 1;
}

int Fail(std::string_view command, const Status& status) {
  std::fflush(stdout);  // so that a terminal shows what was printed before the reason for stopping
  fmt::print(stderr, "weir {}: {}\n", command, status.message());
  return ExitCode(status);
}

std::string NearestName(std::string_view text, const std::vector<std::string>& known) {
  std::string nearest;
  // A third of the letters may be wrong; beyond that a suggestion confuses more than it helps.
  size_t best = std::max<size_t>(1, std::min<size_t>(3, text.size() / 3)) + 1;
  if (text.size() > 64) return nearest;
  for (const std::string& name : known) {
    const size_t distance = EditDistance(text, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  // A beginning counts as close however much is missing: "--conc" for "--concurrency".
  if (nearest.empty() && text.size() >= 3) {
    for (const std::string& name : known) {
      if (name.starts_with(text)) return name;
    }
  }
  return nearest;
}

}  // namespace weir
