#include "cli/chat.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "base/log.h"
#include "cli/chat_client.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/flags.h"
#include "server/inference_server.h"

namespace weir {
namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

// Without SA_RESTART, so that a read at the prompt ends as well.
void CatchCtrlC() {
  struct sigaction action {};
  action.sa_handler = [](int) { stop_requested.store(true); };
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

struct ChatSpec {
  std::string url;
  std::string model;
  std::string served_model;
  std::string system;
  double temperature = 0.7;
  int max_tokens = 0;
  int threads = 0;
  int max_model_len = 0;
};

// A server of our own on a loopback port nobody knows: chat has one way to ask, and it is the one users have.
struct OwnServer {
  std::unique_ptr<InferenceServer> server;
  std::unique_ptr<Engine> engine;

  OwnServer() = default;
  OwnServer(OwnServer&&) = default;
  ~OwnServer() {
    if (engine != nullptr) engine->Stop();
    if (server != nullptr) server->Stop();
  }
  std::string url() const { return fmt::format("http://127.0.0.1:{}", server->port()); }
};

Result<OwnServer> StartOwnServer(const ChatSpec& spec) {
  OwnServer own;
  EngineOptions options;
  WEIR_ASSIGN_OR_RETURN(options.model_path, FindModel(spec.model));
  options.num_threads = spec.threads;
  options.max_model_len = spec.max_model_len;
  options.max_num_seqs = 2;
  WEIR_ASSIGN_OR_RETURN(own.engine, Engine::Create(options));
  ServerOptions server;
  server.port = 0;
  server.has_control = false;
  server.model_name = "local";
  WEIR_ASSIGN_OR_RETURN(own.server, InferenceServer::Listen(server));
  own.server->Attach(own.engine.get());
  own.engine->Start();
  return own;
}

// A line from stdin, with long and unfinished ones; nothing at its end or after Ctrl-C.
class LineReader {
 public:
  std::optional<std::string> Next() {
    for (;;) {
      if (const size_t end = rest_.find('\n'); end != std::string::npos) {
        std::string line = rest_.substr(0, end);
        rest_.erase(0, end + 1);
        if (line.ends_with('\r')) line.pop_back();
        return line;
      }
      char chunk[4096];
      const ssize_t got = read(STDIN_FILENO, chunk, sizeof(chunk));
      if (got < 0 && errno == EINTR && !stop_requested.load()) continue;
      if (got <= 0) {
        if (rest_.empty() || stop_requested.load()) return std::nullopt;
        return std::exchange(rest_, std::string());
      }
      rest_.append(chunk, static_cast<size_t>(got));
    }
  }

 private:
  std::string rest_;
};

class Conversation {
 public:
  Conversation(ChatClient client, ChatSpec spec)
      : client_(std::move(client)), spec_(std::move(spec)), is_terminal_(isatty(STDOUT_FILENO) == 1) {
    client_.Reset(spec_.system);
  }

  int Run() {
    const bool asks = isatty(STDIN_FILENO) == 1;
    if (asks) {
      fmt::print("{}, /quit to end, /reset to start over, /system TEXT to set the system message\n",
                 client_.model());
    }
    LineReader lines;
    for (;;) {
      if (asks) fmt::print("> ");
      std::fflush(stdout);
      std::optional<std::string> line = lines.Next();
      if (!line) {
        if (asks) fmt::print("\n");
        return stop_requested.load() ? ExitCode(Cancelled("")) : exit_code_;
      }
      if (line->empty() || HandleCommand(*line)) {
        if (is_over_) return exit_code_;
        continue;
      }
      Answer(*line);
    }
  }

 private:
  bool HandleCommand(const std::string& line) {
    if (!line.starts_with('/')) return false;
    const std::string name = line.substr(0, line.find(' '));
    if (name == "/quit" || name == "/exit") {
      is_over_ = true;
    } else if (name == "/reset") {
      client_.Reset(spec_.system);
    } else if (name == "/system") {
      spec_.system = line.size() > name.size() ? line.substr(name.size() + 1) : "";
      client_.Reset(spec_.system);
    } else {
      fmt::print(stderr, "unknown command {}; there are /quit, /reset and /system TEXT\n", name);
    }
    return true;
  }

  void Answer(const std::string& question) {
    const Result<ChatAnswer> answer =
        client_.Ask(question, spec_.temperature, spec_.max_tokens, stop_requested, [](std::string_view text) {
          std::fwrite(text.data(), 1, text.size(), stdout);
          std::fflush(stdout);
        });
    if (!answer.has_value()) {
      if (answer.error().code() == StatusCode::kCancelled) {
        stop_requested.store(false);
        fmt::print("\n{}\n", Dim("(stopped)"));
        return;
      }
      exit_code_ = Fail("chat", answer.error());
      return;
    }
    fmt::print("\n");
    if (!is_terminal_) return;
    const double seconds = ToSeconds(answer->total - answer->to_first);
    // The first token's time is the prompt's, so the rate is that of the others.
    const double rate = answer->num_tokens > 1 && seconds > 0 ? (answer->num_tokens - 1) / seconds : 0;
    fmt::print("{}\n", Dim(fmt::format("{} tokens, {:.1f} tok/s, first after {:.0f} ms{}", answer->num_tokens,
                                       rate, ToMilliseconds(answer->to_first),
                                       answer->finish_reason == "length" ? ", cut at the limit" : "")));
  }

  std::string Dim(const std::string& text) const {
    return is_terminal_ ? fmt::format("\x1b[2m{}\x1b[0m", text) : text;
  }

  ChatClient client_;
  ChatSpec spec_;
  bool is_terminal_;
  bool is_over_ = false;
  int exit_code_ = 0;
};

}  // namespace

int RunChat(const std::vector<std::string>& arguments) {
  ChatSpec spec;
  CLI::App app("talk to a model in the terminal; reads questions from a pipe as well, one a line",
               "weir chat");
  auto* url = app.add_option("--url", spec.url, "a running server; without it the model is loaded here");
  app.add_option("--model", spec.model,
                 "GGUF file or Hugging Face directory to load; without it the default model")
      ->excludes(url);
  app.add_option("--served-model", spec.served_model, "model name at --url; without it the first it lists")
      ->needs(url);
  app.add_option("--system", spec.system, "system message; without it the template's own");
  app.add_option("--temperature", spec.temperature, "0 always takes the likeliest token")
      ->check(CLI::Range(0.0, 2.0))
      ->capture_default_str();
  app.add_option("--max-tokens", spec.max_tokens, "longest answer; 0: what the context leaves")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--max-model-len", spec.max_model_len, "longest conversation; 0: the model's own");
  app.add_option("--threads", spec.threads, "threads that compute; 0: all cores")->check(CLI::Range(0, 4096));
  const Result<bool> go_on = ParseFlags(app, arguments);
  if (!go_on.has_value()) return Fail("chat", go_on.error());
  if (!*go_on) return 0;
  SetLogLevel(LogLevel::kWarning);  // the access log would run through the conversation

  std::optional<OwnServer> own;
  if (spec.url.empty()) {
    Result<OwnServer> started = StartOwnServer(spec);
    if (!started.has_value()) return Fail("chat", started.error());
    own.emplace(std::move(started).value());
    spec.url = own->url();
  }
  Result<ChatClient> client = ChatClient::Connect(spec.url, spec.served_model);
  if (!client.has_value()) return Fail("chat", client.error());
  CatchCtrlC();
  return Conversation(std::move(client).value(), spec).Run();
}

}  // namespace weir
