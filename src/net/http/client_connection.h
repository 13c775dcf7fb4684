// One connection of the client, which carries one request at a time.
//
// Units     timestamps are taken right after the read that they belong to
// Owns      the socket and the request under way
// Errors    in ClientResponse
// Threads   the client's io thread only
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <string>

#include "net/http/client.h"
#include "net/http/io_thread.h"
#include "net/http/response_parser.h"

namespace weir {

// A request with all that is known about its answer so far.
struct ClientCall {
  ClientRequest request;
  std::string wire;  // head and body
  HttpClient::Callbacks callbacks;
  ClientResponse response;
  bool retried = false;
};

class ClientConnection;

class ClientConnectionOwner {
 public:
  virtual ~ClientConnectionOwner() = default;
  virtual IoThread& io() = 0;
  virtual const boost::asio::ip::tcp::endpoint& endpoint() const = 0;
  virtual char* read_buffer() = 0;  // shared by all connections of the thread
  virtual size_t read_buffer_size() const = 0;
  // The call is over. When `reusable`, the connection waits for another one.
  virtual void OnDone(ClientConnection& connection, std::unique_ptr<ClientCall> call, bool reusable) = 0;
  // A kept connection died before it answered; the call can be sent again.
  virtual void OnStale(ClientConnection& connection, std::unique_ptr<ClientCall> call) = 0;
  // A kept connection died while it waited.
  virtual void OnLost(ClientConnection& connection) = 0;
};

class ClientConnection final : public std::enable_shared_from_this<ClientConnection> {
 public:
  explicit ClientConnection(ClientConnectionOwner* owner);

  void Connect(std::unique_ptr<ClientCall> call);
  void Reuse(std::unique_ptr<ClientCall> call);
  void Close();

 private:
  void OnConnected(const boost::system::error_code& error);
  void BeginExchange();
  void WriteSome();
  void WaitReadable();
  void OnReadable();
  bool TakeBytes(std::string_view bytes, TimePoint at);
  void OnEof(TimePoint at);
  void Succeed(TimePoint at);
  void Fail(ClientFailure failure, std::string message, TimePoint at);
  void FailWith(const boost::system::error_code& error, const char* what);
  void SetDeadline(Duration delay, const char* message);
  void ArmTimer();
  void OnTimer();

  ClientConnectionOwner* owner_;
  boost::asio::ip::tcp::socket socket_;
  std::unique_ptr<ClientCall> call_;
  std::optional<ResponseParser> parser_;
  size_t written_ = 0;
  bool kept_ = false;  // carried a request before this one
  bool closed_ = false;
  std::shared_ptr<TimerQueue::Entry> timer_;
  TimePoint timer_at_{};
  TimePoint deadline_{};  // zero: none
  const char* deadline_message_ = "";
};

}  // namespace weir
