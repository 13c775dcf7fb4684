// One file fetched by URL (http, https, file), resumed where an earlier try ended, and whole or not at all under its name.
//
// Units     bytes
// Owns      PATH.part and PATH.part.source while it runs; both stay after a failure that can be resumed
// Errors    INVALID_ARGUMENT a URL, path or token that cannot be used · NOT_FOUND, UNAUTHENTICATED by the server's word ·
//           DATA_LOSS another hash or length than expected · RESOURCE_EXHAUSTED no space · UNAVAILABLE after the last retry ·
//           CANCELLED. Messages say what, where, expected and found, and the next step; never the token or a URL's query
// Threads   blocks; several of the same path, in any processes, wait for each other
//
// The token goes to the first URL's scheme, host and port alone, whatever redirects say.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace weir {

struct DownloadOptions {
  std::string url;
  std::string path;                                // where it is to lie; its folder is made
  std::string sha256;                              // 64 hex digits; empty: whatever comes
  std::string token;                               // bearer; empty: none
  bool replace = false;                            // fetch it also when something lies there
  int max_retries = 5;                             // in a row, without a byte between them
  Duration first_retry = std::chrono::seconds(1);  // doubles up to 30 s, unless the server names a time
  Duration connect_timeout = std::chrono::seconds(30);
  Duration stall_timeout = std::chrono::seconds(60);  // without a byte
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(int64_t done, int64_t total)> on_progress{};  // total 0: not known
  std::function<void(const std::string&)> on_note{};               // "trying again in 2 s: ..."
};

struct Download {
  int64_t bytes = 0;
  int64_t resumed_at = 0;  // bytes that were there from earlier
  bool was_there = false;  // nothing was fetched
  std::string sha256;      // of the file
};

Result<Download> Fetch(const DownloadOptions& options);
// The last part of the URL's path, if it can name a file; INVALID_ARGUMENT otherwise.
Result<std::string> FileNameOfUrl(const std::string& url);

}  // namespace weir
