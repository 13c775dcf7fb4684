#include "net/http/client_connection.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <exception>
#include <utility>

#include "base/log.h"

namespace weir {

namespace {

using boost::asio::ip::tcp;

constexpr size_t kMaxCollectedBytes = 64 << 20;  // of a body that no on_data takes

TimePoint Now() { return MonotonicClock::Get().Now(); }

bool WouldBlock(const boost::system::error_code& error) {
  return error == boost::asio::error::would_block || error == boost::asio::error::try_again;
}

bool IsReset(const boost::system::error_code& error) {
  return error == boost::asio::error::connection_reset || error == boost::asio::error::broken_pipe ||
         error == boost::asio::error::connection_aborted;
}

}  // namespace

ClientConnection::ClientConnection(ClientConnectionOwner* owner)
    : owner_(owner), socket_(owner->io().context()) {}

void ClientConnection::Connect(std::unique_ptr<ClientCall> call) {
  call_ = std::move(call);
  call_->response.phase = ClientPhase::kConnect;
  if (!call_->retried) call_->response.sent = Now();
  boost::system::error_code error;
  socket_.open(owner_->endpoint().protocol(), error);
  if (error) {
    FailWith(error, "cannot open a socket");
    return;
  }
  socket_.set_option(tcp::no_delay(true), error);
  SetDeadline(call_->request.connect_timeout, "no connection within the connect timeout");
  socket_.async_connect(
      owner_->endpoint(),
      [self = shared_from_this()](const boost::system::error_code& failed) { self->OnConnected(failed); });
}

void ClientConnection::OnConnected(const boost::system::error_code& error) {
  if (closed_ || !call_) return;
  if (error) {
    FailWith(error, "cannot connect");
    return;
  }
  boost::system::error_code ignored;
  socket_.non_blocking(true, ignored);
  call_->response.connected = Now();
  WaitReadable();
  BeginExchange();
}

void ClientConnection::Reuse(std::unique_ptr<ClientCall> call) {
  call_ = std::move(call);
  kept_ = true;
  call_->response.sent = Now();
  call_->response.connected = call_->response.sent;
  BeginExchange();
}

void ClientConnection::BeginExchange() {
  call_->response.phase = ClientPhase::kFirstByte;
  parser_.emplace(call_->request.method == "HEAD");
  written_ = 0;
  SetDeadline(call_->request.timeout, "no complete response within the timeout");
  WriteSome();
}

void ClientConnection::WriteSome() {
  if (closed_ || !call_) return;
  boost::system::error_code error;
  const std::string& wire = call_->wire;
  while (written_ < wire.size() && !error) {
    written_ +=
        socket_.write_some(boost::asio::buffer(wire.data() + written_, wire.size() - written_), error);
  }
  if (!error) return;
  if (WouldBlock(error)) {
    socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this(), call = call_.get()](
                                                    const boost::system::error_code& failed) {
      if (!failed && self->call_.get() == call) self->WriteSome();
    });
    return;
  }
  // The server may have answered before it closed: that answer is read first, and the read reports the loss otherwise.
  written_ = wire.size();
}

void ClientConnection::WaitReadable() {
  socket_.async_wait(tcp::socket::wait_read,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       if (!error && !self->closed_) self->OnReadable();
                     });
}

void ClientConnection::OnReadable() {
  const auto self = shared_from_this();
  while (true) {
    boost::system::error_code error;
    const size_t count =
        socket_.read_some(boost::asio::buffer(owner_->read_buffer(), owner_->read_buffer_size()), error);
    const TimePoint at = Now();
    if (WouldBlock(error)) break;
    if (error == boost::asio::error::eof) {
      OnEof(at);
      return;
    }
    if (error) {
      if (call_) {
        FailWith(error, "the connection broke");
      } else {
        Close();
        owner_->OnLost(*this);
      }
      return;
    }
    if (!TakeBytes(std::string_view(owner_->read_buffer(), count), at)) return;
    if (count < owner_->read_buffer_size()) break;
  }
  if (!closed_) WaitReadable();
}

// False when the connection is closed.
bool ClientConnection::TakeBytes(std::string_view bytes, TimePoint at) {
  if (!call_) {  // nobody asked
    Close();
    owner_->OnLost(*this);
    return false;
  }
  ClientResponse& response = call_->response;
  if (response.phase == ClientPhase::kFirstByte) {
    response.first_byte = at;
    response.phase = ClientPhase::kHeaders;
  }
  bool too_large = false;
  ResponseParser::Sink sink;
  sink.on_head = [&] {
    response.phase = ClientPhase::kBody;
    response.status = parser_->status();
    response.headers = std::move(parser_->headers());
    if (call_->callbacks.on_head) call_->callbacks.on_head(response.status, response.headers);
  };
  sink.on_body = [&](std::string_view data) {
    if (call_->callbacks.on_data) {
      call_->callbacks.on_data(data, at);
    } else if (response.body.size() + data.size() <= kMaxCollectedBytes) {
      response.body += data;
    } else {
      too_large = true;
    }
  };
  ResponseParser::State state = ResponseParser::State::kMalformed;
  try {
    state = parser_->Feed(bytes, sink);
  } catch (const std::exception& error) {
    LogError("http client: a callback threw: {}", error.what());
    Fail(ClientFailure::kMalformed, fmt::format("a callback threw: {}", error.what()), at);
    return false;
  }
  if (too_large) {
    Fail(ClientFailure::kMalformed,
         fmt::format("the response body is larger than {} bytes", kMaxCollectedBytes), at);
    return false;
  }
  if (state == ResponseParser::State::kMalformed) {
    Fail(ClientFailure::kMalformed, parser_->message(), at);
    return false;
  }
  if (state == ResponseParser::State::kComplete) Succeed(at);
  return !closed_;
}

void ClientConnection::OnEof(TimePoint at) {
  if (!call_) {
    Close();
    owner_->OnLost(*this);
  } else if (parser_->FinishAtEof()) {
    Succeed(at);
  } else {
    Fail(ClientFailure::kConnectReset, "the server closed the connection before the response was complete",
         at);
  }
}

void ClientConnection::Succeed(TimePoint at) {
  deadline_ = TimePoint{};
  call_->response.phase = ClientPhase::kDone;
  call_->response.done = at;
  // A request that is still being sent has no clear end on this connection.
  const bool reusable = parser_->reusable() && written_ == call_->wire.size();
  if (!reusable) Close();
  owner_->OnDone(*this, std::move(call_), reusable);
}

void ClientConnection::Fail(ClientFailure failure, std::string message, TimePoint at) {
  Close();
  std::unique_ptr<ClientCall> call = std::move(call_);
  ClientResponse& response = call->response;
  if (kept_ && failure == ClientFailure::kConnectReset && response.phase == ClientPhase::kFirstByte) {
    owner_->OnStale(*this, std::move(call));
    return;
  }
  response.failure = failure;
  response.message = std::move(message);
  response.done = at;
  owner_->OnDone(*this, std::move(call), false);
}

void ClientConnection::FailWith(const boost::system::error_code& error, const char* what) {
  ClientFailure failure = ClientFailure::kConnectOther;
  if (error == boost::asio::error::connection_refused) failure = ClientFailure::kConnectRefused;
  if (IsReset(error)) failure = ClientFailure::kConnectReset;
  const auto& endpoint = owner_->endpoint();
  Fail(failure,
       fmt::format("{}: {} port {}: {}", what, endpoint.address().to_string(), endpoint.port(),
                   error.message()),
       Now());
}

// One timer per connection, moved lazily: a kept connection does not leave an entry behind for every request.
void ClientConnection::SetDeadline(Duration delay, const char* message) {
  deadline_ = Now() + delay;
  deadline_message_ = message;
  ArmTimer();
}

void ClientConnection::ArmTimer() {
  if (closed_ || deadline_ == TimePoint{} || (timer_ && timer_at_ <= deadline_)) return;
  timer_ = std::make_shared<TimerQueue::Entry>();
  timer_->function = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->OnTimer();
  };
  timer_at_ = deadline_;
  owner_->io().timers().Add(timer_at_, timer_);
}

void ClientConnection::OnTimer() {
  timer_.reset();
  const TimePoint now = Now();
  if (call_ && !closed_ && now >= deadline_) {
    Fail(ClientFailure::kTimeout, deadline_message_, now);
  } else if (call_) {
    ArmTimer();
  }
}

void ClientConnection::Close() {
  if (closed_) return;
  closed_ = true;
  timer_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
}

}  // namespace weir
