#include "net/openai/response_json.h"

#include <fmt/format.h>

#include "base/utf8.h"

namespace weir {
namespace {

Json Bytes(const std::string& bytes) {
  Json out = Json::array();
  for (unsigned char byte : bytes) out.push_back(static_cast<int>(byte));
  return out;
}

Json ChatLogprobs(const std::vector<WireLogprob>& logprobs) {
  Json content = Json::array();
  for (const WireLogprob& one : logprobs) {
    Json top = Json::array();
    for (const auto& [bytes, logprob] : one.top) {
      top.push_back({{"token", ReplaceInvalidUtf8(bytes)}, {"logprob", logprob}, {"bytes", Bytes(bytes)}});
    }
    content.push_back({{"token", ReplaceInvalidUtf8(one.bytes)},
                       {"logprob", one.logprob},
                       {"bytes", Bytes(one.bytes)},
                       {"top_logprobs", std::move(top)}});
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

// Two tokens may read alike once their bytes are no whole character; the likelier one, which comes first, stays.
Json TopByText(const WireLogprob& one) {
  Json top = Json::object();
  for (const auto& [bytes, logprob] : one.top) {
    const std::string text = ReplaceInvalidUtf8(bytes);
    if (!top.contains(text)) top[text] = logprob;
  }
  return top;
}

Json CompletionLogprobs(const std::vector<WireLogprob>& logprobs) {
  Json tokens = Json::array(), values = Json::array(), tops = Json::array(), offsets = Json::array();
  for (const WireLogprob& one : logprobs) {
    tokens.push_back(ReplaceInvalidUtf8(one.bytes));
    values.push_back(one.has_logprob ? Json(one.logprob) : Json(nullptr));
    tops.push_back(one.has_logprob ? TopByText(one) : Json(nullptr));
    offsets.push_back(one.text_offset);
  }
  return {{"tokens", std::move(tokens)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

std::string Quoted(const std::string& text) { return DumpJson(Json(text)); }

Json OrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

Json UsageJson(const UsageCounts& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

ResponseJson::ResponseJson(ResponseHead head) : head_(std::move(head)) {
  chunk_head_ = fmt::format("{{\"id\":{},\"object\":\"{}\",\"created\":{},\"model\":{},", Quoted(head_.id),
                            head_.is_chat ? "chat.completion.chunk" : "text_completion", head_.created_s,
                            Quoted(head_.model));
}

Json ResponseJson::Logprobs(const std::vector<WireLogprob>& logprobs) const {
  return head_.is_chat ? ChatLogprobs(logprobs) : CompletionLogprobs(logprobs);
}

std::string ResponseJson::Body(const std::vector<WireChoice>& choices, const UsageCounts& usage,
                               const Json& weir, const Json& prompt_token_ids) const {
  Json list = Json::array();
  for (const WireChoice& choice : choices) {
    Json one = {{"index", choice.index}};
    if (head_.is_chat) {
      one["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    } else {
      one["text"] = choice.text;
    }
    one["logprobs"] = head_.with_logprobs ? Logprobs(choice.logprobs) : Json(nullptr);
    one["finish_reason"] = OrNull(choice.finish_reason);
    if (head_.with_token_ids) one["token_ids"] = choice.token_ids;
    list.push_back(std::move(one));
  }
  Json body = {{"id", head_.id},
               {"object", head_.is_chat ? "chat.completion" : "text_completion"},
               {"created", head_.created_s},
               {"model", head_.model},
               {"choices", std::move(list)},
               {"usage", UsageJson(usage)}};
  if (!prompt_token_ids.is_null()) body["prompt_token_ids"] = prompt_token_ids;
  if (!weir.is_null()) body["weir"] = weir;
  return DumpJson(body);
}

std::string ResponseJson::Chunk(const WireChoice& choice, bool is_first,
                                const UsageCounts* usage_so_far) const {
  std::string out = chunk_head_;
  fmt::format_to(std::back_inserter(out), "\"choices\":[{{\"index\":{},", choice.index);
  const bool is_last = !choice.finish_reason.empty();
  if (!head_.is_chat) {
    fmt::format_to(std::back_inserter(out), "\"text\":{}", Quoted(choice.text));
  } else if (is_last && choice.text.empty() && !is_first) {
    out += "\"delta\":{}";
  } else {
    fmt::format_to(std::back_inserter(out), "\"delta\":{{{}\"content\":{}}}",
                   is_first ? "\"role\":\"assistant\"," : "", Quoted(choice.text));
  }
  out += ",\"logprobs\":";
  out += head_.with_logprobs && !choice.logprobs.empty() ? DumpJson(Logprobs(choice.logprobs)) : "null";
  if (is_last) {
    fmt::format_to(std::back_inserter(out), ",\"finish_reason\":{}", Quoted(choice.finish_reason));
  } else {
    out += ",\"finish_reason\":null";
  }
  if (head_.with_token_ids) {
    fmt::format_to(std::back_inserter(out), ",\"token_ids\":[{}]", fmt::join(choice.token_ids, ","));
  }
  out += "}]";
  if (usage_so_far != nullptr) out += ",\"usage\":" + DumpJson(UsageJson(*usage_so_far));
  return out + "}";
}

std::string ResponseJson::UsageChunk(const UsageCounts& usage, const Json& weir) const {
  std::string out = chunk_head_ + "\"choices\":[],\"usage\":" + DumpJson(UsageJson(usage));
  if (!weir.is_null()) out += ",\"weir\":" + DumpJson(weir);
  return out + "}";
}

Json ModelJson(const std::string& id, int64_t created_s, int max_model_len) {
  return {{"id", id},
          {"object", "model"},
          {"created", created_s},
          {"owned_by", "weir"},
          {"max_model_len", max_model_len}};
}

std::string ModelListBody(const std::vector<Json>& models) {
  return DumpJson({{"object", "list"}, {"data", models}});
}

}  // namespace weir
