// Whether the numbers of a run may be believed: checks with limits, the scope each one voids, and one verdict.
//
// Source    docs/MEASUREMENT.md, "Run validity verdict"
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace weir {

enum class Verdict { kValid, kWarn, kInvalid };
std::string_view VerdictName(Verdict verdict);  // "VALID"

struct ValidityCheck {
  std::string id;     // "V-01"
  std::string scope;  // run, latency, itl, steady, limit, attribution, step
  double value = 0;
  std::optional<double> warn_limit, invalid_limit;
  Verdict verdict = Verdict::kValid;
  std::string reason;  // what was measured, in words
  int row = -1;        // of results[], when the check judges one of them
};

class Validity {
 public:
  // WARN above `warn`, INVALID above `invalid`; an absent limit never strikes.
  void AddAbove(std::string id, std::string scope, double value, std::optional<double> warn,
                std::optional<double> invalid, std::string reason);
  // The same with "below".
  void AddBelow(std::string id, std::string scope, double value, std::optional<double> warn,
                std::optional<double> invalid, std::string reason);

  // Checks added from now on judge this row of results[]; -1: the whole run.
  void set_row(int row) { row_ = row; }

  const std::vector<ValidityCheck>& checks() const { return checks_; }
  Verdict verdict() const;
  // {"verdict", "checks"}
  Json ToJson() const;
  // JSON pointers of the values that failed checks void, for `num_results` rows and as many cells of matrix mode.
  Json VoidPointers(size_t num_results, size_t num_matrix_rows = 0) const;
  // V-10: percentiles for which `count` values are too few.
  void AddPercentileCounts(int64_t count, const std::string& prefix);
  // "INVALID(V-01 client-bound: ...)", or the bare word.
  static std::string Line(const Json& validity);
  // The checks that warn, one line each.
  static std::vector<std::string> Warnings(const Json& validity);

 private:
  std::vector<ValidityCheck> checks_;
  int row_ = -1;
};

}  // namespace weir
