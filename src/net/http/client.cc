#include "net/http/client.h"

#include <fmt/format.h>

#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/log.h"
#include "net/http/client_connection.h"
#include "net/http/field_syntax.h"
#include "net/http/io_thread.h"
#include "net/http/message_writer.h"

namespace weir {

const std::string* ClientResponse::Find(std::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (EqualsIgnoreCase(header.name, name)) return &header.value;
  }
  return nullptr;
}

struct HttpClient::State final : public ClientConnectionOwner {
  explicit State(Url to) : url(std::move(to)), thread("weir-client") {
    buffer.resize(64 << 10);
    const bool is_v6 = url.host.find(':') != std::string::npos;
    host_field =
        is_v6 ? fmt::format("[{}]:{}", url.host, url.port) : fmt::format("{}:{}", url.host, url.port);
  }

  IoThread& io() override { return thread; }
  const boost::asio::ip::tcp::endpoint& endpoint() const override { return address; }
  char* read_buffer() override { return buffer.data(); }
  size_t read_buffer_size() const override { return buffer.size(); }

  void OnDone(ClientConnection& connection, std::unique_ptr<ClientCall> call, bool reusable) override {
    if (reusable) {
      idle.push_back(connection.shared_from_this());
    } else {
      connections.erase(&connection);
    }
    Report(std::move(call));
  }

  void OnStale(ClientConnection& connection, std::unique_ptr<ClientCall> call) override {
    connections.erase(&connection);
    call->retried = true;
    call->response.connected = TimePoint{};
    ConnectAnew(std::move(call));
  }

  void OnLost(ClientConnection& connection) override {
    std::erase_if(idle, [&](const auto& entry) { return entry.get() == &connection; });
    connections.erase(&connection);
  }

  void Begin(std::unique_ptr<ClientCall> call);
  void ConnectAnew(std::unique_ptr<ClientCall> call);
  bool Resolve(ClientCall& call);
  void Report(std::unique_ptr<ClientCall> call);

  Url url;
  std::string host_field;
  IoThread thread;
  Status started;
  bool resolved = false;
  boost::asio::ip::tcp::endpoint address;
  std::string buffer;
  std::unordered_map<ClientConnection*, std::shared_ptr<ClientConnection>> connections;
  std::vector<std::shared_ptr<ClientConnection>> idle;  // the last one used is taken first
};

void HttpClient::State::Report(std::unique_ptr<ClientCall> call) {
  if (!call->callbacks.on_done) return;
  try {
    call->callbacks.on_done(std::move(call->response));
  } catch (const std::exception& error) {
    LogError("http client: a callback threw: {}", error.what());
  }
}

// Once, on the first request; a numeric address never blocks.
bool HttpClient::State::Resolve(ClientCall& call) {
  if (resolved) return true;
  boost::system::error_code error;
  boost::asio::ip::tcp::resolver resolver(thread.context());
  const auto found = resolver.resolve(url.host, std::to_string(url.port), error);
  if (!error && !found.empty()) {
    address = found.begin()->endpoint();
    for (const auto& entry : found) {
      if (entry.endpoint().protocol() == boost::asio::ip::tcp::v4()) {
        address = entry.endpoint();
        break;
      }
    }
    resolved = true;
    return true;
  }
  call.response.failure = ClientFailure::kConnectOther;
  call.response.message = fmt::format("cannot resolve host {}: {}", Quoted(url.host), error.message());
  call.response.sent = call.response.done = MonotonicClock::Get().Now();
  return false;
}

void HttpClient::State::Begin(std::unique_ptr<ClientCall> call) {
  std::string body = std::move(call->request.body);
  call->request.body = std::string();
  call->wire = RequestBytes(call->request, std::move(body), host_field);
  if (idle.empty()) {
    ConnectAnew(std::move(call));
    return;
  }
  const std::shared_ptr<ClientConnection> connection = std::move(idle.back());
  idle.pop_back();
  connection->Reuse(std::move(call));
}

void HttpClient::State::ConnectAnew(std::unique_ptr<ClientCall> call) {
  if (!Resolve(*call)) {
    Report(std::move(call));
    return;
  }
  const auto connection = std::make_shared<ClientConnection>(this);
  connections.emplace(connection.get(), connection);
  connection->Connect(std::move(call));
}

HttpClient::HttpClient(Url url) : state_(std::make_unique<State>(std::move(url))) {
  state_->started = state_->thread.Start();
}

HttpClient::~HttpClient() {
  State* state = state_.get();
  state->thread.Stop([state] {
    for (const auto& [key, connection] : state->connections) connection->Close();
    state->idle.clear();
  });
}

void HttpClient::Start(ClientRequest request, Callbacks callbacks) {
  // A function object must be copyable, so the call travels shared until it reaches the thread.
  auto held = std::make_shared<std::unique_ptr<ClientCall>>(std::make_unique<ClientCall>());
  (*held)->request = std::move(request);
  (*held)->callbacks = std::move(callbacks);
  State* state = state_.get();
  if (!state->started.ok()) {
    (*held)->response.failure = ClientFailure::kConnectOther;
    (*held)->response.message = state->started.message();
    state->Report(std::move(*held));
    return;
  }
  state->thread.Post([state, held] { state->Begin(std::move(*held)); });
}

void HttpClient::PostAt(TimePoint when, std::function<void()> function) {
  state_->thread.PostAt(when, std::move(function));
}

Duration HttpClient::thread_cpu_time() const { return state_->thread.cpu_time(); }

ClientResponse HttpClient::Call(ClientRequest request) {
  struct Rendezvous {
    std::mutex mutex;
    std::condition_variable arrived;
    std::optional<ClientResponse> response;
  };
  auto meeting = std::make_shared<Rendezvous>();
  Callbacks callbacks;
  callbacks.on_done = [meeting](ClientResponse response) {
    const std::lock_guard<std::mutex> lock(meeting->mutex);
    meeting->response = std::move(response);
    meeting->arrived.notify_one();
  };
  Start(std::move(request), std::move(callbacks));
  std::unique_lock<std::mutex> lock(meeting->mutex);
  meeting->arrived.wait(lock, [&] { return meeting->response.has_value(); });
  return *std::move(meeting->response);
}

}  // namespace weir
