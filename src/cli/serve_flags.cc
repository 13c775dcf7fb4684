#include "cli/serve_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "base/utf8.h"
#include "base/version.h"
#include "cli/api_keys_file.h"
#include "cli/flags.h"
#include "cli/kv_dtype_flag.h"
#include "cli/model_flags.h"
#include "cli/model_summary.h"
#include "cli/quantity.h"
#include "cli/settings.h"
#include "cli/toml_file.h"
#include "engine/kernels/thread_pool.h"
#include "engine/safetensors/model_directory.h"
#include "server/access.h"

namespace weir {
namespace {

template <typename T>
Result<T> OneOf(const std::string& flag, const std::string& text,
                const std::vector<std::pair<std::string, T>>& choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (name == text) return value;
    names += (names.empty() ? "" : ", ") + name;
  }
  return InvalidArgument(fmt::format("{} is '{}', expected one of: {}", flag, text, names)).WithParam(flag);
}

// The characters that a model field of the API allows.
bool IsInModelName(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
         std::string_view("._:/-").find(c) != std::string_view::npos;
}

bool IsModelName(const std::string& name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), IsInModelName);
}

// What the API may call the model of a file.
std::string ModelNameOf(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  if (name.ends_with(".gguf")) name.resize(name.size() - 5);
  for (char& c : name)
    if (!IsInModelName(c)) c = '-';
  if (name.size() > 128) name.resize(128);
  return name.empty() ? "model" : name;
}

struct Texts {
  std::string scheduler = "continuous", queue = "bounded", on_disconnect = "cancel", prefix_cache = "on";
  std::string ttft = "10s", itl = "50ms", drain = "30s", drain_delay = "0s", request_time = "600s";
  std::string tokenizer_delay = "0s";
  std::string log_level = "info";
  std::string unknown_params = "ignore";
  std::string control_port = "auto";
  std::string sse_keep_alive = "10s", server_timing = "on";
  std::string memory_limit = "0";
  std::vector<std::string> adapters;
};

void DeclareFlags(CLI::App& app, ServeSpec* spec, ModelFlags* model, Texts* texts) {
  EngineOptions& engine = spec->engine;
  ServerOptions& server = spec->server;
  model->Declare(app);
  app.add_option("--served-model-name", server.model_name, "name in the API; without it the file's name");
  app.add_option(
      "--lora", texts->adapters,
      "NAME=PATH of a LoRA adapter (a directory that PEFT saved, or a GGUF file), which requests choose as "
      "their model; may be repeated");
  app.add_option("--host", server.host, "address to listen on")->capture_default_str();
  app.add_option("--port", server.port, "port for clients; 0 takes a free one")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  app.add_option("--control-port", texts->control_port,
                 "port for operators; 'auto': --port + 1 or a free one, or 'off'");
  app.add_option(
      "--max-num-seqs", engine.max_num_seqs,
      "most sequences in one step; 0: automatic, 16 for each thread, 32 to 256, as far as memory goes");
  app.add_option("--max-num-batched-tokens", engine.max_num_batched_tokens,
                 "most tokens in one step; 0: automatic, 512");
  app.add_option("--max-model-len", engine.max_model_len,
                 "longest prompt and answer together; 0: the model's own");
  app.add_option("--memory-utilization,--gpu-memory-utilization", engine.memory_utilization,
                 "share of the memory for weights and KV cache")
      ->capture_default_str();
  app.add_option("--memory-limit", texts->memory_limit,
                 "most memory of this process, like 8GiB or 500MiB; 0: what machine and control group have");
  AddKvDtypeFlag(app, &engine.kv_dtype);
  app.add_option("--prefix-cache", texts->prefix_cache,
                 "on, or off: compute every prompt from its start, also what earlier ones had in common");
  app.add_flag_callback(
      "--enable-prefix-caching", [texts] { texts->prefix_cache = "on"; }, "the same as --prefix-cache on");
  app.add_flag_callback(
      "--no-enable-prefix-caching", [texts] { texts->prefix_cache = "off"; },
      "the same as --prefix-cache off");
  app.add_option("--max-num-queued-reqs", engine.max_num_queued_reqs,
                 "most waiting sequences; -1: 4 x --max-num-seqs");
  app.add_option("--max-num-queued-tokens", engine.max_num_queued_tokens,
                 "most waiting prompt tokens; -1: what can be computed within --ttft-objective");
  app.add_option("--threads", engine.num_threads, "threads that compute; 0: all cores")
      ->check(CLI::Range(0, 4096));
  app.add_option("--ttft-objective", texts->ttft, "longest predicted wait of an accepted request");
  app.add_option("--itl-objective", texts->itl, "how long a step with prompts in it should take at most");
  app.add_option("--max-request-time", texts->request_time, "deadline of a request that brings none");
  app.add_option("--scheduler", texts->scheduler, "continuous, or sequential: one request after another");
  app.add_option("--queue", texts->queue, "bounded, or unbounded: nothing is ever refused");
  app.add_option("--on-disconnect", texts->on_disconnect,
                 "cancel, or ignore: work on for clients that have left");
  app.add_option("--tokenizer-delay", texts->tokenizer_delay,
                 "a planted fault: every prompt takes so much longer to tokenize")
      ->group("");
  app.add_option("--control-host", server.control_host,
                 "address for operators; others than this machine's need a key")
      ->capture_default_str();
  app.add_option(
      "--api-keys-file", spec->api_keys_file,
      "TOML file of the keys that clients must send; a single key may come in WEIR_API_KEY instead");
  app.add_option("--tls-cert", spec->tls_cert,
                 "PEM file of the certificate and its chain: clients must speak TLS");
  app.add_option("--tls-key", spec->tls_key, "PEM file of the certificate's key");
  app.add_option("--public-routes", server.public_routes, "paths that need no key, like /health")
      ->delimiter(',');
  app.add_option("--cors-origin", server.cors_origins, "sites whose web pages may send requests")
      ->delimiter(',');
  app.add_option("--allowed-host", server.allowed_hosts, "further names that clients may use in Host")
      ->delimiter(',');
  app.add_flag("--insecure-no-auth", server.insecure_no_auth,
               "listen beyond this machine although no key is asked for");
  app.add_option("--unknown-params", texts->unknown_params,
                 "fields of a request that this server does not know: ignore, or reject with 400");
  app.add_option("--max-connections", server.max_connections,
                 "most open connections of clients; at the limit the one that idles longest is closed")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--sse-keepalive", texts->sse_keep_alive,
                 "how long a stream may be silent before a comment says that it lives");
  app.add_option("--stream-interval", server.stream_interval, "tokens in one event of a stream")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--server-timing", texts->server_timing,
                 "on, or off: no header Server-Timing, which says where a request's time went");
  app.add_option("--ledger-ring", server.ledger_ring,
                 "closed requests whose ledgers are kept for /ledger and /debug/requests")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--drain-delay", texts->drain_delay,
                 "after SIGTERM, how long to go on serving while /ready says no");
  app.add_option("--drain-timeout", texts->drain, "how long running requests may take after SIGTERM");
  app.add_option("--log-level", texts->log_level, "debug, info, warning, error or off");
  app.add_flag("--exit-with-parent", spec->exits_with_parent,
               "end when the process that started the server does");
}

Status Interpret(const Texts& texts, ServeSpec* spec) {
  WEIR_ASSIGN_OR_RETURN(spec->engine.policy,
                        OneOf<SchedulerPolicy>("--scheduler", texts.scheduler,
                                               {{"continuous", SchedulerPolicy::kContinuous},
                                                {"sequential", SchedulerPolicy::kSequential}}));
  WEIR_ASSIGN_OR_RETURN(spec->engine.bounded_queue,
                        OneOf<bool>("--queue", texts.queue, {{"bounded", true}, {"unbounded", false}}));
  WEIR_ASSIGN_OR_RETURN(spec->engine.prefix_cache,
                        OneOf<bool>("--prefix-cache", texts.prefix_cache, {{"on", true}, {"off", false}}));
  WEIR_ASSIGN_OR_RETURN(
      spec->engine.cancel_on_disconnect,
      OneOf<bool>("--on-disconnect", texts.on_disconnect, {{"cancel", true}, {"ignore", false}}));
  WEIR_ASSIGN_OR_RETURN(spec->log_level, OneOf<LogLevel>("--log-level", texts.log_level,
                                                         {{"debug", LogLevel::kDebug},
                                                          {"info", LogLevel::kInfo},
                                                          {"warning", LogLevel::kWarning},
                                                          {"error", LogLevel::kError},
                                                          {"off", LogLevel::kOff}}));
  WEIR_ASSIGN_OR_RETURN(
      spec->server.reject_unknown_params,
      OneOf<bool>("--unknown-params", texts.unknown_params, {{"ignore", false}, {"reject", true}}));
  WEIR_ASSIGN_OR_RETURN(spec->engine.memory_limit_bytes, ParseSize("--memory-limit", texts.memory_limit));
  WEIR_ASSIGN_OR_RETURN(spec->engine.ttft_objective, ParseDuration("--ttft-objective", texts.ttft));
  WEIR_ASSIGN_OR_RETURN(spec->engine.itl_objective, ParseDuration("--itl-objective", texts.itl));
  WEIR_ASSIGN_OR_RETURN(spec->server.max_request_time,
                        ParseDuration("--max-request-time", texts.request_time));
  WEIR_ASSIGN_OR_RETURN(spec->server.sse_keep_alive, ParseDuration("--sse-keepalive", texts.sse_keep_alive));
  WEIR_ASSIGN_OR_RETURN(spec->server.server_timing,
                        OneOf<bool>("--server-timing", texts.server_timing, {{"on", true}, {"off", false}}));
  WEIR_ASSIGN_OR_RETURN(spec->engine.tokenizer_delay,
                        ParseDuration("--tokenizer-delay", texts.tokenizer_delay));
  WEIR_ASSIGN_OR_RETURN(spec->drain_delay, ParseDuration("--drain-delay", texts.drain_delay));
  WEIR_ASSIGN_OR_RETURN(spec->drain_timeout, ParseDuration("--drain-timeout", texts.drain));
  return OkStatus();
}

Status InterpretControlPort(const std::string& text, ServerOptions* server) {
  server->has_control = text != "off";
  server->control_port_may_move = text == "auto";
  if (text == "off") return OkStatus();
  if (text == "auto") {
    server->control_port = server->port == 0 || server->port == 65535 ? 0 : server->port + 1;
    return OkStatus();
  }
  size_t used = 0;
  int port = -1;
  try {
    port = std::stoi(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (used == text.size() && used > 0 && port >= 0 && port <= 65535) {
    server->control_port = port;
    return OkStatus();
  }
  return InvalidArgument(
             fmt::format("--control-port is '{}', expected a port from 0 to 65535, auto or off", text))
      .WithParam("--control-port");
}

Status TakeAdapters(const std::vector<std::string>& texts, ServeSpec* spec) {
  const auto wrong = [](const std::string& text, const std::string& what) {
    return InvalidArgument(fmt::format("--lora is '{}', {}", QuoteForMessage(text), what))
        .WithParam("--lora");
  };
  for (const std::string& text : texts) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
      return wrong(text, "expected NAME=PATH");
    std::string name = text.substr(0, equals);
    if (!IsModelName(name))
      return wrong(text, "expected a name of at most 128 letters, digits and . _ : / -");
    for (const std::string& other : spec->server.adapter_names)
      if (name == other) return wrong(text, "but that name is taken by another adapter");
    spec->engine.adapters.push_back({name, text.substr(equals + 1)});
    spec->server.adapter_names.push_back(std::move(name));
  }
  return OkStatus();
}

// What follows from the flags beside the model.
Status Complete(const Texts& texts, ServeSpec* spec) {
  WEIR_RETURN_IF_ERROR(Interpret(texts, spec));
  WEIR_RETURN_IF_ERROR(TakeAdapters(texts.adapters, spec));
  ServerOptions& server = spec->server;
  WEIR_RETURN_IF_ERROR(InterpretControlPort(texts.control_port, &server));
  if (!server.model_name.empty() && !IsModelName(server.model_name)) {
    return InvalidArgument(
               fmt::format("--served-model-name is '{}', expected at most 128 letters, digits and . _ : / -",
                           server.model_name))
        .WithParam("--served-model-name");
  }
  WEIR_ASSIGN_OR_RETURN(server.keys, ReadKeysOf(*spec));
  if (spec->tls_cert.empty() != spec->tls_key.empty()) {
    const bool has_cert = !spec->tls_cert.empty();
    return InvalidArgument(fmt::format("{} is given without {}; TLS needs both",
                                       has_cert ? "--tls-cert" : "--tls-key",
                                       has_cert ? "--tls-key" : "--tls-cert"))
        .WithParam(has_cert ? "--tls-cert" : "--tls-key");
  }
  if (!spec->tls_cert.empty()) {
    WEIR_ASSIGN_OR_RETURN(server.tls, TlsContext::Load(spec->tls_cert, spec->tls_key));
  }
  server.cancel_on_disconnect = spec->engine.cancel_on_disconnect;
  server.bounded_queue = spec->engine.bounded_queue;
  server.sequential = spec->engine.policy == SchedulerPolicy::kSequential;
  return CheckAccessOptions(server);
}

Status ChooseModel(const ModelFlags& model, ServeSpec* spec) {
  WEIR_ASSIGN_OR_RETURN(ModelChoice choice, model.Choose());
  spec->engine.model_path = std::move(choice.path);
  spec->engine.synthetic = std::move(choice.synthetic);
  spec->engine.quantization = choice.quantization;
  spec->engine.quantized_cache = choice.quantized_cache;
  spec->engine.weights = choice.weights;
  if (spec->server.model_name.empty()) spec->server.model_name = ModelNameOf(spec->engine.model_path);
  for (const std::string& name : spec->server.adapter_names)
    if (name == spec->server.model_name)
      return InvalidArgument(fmt::format("--lora gives the name '{}', which is the model's own", name))
          .WithParam("--lora");
  return OkStatus();
}

// What the zeros above come to with this model on this machine; nothing where there is no model to ask about.
void PrintAutomatic(const ModelFlags& model, ServeSpec* spec) {
  if (spec->engine.max_num_seqs != 0 || !ChooseModel(model, spec).ok() || spec->engine.synthetic.has_value())
    return;
  const auto file = OpenModel(spec->engine.model_path);
  if (!file.has_value()) return;
  const auto summary = SummarizeModel(**file, ReadMachineMemory(spec->engine.memory_limit_bytes),
                                      spec->engine.memory_utilization, spec->engine.kv_dtype);
  if (!summary.has_value() || !summary->memory) return;
  const int threads = spec->engine.num_threads > 0 ? spec->engine.num_threads : ThreadPool::AvailableCores();
  SequenceRoom room = summary->memory->room;
  const int64_t most = spec->engine.max_model_len;
  if (most > 0 && most < room.tokens_per_context) {
    room.bytes_per_sequence = room.bytes_per_sequence * most / room.tokens_per_context;
    room.tokens_per_context = most;
  }
  fmt::print("# automatic here: max_num_seqs = {}\n", DescribeAutoMaxNumSeqs(room, threads));
}

enum class Reading {
  kServe,        // everything: the model must be there
  kReload,       // what a running server can still change
  kConfigCheck,  // one file, whatever the environment of whoever checks it says
};

Result<std::optional<ServeSpec>> Read(const std::vector<std::string>& arguments, Reading reading) {
  ServeSpec spec;
  Texts texts;
  CLI::App app("serve a model over an OpenAI-compatible API", "weir serve");
  ModelFlags model;
  std::string config_path;
  bool print_config = false;
  DeclareFlags(app, &spec, &model, &texts);
  app.add_option("--config", config_path,
                 "TOML file with these options in a table [serve]; WEIR_CONFIG names one too");
  app.add_flag("--print-config", print_config,
               "print every option, its value and where that came from, and end");
  WEIR_ASSIGN_OR_RETURN(const bool go_on, ParseFlags(app, arguments));
  if (!go_on) return std::optional<ServeSpec>();

  Settings settings(&app, "serve", {"config", "print-config", "exit-with-parent", "tokenizer-delay"});
  if (reading != Reading::kConfigCheck) {
    WEIR_RETURN_IF_ERROR(settings.TakeEnvironment());
    if (const char* variable = std::getenv("WEIR_CONFIG"); config_path.empty() && variable != nullptr)
      config_path = variable;
  }
  if (!config_path.empty()) {
    WEIR_ASSIGN_OR_RETURN(const TomlFile file, ReadToml(config_path));
    WEIR_RETURN_IF_ERROR(settings.TakeFile(file));
  }
  if (const Status status = Complete(texts, &spec); !status.ok()) return settings.Locate(status);
  spec.values = settings.Values();
  if (print_config) {
    fmt::print("# Options of weir {}; --config reads this file.\n{}", Version(), settings.Render());
    PrintAutomatic(model, &spec);
    if (std::getenv("WEIR_API_KEY") != nullptr) fmt::print("# WEIR_API_KEY = \"***\"  # environment\n");
    return std::optional<ServeSpec>();
  }
  // Whether a model is there is a question of the machine that serves, unless the file names one.
  const bool names_model = !model.model.empty() || model.load_format != "gguf";
  if (reading == Reading::kServe || (reading == Reading::kConfigCheck && names_model)) {
    if (const Status status = ChooseModel(model, &spec); !status.ok()) return settings.Locate(status);
  }
  return std::optional<ServeSpec>(std::move(spec));
}

}  // namespace

Result<std::optional<ServeSpec>> ReadServeFlags(const std::vector<std::string>& arguments) {
  return Read(arguments, Reading::kServe);
}

Result<ServeSpec> RereadServeFlags(const std::vector<std::string>& arguments) {
  WEIR_ASSIGN_OR_RETURN(std::optional<ServeSpec> spec, Read(arguments, Reading::kReload));
  if (!spec.has_value()) return InvalidArgument("the flags ask for help");
  return *std::move(spec);
}

Status CheckServeConfig(const std::string& path) {
  return Read({"--config=" + path}, Reading::kConfigCheck).status();
}

Result<std::shared_ptr<const KeyRing>> ReadKeysOf(const ServeSpec& spec) {
  const char* variable = std::getenv("WEIR_API_KEY");
  return ReadKeyRing(spec.api_keys_file, variable != nullptr ? variable : "");
}

std::string BrokenModeSwitches(const ServeSpec& spec) {
  std::string out;
  if (spec.server.sequential) out += " --scheduler sequential";
  if (!spec.server.bounded_queue) out += " --queue unbounded";
  if (!spec.server.cancel_on_disconnect) out += " --on-disconnect ignore";
  if (spec.engine.tokenizer_delay > Duration::zero()) out += " --tokenizer-delay";
  return out;
}

}  // namespace weir
