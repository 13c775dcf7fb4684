// The list of all runs of this user, in SQLite; the result files are the truth, this only finds them again.
//
// Errors    INTERNAL with SQLite's own words, INVALID_ARGUMENT when the folder cannot be made; callers warn and go on
// Threads   one call at a time per process; other processes are waited for
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace weir {

struct RunEntry {
  std::string run_id, kind, created_at, file, verdict;
};

class RunIndex {
 public:
  // ${WEIR_STATE}/runs.db, else ~/.local/state/weir/runs.db.
  static std::string DefaultPath();
  explicit RunIndex(std::string path = DefaultPath()) : path_(std::move(path)) {}

  Status Add(const RunEntry& entry) const;
  // Newest first.
  Result<std::vector<RunEntry>> List(int limit = 100) const;
  // Newest first: runs whose id begins with `prefix`; "latest" finds the newest of all.
  Result<std::vector<RunEntry>> Find(const std::string& prefix) const;
  // Forgets the run; its files stay. False when there was none of that id.
  Result<bool> Remove(const std::string& run_id) const;

 private:
  std::string path_;
};

}  // namespace weir
