// One request to an OpenAI-compatible server while it runs: from bytes to a record.
//
// Threads   the client's io thread
// Source    docs/MEASUREMENT.md, "The request timeline", "Outcomes and error classes"
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/client.h"
#include "net/http/sse.h"
#include "perf/driver/target.h"

namespace weir {

class HttpExchangeRecord {
 public:
  HttpExchangeRecord(const TargetRequest& request, TimePoint run_start, bool knows_ignore_eos);

  void OnHead(int status, const std::vector<HttpHeader>& headers);
  void OnData(std::string_view bytes, TimePoint at);
  size_t num_chunks() const { return chunks_.size(); }  // with content, so far
  RequestRecord Finish(const ClientResponse& response);

 private:
  struct ContentChunk {
    double at_ms;
    int token_ids;  // 0: the chunk does not say
  };

  double Ms(TimePoint at) const { return ToMilliseconds(at - run_start_); }
  void OnEvent(std::string_view data, double at_ms);
  void TakeChunk(const Json& chunk, double at_ms);
  void TakeUsage(const Json& document);
  void TakeWholeBody();
  // Tokens get their chunk's time; tokens that no chunk claims are spread evenly over all chunks.
  void SpreadTokens();
  void Fail(std::string error_class, std::string phase, std::string message, int status = 0);
  void JudgeStatus(const ClientResponse& response);
  void JudgeAnswer();
  std::string PhaseReached() const;

  RequestRecord record_;
  TimePoint run_start_;
  bool stream_;
  bool ignore_eos_;
  bool knows_ignore_eos_;
  int status_ = 0;
  bool is_event_stream_ = false;
  SseParser parser_;
  bool saw_done_ = false;
  std::string malformed_;   // why the stream is no stream of chunks; empty while it is
  std::string event_code_;  // of an error event
  std::vector<ContentChunk> chunks_;
  std::vector<int32_t> token_ids_;  // as far as chunks tell them
  std::optional<int> usage_tokens_;
  std::string body_;
};

}  // namespace weir
