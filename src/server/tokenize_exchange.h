// POST /tokenize and /detokenize: the tokenizer without the model.
//
// Threads   one io thread
#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "net/http/server.h"
#include "server/server_context.h"

namespace weir {

class TokenizeExchange final : public HttpExchange {
 public:
  // Null: refused, and answered already.
  static std::shared_ptr<HttpExchange> Start(ServerContext* context, bool encodes, std::string request_id,
                                             std::shared_ptr<ResponseWriter> writer);

  void OnBody(std::string body) override;
  void OnDisconnect() override { writer_.reset(); }

 private:
  TokenizeExchange(ServerContext* context, bool encodes, std::string request_id,
                   std::shared_ptr<ResponseWriter> writer)
      : context_(context),
        encodes_(encodes),
        request_id_(std::move(request_id)),
        writer_(std::move(writer)) {}
  Result<Json> Encode(const std::string& body) const;
  Result<Json> Decode(const std::string& body) const;
  void Send(HttpResponse response);

  ServerContext* context_;
  bool encodes_;
  std::string request_id_;
  std::shared_ptr<ResponseWriter> writer_;
};

}  // namespace weir
