// Server-sent events, both directions, in the form OpenAI's API uses: `data: ...` lines, ended by `data: [DONE]`.
//
// Owns      the parser keeps at most one unfinished line; a line above 1 MiB is malformed
// Errors    Feed: DATA_LOSS, sticky
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace weir {

// "data: {json}\n\n"
std::string SseEvent(std::string_view one_line_of_json);
inline constexpr std::string_view kSseDone = "data: [DONE]\n\n";
inline constexpr std::string_view kSseKeepAlive = ": keep-alive\n\n";

class SseParser {
 public:
  // Calls on_event with the data of every event that became complete. CR, LF and CRLF end lines; comments are skipped.
  Status Feed(std::string_view bytes, const std::function<void(std::string_view data)>& on_event);
  // True when no event is half done.
  bool at_boundary() const { return line_.empty() && data_.empty(); }

 private:
  Status TakeLine(const std::function<void(std::string_view)>& on_event);

  std::string line_;
  std::string data_;
  bool has_data_ = false;
  bool skip_line_feed_ = false;
  bool broken_ = false;
};

}  // namespace weir
