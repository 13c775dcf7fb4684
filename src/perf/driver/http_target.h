// An OpenAI-compatible server as a target: chat completions, streamed or whole, every outcome told apart.
//
// Requires  the client outlives the target
// Threads   Send: any; on_done on the client's io thread
// Source    docs/MEASUREMENT.md, "Outcomes and error classes"
#pragma once

#include <functional>
#include <string>

#include "net/http/client.h"
#include "perf/driver/target.h"

namespace weir {

struct HttpTargetOptions {
  std::string base_path;  // before /v1; empty for most servers
  std::string model;
  std::string api_key;
  bool send_deadline = true;  // x-request-timeout-ms
  // The server is known to honour ignore_eos: another number of tokens is then an error, not a natural end.
  bool knows_ignore_eos = false;
  // Ask for the ids of the output's tokens: exact counts and times per token, from a server that knows how.
  bool return_token_ids = false;
  Duration chunk_delay{};  // LoadSpec::chunk_delay_ms
};

class HttpTarget final : public Target {
 public:
  HttpTarget(HttpClient* client, HttpTargetOptions options) : client_(client), options_(std::move(options)) {}

  void Send(TargetRequest request, TimePoint run_start, std::function<void(RequestRecord)> on_done) override;
  std::string name() const override { return "http"; }

 private:
  HttpClient* client_;
  HttpTargetOptions options_;
};

// "/v1/chat/completions" below whatever path the URL has; an URL that ends in /v1 already is understood.
std::string ApiPath(const Url& url, std::string_view below_v1);

}  // namespace weir
