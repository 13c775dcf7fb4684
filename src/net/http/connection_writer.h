// The ResponseWriter of one request: reaches its connection while that request is open, and does nothing afterwards.
//
// Threads   the connection's io thread
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "net/http/connection.h"

namespace weir {

class ConnectionWriter final : public ResponseWriter {
 public:
  ConnectionWriter(std::weak_ptr<Connection> connection, uint64_t serial)
      : connection_(std::move(connection)), serial_(serial) {}

  void Send(HttpResponse response) override {
    if (const auto open = Open()) open->Send(std::move(response));
  }
  void StartStream(HttpResponse head) override {
    if (const auto open = Open()) open->StartStream(std::move(head));
  }
  void Write(std::string bytes) override {
    if (const auto open = Open()) open->WriteChunk(bytes);
  }
  void EndStream() override {
    if (const auto open = Open()) open->EndStream();
  }
  void Abort() override {
    if (const auto open = Open()) open->Abort();
  }
  size_t unsent_bytes() const override {
    const auto open = Open();
    return open ? open->unsent_bytes() : 0;
  }
  TimePoint last_write_done() const override {
    if (const auto connection = connection_.lock())
      last_write_done_ = connection->LastWriteDone(serial_, last_write_done_);
    return last_write_done_;
  }
  bool started() const override {
    const auto open = Open();
    return open ? open->response_started() : true;
  }

 private:
  // Null when the request is over.
  std::shared_ptr<Connection> Open() const {
    std::shared_ptr<Connection> connection = connection_.lock();
    if (connection && !connection->IsCurrent(serial_)) connection.reset();
    return connection;
  }

  std::weak_ptr<Connection> connection_;
  uint64_t serial_;
  mutable TimePoint last_write_done_{};
};

}  // namespace weir
