#include "tests/integration/scripted_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/check.h"
#include "base/json.h"

namespace weir {
namespace {

Duration Ms(double ms) { return Duration(static_cast<int64_t>(ms * 1e6)); }

}  // namespace

int CountScriptedTokens(const std::string& text) {
  std::istringstream words(text);
  int tokens = 0;
  for (std::string word; words >> word;) tokens += static_cast<int>((word.size() + 3) / 4);
  return tokens;
}

std::string ContentChunk(const std::string& text) {
  return fmt::format(
      "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}},\"finish_reason\":null}}]}}\n\n",
      text);
}

std::string FinishChunk(const std::string& reason) {
  return fmt::format("data: {{\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"{}\"}}]}}\n\n",
                     reason);
}

std::string UsageChunk(int prompt_tokens, int completion_tokens) {
  return fmt::format(
      "data: "
      "{{\"choices\":[],\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{}}}}}"
      "\n\n",
      prompt_tokens, completion_tokens, prompt_tokens + completion_tokens);
}

AnswerScript StreamOf(double role_ms, double first_ms, double gap_ms, int num_chunks, int tokens) {
  AnswerScript script;
  script.head_ms = role_ms;
  script.pieces.push_back(
      {role_ms, "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n"});
  for (int i = 0; i < num_chunks; ++i)
    script.pieces.push_back({first_ms + gap_ms * i, ContentChunk(" word")});
  script.end_ms = first_ms + gap_ms * (num_chunks - 1);
  script.pieces.push_back({script.end_ms, FinishChunk("length") + UsageChunk(12, tokens)});
  return script;
}

// One answer being played. Timers keep it by weak reference only: the connection owns it.
class ScriptedExchange final : public HttpExchange, public std::enable_shared_from_this<ScriptedExchange> {
 public:
  ScriptedExchange(ScriptedServer* server, std::string id, std::shared_ptr<ResponseWriter> writer,
                   IoContext* io)
      : server_(server), id_(std::move(id)), writer_(std::move(writer)), io_(io) {}

  void OnBody(std::string body) override {
    script_ = server_->Next(id_, std::move(body), &number_);
    if (script_.status != 200) {
      HttpResponse response;
      response.status = script_.status;
      response.headers = script_.headers;
      response.body = script_.body;
      server_->Ended();
      writer_->Send(std::move(response));
      return;
    }
    At(script_.head_ms, [this] {
      HttpResponse head;
      head.content_type = "text/event-stream; charset=utf-8";
      writer_->StartStream(std::move(head));
    });
    for (const AnswerScript::Piece& piece : script_.pieces) {
      At(piece.at_ms, [this, bytes = piece.bytes] {
        {
          const std::lock_guard<std::mutex> lock(server_->mutex_);
          server_->PlayedOf(number_).written.push_back(MonotonicClock::Get().Now());
        }
        writer_->Write(bytes);
      });
    }
    At(script_.end_ms, [this] { End(); });
  }

  void OnDisconnect() override {
    timers_.clear();
    if (!ended_) server_->Ended();
    ended_ = true;
  }

 private:
  void At(double at_ms, std::function<void()> function) {
    timers_.push_back(io_->PostAfter(Ms(at_ms), [self = weak_from_this(), function = std::move(function)] {
      if (const auto alive = self.lock(); alive != nullptr && !alive->ended_) function();
    }));
  }

  void End() {
    if (script_.end == AnswerScript::End::kHang) return;
    ended_ = true;
    server_->Ended();
    {
      const std::lock_guard<std::mutex> lock(server_->mutex_);
      server_->PlayedOf(number_).ended = MonotonicClock::Get().Now();
    }
    if (script_.end == AnswerScript::End::kAbort) return writer_->Abort();
    if (script_.end == AnswerScript::End::kDone) writer_->Write("data: [DONE]\n\n");
    writer_->EndStream();
  }

  ScriptedServer* server_;
  std::string id_;
  std::shared_ptr<ResponseWriter> writer_;
  IoContext* io_;
  AnswerScript script_;
  std::vector<std::shared_ptr<void>> timers_;
  int number_ = 0;
  bool ended_ = false;
};

// Counts tokens as the tests do: four letters of a word are one.
class ScriptedTokenizer final : public HttpExchange {
 public:
  explicit ScriptedTokenizer(std::shared_ptr<ResponseWriter> writer) : writer_(std::move(writer)) {}

  void OnBody(std::string body) override {
    std::istringstream words(JsonString(FindJson(*ParseJson(body), {"prompt"})).value_or(""));
    HttpResponse response;
    response.body = fmt::format(R"({{"count":{}}})", CountScriptedTokens(words.str()));
    writer_->Send(std::move(response));
  }
  void OnDisconnect() override {}

 private:
  std::shared_ptr<ResponseWriter> writer_;
};

ScriptedServer::ScriptedServer(std::function<AnswerScript(int n)> script) : script_(std::move(script)) {
  HttpServerOptions options;
  options.port = 0;
  Result<std::unique_ptr<HttpServer>> server = HttpServer::Listen(options, this);
  CHECK(server.has_value());
  server_ = std::move(server).value();
}

ScriptedServer::~ScriptedServer() { server_->Stop(); }

std::string ScriptedServer::url() const { return fmt::format("http://127.0.0.1:{}", server_->port()); }

std::vector<std::string> ScriptedServer::bodies() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return bodies_;
}
std::vector<std::string> ScriptedServer::ids() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return ids_;
}
int ScriptedServer::most_in_flight() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return most_in_flight_;
}

std::vector<ScriptedServer::Played> ScriptedServer::played() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return played_;
}

AnswerScript ScriptedServer::Next(const std::string& id, std::string body, int* number) {
  std::lock_guard<std::mutex> lock(mutex_);
  *number = static_cast<int>(bodies_.size());
  played_.push_back({MonotonicClock::Get().Now(), {}, {}});
  bodies_.push_back(std::move(body));
  ids_.push_back(id);
  most_in_flight_ = std::max(most_in_flight_, ++in_flight_);
  return script_(*number);
}

void ScriptedServer::Ended() {
  std::lock_guard<std::mutex> lock(mutex_);
  --in_flight_;
}

std::shared_ptr<HttpExchange> ScriptedServer::OnHead(const HttpRequestHead& head,
                                                     std::shared_ptr<ResponseWriter> writer, IoContext& io) {
  if (head.path == "/v1/chat/completions") {
    const std::string* id = head.Find("x-request-id");
    return std::make_shared<ScriptedExchange>(this, id != nullptr ? *id : "", std::move(writer), &io);
  }
  if (head.path == "/tokenize") return std::make_shared<ScriptedTokenizer>(std::move(writer));
  HttpResponse response;
  if (head.path == "/v1/models") {
    response.body = R"({"object":"list","data":[{"id":"scripted","object":"model"}]})";
  } else if (ledger_queue_ms_ >= 0 && head.path == "/version") {
    response.body = fmt::format(R"({{"control_port":{}}})", server_->port());
  } else if (ledger_queue_ms_ >= 0 && head.path == "/debug/requests") {
    response.content_type = "application/x-ndjson";
    for (const std::string& id : ids()) {
      response.body +=
          fmt::format(R"({{"id":"{}","ledger_ms":{{"queue_slot":{}}},"num_steps":7,"batch_mean":1.5}})", id,
                      ledger_queue_ms_) +
          "\n";
    }
  } else {
    response.status = 404;
    response.body = R"({"error":{"message":"unknown URL"}})";
  }
  writer->Send(std::move(response));
  return nullptr;
}

std::string ScriptedServer::GateErrorBody(int, std::string_view, std::string_view message) {
  return std::string(message);
}

}  // namespace weir
