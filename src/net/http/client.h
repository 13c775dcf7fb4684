// An HTTP/1.1 client for measuring: many requests at once on one thread, a timestamp for every read.
//
// Owns      its io thread and kept-alive connections, one request per connection at a time
// Errors    Outcome of a request: connect, reset, timeout and malformed answers are told apart, with the phase they hit
// Threads   Start() from any thread; callbacks on the io thread, which they must not block
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/http/server.h"

namespace weir {

struct Url {
  std::string host;
  int port = 80;
  std::string path;  // begins with '/', without a trailing one unless it is all

  static Result<Url> Parse(std::string_view text);  // http only; INVALID_ARGUMENT says what is wrong
};

enum class ClientPhase { kConnect, kFirstByte, kHeaders, kBody, kDone };

enum class ClientFailure {
  kNone,
  kConnectRefused,
  kConnectReset,
  kConnectOther,
  kTimeout,
  kMalformed,
};

struct ClientRequest {
  std::string method = "POST";
  std::string path{};
  std::vector<HttpHeader> headers{};  // Host, Content-Length and Connection are added
  std::string body{};
  Duration connect_timeout = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(60);  // from the send to the end of the response
};

struct ClientResponse {
  ClientFailure failure = ClientFailure::kNone;
  ClientPhase phase = ClientPhase::kConnect;  // where it failed; kDone otherwise
  std::string message;                        // of the failure
  int status = 0;
  std::vector<HttpHeader> headers;
  std::string body;        // unless on_data took it
  TimePoint sent{};        // just before connect, or before the first byte on a kept connection
  TimePoint connected{};   // equals sent on a kept connection
  TimePoint first_byte{};  // of the response; zero when none came
  TimePoint done{};        // end of body, or the moment of failure

  const std::string* Find(std::string_view name) const;
};

class HttpClient {
 public:
  struct Callbacks {
    // Response head is complete; optional.
    std::function<void(int status, const std::vector<HttpHeader>&)> on_head;
    // Body bytes, unframed, with the time they became readable. When absent the body is collected.
    std::function<void(std::string_view bytes, TimePoint at)> on_data;
    // Exactly once.
    std::function<void(ClientResponse)> on_done;
  };

  explicit HttpClient(Url url);
  ~HttpClient();  // ends running requests without a callback

  void Start(ClientRequest request, Callbacks callbacks);
  // Runs a function on the io thread, at a time (past: at once). Timers of a load generator live here.
  void PostAt(TimePoint when, std::function<void()> function);
  // CPU time of the io thread, for the client's own health.
  Duration thread_cpu_time() const;

  // Blocks the caller's thread; for tools, not for load.
  ClientResponse Call(ClientRequest request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace weir
