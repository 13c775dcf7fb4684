#include "net/http/server.h"

#include <algorithm>
#include <atomic>
#include <list>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "net/http/connection.h"
#include "net/http/field_syntax.h"
#include "net/http/io_thread.h"
#include "net/http/listener.h"

namespace weir {

const std::string* HttpRequestHead::Find(std::string_view name) const {
  for (const HttpHeader& header : headers) {
    if (EqualsIgnoreCase(header.name, name)) return &header.value;
  }
  return nullptr;
}

namespace {

// What all io threads of one server share.
struct ServerShared {
  HttpServerOptions options;  // but for tls, which SetTls() replaces
  HttpHandler* handler = nullptr;
  std::atomic<int> num_connections{0};
  std::atomic<bool> draining{false};
  std::atomic<bool> closes_after_response{false};
  std::atomic<bool> client_waits{false};  // at the connection limit
  std::function<void()> room_appeared;    // any thread

  Mutex mutex;
  std::shared_ptr<const TlsContext> tls GUARDED_BY(mutex);
};

// The connections of one io thread.
class IoSlot final : public ConnectionOwner {
 public:
  explicit IoSlot(ServerShared* shared) : shared_(shared), io_("weir-io") {}

  const HttpServerOptions& options() const override { return shared_->options; }
  HttpHandler& handler() override { return *shared_->handler; }
  IoThread& io() override { return io_; }
  std::shared_ptr<const TlsContext> tls() const override {
    MutexLock lock(shared_->mutex);
    return shared_->tls;
  }
  bool closes_after_response() const override {
    return shared_->draining.load(std::memory_order_relaxed) ||
           shared_->closes_after_response.load(std::memory_order_relaxed);
  }

  void Add(boost::asio::ip::tcp::socket socket) {
    const auto connection = std::make_shared<Connection>(std::move(socket), this);
    connections_.emplace(connection.get(), Place{connection, idle_.end()});
    connection->Start();
  }

  bool OnIdle(Connection& connection) override {
    const auto found = connections_.find(&connection);
    if (found != connections_.end() && found->second.idle == idle_.end()) {
      found->second.idle = idle_.insert(idle_.end(), &connection);
    }
    return shared_->client_waits.load();
  }

  void OnBusy(Connection& connection) override {
    const auto found = connections_.find(&connection);
    if (found != connections_.end()) ForgetIdle(found->second);
  }

  void OnClosed(Connection& connection) override {
    const auto found = connections_.find(&connection);
    if (found == connections_.end()) return;
    ForgetIdle(found->second);
    connections_.erase(found);
    shared_->num_connections.fetch_sub(1);
    if (shared_->client_waits.exchange(false)) shared_->room_appeared();
  }

  // False when none is idle.
  bool CloseOldestIdle() {
    if (idle_.empty()) return false;
    const std::shared_ptr<Connection> oldest = connections_.at(idle_.front()).connection;
    oldest->CloseIfIdle();
    return true;
  }

  void CloseIdle() {
    for (const auto& connection : Snapshot()) connection->CloseIfIdle();
  }

  void CloseAll() {
    for (const auto& connection : Snapshot()) connection->Drop(false);
  }

 private:
  struct Place {
    std::shared_ptr<Connection> connection;
    std::list<Connection*>::iterator idle;
  };

  void ForgetIdle(Place& place) {
    if (place.idle == idle_.end()) return;
    idle_.erase(place.idle);
    place.idle = idle_.end();
  }

  std::vector<std::shared_ptr<Connection>> Snapshot() const {
    std::vector<std::shared_ptr<Connection>> all;
    all.reserve(connections_.size());
    for (const auto& [key, place] : connections_) all.push_back(place.connection);
    return all;
  }

  ServerShared* shared_;
  IoThread io_;
  std::unordered_map<Connection*, Place> connections_;
  std::list<Connection*> idle_;  // oldest first
};

class Server final : public HttpServer {
 public:
  Server(const HttpServerOptions& options, HttpHandler* handler)
      : slots_(MakeSlots(options.num_io_threads, &shared_)), listener_(first_io(), ListenerCallbacks()) {
    shared_.options = options;
    shared_.handler = handler;
    SetTls(options.tls);
    shared_.room_appeared = [this] { first_io().Post([this] { listener_.RoomAppeared(); }); };
  }

  ~Server() override { Stop(); }

  Status Start() {
    WEIR_RETURN_IF_ERROR(listener_.Open(shared_.options.host, shared_.options.port));
    first_io().Post([this] { listener_.Wait(); });
    for (const auto& slot : slots_) WEIR_RETURN_IF_ERROR(slot->io().Start());
    return OkStatus();
  }

  int port() const override { return listener_.port(); }
  int num_connections() const override { return shared_.num_connections.load(); }

  void SetTls(std::shared_ptr<const TlsContext> tls) override {
    MutexLock lock(shared_.mutex);
    shared_.tls = std::move(tls);
  }

  void SetClosesAfterResponse(bool closes) override { shared_.closes_after_response.store(closes); }

  void BeginDrain() override {
    shared_.draining.store(true);
    first_io().Post([this] { listener_.Close(); });
    for (const auto& slot : slots_) slot->io().Post([&slot = *slot] { slot.CloseIdle(); });
  }

  void Stop() override {
    shared_.draining.store(true);
    for (const auto& slot : slots_) {
      const bool first = slot == slots_.front();
      slot->io().Stop([this, first, &slot = *slot] {
        if (first) listener_.Close();
        slot.CloseAll();
      });
    }
  }

 private:
  using Slots = std::vector<std::unique_ptr<IoSlot>>;

  static Slots MakeSlots(int count, ServerShared* shared) {
    Slots slots;
    for (int i = 0; i < std::max(1, count); ++i) slots.push_back(std::make_unique<IoSlot>(shared));
    return slots;
  }

  IoThread& first_io() { return slots_.front()->io(); }

  Listener::Callbacks ListenerCallbacks() {
    Listener::Callbacks callbacks;
    callbacks.next_context = [this]() -> boost::asio::io_context& {
      next_slot_ = (next_slot_ + 1) % slots_.size();
      return slots_[next_slot_]->io().context();
    };
    callbacks.has_room = [this] { return shared_.num_connections.load() < shared_.options.max_connections; };
    callbacks.make_room = [this] { MakeRoom(); };
    callbacks.accepted = [this](boost::asio::ip::tcp::socket socket) {
      shared_.num_connections.fetch_add(1);
      IoSlot& slot = *slots_[next_slot_];
      // A function object must be copyable, a socket is not.
      auto held = std::make_shared<boost::asio::ip::tcp::socket>(std::move(socket));
      slot.io().Post([&slot, held] { slot.Add(std::move(*held)); });
    };
    return callbacks;
  }

  void MakeRoom() {
    shared_.client_waits.store(true);
    // A connection that closed in between did not see the flag.
    if (shared_.num_connections.load() < shared_.options.max_connections) {
      if (shared_.client_waits.exchange(false)) shared_.room_appeared();
      return;
    }
    TryEvict(0);
  }

  void TryEvict(size_t index) {
    if (index >= slots_.size()) return;
    slots_[index]->io().Post([this, index] {
      if (shared_.client_waits.load() && !slots_[index]->CloseOldestIdle()) TryEvict(index + 1);
    });
  }

  ServerShared shared_;
  Slots slots_;
  size_t next_slot_ = 0;
  Listener listener_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Listen(const HttpServerOptions& options,
                                                       HttpHandler* handler) {
  auto server = std::make_unique<Server>(options, handler);
  WEIR_RETURN_IF_ERROR(server->Start());
  return Result<std::unique_ptr<HttpServer>>(std::move(server));
}

}  // namespace weir
