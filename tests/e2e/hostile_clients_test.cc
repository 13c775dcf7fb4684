// Clients that mean no good, against the built weir: what they can reach, see, and leave behind.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "net/http/client.h"
#include "tests/support/loopback_fixture.h"
#include "tests/support/served_weir.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

const std::string& ModelPath() {
  static const TinyModel model;
  return model.path();
}

ClientResponse Get(int port, const std::string& path) {
  HttpClient client(Url{"127.0.0.1", port, "/"});
  ClientRequest request;
  request.method = "GET";
  request.path = path;
  request.timeout = seconds(20);
  return client.Call(std::move(request));
}

std::string Post(const std::string& path, const std::string& body, const std::string& fields = "") {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string Completion(int max_tokens, bool stream, const std::string& prompt = "hello there") {
  return DumpJson(Json{{"model", "tiny"},
                       {"prompt", prompt},
                       {"max_tokens", max_tokens},
                       {"temperature", 0},
                       {"ignore_eos", true},
                       {"stream", stream}});
}

// The text of a completion that was asked for whole.
std::string TextOf(const std::string& answer) {
  const Result<Json> body = ParseJson(answer.substr(std::min(answer.size(), answer.find("\r\n\r\n") + 4)));
  if (!body.has_value() || !body->contains("choices")) return "no completion: " + answer;
  return (*body)["choices"][0]["text"].get<std::string>();
}

TEST(HostileApi, A8FetchesNothing) {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener, 8), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/secret";

  ServedWeir weir({"--model", ModelPath(), "--served-model-name", "tiny"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  for (const std::string& target :
       {url, std::string("file:///etc/passwd"), std::string("http://169.254.169.254/")}) {
    const Json parts[] = {{{"type", "image_url"}, {"image_url", {{"url", target}}}},
                          {{"type", "input_audio"}, {"input_audio", {{"data", target}, {"format", "wav"}}}},
                          {{"type", "file"}, {"file", {{"file_data", target}}}}};
    for (const Json& part : parts) {
      const Json message = {{"role", "user"}, {"content", Json::array({part})}};
      const Json body = {{"model", "tiny"}, {"messages", Json::array({message})}};
      RawSocket socket(weir.port());
      socket.Send(Post("/v1/chat/completions", DumpJson(body), "Connection: close\r\n"));
      const std::string answer = socket.Receive();
      EXPECT_EQ(StatusOf(answer), 400) << answer;
      EXPECT_THAT(answer, Not(HasSubstr("root:")));
    }
  }
  EXPECT_EQ(accept(listener, nullptr, nullptr), -1) << "the server fetched a URL that a client had sent";
  close(listener);
}

Json State(const ServedWeir& weir) {
  const Result<Json> state = ParseJson(Get(weir.control_port(), "/debug/state").body);
  return state.has_value() ? *state : Json();
}

bool BecomesIdle(const ServedWeir& weir) {
  for (int i = 0; i < 1000; ++i) {
    const Json state = State(weir);
    if (state["active_requests"] == 0 && state["running"] == 0 && state["waiting"] == 0 &&
        state["queued_tokens"] == 0)
      return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

TEST(HostileApi, A10FreesOnDisconnectInEveryState) {
  ServedWeir weir({"--model", ModelPath(), "--served-model-name", "tiny", "--threads", "1", "--max-num-seqs",
                   "2", "--max-num-batched-tokens", "16", "--max-num-queued-reqs", "64", "--ttft-objective",
                   "600s", "--log-level", "error"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  RawSocket alone(weir.port());
  alone.Send(Post("/v1/completions", Completion(40, false), "Connection: close\r\n"));
  const std::string expected = TextOf(alone.Receive());
  const std::string long_prompt(1500, 'a');
  const std::string whole = Post("/v1/completions", Completion(1500, true));
  const std::string head = whole.substr(0, whole.find("\r\n\r\n") + 4);

  struct Case {
    const char* state;
    std::function<void(RawSocket&)> reach;
  };
  const std::vector<Case> cases = {
      {"in the head", [&](RawSocket& s) { s.Send("POST /v1/completions HTTP/1.1\r\nHost: loc"); }},
      {"uploading", [&](RawSocket& s) { s.Send(head + "{\"model\":"); }},
      {"just sent", [&](RawSocket& s) { s.Send(whole); }},
      {"decoding",
       [&](RawSocket& s) {
         s.Send(whole);
         s.Receive("data: ");
       }},
      {"decoding, not streamed",
       [&](RawSocket& s) { s.Send(Post("/v1/completions", Completion(1500, false))); }},
      {"in prefill",
       [&](RawSocket& s) { s.Send(Post("/v1/completions", Completion(8, true, long_prompt))); }},
      {"blocked on output",
       [&](RawSocket& s) {
         s.Send(whole);
         std::this_thread::sleep_for(milliseconds(200));
       }},
      {"several at once",
       [&](RawSocket& s) {
         s.Send(Post("/v1/completions",
                     "{\"model\":\"tiny\",\"prompt\":[\"a\",\"b\"],\"n\":4,\"max_tokens\":500,"
                     "\"ignore_eos\":true,\"stream\":true}"));
         s.Receive("data: ");
       }},
  };
  const std::vector<std::pair<const char*, std::function<void(RawSocket&)>>> ways = {
      {"close", [](RawSocket& s) { s.Close(); }},
      {"reset", [](RawSocket& s) { s.Reset(); }},
      {"half-close", [](RawSocket& s) { s.HalfClose(); }}};
  for (const Case& one : cases) {
    for (const auto& [way, leave] : ways) {
      SCOPED_TRACE(std::string(one.state) + ", " + way);
      // More than run at once, so that some leave while they are queued.
      std::vector<std::unique_ptr<RawSocket>> leaving;
      for (int i = 0; i < 4; ++i) leaving.push_back(std::make_unique<RawSocket>(weir.port(), 4096));
      for (const auto& client : leaving) {
        if (client == leaving.front()) {
          one.reach(*client);
        } else {
          client->Send(whole);
        }
      }
      RawSocket neighbour(weir.port());
      neighbour.Send(Post("/v1/completions", Completion(40, false), "Connection: close\r\n"));
      for (const auto& client : leaving) leave(*client);
      EXPECT_EQ(TextOf(neighbour.Receive({}, seconds(60))), expected);
      EXPECT_TRUE(BecomesIdle(weir)) << DumpJson(State(weir));
    }
  }
  weir.Signal(SIGTERM);
  EXPECT_EQ(weir.WaitForEnd(), 0);
  EXPECT_THAT(weir.output(), HasSubstr("drained: 0 KV blocks in use"));
}

// Inodes of the process's sockets.
std::set<std::string> SocketsOf(pid_t pid) {
  std::set<std::string> inodes;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    std::error_code error;
    const std::string target = std::filesystem::read_symlink(entry.path(), error).string();
    if (target.starts_with("socket:[")) inodes.insert(target.substr(8, target.size() - 9));
  }
  return inodes;
}

// "ADDRESS:PORT" in hex of each listening or datagram socket of the process.
std::vector<std::string> ListeningOn(pid_t pid) {
  const std::set<std::string> ours = SocketsOf(pid);
  std::vector<std::string> found;
  for (const char* table : {"tcp", "tcp6", "udp", "udp6"}) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/net/" + table);
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state, queues, timer, retransmits, user, timeout, inode;
      words >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user >> timeout >>
          inode;
      if (ours.contains(inode) && state != "01") found.push_back(local);
    }
  }
  return found;
}

TEST(HostileApi, A11OpensNoOtherPort) {
  for (const std::vector<std::string>& mode : {std::vector<std::string>{},
                                               {"--scheduler", "sequential"},
                                               {"--queue", "unbounded", "--on-disconnect", "ignore"}}) {
    std::vector<std::string> flags = {"--model", ModelPath()};
    flags.insert(flags.end(), mode.begin(), mode.end());
    ServedWeir weir(flags);
    ASSERT_TRUE(weir.ready()) << weir.output();
    std::set<int> ports;
    for (const std::string& address : ListeningOn(weir.pid())) {
      EXPECT_TRUE(address.starts_with("0100007F:")) << address << " is not on loopback";
      ports.insert(static_cast<int>(std::strtol(address.substr(9).c_str(), nullptr, 16)));
    }
    EXPECT_EQ(ports, (std::set<int>{weir.port(), weir.control_port()}));
    for (const int port : ports) {
      for (const std::string& bytes :
           {std::string("\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
                        19),                                  // pickle, protocol 4
            std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),  // gRPC's preface
            std::string("\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f\x03\x00NULL\r\n", 18),  // ZeroMQ's greeting
            std::string("\x0a\x05hello\x12\x03\x08\x96\x01\r\n\r\n", 16)}) {              // protobuf
        RawSocket socket(port);
        socket.Send(bytes);
        socket.HalfClose();
        const std::string answer = socket.Receive({}, seconds(15));
        EXPECT_TRUE(socket.SeesEnd());
        const std::set<int> refusals = {400, 408, 501, 505};
        EXPECT_TRUE(answer.empty() || refusals.contains(StatusOf(answer))) << answer;
      }
    }
    EXPECT_EQ(Get(weir.port(), "/health").status, 200);
  }
}

TEST(HostileHttp, H6EscapesLogFields) {
  ServedWeir weir({"--model", ModelPath(), "--served-model-name", "tiny"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  const std::string body_start = "{\"prompt\":\"secret words\",\"max_tokens\":1,";
  const std::string bodies[] = {
      body_start + "\"model\":\"tiny\",\"user\":\"a\\r\\nb\\\"c\\u001b[31m\"}",
      body_start + "\"model\":\"x\\r\\n{\\\"forged\\\":1}\"}",
      body_start + "\"model\":\"tiny\",\"odd\\r\\nfield\":1}",
      body_start + "\"model\":\"" + std::string(1 << 20, 'm') + "\"}",
  };
  const std::string ids[] = {"has space", std::string(65, 'x'), "quote\"", "esc\x1b[0m", "\xc3\xa4", "a;b",
                             ""};
  int count = 0;
  for (const std::string& body : bodies) {
    for (const std::string& id : ids) {
      RawSocket socket(weir.port());
      socket.Send(
          "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: "
          "close\r\nX-Request-Id: " +
          id + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
      const std::string answer = socket.Receive({}, seconds(20));
      ASSERT_GE(StatusOf(answer), 200) << answer;
      if (StatusOf(answer) == 400 && answer.find("X-Request-Id") == std::string::npos)
        continue;  // the gate's
      ++count;
      const size_t at = answer.find("X-Request-Id: ");
      ASSERT_NE(at, std::string::npos) << answer;
      const std::string echoed = answer.substr(at + 14, answer.find("\r\n", at) - at - 14);
      EXPECT_NE(echoed, id);
      EXPECT_EQ(echoed.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos)
          << echoed;
    }
  }
  weir.Signal(SIGTERM);
  EXPECT_EQ(weir.WaitForEnd(), 0);
  std::istringstream log(weir.output());
  int num_lines = 0;
  for (std::string line; std::getline(log, line);) {
    if (line.find("\"request_id\"") == std::string::npos) continue;
    ++num_lines;
    EXPECT_TRUE(line.starts_with('{') && line.ends_with('}')) << line;
    EXPECT_LT(line.size(), 2048u);
    EXPECT_EQ(line.find_first_of("\r\x1b"), std::string::npos);
    EXPECT_THAT(line, Not(HasSubstr("secret words")));
  }
  EXPECT_EQ(num_lines, count) << "one line for each request";
}

}  // namespace
}  // namespace weir
