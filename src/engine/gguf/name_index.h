// Names of one file, sorted: finds one in logarithmic time and finds duplicates.
//
// Owns      nothing but the order; the names are views into the file
//
// Sorted instead of hashed: names come from strangers, and a hash table degrades when they are chosen to
// collide.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

class NameIndex {
 public:
  void Add(std::string_view name, uint32_t index) { names_.emplace_back(name, index); }
  void Reserve(size_t count) { names_.reserve(count); }

  // Sorts; the indexes of the first two equal names, lower one first.
  std::optional<std::pair<uint32_t, uint32_t>> Finish() {
    std::sort(names_.begin(), names_.end());
    for (size_t i = 1; i < names_.size(); ++i) {
      if (names_[i - 1].first == names_[i].first) return std::pair(names_[i - 1].second, names_[i].second);
    }
    return std::nullopt;
  }
  // Requires Finish().
  std::optional<uint32_t> Find(std::string_view name) const {
    const auto at = std::lower_bound(names_.begin(), names_.end(), name,
                                     [](const auto& entry, auto n) { return entry.first < n; });
    if (at == names_.end() || at->first != name) return std::nullopt;
    return at->second;
  }

 private:
  std::vector<std::pair<std::string_view, uint32_t>> names_;
};

}  // namespace weir
