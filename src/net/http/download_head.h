// What the head of an answer says about the bytes that follow it, as far as fetching a file needs it.
//
// Units     bytes
// Errors    none: what is no number counts as not said
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

struct DownloadHead {
  long status = 0;
  std::string etag, last_modified, encoding;
  std::optional<int64_t> length;       // of this body
  std::optional<int64_t> range_first;  // of Content-Range
  std::optional<int64_t> range_total;
  std::optional<int64_t> retry_after_s;

  // One line of the head, its end included or not. A status line begins a new head: an earlier one was of an interim answer.
  void TakeLine(std::string_view line);
  // What an If-Range may say; empty: nothing is known by which this version of the file could be told from another.
  std::string Validator() const;
};

}  // namespace weir
