// A ResponseWriter that adds header fields to whatever is answered: for what concerns every answer to one client, so
// that no handler need know of it.
//
// Requires  `headers` may be called once, when the response's head is made
// Threads   the connection's io thread
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/http/server.h"

namespace weir {

class AddingWriter final : public ResponseWriter {
 public:
  AddingWriter(std::shared_ptr<ResponseWriter> writer, std::function<std::vector<HttpHeader>()> headers)
      : writer_(std::move(writer)), headers_(std::move(headers)) {}

  void Send(HttpResponse response) override {
    Add(&response);
    writer_->Send(std::move(response));
  }
  void StartStream(HttpResponse head) override {
    Add(&head);
    writer_->StartStream(std::move(head));
  }
  void Write(std::string bytes) override { writer_->Write(std::move(bytes)); }
  void EndStream() override { writer_->EndStream(); }
  void Abort() override { writer_->Abort(); }
  size_t unsent_bytes() const override { return writer_->unsent_bytes(); }
  TimePoint last_write_done() const override { return writer_->last_write_done(); }
  bool started() const override { return writer_->started(); }

 private:
  void Add(HttpResponse* response) {
    for (HttpHeader& header : headers_()) response->headers.push_back(std::move(header));
  }

  std::shared_ptr<ResponseWriter> writer_;
  std::function<std::vector<HttpHeader>()> headers_;
};

}  // namespace weir
