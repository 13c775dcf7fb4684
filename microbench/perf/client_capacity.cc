// What the load test's own client can do on one core, against a server that answers at once: its overhead, and the point
// where it would measure itself.
//
// Prints requests/s and streamed chunks/s per second of the client thread's CPU time, and the latency that client and
// loopback add at 2,000 requests/s. Run it from a release build on a quiet machine.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "base/check.h"
#include "perf/driver/load_spec.h"

namespace weir {
namespace {

// One thread per connection, blocking: the client is what is measured.
class NullServer {
 public:
  explicit NullServer(int chunks) : answer_(Answer(chunks)) {
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    CHECK(bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0 && listen(fd_, 64) == 0);
    CHECK(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] {
      for (int client = accept(fd_, nullptr, nullptr); client >= 0; client = accept(fd_, nullptr, nullptr))
        std::thread([this, client] { Serve(client); }).detach();
    });
  }
  ~NullServer() {
    shutdown(fd_, SHUT_RDWR);
    close(fd_);
    acceptor_.join();
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }

 private:
  static std::string Part(const std::string& bytes) {
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
  }

  static std::string Answer(int chunks) {
    std::string out =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (int i = 0; i < chunks; ++i) {
      out += Part(
          "data: "
          "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"null\",\"choices\":"
          "[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n");
    }
    out += Part(
        fmt::format("data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"length\"}}]}}\n\n"
                    "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{}}}}}\n\n",
                    chunks));
    return out + Part("data: [DONE]\n\n") + "0\r\n\r\n";
  }

  // A request is a head and Content-Length bytes.
  void Serve(int client) const {
    std::string in;
    char buffer[65536];
    while (true) {
      const size_t head = in.find("\r\n\r\n");
      if (head != std::string::npos) {
        const size_t length_at = in.find("Content-Length: ");
        const size_t length = length_at < head ? std::strtoul(in.c_str() + length_at + 16, nullptr, 10) : 0;
        if (in.size() >= head + 4 + length) {
          const bool is_chat = in.starts_with("POST");
          in.erase(0, head + 4 + length);
          static const std::string models =
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n"
              "{\"data\":[{\"id\":\"null\"}]}";
          const std::string& out = is_chat ? answer_ : models;
          for (size_t sent = 0; sent < out.size();) {
            const ssize_t n = send(client, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
            if (n <= 0) break;
            sent += static_cast<size_t>(n);
          }
          continue;
        }
      }
      const ssize_t n = recv(client, buffer, sizeof(buffer), 0);
      if (n <= 0) break;
      in.append(buffer, static_cast<size_t>(n));
    }
    close(client);
  }

  std::string answer_;
  int fd_ = -1, port_ = 0;
  std::thread acceptor_;
};

Json Measure(int chunks, int requests, int concurrency, std::optional<double> rate) {
  const NullServer server(chunks);
  LoadSpec spec;
  spec.url = server.url();
  spec.requests = requests;
  spec.concurrency = concurrency;
  spec.max_tokens = chunks;
  spec.warmup = concurrency;
  spec.request_rate = rate;
  spec.arrival = ArrivalProcess::kConstant;
  const Result<Json> document = RunLoadTest(spec, {});
  CHECK(document.has_value());
  CHECK((*document)["results"][0]["counts"]["ok"] == requests);
  return (*document)["results"][0];
}

double CpuSeconds(const Json& row) {
  return row["client"]["cpu_ratio"].get<double>() * row["wall_s"].get<double>();
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  using namespace weir;
  const int scale = argc > 1 ? std::atoi(argv[1]) : 1;  // 1: the fraction of a second that ctest has for it
  const Json many = Measure(1, 2000 * scale, 4, std::nullopt);
  fmt::print("requests:  {:>8.0f} per CPU second of the client, {:.0f}/s with {:.0f} % of a core\n",
             2000.0 * scale / CpuSeconds(many), many["requests_per_s"].get<double>(),
             many["client"]["cpu_ratio"].get<double>() * 100);
  const Json streams = Measure(200, 100 * scale, 4, std::nullopt);
  fmt::print("chunks:    {:>8.0f} per CPU second of the client, {:.0f}/s with {:.0f} % of a core\n",
             20000.0 * scale / CpuSeconds(streams), streams["output_tps"].get<double>(),
             streams["client"]["cpu_ratio"].get<double>() * 100);
  const Json paced = Measure(1, 1000 * scale, 64, 2000.0);
  fmt::print(
      "added:     p50 {:.3f} ms, p99 {:.3f} ms from the intended send at 2000 requests/s, one chunk each\n",
      paced["e2el_from_intended_ms"]["p50"].get<double>(),
      paced["e2el_from_intended_ms"]["p99"].get<double>());
  return 0;
}
