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

Json ToolCalls(const std::vector<WireToolCall>& calls, bool with_index) {
  Json out = Json::array();
  for (const WireToolCall& call : calls) {
    Json one = Json::object();
    if (with_index) one["index"] = call.index;
    if (!call.id.empty()) {
      one["id"] = call.id;
      one["type"] = "function";
      one["function"]["name"] = call.name;
    }
    one["function"]["arguments"] = call.arguments;
    out.push_back(std::move(one));
  }
  return out;
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
  chunk_head_ = fmt::format("{{\"id\":{},\"object\":\"{}\",\"created\":{},\"model\":{},\"service_tier\":{},",
                            Quoted(head_.id), head_.is_chat ? "chat.completion.chunk" : "text_completion",
                            head_.created_s, Quoted(head_.model), Quoted(head_.service_tier));
}

Json ResponseJson::Logprobs(const std::vector<WireLogprob>& logprobs) const {
  return head_.is_chat ? ChatLogprobs(logprobs) : CompletionLogprobs(logprobs);
}

std::string ResponseJson::Body(const std::vector<WireChoice>& choices, const UsageCounts& usage,
                               const Json& weir, const Json& prompt_token_ids) const {
  // Put together from texts, because prompt_logprobs is one already.
  std::string list;
  for (const WireChoice& choice : choices) {
    Json one = {{"index", choice.index}};
    if (head_.is_chat) {
      const bool only_calls = choice.text.empty() && !choice.tool_calls.empty();
      one["message"] = {{"role", "assistant"},
                        {"content", only_calls ? Json(nullptr) : Json(choice.text)},
                        {"refusal", nullptr}};
      if (!choice.tool_calls.empty()) one["message"]["tool_calls"] = ToolCalls(choice.tool_calls, false);
    } else {
      one["text"] = choice.text;
    }
    one["logprobs"] = head_.with_logprobs ? Logprobs(choice.logprobs) : Json(nullptr);
    one["finish_reason"] = OrNull(choice.finish_reason);
    if (head_.with_token_ids) one["token_ids"] = choice.token_ids;
    std::string text = DumpJson(one);
    if (!head_.is_chat && !choice.prompt_logprobs.empty())
      text.replace(text.size() - 1, 1, ",\"prompt_logprobs\":" + choice.prompt_logprobs + "}");
    list += (list.empty() ? "" : ",") + text;
  }
  std::string body = fmt::format(
      "{{\"id\":{},\"object\":\"{}\",\"created\":{},\"model\":{},\"service_tier\":{},\"choices\":[{}]",
      Quoted(head_.id), head_.is_chat ? "chat.completion" : "text_completion", head_.created_s,
      Quoted(head_.model), Quoted(head_.service_tier), list);
  body += ",\"usage\":" + DumpJson(UsageJson(usage));
  if (head_.is_chat && !choices.empty() && !choices[0].prompt_logprobs.empty())
    body += ",\"prompt_logprobs\":" + choices[0].prompt_logprobs;
  if (!prompt_token_ids.is_null()) body += ",\"prompt_token_ids\":" + DumpJson(prompt_token_ids);
  if (!weir.is_null()) body += ",\"weir\":" + DumpJson(weir);
  return body + "}";
}

std::string ResponseJson::Chunk(const WireChoice& choice, bool is_first,
                                const UsageCounts* usage_so_far) const {
  std::string out = chunk_head_;
  fmt::format_to(std::back_inserter(out), "\"choices\":[{{\"index\":{},", choice.index);
  const bool is_last = !choice.finish_reason.empty();
  if (!head_.is_chat) {
    fmt::format_to(std::back_inserter(out), "\"text\":{}", Quoted(choice.text));
  } else if (!choice.tool_calls.empty()) {
    const Json calls = ToolCalls(choice.tool_calls, true);
    out += "\"delta\":{";
    if (is_first) out += "\"role\":\"assistant\",";
    if (!choice.text.empty()) out += "\"content\":" + Quoted(choice.text) + ",";
    out += "\"tool_calls\":" + DumpJson(calls) + "}";
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

Json ModelJson(const std::string& id, const std::string& parent, int64_t created_s, int max_model_len) {
  return {{"id", id},
          {"object", "model"},
          {"created", created_s},
          {"owned_by", "weir"},
          {"root", id},
          {"parent", parent.empty() ? Json(nullptr) : Json(parent)},
          {"max_model_len", max_model_len}};
}

std::string ModelListBody(const std::vector<Json>& models) {
  return DumpJson({{"object", "list"}, {"data", models}});
}

}  // namespace weir
