#include "perf/driver/slo_search.h"

#include <algorithm>
#include <cmath>

namespace weir {
namespace {

class Search {
 public:
  Search(const SearchSpec& spec, const std::function<Result<bool>(double)>& probe)
      : spec_(spec), probe_(probe) {}

  Result<SearchOutcome> Run() {
    WEIR_RETURN_IF_ERROR(Double());
    WEIR_RETURN_IF_ERROR(Bisect());
    WEIR_RETURN_IF_ERROR(Confirm());
    return std::move(out_);
  }

 private:
  Result<bool> Probe(double level, bool is_confirmation) {
    WEIR_ASSIGN_OR_RETURN(const bool passed, probe_(level));
    out_.probes.push_back({level, passed, is_confirmation});
    return passed;
  }

  // Up from the first level until one fails, or down until one passes.
  Status Double() {
    double level = std::min(spec_.first, spec_.highest);
    WEIR_ASSIGN_OR_RETURN(const bool first_passed, Probe(level, false));
    if (first_passed) {
      low_ = level;
      while (low_ < spec_.highest) {
        level = std::min(2 * low_, spec_.highest);
        WEIR_ASSIGN_OR_RETURN(const bool passed, Probe(level, false));
        if (!passed) {
          high_ = level;
          return OkStatus();
        }
        low_ = level;
      }
      out_.at_highest = true;
      return OkStatus();
    }
    high_ = level;
    const double lowest = spec_.whole ? 1 : spec_.first / 1024;
    while (high_ > lowest) {
      level = spec_.whole ? std::max(1.0, std::floor(high_ / 2)) : high_ / 2;
      WEIR_ASSIGN_OR_RETURN(const bool passed, Probe(level, false));
      if (passed) {
        low_ = level;
        return OkStatus();
      }
      high_ = level;
    }
    return OkStatus();
  }

  bool IsNarrow() const { return high_ / low_ <= spec_.resolution || (spec_.whole && high_ - low_ <= 1); }

  Status Bisect() {
    while (low_ > 0 && high_ > 0 && !IsNarrow()) {
      const double middle = spec_.whole ? std::floor((low_ + high_) / 2) : std::sqrt(low_ * high_);
      WEIR_ASSIGN_OR_RETURN(const bool passed, Probe(middle, false));
      (passed ? low_ : high_) = middle;
    }
    return OkStatus();
  }

  // A level that passed once may have been lucky; then the next lower one is tried.
  Status Confirm() {
    double level = low_;
    while (level > 0) {
      bool all = true;
      for (int i = 0; all && i < spec_.confirmations; ++i) {
        WEIR_ASSIGN_OR_RETURN(all, Probe(level, true));
      }
      if (all) {
        out_.answer = level;
        out_.confirmed = true;
        return OkStatus();
      }
      out_.at_highest = false;
      const double lower =
          spec_.whole ? std::min(level - 1, std::floor(level / spec_.resolution)) : level / spec_.resolution;
      if (!spec_.whole && lower < spec_.first / 1024) break;
      level = lower;
    }
    return OkStatus();
  }

  const SearchSpec& spec_;
  const std::function<Result<bool>(double)>& probe_;
  SearchOutcome out_;
  double low_ = 0, high_ = 0;  // passes; fails
};

}  // namespace

Result<SearchOutcome> FindHighest(const SearchSpec& spec,
                                  const std::function<Result<bool>(double level)>& probe) {
  return Search(spec, probe).Run();
}

}  // namespace weir
