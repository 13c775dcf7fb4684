// What the load test's own client can do on one core, against a server that answers at once: its overhead, and the point
// where it would measure itself.
//
// Prints requests/s and streamed chunks/s per second of the client thread's CPU time, and the latency that client and
// loopback add at 2,000 requests/s; then the same with every chunk in a write of its own, where each has to be read, stamped and
// parsed alone, and its delay from the server's write to the client's stamp. Run it from a release build on a quiet machine.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/check.h"
#include "perf/driver/http_target.h"
#include "perf/driver/load_spec.h"

namespace weir {
namespace {

constexpr int kChunksPerRequest = 10;
constexpr Duration kChunkEvery = std::chrono::microseconds(340);
constexpr int kConnections = 8;  // with these, about 20,000 chunks and 2,000 requests per second

// When the n-th chunk of a request was handed to the kernel, by request id.
class WriteTimes {
 public:
  void Add(const std::string& id, std::vector<TimePoint> at) {
    const std::lock_guard<std::mutex> lock(mutex_);
    times_[id] = std::move(at);
  }
  std::vector<TimePoint> Of(const std::string& id) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = times_.find(id);
    return found == times_.end() ? std::vector<TimePoint>() : found->second;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<TimePoint>> times_;
};

// One thread per connection, blocking: the client is what is measured.
class NullServer {
 public:
  // With `times`: every chunk in its own write, at its time.
  explicit NullServer(int chunks, WriteTimes* times = nullptr)
      : chunks_(chunks), times_(times), answer_(Answer(chunks)) {
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

  static std::string Head() {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
  }
  static std::string Chunk() {
    return Part(
        "data: "
        "{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"null\",\"choices\":"
        "[{\"index\":0,\"delta\":{\"content\":\" word\"},\"finish_reason\":null}]}\n\n");
  }
  static std::string End(int chunks) {
    return Part(fmt::format(
               "data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"length\"}}]}}\n\n"
               "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":{}}}}}\n\n",
               chunks)) +
           Part("data: [DONE]\n\n") + "0\r\n\r\n";
  }
  static std::string Answer(int chunks) {
    std::string out = Head();
    for (int i = 0; i < chunks; ++i) out += Chunk();
    return out + End(chunks);
  }

  static void SendAll(int client, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  void SendChunkByChunk(int client, const std::string& id) const {
    static const std::string chunk = Chunk();
    std::vector<TimePoint> at;
    const TimePoint begun = MonotonicClock::Get().Now();
    SendAll(client, Head());
    for (int i = 0; i < chunks_; ++i) {
      std::this_thread::sleep_until(begun + i * kChunkEvery);
      at.push_back(MonotonicClock::Get().Now());
      SendAll(client, chunk);
    }
    times_->Add(id, std::move(at));
    SendAll(client, End(chunks_));
  }

  // A request is a head and Content-Length bytes.
  void Serve(int client) const {
    const int on = 1;
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    prctl(PR_SET_TIMERSLACK, 1);  // else every sleep is 50 us too long
    std::string in;
    char buffer[65536];
    while (true) {
      const size_t head = in.find("\r\n\r\n");
      if (head != std::string::npos) {
        const size_t length_at = in.find("Content-Length: ");
        const size_t length = length_at < head ? std::strtoul(in.c_str() + length_at + 16, nullptr, 10) : 0;
        if (in.size() >= head + 4 + length) {
          const bool is_chat = in.starts_with("POST");
          const size_t id_at = in.find("X-Request-Id: ");
          const std::string id =
              id_at < head ? in.substr(id_at + 14, in.find("\r\n", id_at) - id_at - 14) : std::string();
          in.erase(0, head + 4 + length);
          static const std::string models =
              "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n"
              "{\"data\":[{\"id\":\"null\"}]}";
          if (is_chat && times_ != nullptr) {
            SendChunkByChunk(client, id);
          } else {
            SendAll(client, is_chat ? answer_ : models);
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

  int chunks_;
  WriteTimes* times_;
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

// As many requests in flight as connections, chunk by chunk, through the load test's own target.
void MeasureChunkByChunk(int requests) {
  WriteTimes times;
  const NullServer server(kChunksPerRequest, &times);
  auto client = std::make_unique<HttpClient>(*Url::Parse(server.url()));
  HttpTargetOptions options;
  options.model = "null";
  HttpTarget target(client.get(), options);
  const TimePoint start = MonotonicClock::Get().Now();
  std::vector<RequestRecord> records;  // on the client's thread only, until it is gone
  std::atomic<int> ended{0};
  std::atomic<int> next{0};
  std::function<void()> send_next = [&] {
    const int n = next.fetch_add(1);
    if (n >= requests) return;
    TargetRequest request;
    request.id = fmt::format("r{}", n);
    request.seq = n;
    request.prompt = "a prompt of some words";
    request.max_tokens = kChunksPerRequest;
    request.intended = MonotonicClock::Get().Now();
    target.Send(std::move(request), start, [&](RequestRecord record) {
      records.push_back(std::move(record));
      send_next();
      ended.fetch_add(1);
    });
  };
  const Duration cpu_before = client->thread_cpu_time();
  for (int i = 0; i < kConnections; ++i) send_next();
  while (ended.load() < requests) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const double seconds = ToSeconds(MonotonicClock::Get().Now() - start);
  const double cpu = ToSeconds(client->thread_cpu_time() - cpu_before);
  client.reset();
  std::vector<double> delays;
  for (const RequestRecord& record : records) {
    CHECK(record.outcome == Outcome::kOk);
    const std::vector<TimePoint> written = times.Of(record.id);
    CHECK(written.size() == record.token_times_ms.size());
    for (size_t i = 0; i < written.size(); ++i)
      delays.push_back(record.token_times_ms[i] - ToMilliseconds(written[i] - start));
  }
  std::sort(delays.begin(), delays.end());
  fmt::print(
      "one write per chunk: {:.0f} chunks/s and {:.0f} requests/s with {:.0f} % of a core, "
      "{:.1f} us of CPU per chunk\n"
      "added:     p50 {:.3f} ms, p99 {:.3f} ms from a chunk's write to its stamp\n",
      delays.size() / seconds, requests / seconds, cpu / seconds * 100, cpu / delays.size() * 1e6,
      delays[delays.size() / 2], delays[delays.size() * 99 / 100]);
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
  MeasureChunkByChunk(200 * scale);
  return 0;
}
