// Where a driver sends its requests: the engine in this process, an HTTP server, or nothing at all.
//
// Threads   Send from the driver's thread; on_done from any thread, exactly once per Send
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "perf/recorder/request_record.h"

namespace weir {

struct TargetRequest {
  std::string id;
  int64_t seq = 0;
  int attempt = 1;
  std::string prompt_id;
  std::string prompt;    // chat content; one of prompt, messages and prompt_ids is set
  std::string messages;  // a conversation as a JSON array, instead of `prompt`
  std::vector<int32_t> prompt_ids;
  std::optional<int> prompt_tokens_target;  // of a prompt made to a length
  int max_tokens = 100;
  bool ignore_eos = true;
  bool stream = true;
  double temperature = 0;
  uint64_t seed = 1;
  Duration timeout = std::chrono::seconds(60);
  TimePoint intended{};
};

class Target {
 public:
  virtual ~Target() = default;
  // `run_start` is the zero of the record's times.
  virtual void Send(TargetRequest request, TimePoint run_start,
                    std::function<void(RequestRecord)> on_done) = 0;
  virtual std::string name() const = 0;
};

}  // namespace weir
