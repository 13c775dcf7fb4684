// weir serve under an operator: configuration, service manager, reload and drain.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "net/http/client.h"
#include "tests/support/loopback_fixture.h"
#include "tests/support/process.h"
#include "tests/support/served_weir.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_model.h"
#include "tests/support/tls_peer.h"

namespace weir {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

constexpr char kKeyA[] = "a-key-of-enough-length";
constexpr char kKeyB[] = "b-key-of-enough-length";

std::string KeysFile(const std::string& key) { return "[[keys]]\nname = \"team\"\nkey = \"" + key + "\"\n"; }

const std::string& ModelPath() {
  static const TinyModel model;
  return model.path();
}

ClientResponse Get(int port, const std::string& path, const std::string& key = "") {
  HttpClient client(Url{"127.0.0.1", port, "/"});
  ClientRequest request;
  request.method = "GET";
  request.path = path;
  request.timeout = seconds(20);
  if (!key.empty()) request.headers.push_back({"Authorization", "Bearer " + key});
  return client.Call(std::move(request));
}

// What a service manager would hear.
class NotifySocket {
 public:
  NotifySocket() {
    folder_ = (std::filesystem::temp_directory_path() / "weir-notify-XXXXXX").string();
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path().copy(address.sun_path, sizeof address.sun_path - 1);
    fd_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~NotifySocket() {
    close(fd_);
    std::filesystem::remove_all(folder_);
  }
  std::string path() const { return folder_ + "/notify"; }
  // Everything until a message with that text has come.
  std::string ReceiveUntil(const std::string& text, int limit_ms = 30'000) {
    std::string all;
    while (all.find(text) == std::string::npos) {
      pollfd waiting{fd_, POLLIN, 0};
      if (poll(&waiting, 1, limit_ms) <= 0) return all + "\n(nothing more came)";
      char buffer[4096];
      const ssize_t count = recv(fd_, buffer, sizeof buffer, 0);
      if (count <= 0) return all + "\n(the socket failed)";
      all.append(buffer, static_cast<size_t>(count));
    }
    return all;
  }

 private:
  std::string folder_;
  int fd_ = -1;
};

TEST(ServeOperationsTest, TellsTheServiceManagerHowItIs) {
  NotifySocket manager;
  ServedWeir weir({"--model", ModelPath()}, {"NOTIFY_SOCKET=" + manager.path(), "WATCHDOG_USEC=2000000"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  EXPECT_THAT(manager.ReceiveUntil("READY=1"), HasSubstr("READY=1\nSTATUS=serving"));
  EXPECT_THAT(manager.ReceiveUntil("WATCHDOG=1"), HasSubstr("WATCHDOG=1"));
  weir.Signal(SIGHUP);
  EXPECT_THAT(manager.ReceiveUntil("READY=1"), HasSubstr("RELOADING=1\nMONOTONIC_USEC="));
  weir.Signal(SIGTERM);
  EXPECT_THAT(manager.ReceiveUntil("STOPPING=1"), HasSubstr("STOPPING=1"));
  EXPECT_EQ(weir.WaitForEnd(), 0) << weir.output();
}

TEST(ServeOperationsTest, AReloadChangesTheKeysAndABrokenFileChangesNothing) {
  const TempFile keys(KeysFile(kKeyA), ".toml");
  ASSERT_EQ(chmod(keys.path().c_str(), 0600), 0);
  ServedWeir weir({"--model", ModelPath(), "--api-keys-file", keys.path(), "--public-routes", "/metrics"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  EXPECT_EQ(Get(weir.port(), "/v1/models", kKeyA).status, 200);
  EXPECT_EQ(Get(weir.port(), "/v1/models", kKeyB).status, 401);
  EXPECT_EQ(Get(weir.port(), "/v1/models").status, 401);

  keys.Rewrite(KeysFile(kKeyB));
  weir.Signal(SIGHUP);
  ASSERT_TRUE(weir.WaitForOutput("reloaded")) << weir.output();
  EXPECT_EQ(Get(weir.port(), "/v1/models", kKeyA).status, 401);
  EXPECT_EQ(Get(weir.port(), "/v1/models", kKeyB).status, 200);

  keys.Rewrite("[[keys]]\nname = \"team\"\n");
  weir.Signal(SIGHUP);
  ASSERT_TRUE(weir.WaitForOutput("needs either 'sha256' or 'key'")) << weir.output();
  EXPECT_EQ(Get(weir.port(), "/v1/models", kKeyB).status, 200) << "the old keys stay";
  const std::string metrics = Get(weir.port(), "/metrics").body;
  EXPECT_THAT(metrics, HasSubstr("result=\"ok\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("result=\"error\"} 1\n"));

  std::filesystem::remove(keys.path());
  weir.Signal(SIGHUP);
  ASSERT_TRUE(weir.WaitForOutput("cannot read")) << weir.output();
  EXPECT_EQ(Get(weir.port(), "/v1/models", kKeyB).status, 200);
  EXPECT_THAT(weir.output(), Not(HasSubstr(kKeyA)));
  EXPECT_THAT(weir.output(), Not(HasSubstr(kKeyB)));
  weir.Signal(SIGTERM);
  EXPECT_EQ(weir.WaitForEnd(), 0);
}

TEST(ServeOperationsTest, AReloadChangesTheCertificateOfNewConnections) {
  signal(SIGPIPE, SIG_IGN);  // the client's OpenSSL writes with it
  const TestCertificate first("first"), second("second");
  ServedWeir weir({"--model", ModelPath(), "--tls-cert", first.cert(), "--tls-key", first.key()});
  ASSERT_TRUE(weir.ready()) << weir.output();
  EXPECT_THAT(weir.output(), HasSubstr("weir listens at https://127.0.0.1:"));
  TlsPeer open(weir.port());
  EXPECT_EQ(open.certificate_name(), "first");
  using std::filesystem::copy_options;
  std::filesystem::copy_file(second.cert(), first.cert(), copy_options::overwrite_existing);
  weir.Signal(SIGHUP);
  ASSERT_TRUE(weir.WaitForOutput("is not the key of the certificate")) << weir.output();
  EXPECT_EQ(TlsPeer(weir.port()).certificate_name(), "first") << "half a change is none";
  std::filesystem::copy_file(second.key(), first.key(), copy_options::overwrite_existing);
  weir.Signal(SIGHUP);
  ASSERT_TRUE(weir.WaitForOutput("reloaded")) << weir.output();
  EXPECT_EQ(TlsPeer(weir.port()).certificate_name(), "second");
  open.Send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(StatusOf(open.Receive()), 200) << "the open connection goes on";
  EXPECT_EQ(Get(weir.control_port(), "/health").status, 200) << "plain, on loopback";
  weir.Signal(SIGTERM);
  EXPECT_EQ(weir.WaitForEnd(), 0);
}

TEST(ServeOperationsTest, AReloadChangesTheLogLevelAndNamesWhatNeedsARestart) {
  const TempFile config("[serve]\nlog_level = \"info\"\nmax_num_seqs = 4\n", ".toml");
  ServedWeir weir({"--model", ModelPath(), "--config", config.path()});
  ASSERT_TRUE(weir.ready()) << weir.output();
  config.Rewrite("[serve]\nlog_level = \"debug\"\nmax_num_seqs = 8\n");
  weir.Signal(SIGHUP);
  ASSERT_TRUE(weir.WaitForOutput("reloaded")) << weir.output();
  EXPECT_THAT(weir.output(), HasSubstr("max_num_seqs"));
  config.Rewrite("[serve]\nmax_num_seq = 8\n");
  weir.Signal(SIGHUP);
  ASSERT_TRUE(weir.WaitForOutput("did you mean 'max_num_seqs'?")) << weir.output();
  weir.Signal(SIGTERM);
  EXPECT_EQ(weir.WaitForEnd(), 0);
}

TEST(ServeOperationsTest, ADrainFinishesTwentyStreamsAndTakesNothingNew) {
  ServedWeir weir({"--model", ModelPath(), "--served-model-name", "tiny", "--threads", "1", "--max-num-seqs",
                   "20", "--log-level", "error"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  const int port = weir.port();
  constexpr int kStreams = 20;
  const std::string body =
      R"({"model":"tiny","prompt":"hello","max_tokens":1000,"ignore_eos":true,"stream":true})";
  std::atomic<int> started{0}, whole{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.emplace_back([&] {
      RawSocket socket(port);
      socket.Send(
          "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
          "Content-Length: " +
          std::to_string(body.size()) + "\r\n\r\n" + body);
      std::string got = socket.Receive("data: ", seconds(60));
      ++started;
      got += socket.Receive("0\r\n\r\n", seconds(60));
      if (got.find("data: [DONE]\n\n") != std::string::npos && got.find("\"error\"") == std::string::npos) {
        ++whole;
      } else {
        ADD_FAILURE() << "a stream ended so: " << got.substr(got.size() > 300 ? got.size() - 300 : 0);
      }
    });
  }
  while (started < kStreams) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  weir.Signal(SIGTERM);
  ASSERT_TRUE(weir.WaitForOutput("draining")) << weir.output();
  bool takes_new = true;
  for (int i = 0; i < 500 && takes_new; ++i) {
    takes_new = RawSocket(port).connected();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_FALSE(takes_new);
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(whole, kStreams);
  EXPECT_EQ(weir.WaitForEnd(), 0) << weir.output();
  EXPECT_THAT(weir.output(), HasSubstr("drained: 0 KV blocks in use"));
}

TEST(ServeOperationsTest, ADelayedDrainKeepsServingWhileItIsNotReady) {
  ServedWeir weir({"--model", ModelPath(), "--drain-delay", "2s"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  weir.Signal(SIGTERM);
  ASSERT_TRUE(weir.WaitForOutput("not ready")) << weir.output();
  EXPECT_EQ(Get(weir.port(), "/ready").status, 503);
  EXPECT_EQ(Get(weir.port(), "/v1/models").status, 200);
  EXPECT_EQ(weir.WaitForEnd(), 0);
}

TEST(ServeOperationsTest, PrintsAConfigurationThatItsOwnCheckAccepts) {
  const TempFile config("[serve]\nmax_num_seqs = 7\nttft_objective = \"3s\"\n", ".toml");
  const ProcessResult printed = RunProcess({WEIR_BINARY, "serve", "--config", config.path(), "--port", "9",
                                            "--allowed-host", "a,b", "--print-config"});
  ASSERT_EQ(printed.exit_code, 0) << printed.errors;
  EXPECT_THAT(printed.output, HasSubstr("port = 9  # flag\n"));
  EXPECT_THAT(printed.output, HasSubstr("max_num_seqs = 7  # " + config.path() + ":2\n"));
  EXPECT_THAT(printed.output, HasSubstr("itl_objective = \"50ms\"  # default\n"));
  EXPECT_THAT(printed.output, HasSubstr("allowed_host = [\"a\", \"b\"]  # flag\n"));
  const TempFile again(printed.output, ".toml");
  const ProcessResult checked = RunProcess({WEIR_BINARY, "config", "check", again.path()});
  EXPECT_EQ(checked.exit_code, 0) << checked.errors;
  const ProcessResult reprinted =
      RunProcess({WEIR_BINARY, "serve", "--config", again.path(), "--print-config"});
  EXPECT_THAT(reprinted.output, HasSubstr("max_num_seqs = 7  # " + again.path()));
}

TEST(ServeOperationsTest, AMistakeInTheConfigurationStopsTheStart) {
  const std::pair<const char*, const char*> cases[] = {
      {"[serve]\nmax_num_seq = 1\n", ":2: unknown key 'max_num_seq'; did you mean 'max_num_seqs'?"},
      {"[serve]\nttft_objective = \"soon\"\n", ":2: --ttft-objective is 'soon'"},
      {"[serve]\nhost = \"0.0.0.0\"\n", ":2: --host 0.0.0.0 can be reached from other machines"},
      {"[serve]\napi_keys_file = \"/no/such/file\"\n", "cannot read '/no/such/file'"},
  };
  for (const auto& [text, expected] : cases) {
    const TempFile config(text, ".toml");
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{WEIR_BINARY, "config", "check", config.path()},
          std::vector<std::string>{WEIR_BINARY, "serve", "--config", config.path(), "--port", "0"}}) {
      const ProcessResult result = RunProcess(command);
      EXPECT_NE(result.exit_code, 0) << text;
      EXPECT_LE(result.exit_code, 3) << text;
      EXPECT_THAT(result.errors, HasSubstr(expected));
    }
  }
}

TEST(ServeOperationsTest, NoFlagTakesAKey) {
  const ProcessResult help = RunProcess({WEIR_BINARY, "serve", "--help"});
  EXPECT_THAT(help.output, Not(HasSubstr("--api-key ")));
  const ProcessResult refused = RunProcess({WEIR_BINARY, "serve", "--api-key", kKeyA});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.errors, Not(HasSubstr(kKeyA)));
}

TEST(ServeOperationsTest, TheUnitFileWaitsLongerThanADrainTakes) {
  std::ifstream file(std::string(WEIR_SOURCE_DIR) + "/packaging/weir.service");
  std::ostringstream content;
  content << file.rdbuf();
  const std::string unit = content.str();
  for (const char* line : {"\nType=notify\n", "\nDynamicUser=yes\n", "\nProtectSystem=strict\n",
                           "\nLimitCORE=0\n", "\nExecReload=/bin/kill -HUP $MAINPID\n"})
    EXPECT_THAT(unit, HasSubstr(line));
  const auto seconds_of = [](const std::string& text, const std::string& name) {
    const size_t at = text.find(name);
    return at == std::string::npos ? -1 : std::atoi(text.c_str() + at + name.size());
  };
  const std::string defaults = RunProcess({WEIR_BINARY, "serve", "--print-config"}).output;
  const int drain = seconds_of(defaults, "drain_delay = \"") + seconds_of(defaults, "drain_timeout = \"");
  EXPECT_GT(drain, 0) << defaults;
  EXPECT_GT(seconds_of(unit, "\nTimeoutStopSec="), drain);
}

TEST(ServeOperationsTest, AModelFileCutWhileItIsServedMappedEndsTheServerWithExitCodeOne) {
  const TempFile model(TinyModelFile().Build());
  ServedWeir weir({"--model", model.path(), "--served-model-name", "tiny", "--weights", "mmap"});
  ASSERT_TRUE(weir.ready()) << weir.output();
  const auto ask = [&] {
    HttpClient client(Url{"127.0.0.1", weir.port(), "/"});
    ClientRequest request;
    request.path = "/v1/completions";
    request.headers.push_back({"Content-Type", "application/json"});
    request.body = R"({"model":"tiny","prompt":"hello","max_tokens":4,"ignore_eos":true})";
    request.timeout = seconds(20);
    return client.Call(std::move(request));
  };
  EXPECT_EQ(ask().status, 200);
  model.Truncate(4096);
  const ClientResponse failed = ask();
  EXPECT_EQ(failed.status, 500);
  EXPECT_THAT(failed.body, HasSubstr("\"weights_changed\""));
  EXPECT_EQ(weir.WaitForEnd(), 1) << weir.output();
  EXPECT_THAT(weir.output(), HasSubstr("the engine has failed for good"));
}

TEST(ServeOperationsTest, WhatTheRouterRefusesIsInTheAccessLogWithItsCode) {
  const TempFile keys(KeysFile(kKeyA));
  ASSERT_EQ(chmod(keys.path().c_str(), 0600), 0);
  ServedWeir weir({"--model", ModelPath(), "--served-model-name", "tiny", "--api-keys-file", keys.path()});
  ASSERT_TRUE(weir.ready()) << weir.output();
  const std::string key = std::string("Authorization: Bearer ") + kKeyA + "\r\n";
  struct Question {
    std::string line, fields, code;
    int status;
  };
  const Question questions[] = {
      {"GET /v1/models", "", "invalid_api_key", 401},
      {"GET /nowhere", key, "unknown_url", 404},
      {"DELETE /v1/models", key, "method_not_allowed", 405},
      {"POST /tokenize", key + "Content-Type: text/plain\r\nContent-Length: 0\r\n", "unsupported_media_type",
       415},
      {"GET /v1/models", key + "Origin: https://other.example\r\n", "origin_not_allowed", 403},
  };
  for (size_t i = 0; i < std::size(questions); ++i) {
    RawSocket socket(weir.port());
    socket.Send(questions[i].line +
                " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Request-Id: refused-" +
                std::to_string(i) + "\r\n" + questions[i].fields + "\r\n");
    EXPECT_EQ(StatusOf(socket.Receive()), questions[i].status) << questions[i].line;
  }
  weir.Signal(SIGTERM);
  EXPECT_EQ(weir.WaitForEnd(), 0);
  for (size_t i = 0; i < std::size(questions); ++i) {
    const std::string log = weir.output();
    const size_t at = log.find("\"request_id\":\"refused-" + std::to_string(i) + "\"");
    ASSERT_NE(at, std::string::npos) << questions[i].line << "\n" << log;
    const std::string line = log.substr(at, log.find('\n', at) - at);
    EXPECT_THAT(line, HasSubstr("\"status\":" + std::to_string(questions[i].status) + ","));
    EXPECT_THAT(line, HasSubstr("\"code\":\"" + questions[i].code + "\""));
    EXPECT_EQ(line.find("\"key\":\"team\"") != std::string::npos, questions[i].status != 401) << line;
    EXPECT_THAT(line, Not(HasSubstr(kKeyA)));
  }
}

}  // namespace
}  // namespace weir
