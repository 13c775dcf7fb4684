// For tests: a server with small routes, and a raw socket that sends exactly the bytes it is given.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "net/http/client.h"
#include "net/http/server.h"

namespace weir {

class RawSocket {
 public:
  explicit RawSocket(int port, int receive_buffer = 0) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~RawSocket() { Close(); }
  RawSocket(const RawSocket&) = delete;
  RawSocket& operator=(const RawSocket&) = delete;

  int fd() const { return fd_; }
  bool connected() const { return connected_; }
  bool was_reset() const { return was_reset_; }

  // False when the server took no more.
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  void HalfClose() { shutdown(fd_, SHUT_WR); }
  void Reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    Close();
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  // Until the server closes, or `wanted` was seen, or the time is over.
  std::string Receive(std::string_view wanted = {},
                      std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    std::string got;
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      pollfd waiting{fd_, POLLIN, 0};
      if (left.count() <= 0 || poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return got;
      char buffer[16384];
      const ssize_t count = recv(fd_, buffer, sizeof buffer, 0);
      if (count <= 0) {
        at_end_ = true;
        was_reset_ = count < 0;
        return got;
      }
      got.append(buffer, static_cast<size_t>(count));
      if (!wanted.empty() && got.find(wanted) != std::string::npos) return got;
    }
  }
  // The server closed, in order or not, within the time.
  bool SeesEnd(std::chrono::milliseconds limit = std::chrono::seconds(10)) {
    while (!at_end_) {
      if (Receive({}, limit).empty()) break;
    }
    return at_end_;
  }

 private:
  int fd_;
  bool connected_ = false;
  bool at_end_ = false;
  bool was_reset_ = false;
};

inline int NumResponses(const std::string& bytes) {
  int count = 0;
  for (size_t at = bytes.find("HTTP/1.1 "); at != std::string::npos; at = bytes.find("HTTP/1.1 ", at + 1)) {
    if (at == 0 || bytes[at - 1] == '\n' || bytes[at - 1] == '}') ++count;
  }
  return count;
}

inline int StatusOf(const std::string& bytes) {
  return bytes.starts_with("HTTP/1.1 ") ? std::stoi(bytes.substr(9, 3)) : 0;
}

// Routes: /hello, /echo (the body), /now (answers from the head, never reads the body), /hang (never answers),
// /null and /throw (mistakes), /split (headers that do not belong), /stream (three chunks), /flood (writes until the client counts as gone), /abort (breaks a stream), /large (1 MiB).
class TestHandler final : public HttpHandler {
 public:
  struct Counts {
    std::atomic<int> heads{0};
    std::atomic<int> bodies{0};
    std::atomic<int> disconnects{0};
    std::atomic<int> written{0};
    std::atomic<int64_t> flooded_bytes{0};
  };

  std::shared_ptr<HttpExchange> OnHead(const HttpRequestHead& head, std::shared_ptr<ResponseWriter> writer,
                                       IoContext& io) override {
    ++counts.heads;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      last_head_ = head;
      writers_.push_back(writer);
    }
    if (head.path == "/now") {
      writer->Send({.body = "now"});
      return nullptr;
    }
    if (head.path == "/null") return nullptr;
    if (head.path == "/throw") throw std::runtime_error("from the head");
    return std::make_shared<Exchange>(this, head.path, std::move(writer), &io);
  }

  std::string GateErrorBody(int status, std::string_view code, std::string_view message) override {
    return "{\"status\":" + std::to_string(status) + ",\"code\":\"" + std::string(code) +
           "\",\"message\":\"" + std::string(message) + "\"}";
  }

  HttpRequestHead last_head() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return last_head_;
  }
  std::vector<std::shared_ptr<ResponseWriter>> writers() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return writers_;
  }

  Counts counts;

 private:
  class Exchange final : public HttpExchange, public std::enable_shared_from_this<Exchange> {
   public:
    Exchange(TestHandler* handler, std::string path, std::shared_ptr<ResponseWriter> writer, IoContext* io)
        : handler_(handler), path_(std::move(path)), writer_(std::move(writer)), io_(io) {}

    void OnBody(std::string body) override {
      ++handler_->counts.bodies;
      if (path_ == "/hello") {
        writer_->Send({.content_type = "text/plain", .body = "hello"});
      } else if (path_ == "/echo") {
        writer_->Send({.body = std::move(body)});
      } else if (path_ == "/large") {
        writer_->Send({.body = std::string(1 << 20, 'x')});
      } else if (path_ == "/stream" || path_ == "/abort") {
        writer_->StartStream({.content_type = "text/event-stream"});
        StreamPart(0);
      } else if (path_ == "/flood") {
        writer_->StartStream({.content_type = "text/event-stream"});
        Flood();
      } else if (path_ == "/throw-later") {
        throw std::runtime_error("from the body");
      } else if (path_ == "/split") {
        writer_->Send({.status = 204, .headers = {{"Evil", "1\r\nX: 2"}, {"Evil:", "1"}, {"Good", "1"}}});
      } else if (path_ != "/hang") {
        writer_->Send({.status = 404, .body = "no such route"});
      }
    }
    void OnDisconnect() override {
      ++handler_->counts.disconnects;
      gone_ = true;
      writer_->Write("after the end");
    }
    void OnResponseWritten() override { ++handler_->counts.written; }

   private:
    void StreamPart(int index) {
      if (gone_) return;
      if (index == 3) {
        path_ == "/abort" ? writer_->Abort() : writer_->EndStream();
        return;
      }
      writer_->Write("part" + std::to_string(index));
      writer_->Write(";");
      timer_ = io_->PostAfter(std::chrono::milliseconds(5), [self = weak_from_this(), index] {
        if (const auto alive = self.lock()) alive->StreamPart(index + 1);
      });
    }
    void Flood() {
      if (gone_) return;
      writer_->Write(std::string(1000, 'f'));
      handler_->counts.flooded_bytes += 1000;
      io_->Post([self = weak_from_this()] {
        if (const auto alive = self.lock()) alive->Flood();
      });
    }

    TestHandler* handler_;
    std::string path_;
    std::shared_ptr<ResponseWriter> writer_;
    IoContext* io_;
    std::shared_ptr<void> timer_;
    bool gone_ = false;
  };

  std::mutex mutex_;
  HttpRequestHead last_head_;
  std::vector<std::shared_ptr<ResponseWriter>> writers_;
};

class LoopbackFixture : public testing::Test {
 protected:
  void Listen(HttpServerOptions options = {}) {
    options.port = 0;
    auto server = HttpServer::Listen(options, &handler_);
    ASSERT_TRUE(server.has_value()) << server.error().message();
    server_ = *std::move(server);
  }
  void TearDown() override {
    if (server_) server_->Stop();
  }

  // Sends, half-closes nothing, and reads until the server closes.
  std::string Exchange(std::string_view bytes) {
    RawSocket socket(server_->port());
    socket.Send(bytes);
    return socket.Receive();
  }
  // A good request on a new connection is answered.
  void ExpectServes() {
    EXPECT_EQ(StatusOf(Exchange("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")), 200);
  }
  static bool Eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 2000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return condition();
  }

  TestHandler handler_;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace weir
