// The client's side of one conversation: asks over HTTP and hands on the answer as it comes.
//
// Owns      the messages so far and a connection
// Errors    Ask: UNAVAILABLE or the server's own error; CANCELLED when `stop` became true. The conversation is then as
//           before the question
// Threads   one owner; `on_text` is called on the connection's thread
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "net/http/client.h"

namespace weir {

struct ChatAnswer {
  std::string text;
  std::string finish_reason;
  int num_tokens = 0;
  Duration to_first{};
  Duration total{};
};

class ChatClient {
 public:
  // Asks the server for its model when `model` is empty.
  static Result<ChatClient> Connect(const std::string& url, const std::string& model);

  const std::string& model() const { return model_; }
  void Reset(const std::string& system);  // empty: none
  Result<ChatAnswer> Ask(const std::string& question, double temperature, int max_tokens,
                         const std::atomic<bool>& stop, const std::function<void(std::string_view)>& on_text);

 private:
  explicit ChatClient(Url url) : url_(std::move(url)), http_(std::make_unique<HttpClient>(url_)) {}
  std::string PathOf(std::string_view route) const;

  Url url_;
  std::unique_ptr<HttpClient> http_;
  std::string model_;
  Json messages_ = Json::array();
};

}  // namespace weir
