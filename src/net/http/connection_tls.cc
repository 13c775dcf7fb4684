// The part of Connection that TLS needs: a handshake before the first request, and reads and writes through the session.
#include <boost/asio/post.hpp>

#include "net/http/connection.h"

namespace weir {

void Connection::Handshake() {
  const auto turn = [self = shared_from_this()](const boost::system::error_code& error) {
    self->Guarded([&] {
      if (self->state_ == State::kHandshake) error ? self->Close(false) : self->Handshake();
    });
  };
  switch (tls_->Handshake()) {
    case TlsStream::Outcome::kDone:
      state_ = State::kIdle;
      BeginRequests();
      return;
    case TlsStream::Outcome::kWaitReadable:
      socket_.async_wait(boost::asio::ip::tcp::socket::wait_read, turn);
      return;
    case TlsStream::Outcome::kWaitWritable:
      socket_.async_wait(boost::asio::ip::tcp::socket::wait_write, turn);
      return;
    case TlsStream::Outcome::kEnded:
    case TlsStream::Outcome::kFailed:
      Close(false);
      return;
  }
}

void Connection::ReadTls() {
  const auto turn = [self = shared_from_this()](const boost::system::error_code& error) {
    self->Guarded([&] {
      if (self->state_ == State::kClosed) return;
      error ? self->OnReadEnded(true) : self->TakeTls();
    });
  };
  // What the session holds already the socket does not announce.
  if (tls_->HasPending()) {
    boost::asio::post(owner_->io().context(), [turn] { turn({}); });
  } else {
    socket_.async_wait(boost::asio::ip::tcp::socket::wait_read, turn);
  }
}

void Connection::TakeTls() {
  size_t count = 0;
  switch (tls_->Read(read_buffer_.data(), read_buffer_.size(), &count)) {
    case TlsStream::Outcome::kDone:
      OnRead(count);
      return;
    case TlsStream::Outcome::kWaitReadable:
    case TlsStream::Outcome::
        kWaitWritable:  // an answer of the session itself, which the next write takes along
      ReadTls();
      return;
    case TlsStream::Outcome::kEnded:
      OnReadEnded(false);
      return;
    case TlsStream::Outcome::kFailed:
      OnReadEnded(true);
      return;
  }
}

size_t Connection::WriteTls(const char* data, size_t size, boost::system::error_code* error) {
  size_t count = 0;
  switch (tls_->Write(data, size, &count)) {
    case TlsStream::Outcome::kDone:
      return count;
    case TlsStream::Outcome::kWaitReadable:
    case TlsStream::Outcome::kWaitWritable:
      *error = boost::asio::error::would_block;
      return 0;
    case TlsStream::Outcome::kEnded:
    case TlsStream::Outcome::kFailed:
      *error = boost::asio::error::connection_reset;
      return 0;
  }
  return 0;
}

}  // namespace weir
