// Accepts connections for a server: within a limit, and without spinning when descriptors run out.
//
// Owns      the listening socket
// Errors    Open: UNAVAILABLE with host and port
// Threads   the io thread it was opened on, except Open and port
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>

#include "net/http/io_thread.h"

namespace weir {

class Listener {
 public:
  struct Callbacks {
    // The context the next connection will live on.
    std::function<boost::asio::io_context&()> next_context;
    std::function<bool()> has_room;
    std::function<void()> make_room;  // a client waits while there is no room
    std::function<void(boost::asio::ip::tcp::socket)> accepted;
  };

  Listener(IoThread& io, Callbacks callbacks);

  Status Open(const std::string& host, int port);
  int port() const { return port_; }
  void Wait();  // for the next client
  void RoomAppeared();
  void Close();

 private:
  void OnClientWaiting();
  void RetryLater();

  IoThread& io_;
  Callbacks callbacks_;
  boost::asio::ip::tcp::acceptor acceptor_;
  int port_ = 0;
  bool paused_ = false;
};

}  // namespace weir
