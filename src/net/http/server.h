// An HTTP/1.1 server: gate, connections, bodies, streaming answers. It knows no route and no JSON.
//
// Owns      listeners, connections and io threads
// Errors    Listen: UNAVAILABLE when the port is taken or the address cannot be bound; the message names both
// Threads   Handler methods run on the connection's io thread and must not block. ResponseWriter methods may be called on
//           that io thread only; use IoContext::Post to get there
// Source    docs/decisions/0002-http-gate.md
//
// The gate judges the raw bytes of the head and then what Boost.Beast made of them. Beast alone decides where a request ends,
// so no two readings can disagree. Whatever the gate refuses is answered once and the connection closed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weir {

struct HttpHeader {
  std::string name;  // as sent; compare without case
  std::string value;
};

struct HttpRequestHead {
  std::string method;
  std::string target;  // as sent
  std::string path;    // without the query
  std::string query;
  int minor_version = 1;
  std::vector<HttpHeader> headers;
  std::optional<uint64_t> content_length;
  bool chunked = false;
  std::string remote_address;
  TimePoint first_byte{};  // of the head

  // First header of that name, any case; null when absent.
  const std::string* Find(std::string_view name) const;
};

struct HttpResponse {
  int status = 200;
  std::vector<HttpHeader> headers{};  // Content-Length, Date, Connection and Server are added
  std::string content_type = "application/json";
  std::string body{};
  bool close = false;
};

// Answers one request: either one Send(), or StartStream(), any number of Write() and one EndStream() or Abort().
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  virtual void Send(HttpResponse response) = 0;
  // 200 with chunked framing (to HTTP/1.0: unframed, ended by close); the body of `head` must be empty.
  virtual void StartStream(HttpResponse head) = 0;
  virtual void Write(std::string bytes) = 0;
  virtual void EndStream() = 0;
  // Ends the connection without the final chunk, so that the client sees a broken stream, not a complete one.
  virtual void Abort() = 0;
  virtual size_t unsent_bytes() const = 0;
  virtual TimePoint last_write_done() const = 0;  // the kernel took the last byte so far
  virtual bool started() const = 0;
};

// What becomes of one request. Created by the router when the head is complete, before a body byte is read.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;
  // The whole body; called once, unless OnDisconnect came first.
  virtual void OnBody(std::string body) = 0;
  // The client left (EOF, half-close or reset), or did not read for too long. Called at most once, and never after the
  // response was completely written.
  virtual void OnDisconnect() = 0;
  // The kernel has taken the last byte of the response.
  virtual void OnResponseWritten() {}
};

// Runs functions on one io thread.
class IoContext {
 public:
  virtual ~IoContext() = default;
  virtual void Post(std::function<void()> function) = 0;
  // Runs the function after a delay, unless the returned handle is destroyed first.
  virtual std::shared_ptr<void> PostAfter(Duration delay, std::function<void()> function) = 0;
};

class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  // Decides from the head alone. It may answer at once through `writer` and return null: then the body is not read.
  virtual std::shared_ptr<HttpExchange> OnHead(const HttpRequestHead& head,
                                               std::shared_ptr<ResponseWriter> writer, IoContext& io) = 0;
  // A request the gate refused; `body` of the answer, in the API's error form.
  virtual std::string GateErrorBody(int status, std::string_view code, std::string_view message) = 0;
};

class TlsContext;

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  int port = 8000;  // 0: any free port
  int num_io_threads = 1;
  int max_connections = 1024;
  uint64_t max_body_bytes = 4 << 20;
  uint64_t max_unsent_bytes = 256 << 10;    // of one stream; above it the client counts as gone
  std::shared_ptr<const TlsContext> tls{};  // null: plain
  Duration handshake_timeout = std::chrono::seconds(5);
  Duration head_timeout = std::chrono::seconds(10);
  Duration body_idle_timeout = std::chrono::seconds(10);
  Duration write_stall_timeout = std::chrono::seconds(30);
  Duration keep_alive_timeout = std::chrono::seconds(75);
};

class HttpServer {
 public:
  // Binds, listens and starts the io threads. `handler` outlives the server.
  static Result<std::unique_ptr<HttpServer>> Listen(const HttpServerOptions& options, HttpHandler* handler);
  virtual ~HttpServer() = default;

  virtual int port() const = 0;
  virtual int num_connections() const = 0;
  // The certificate of new connections. Requires HttpServerOptions::tls and a context.
  virtual void SetTls(std::shared_ptr<const TlsContext> tls) = 0;
  // While true, every connection closes after the response to its current request.
  virtual void SetClosesAfterResponse(bool closes) = 0;
  // No new connections; open ones close after their current response.
  virtual void BeginDrain() = 0;
  // Closes everything and joins the threads.
  virtual void Stop() = 0;
};

}  // namespace weir
