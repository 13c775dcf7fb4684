// What the server under test says about itself: its models, its version, its ledgers, its metrics.
//
// Errors    FirstModel: UNAVAILABLE when nothing answers at the URL, with what to do. All else is optional: a foreign
//           server has none of it, and then it is left out
// Threads   one; blocks the caller
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/http/client.h"
#include "perf/recorder/request_record.h"

namespace weir {

// One look at /metrics.
struct ServerGauges {
  std::optional<double> running, waiting, kv_used_ratio, cpu_seconds;
};

class ServerSide {
 public:
  // `control_url` empty: found through /version. `base_path` as in HttpTargetOptions.
  ServerSide(Url url, std::string base_path, std::string api_key, std::string control_url);

  Result<std::string> FirstModel();
  // Reads /version and looks for the control listener.
  void Discover();
  bool has_control() const { return control_ != nullptr; }
  bool is_weir() const { return is_weir_; }
  const Json& version() const { return version_; }

  std::optional<ServerGauges> ReadGauges();
  // By the server's own /tokenize, without the chat template. UNAVAILABLE when it has none.
  Result<int> CountTokens(const std::string& model, const std::string& text);
  // Puts the server's ledgers into the records of the same id, with its stamps in the run's time. Returns how many were
  // found.
  int JoinLedgers(TimePoint run_start, std::vector<RequestRecord>* records);
  // The server runs on this machine.
  bool is_local() const;

 private:
  ClientResponse Get(HttpClient& client, const std::string& path, Duration timeout);

  Url url_;
  std::string base_path_, api_key_, control_url_;
  HttpClient client_;
  std::unique_ptr<HttpClient> control_;
  bool is_weir_ = false;
  bool has_metrics_ = true;
  Json version_;
};

// The value of the first series of that name in Prometheus text; empty when there is none.
std::optional<double> MetricValue(std::string_view text, std::string_view name);

}  // namespace weir
