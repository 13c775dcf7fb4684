// Generated text to the API's JSON: whole bodies and stream chunks, for chat and for completions.
//
// Requires  text in valid UTF-8
// Threads   any; one writer per response
//
// Whole bodies go through the JSON library; a chunk is put together from a head that was written once, because there
// is one per token.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "net/openai/tool_call.h"

namespace weir {

struct UsageCounts {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;
};

// One token's log-probabilities in the API's terms. `bytes` may be a part of a character.
struct WireLogprob {
  std::string bytes{};
  double logprob = 0;
  bool has_logprob = true;  // false: the first token of an echoed prompt, which nothing precedes
  std::vector<std::pair<std::string, double>> top{};
  int text_offset = 0;  // completions: characters before it
};

struct WireChoice {
  int index = 0;
  std::string text{};
  std::string finish_reason{};  // empty: null
  std::vector<WireLogprob> logprobs{};
  std::vector<int32_t> token_ids{};
  std::vector<WireToolCall> tool_calls{};
  std::string prompt_logprobs{};  // JSON, written already; empty: none were asked for
};

// What is the same in all chunks of a response.
struct ResponseHead {
  bool is_chat = true;
  std::string id{};
  int64_t created_s = 0;
  std::string model{};
  std::string service_tier = "default";  // that was used
  bool with_logprobs = false;
  bool with_token_ids = false;
};

Json UsageJson(const UsageCounts& usage);

class ResponseJson {
 public:
  explicit ResponseJson(ResponseHead head);

  // `weir` and `prompt_token_ids` are left out when null.
  std::string Body(const std::vector<WireChoice>& choices, const UsageCounts& usage, const Json& weir,
                   const Json& prompt_token_ids) const;
  // A delta; `is_first` adds the role (chat). A choice with a finish reason is the last of its index.
  std::string Chunk(const WireChoice& choice, bool is_first, const UsageCounts* usage_so_far = nullptr) const;
  // The one before [DONE], with empty choices.
  std::string UsageChunk(const UsageCounts& usage, const Json& weir) const;

 private:
  Json Logprobs(const std::vector<WireLogprob>& logprobs) const;

  ResponseHead head_;
  std::string chunk_head_;
};

std::string ModelListBody(const std::vector<Json>& models);
// `parent`: of an adapter, the model that it adapts; empty for that one.
Json ModelJson(const std::string& id, const std::string& parent, int64_t created_s, int max_model_len);

}  // namespace weir
