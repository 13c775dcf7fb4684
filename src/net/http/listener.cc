#include "net/http/listener.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"

namespace weir {

namespace {

using boost::asio::ip::tcp;

constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

}  // namespace

Listener::Listener(IoThread& io, Callbacks callbacks)
    : io_(io), callbacks_(std::move(callbacks)), acceptor_(io.context()) {}

Status Listener::Open(const std::string& host, int port) {
  const auto fail = [&](const char* what, const boost::system::error_code& error) {
    return Unavailable(fmt::format("cannot {} {} port {}: {}; choose another --port or --host", what, host,
                                   port, error.message()));
  };
  boost::system::error_code error;
  tcp::resolver resolver(io_.context());
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) return fail("resolve", error);
  // One address: with localhost the IPv4 one, which every client tries.
  tcp::endpoint endpoint = found.begin()->endpoint();
  for (const auto& entry : found) {
    if (entry.endpoint().protocol() == tcp::v4()) {
      endpoint = entry.endpoint();
      break;
    }
  }
  acceptor_.open(endpoint.protocol(), error);
  if (error) return fail("open a socket for", error);
  acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  acceptor_.bind(endpoint, error);
  if (error) return fail("bind", error);
  acceptor_.listen(tcp::acceptor::max_listen_connections, error);
  if (error) return fail("listen on", error);
  acceptor_.non_blocking(true, error);
  if (error) return fail("listen on", error);
  port_ = acceptor_.local_endpoint(error).port();
  return OkStatus();
}

void Listener::Wait() {
  if (!acceptor_.is_open()) return;
  acceptor_.async_wait(tcp::acceptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) OnClientWaiting();
  });
}

void Listener::OnClientWaiting() {
  while (acceptor_.is_open()) {
    if (!callbacks_.has_room()) {
      paused_ = true;
      callbacks_.make_room();
      return;
    }
    boost::system::error_code error;
    tcp::socket socket = acceptor_.accept(callbacks_.next_context(), error);
    if (!error) {
      callbacks_.accepted(std::move(socket));
    } else if (error == boost::asio::error::would_block || error == boost::asio::error::try_again) {
      Wait();
      return;
    } else if (error != boost::asio::error::connection_aborted && error != boost::asio::error::interrupted) {
      LogWarning("http: accepting on port {} pauses: {}", port_, error.message());
      RetryLater();
      return;
    }
  }
}

void Listener::RetryLater() {
  paused_ = false;
  io_.PostAt(MonotonicClock::Get().Now() + kAcceptPause, [this] { OnClientWaiting(); });
}

void Listener::RoomAppeared() {
  if (!std::exchange(paused_, false)) return;
  OnClientWaiting();
}

void Listener::Close() {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
}

}  // namespace weir
