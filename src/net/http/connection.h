// One connection of the server: reads requests one after the other, and writes each answer.
//
// Owns      the socket and its TLS, at most 16 KiB of unread input besides the current body, and the unsent output
// Errors    none to the caller: what goes wrong ends in one answer, a close or OnDisconnect
// Threads   its io thread only
//
// A read is pending at all times, so that a client that leaves is noticed while its answer is being computed. Output
// gathers until the io thread returns to its loop and then goes out in one send.
#pragma once

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "net/http/head_gate.h"
#include "net/http/io_thread.h"
#include "net/http/request_parser.h"
#include "net/http/server.h"
#include "net/http/tls_stream.h"

namespace weir {

class Connection;

// What the server knows about its connections on one io thread.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual const HttpServerOptions& options() const = 0;
  virtual HttpHandler& handler() = 0;
  virtual IoThread& io() = 0;
  virtual std::shared_ptr<const TlsContext> tls() const = 0;  // null: plain
  virtual bool closes_after_response() const = 0;
  // True: a new client waits for a place, so the connection should close instead of idling.
  virtual bool OnIdle(Connection& connection) = 0;
  virtual void OnBusy(Connection& connection) = 0;
  virtual void OnClosed(Connection& connection) = 0;
};

class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, ConnectionOwner* owner);

  void Start();
  void CloseIfIdle();
  // The client counts as gone: the exchange hears of it, unsent bytes are dropped.
  void Drop(bool reset);

  // What a ResponseWriter does; `serial` tells a stale one.
  bool IsCurrent(uint64_t serial) const {
    return serial == serial_ && request_open_ && state_ != State::kClosed;
  }
  void Send(HttpResponse response);
  void StartStream(HttpResponse head);
  void WriteChunk(std::string_view bytes);
  void EndStream();
  void Abort();
  size_t unsent_bytes() const { return output_.size() - output_sent_; }
  // When the last byte of that request's response so far went out; `otherwise` once a later request took over.
  TimePoint LastWriteDone(uint64_t serial, TimePoint otherwise) const {
    return serial == serial_ ? last_write_done_ : otherwise;
  }
  bool response_started() const { return response_started_; }

 private:
  enum class State { kHandshake, kIdle, kHead, kBody, kDiscard, kResponding, kLingering, kClosed };

  // connection_tls.cc: what differs under TLS
  void Handshake();
  void ReadTls();
  void TakeTls();
  size_t WriteTls(const char* data, size_t size, boost::system::error_code* error);

  // connection.cc: input
  void BeginRequests();
  void Read();
  void OnRead(size_t count);
  void OnReadEnded(bool reset);
  void Process();
  bool ProcessHead();
  bool ProcessBody();
  bool ProcessDiscard();
  void BeginRequest(GatedHead gated);
  void AfterHead();
  // Takes body bytes from input_ into `body`, unless that is null.
  RequestParser::Taken TakeBody(std::string* body);
  void FailBody(const GateError& error);
  void AnswerGateError(const GateError& error);
  void FinishBody();

  // connection_output.cc: output, timers and the end
  void ScheduleFlush();
  void Flush();
  bool DrainOutput();
  void WaitWritable();
  void FinishRequest();
  void BecomeIdle();
  void Linger();
  void DecideKeepAlive(bool close);
  void Close(bool reset);
  void PostDrop();
  void Guarded(const std::function<void()>& work);
  void SetDeadline(TimePoint when);
  void SetBodyDeadline();
  void ArmTimer();
  void OnTimer();
  void OnDeadline();

  boost::asio::ip::tcp::socket socket_;
  ConnectionOwner* owner_;
  std::unique_ptr<TlsStream> tls_;  // null: plain
  State state_ = State::kIdle;
  std::string remote_address_;

  std::array<char, 8192> read_buffer_;
  std::string input_;
  bool read_ended_ = false;
  bool processing_ = false;

  // The request being read or answered.
  uint64_t serial_ = 0;
  bool request_open_ = false;  // from the head until the response is written
  HeadGate gate_;
  TimePoint first_byte_{};
  std::shared_ptr<HttpExchange> exchange_;
  std::optional<RequestParser> parser_;
  std::string body_;
  uint64_t discarded_ = 0;
  bool body_done_ = true;
  TimePoint body_begin_{};
  bool head_method_ = false;
  int minor_version_ = 1;
  bool keep_alive_ = true;
  bool expect_pending_ = false;  // the client waits for 100 Continue
  int num_requests_ = 0;

  // Its response.
  bool response_started_ = false;
  bool response_ended_ = false;
  bool streaming_ = false;
  bool chunked_output_ = false;
  bool aborted_ = false;

  std::string output_;
  size_t output_sent_ = 0;
  bool flush_scheduled_ = false;
  bool waiting_writable_ = false;
  bool blocked_ = false;  // output has waited for the socket since last_progress_
  TimePoint last_write_done_{};
  TimePoint last_progress_{};

  std::shared_ptr<TimerQueue::Entry> timer_;
  TimePoint timer_at_{};
  TimePoint deadline_{};  // of the state; zero: none
};

}  // namespace weir
