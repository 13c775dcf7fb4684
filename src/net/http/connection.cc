#include "net/http/connection.h"

#include <boost/asio/buffer.hpp>
#include <exception>
#include <utility>

#include "base/log.h"
#include "net/http/connection_writer.h"

namespace weir {

namespace {

constexpr size_t kMaxPipelinedBytes = 16 << 10;
constexpr int kSendBufferBytes = 128 << 10;
constexpr uint64_t kMaxDiscardedBytes = 64 << 10;
// Room for a client that sends its whole body before it reads the refusal.
constexpr uint64_t kMaxLingeringBytes = 8 << 20;
constexpr Duration kDiscardTimeout = std::chrono::seconds(1);

std::string AddressOf(const boost::asio::ip::tcp::socket& socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  return error ? std::string() : endpoint.address().to_string();
}

}  // namespace

Connection::Connection(boost::asio::ip::tcp::socket socket, ConnectionOwner* owner)
    : socket_(std::move(socket)), owner_(owner), remote_address_(AddressOf(socket_)) {
  boost::system::error_code ignored;
  socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
  // The kernel would otherwise take megabytes for a client that does not read.
  socket_.set_option(boost::asio::socket_base::send_buffer_size(kSendBufferBytes), ignored);
  socket_.non_blocking(true, ignored);
}

void Connection::Start() {
  if (std::shared_ptr<const TlsContext> tls = owner_->tls()) {
    tls_ = std::make_unique<TlsStream>(std::move(tls), socket_.native_handle());
    state_ = State::kHandshake;
    SetDeadline(MonotonicClock::Get().Now() + owner_->options().handshake_timeout);
    Guarded([this] { Handshake(); });
    return;
  }
  BeginRequests();
}

void Connection::BeginRequests() {
  SetDeadline(MonotonicClock::Get().Now() + owner_->options().head_timeout);
  Read();
}

void Connection::CloseIfIdle() {
  if (state_ == State::kIdle && input_.empty()) Close(false);
}

void Connection::Read() {
  if (tls_ != nullptr) {
    ReadTls();
    return;
  }
  socket_.async_read_some(boost::asio::buffer(read_buffer_),
                          [self = shared_from_this()](const boost::system::error_code& error, size_t count) {
                            self->Guarded([&] {
                              if (self->state_ == State::kClosed) return;
                              if (error) {
                                self->OnReadEnded(error != boost::asio::error::eof);
                              } else {
                                self->OnRead(count);
                              }
                            });
                          });
}

void Connection::OnRead(size_t count) {
  if (state_ == State::kLingering) {
    discarded_ += count;
    if (discarded_ > kMaxLingeringBytes) Close(true);
  } else {
    input_.append(read_buffer_.data(), count);
    Process();
    if (state_ == State::kBody) SetBodyDeadline();
  }
  if (state_ != State::kClosed) Read();
}

void Connection::OnReadEnded(bool reset) {
  read_ended_ = true;
  switch (state_) {
    case State::kHandshake:
    case State::kIdle:
    case State::kHead:
    case State::kLingering:
      Close(false);
      return;
    case State::kBody:
      Drop(reset);
      return;
    case State::kDiscard:
    case State::kResponding:
      // A complete answer that only waits for the socket is still sent.
      if (reset || !response_ended_) {
        Drop(reset);
      } else {
        keep_alive_ = false;
        if (request_open_) {
          state_ = State::kResponding;
        } else {
          Close(false);
        }
      }
      return;
    case State::kClosed:
      return;
  }
}

void Connection::Process() {
  if (processing_) return;  // an answer from inside a handler; the loop below goes on
  processing_ = true;
  const auto self = shared_from_this();
  bool more = true;
  while (more) {
    switch (state_) {
      case State::kIdle:
      case State::kHead:
        more = ProcessHead();
        break;
      case State::kBody:
        more = ProcessBody();
        break;
      case State::kDiscard:
        more = ProcessDiscard();
        break;
      case State::kResponding:
        if (response_ended_ && !keep_alive_) {
          input_.clear();  // the answer is on its way, and nothing after it counts
        } else if (input_.size() > kMaxPipelinedBytes) {
          Drop(true);
        }
        more = false;
        break;
      case State::kHandshake:
      case State::kLingering:
      case State::kClosed:
        input_.clear();
        more = false;
        break;
    }
  }
  processing_ = false;
}

bool Connection::ProcessHead() {
  if (input_.empty()) return false;
  if (state_ == State::kIdle) {
    state_ = State::kHead;
    first_byte_ = MonotonicClock::Get().Now();
    gate_ = HeadGate();
    // The first head must come within the time from accept on.
    if (num_requests_ > 0) {
      owner_->OnBusy(*this);
      SetDeadline(first_byte_ + owner_->options().head_timeout);
    }
  }
  const HeadGate::Scanned scanned = gate_.Scan(input_);
  if (scanned == HeadGate::Scanned::kNeedMore) return false;
  head_method_ = input_.starts_with("HEAD ") || input_.starts_with("\r\nHEAD ");
  if (scanned == HeadGate::Scanned::kRefused) {
    AnswerGateError(gate_.error());
    return true;
  }
  parser_.emplace(owner_->options().max_body_bytes);
  auto judged = parser_->ReadHead(std::string_view(input_).substr(0, gate_.head_size()));
  input_.erase(0, gate_.head_size());
  if (const auto* error = std::get_if<GateError>(&judged)) {
    AnswerGateError(*error);
  } else {
    BeginRequest(std::get<GatedHead>(std::move(judged)));
  }
  return true;
}

void Connection::BeginRequest(GatedHead gated) {
  HttpRequestHead& head = gated.head;
  ++serial_;
  ++num_requests_;
  request_open_ = true;
  response_started_ = response_ended_ = streaming_ = aborted_ = false;
  minor_version_ = head.minor_version;
  keep_alive_ = gated.keep_alive;
  body_.clear();
  discarded_ = 0;
  body_done_ = parser_->done();
  // A client that already sends its body does not wait.
  expect_pending_ = gated.expect_continue && !body_done_ && input_.empty();
  deadline_ = TimePoint{};
  head.remote_address = remote_address_;
  head.first_byte = first_byte_;
  state_ = State::kResponding;  // for a handler that answers from inside
  std::shared_ptr<HttpExchange> exchange;
  bool threw = false;
  try {
    exchange = owner_->handler().OnHead(head, std::make_shared<ConnectionWriter>(weak_from_this(), serial_),
                                        owner_->io());
  } catch (const std::exception& error) {
    LogError("http: the request handler threw: {}", error.what());
    threw = true;
  }
  if (state_ == State::kClosed || aborted_) return;
  exchange_ = std::move(exchange);
  if (threw && response_started_ && !response_ended_) {
    Close(true);
    return;
  }
  if (!exchange_ && !response_started_) {
    AnswerGateError({500, "internal_error", "the request could not be handled", {}});
    return;
  }
  AfterHead();
}

void Connection::AfterHead() {
  if (body_done_) {
    FinishBody();
    return;
  }
  body_begin_ = MonotonicClock::Get().Now();
  if (exchange_) {
    state_ = State::kBody;
    if (expect_pending_) {
      output_ += "HTTP/1.1 100 Continue\r\n\r\n";
      expect_pending_ = false;
      ScheduleFlush();
    }
    SetBodyDeadline();
    return;
  }
  if (!keep_alive_) return;  // the lingering close drops the body
  state_ = State::kDiscard;
  SetDeadline(body_begin_ + kDiscardTimeout);
}

RequestParser::Taken Connection::TakeBody(std::string* body) {
  std::string_view rest = input_;
  const RequestParser::Taken taken = parser_->TakeBody(rest, body);
  discarded_ += input_.size() - rest.size();
  input_.erase(0, input_.size() - rest.size());
  return taken;
}

bool Connection::ProcessBody() {
  switch (TakeBody(&body_)) {
    case RequestParser::Taken::kNeedMore:
      return false;
    case RequestParser::Taken::kError:
      FailBody(parser_->error());
      return true;
    case RequestParser::Taken::kDone:
      FinishBody();
      return true;
  }
  return false;
}

bool Connection::ProcessDiscard() {
  const RequestParser::Taken taken = TakeBody(nullptr);
  if (taken == RequestParser::Taken::kNeedMore && discarded_ <= kMaxDiscardedBytes) return false;
  deadline_ = TimePoint{};
  state_ = State::kResponding;
  if (taken == RequestParser::Taken::kDone) {
    body_done_ = true;
  } else {
    keep_alive_ = false;
  }
  if (!request_open_) {
    if (keep_alive_) {
      BecomeIdle();
    } else {
      Linger();
    }
  }
  return true;
}

void Connection::FinishBody() {
  body_done_ = true;
  deadline_ = TimePoint{};
  state_ = State::kResponding;
  const std::shared_ptr<HttpExchange> exchange = exchange_;
  if (!exchange || response_ended_) return;
  std::string body = std::move(body_);
  body_ = std::string();
  try {
    exchange->OnBody(std::move(body));
  } catch (const std::exception& error) {
    LogError("http: the request handler threw on the body: {}", error.what());
    if (request_open_) FailBody({500, "internal_error", "the request could not be handled", {}});
  }
}

void Connection::FailBody(const GateError& error) {
  const std::shared_ptr<HttpExchange> exchange = std::move(exchange_);
  exchange_.reset();
  ++serial_;  // what the exchange still writes goes nowhere
  if (exchange) {
    try {
      exchange->OnDisconnect();
    } catch (const std::exception& thrown) {
      LogError("http: the request handler threw on a disconnect: {}", thrown.what());
    }
  }
  if (!response_started_) {
    AnswerGateError(error);
  } else if (response_ended_) {
    keep_alive_ = false;
    state_ = State::kResponding;
    ScheduleFlush();
  } else {
    Close(true);
  }
}

}  // namespace weir
