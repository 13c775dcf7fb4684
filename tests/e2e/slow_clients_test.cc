// A thousand clients that are slow on purpose, three ways, and one good client that must not notice.
//
// Each way lasts WEIR_SLOW_CLIENT_SECONDS (12 s; longer than every timeout that ends such a client). What the good client
// saw is printed: it is the figure of this test.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "net/http/client.h"
#include "tests/support/loopback_fixture.h"
#include "tests/support/served_weir.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kClients = 1000;

seconds Length() {
  const char* text = std::getenv("WEIR_SLOW_CLIENT_SECONDS");
  return seconds(text != nullptr ? std::atoi(text) : 12);
}

// One slow client: sends what it is told to, never reads, and comes back when it is thrown out.
class SlowClient {
 public:
  SlowClient(int port, int receive_buffer) : port_(port), receive_buffer_(receive_buffer) {}
  ~SlowClient() { Close(); }
  SlowClient(SlowClient&& other) noexcept
      : port_(other.port_), receive_buffer_(other.receive_buffer_), fd_(std::exchange(other.fd_, -1)) {}

  // False: it was thrown out since, and has come back with nothing sent.
  bool Send(const std::string& bytes) {
    if (fd_ >= 0 && send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) >= 0 && !SeesEnd())
      return true;
    Close();
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (receive_buffer_ > 0) setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer_, sizeof receive_buffer_);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port_));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    return false;
  }

 private:
  // A reader that stops does not look; the others would see their 408.
  bool SeesEnd() const {
    if (receive_buffer_ > 0) return false;
    char byte;
    const ssize_t count = recv(fd_, &byte, 1, MSG_DONTWAIT);
    return count >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  int port_;
  int receive_buffer_;
  int fd_ = -1;
};

// A sanitizer's allocator keeps what was freed and surrounds what is not.
constexpr bool IsSanitized() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return true;
#else
  return false;
#endif
}

int64_t ResidentKib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atoll(line.c_str() + 6);
  }
  return 0;
}

class SlowClientsTest : public testing::Test {
 protected:
  SlowClientsTest() {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }

  // `first` is what a client sends when it has come, `then` what it sends once a second. At most `newcomers` come in one
  // second.
  void Attack(const char* name, const std::string& first, const std::string& then, int receive_buffer = 0,
              int newcomers = kClients) {
    const TinyModel model;
    ServedWeir weir({"--model", model.path(), "--served-model-name", "tiny", "--log-level", "error"});
    ASSERT_TRUE(weir.ready()) << weir.output();
    std::vector<SlowClient> clients;
    for (int i = 0; i < kClients; ++i) clients.emplace_back(weir.port(), receive_buffer);
    std::vector<bool> has_begun(kClients, false);
    std::vector<double> good_ms;
    int64_t most_kib = 0;
    const auto end = Clock::now() + Length();
    for (auto turn = Clock::now(); turn < end; turn += seconds(1)) {
      int left = newcomers;
      for (int i = 0; i < kClients; ++i) {
        if (!has_begun[i] && left-- <= 0) continue;
        has_begun[i] = clients[i].Send(has_begun[i] ? then : first);
      }
      const auto before = Clock::now();
      HttpClient client(Url{"127.0.0.1", weir.port(), "/"});
      ClientRequest request;
      request.path = "/v1/completions";
      request.body = R"({"model":"tiny","prompt":"hello","max_tokens":4,"ignore_eos":true})";
      request.headers.push_back({"Content-Type", "application/json"});
      request.timeout = seconds(30);
      const ClientResponse response = client.Call(std::move(request));
      good_ms.push_back(std::chrono::duration<double, std::milli>(Clock::now() - before).count());
      EXPECT_EQ(response.status, 200) << name << ", second " << good_ms.size() << ": " << response.body;
      most_kib = std::max(most_kib, ResidentKib(weir.pid()));
      std::this_thread::sleep_until(turn + seconds(1));
    }
    ASSERT_FALSE(good_ms.empty());
    std::sort(good_ms.begin(), good_ms.end());
    std::printf(
        "%s: %d slow clients, %zu good requests, median %.1f ms, slowest %.1f ms, server at most %.0f MiB\n",
        name, kClients, good_ms.size(), good_ms[good_ms.size() / 2], good_ms.back(),
        static_cast<double>(most_kib) / 1024);
    clients.clear();
    weir.Signal(SIGTERM);
    EXPECT_EQ(weir.WaitForEnd(), 0) << weir.output();
  }
};

// Open, answered once, and then silent.
class IdleClient {
 public:
  explicit IdleClient(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const std::string request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    char answer[4096];
    if (connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        send(fd_, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size())) {
      const ssize_t count = recv(fd_, answer, sizeof answer, 0);
      was_answered_ = count > 0 && std::string(answer, count).starts_with("HTTP/1.1 200");
    }
  }
  IdleClient(IdleClient&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), was_answered_(other.was_answered_) {}
  ~IdleClient() {
    if (fd_ >= 0) close(fd_);
  }
  bool was_answered() const { return was_answered_; }
  bool is_open() const {
    char byte;
    return recv(fd_, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

 private:
  int fd_;
  bool was_answered_ = false;
};

TEST_F(SlowClientsTest, OP7AThousandIdleConnectionsCostAtMostThirtyTwoMiB) {
  constexpr int kIdle = 1024;
  const TinyModel model;
  ServedWeir weir({"--model", model.path(), "--served-model-name", "tiny", "--log-level", "error",
                   "--max-connections", std::to_string(kIdle + 16)});
  ASSERT_TRUE(weir.ready()) << weir.output();
  // The first ones need what every later one finds.
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(IdleClient(weir.port()).was_answered());
  const int64_t before_kib = ResidentKib(weir.pid());
  std::vector<IdleClient> clients;
  for (int i = 0; i < kIdle; ++i) {
    clients.emplace_back(weir.port());
    ASSERT_TRUE(clients.back().was_answered()) << "connection " << i;
  }
  const int64_t grown_kib = ResidentKib(weir.pid()) - before_kib;
  int num_open = 0;
  for (const IdleClient& client : clients) num_open += client.is_open() ? 1 : 0;
  EXPECT_EQ(num_open, kIdle);
  std::printf("%d idle connections: %.1f MiB\n", kIdle, static_cast<double>(grown_kib) / 1024);
  if (!IsSanitized()) {
    EXPECT_LE(grown_kib, 32 * 1024);
  }
  clients.clear();
  weir.Signal(SIGTERM);
  EXPECT_EQ(weir.WaitForEnd(), 0) << weir.output();
}

using HostileHttp = SlowClientsTest;

TEST_F(HostileHttp, H5OutlastsAThousandSlowHeads) {
  Attack("slow heads", "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: ", "x");
}

TEST_F(HostileHttp, H5OutlastsAThousandSlowBodies) {
  Attack(
      "slow bodies",
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
      "100000\r\n\r\n{",
      " ");
}

TEST_F(HostileHttp, H5OutlastsAThousandSlowReaders) {
  // Ten answers at once, more than the kernel takes for a client that reads none of them.
  std::string requests;
  for (int i = 0; i < 10; ++i) requests += "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
  Attack("slow readers", requests, "", 2048);
}

TEST_F(HostileHttp, H5OutlastsAThousandSlowReadersOfStreams) {
  const std::string body = R"({"model":"tiny","prompt":"hi","max_tokens":8,"ignore_eos":true,"stream":true})";
  const std::string request =
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: " +
      std::to_string(body.size()) + "\r\n\r\n" + body;
  // Not all in one second: that would be load, and refusing some of it the right answer.
  Attack("slow readers of streams", request, "", 2048, 100);
}

}  // namespace
}  // namespace weir
