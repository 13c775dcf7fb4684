#include "net/openai/request_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/utf8.h"
#include "net/openai/field_reader.h"
#include "net/openai/tool_reader.h"

namespace weir {
namespace {

constexpr size_t kMaxPrompts = 32;
constexpr size_t kMaxStopBytes = 256;
constexpr size_t kMaxBadWordBytes = 64;

bool IsModelName(std::string_view name) {
  for (char c : name) {
    const bool ok = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    std::string_view("._:/-").find(c) != std::string_view::npos;
    if (!ok) return false;
  }
  return true;
}

Result<std::string> ReadModel(const FieldReader& reader) {
  if (reader.Find("model") == nullptr) return MissingField("model");
  std::string model = reader.String("model");
  if (!IsModelName(model)) {
    return InvalidValue(
        fmt::format("model is \"{}\", expected letters, digits and . _ : / -", QuoteForMessage(model)),
        "model");
  }
  return model;
}

// A list of short texts, or one of them.
Result<std::vector<std::string>> ReadTexts(const FieldReader& reader, const char* name, size_t most_bytes) {
  std::vector<std::string> texts;
  const Json* field = reader.Find(name);
  if (field == nullptr) return texts;
  if (field->is_string()) {
    texts.push_back(field->get<std::string>());
  } else {
    texts = field->get<std::vector<std::string>>();
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!texts[i].empty() && texts[i].size() <= most_bytes) continue;
    const std::string where = field->is_string() ? name : fmt::format("{}[{}]", name, i);
    return InvalidValue(fmt::format("{} has {} bytes, expected 1 to {}", where, texts[i].size(), most_bytes),
                        where);
  }
  return texts;
}

Result<std::vector<std::pair<int64_t, double>>> ReadLogitBias(const FieldReader& reader) {
  std::vector<std::pair<int64_t, double>> out;
  const Json* field = reader.Find("logit_bias");
  if (field == nullptr) return out;
  for (const auto& [key, value] : field->items()) {
    int64_t id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    const std::string where = fmt::format("logit_bias.{}", QuoteForMessage(key));
    if (error != std::errc() || end != key.data() + key.size()) {
      return InvalidValue(fmt::format("{} is no token id", where), where);
    }
    if (!value.is_number()) return InvalidType(value, "a number", where);
    const double bias = value.get<double>();
    if (!(bias >= -100 && bias <= 100)) {
      return InvalidValue(fmt::format("{} is {}, expected -100 to 100", where, value.dump()), where);
    }
    out.emplace_back(id, bias);
  }
  return out;
}

Status ReadStreamOptions(const FieldReader& reader, GenerationFields* out) {
  const Json* field = reader.Find("stream_options");
  if (field == nullptr) return OkStatus();
  if (!out->stream) {
    return InvalidValue("stream_options is only allowed with \"stream\": true", "stream_options");
  }
  bool obfuscated = false;  // padding against eavesdroppers who measure lengths; none is ever added here
  for (const auto& [name, target] :
       {std::pair<const char*, bool*>{"include_usage", &out->include_usage},
        std::pair<const char*, bool*>{"continuous_usage_stats", &out->continuous_usage_stats},
        std::pair<const char*, bool*>{"include_obfuscation", &obfuscated}}) {
    const Json* value = FindJson(*field, {name});
    if (value == nullptr || value->is_null()) continue;
    if (!value->is_boolean())
      return InvalidType(*value, "true or false", fmt::format("stream_options.{}", name));
    *target = value->get<bool>();
  }
  return OkStatus();
}

Status ReadServiceTier(const FieldReader& reader, std::string* out) {
  if (reader.Find("service_tier") == nullptr) return OkStatus();
  const std::string tier = reader.String("service_tier");
  for (std::string_view known : {"auto", "default", "priority", "flex"}) {
    if (tier != known) continue;
    *out = tier;
    return OkStatus();
  }
  return InvalidValue(
      fmt::format("service_tier is \"{}\", expected auto, default, priority or flex", QuoteForMessage(tier)),
      "service_tier");
}

Status ReadGenerationFields(const FieldReader& reader, GenerationFields* out) {
  WEIR_ASSIGN_OR_RETURN(out->model, ReadModel(reader));
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {  // the second wins
    if (reader.Find(name) != nullptr) out->max_tokens = reader.Integer(name, 0);
  }
  out->min_tokens = reader.Integer("min_tokens", 0);
  out->ignore_eos = reader.Bool("ignore_eos", false);
  out->temperature = reader.Number("temperature", 1.0);
  out->top_p = reader.Number("top_p", 1.0);
  out->min_p = reader.Number("min_p", 0.0);
  out->top_k = reader.Integer("top_k", 0);
  out->presence_penalty = reader.Number("presence_penalty", 0.0);
  out->frequency_penalty = reader.Number("frequency_penalty", 0.0);
  out->repetition_penalty = reader.Number("repetition_penalty", 1.0);
  if (reader.Find("seed") != nullptr) out->seed = reader.Integer("seed", 0);
  WEIR_ASSIGN_OR_RETURN(out->stop, ReadTexts(reader, "stop", kMaxStopBytes));
  WEIR_ASSIGN_OR_RETURN(out->bad_words, ReadTexts(reader, "bad_words", kMaxBadWordBytes));
  out->stop_token_ids = reader.Integers("stop_token_ids");
  WEIR_ASSIGN_OR_RETURN(out->logit_bias, ReadLogitBias(reader));
  out->n = static_cast<int>(reader.Integer("n", 1));
  out->stream = reader.Bool("stream", false);
  WEIR_RETURN_IF_ERROR(ReadStreamOptions(reader, out));
  WEIR_RETURN_IF_ERROR(ReadServiceTier(reader, &out->service_tier));
  out->num_prompt_logprobs = static_cast<int>(reader.Integer("prompt_logprobs", -1));
  if (out->stream && out->num_prompt_logprobs >= 0) {
    return InvalidValue("prompt_logprobs is only allowed without \"stream\": true", "prompt_logprobs");
  }
  out->skip_special_tokens = reader.Bool("skip_special_tokens", true);
  out->return_token_ids = reader.Bool("return_token_ids", false);
  out->ignored_fields = reader.ignored_fields();
  if (out->max_tokens && out->min_tokens > *out->max_tokens) {
    return InvalidValue(fmt::format("min_tokens is {}, expected at most max_tokens, which is {}",
                                    out->min_tokens, *out->max_tokens),
                        "min_tokens");
  }
  return OkStatus();
}

Status RefuseZeroMaxTokens(const GenerationFields& fields) {
  if (!fields.max_tokens || *fields.max_tokens > 0) return OkStatus();
  return InvalidValue("max_tokens is 0, expected at least 1 (0 is for completions with \"echo\": true)",
                      "max_tokens");
}

Result<std::string> ReadContent(const Json& content, const std::string& where) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return InvalidType(content, "a string or an array of text parts", where);
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part_where = fmt::format("{}[{}]", where, i);
    if (!content[i].is_object()) return InvalidType(content[i], "an object", part_where);
    const Json* type = FindJson(content[i], {"type"});
    if (type == nullptr || !type->is_string()) return MissingField(part_where + ".type");
    const auto& name = type->get_ref<const std::string&>();
    if (name != "text") {
      return InvalidArgument(
                 fmt::format("{} is of type \"{}\", expected \"text\"; this model reads text only",
                             part_where, QuoteForMessage(name)))
          .WithReason("unsupported_content_type")
          .WithParam(part_where);
    }
    const Json* part = FindJson(content[i], {"text"});
    if (part == nullptr) return MissingField(part_where + ".text");
    if (!part->is_string()) return InvalidType(*part, "a string", part_where + ".text");
    text += part->get_ref<const std::string&>();
  }
  return text;
}

Result<WireMessage> ReadMessage(const Json& message, const std::string& where) {
  if (!message.is_object()) return InvalidType(message, "an object", where);
  WireMessage out;
  const Json* role = FindJson(message, {"role"});
  if (role == nullptr) return MissingField(where + ".role");
  if (!role->is_string()) return InvalidType(*role, "a string", where + ".role");
  out.role = role->get<std::string>();
  constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user", "assistant", "tool"};
  if (std::find(kRoles.begin(), kRoles.end(), out.role) == kRoles.end()) {
    return InvalidValue(fmt::format("{}.role is \"{}\", expected system, developer, user, assistant or tool",
                                    where, QuoteForMessage(out.role)),
                        where + ".role");
  }
  const Json* content = FindJson(message, {"content"});
  const bool may_be_null = out.role == "assistant";
  if (const Json* calls = FindJson(message, {"tool_calls"}); calls != nullptr && !calls->is_null()) {
    if (out.role != "assistant") {
      return InvalidValue(fmt::format("{}.tool_calls is only allowed in messages of the assistant", where),
                          where + ".tool_calls");
    }
    WEIR_ASSIGN_OR_RETURN(out.tool_calls, ReadToolCalls(*calls, where + ".tool_calls"));
  }
  if (const Json* id = FindJson(message, {"tool_call_id"}); id != nullptr && !id->is_null()) {
    if (!id->is_string()) return InvalidType(*id, "a string", where + ".tool_call_id");
    out.tool_call_id = id->get<std::string>();
  }
  if (content == nullptr || content->is_null()) {
    if (!may_be_null) return MissingField(where + ".content");
    // An answer without text or calls is an empty text.
    out.null_content = content != nullptr && !out.tool_calls.empty();
    out.no_content = content == nullptr && !out.tool_calls.empty();
  } else {
    WEIR_ASSIGN_OR_RETURN(out.content, ReadContent(*content, where + ".content"));
  }
  for (const char* unsupported : {"function_call", "audio"}) {
    const Json* found = FindJson(message, {unsupported});
    if (found == nullptr || found->is_null() || (found->is_array() && found->empty())) continue;
    const std::string field = fmt::format("{}.{}", where, unsupported);
    return Unsupported(fmt::format("{} is not supported by this server; leave it out", field), field);
  }
  if (const Json* name = FindJson(message, {"name"}); name != nullptr && !name->is_null()) {
    if (!name->is_string()) return InvalidType(*name, "a string", where + ".name");
    out.name = name->get<std::string>();
  }
  return out;
}

Result<std::vector<WireMessage>> ReadMessages(const FieldReader& reader) {
  const Json* field = reader.Find("messages");
  if (field == nullptr) return MissingField("messages");
  std::vector<WireMessage> out;
  for (size_t i = 0; i < field->size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(WireMessage message, ReadMessage((*field)[i], fmt::format("messages[{}]", i)));
    out.push_back(std::move(message));
  }
  return out;
}

constexpr size_t kMaxSchemaBytes = 64 << 10;
constexpr char kSchemaField[] = "response_format.json_schema.schema";

Result<OutputConstraint> ReadJsonSchema(const Json& format) {
  const Json* outer = FindJson(format, {"json_schema"});
  if (outer == nullptr) return MissingField("response_format.json_schema");
  if (!outer->is_object()) return InvalidType(*outer, "an object", "response_format.json_schema");
  const Json* name = FindJson(*outer, {"name"});
  if (name != nullptr && !name->is_string()) {
    return InvalidType(*name, "a string", "response_format.json_schema.name");
  }
  const Json* strict = FindJson(*outer, {"strict"});
  if (strict != nullptr && !strict->is_null() && !strict->is_boolean()) {
    return InvalidType(*strict, "true or false", "response_format.json_schema.strict");
  }
  const Json* schema = FindJson(*outer, {"schema"});
  if (schema == nullptr || schema->is_null()) return MissingField(kSchemaField);
  if (!schema->is_object()) return InvalidType(*schema, "an object", kSchemaField);
  if (const size_t bytes = DumpJson(*schema).size(); bytes > kMaxSchemaBytes) {
    return InvalidValue(
        fmt::format("{} has {} bytes, expected at most {}", kSchemaField, bytes, kMaxSchemaBytes),
        kSchemaField);
  }
  return OutputConstraint{OutputConstraint::Kind::kSchema, *schema};
}

Result<OutputConstraint> ReadResponseFormat(const FieldReader& reader) {
  const Json* field = reader.Find("response_format");
  if (field == nullptr) return OutputConstraint();
  const Json* type = FindJson(*field, {"type"});
  if (type == nullptr) return MissingField("response_format.type");
  if (!type->is_string()) return InvalidType(*type, "a string", "response_format.type");
  const auto& name = type->get_ref<const std::string&>();
  if (name == "text") return OutputConstraint();
  if (name == "json_object") return OutputConstraint{OutputConstraint::Kind::kAnyObject, nullptr};
  if (name == "json_schema") return ReadJsonSchema(*field);
  return InvalidValue(fmt::format("response_format.type is \"{}\", expected text, json_object or json_schema",
                                  QuoteForMessage(name)),
                      "response_format.type");
}

Status CheckModalities(const FieldReader& reader) {
  const Json* field = reader.Find("modalities");
  if (field == nullptr) return OkStatus();
  for (const Json& one : *field) {
    if (!one.is_string() || one.get_ref<const std::string&>() != "text") {
      return Unsupported("modalities other than \"text\" are not supported by this server", "modalities");
    }
  }
  return OkStatus();
}

Result<int> ReadChatLogprobs(const FieldReader& reader) {
  const bool wanted = reader.Bool("logprobs", false);
  if (!wanted && reader.Find("top_logprobs") != nullptr) {
    return InvalidValue("top_logprobs is only allowed with \"logprobs\": true", "top_logprobs");
  }
  return wanted ? static_cast<int>(reader.Integer("top_logprobs", 0)) : -1;
}

Result<std::vector<int64_t>> ReadIds(const Json& array, const std::string& where) {
  std::vector<int64_t> ids;
  ids.reserve(array.size());
  for (size_t i = 0; i < array.size(); ++i) {
    const Json& one = array[i];
    if (!one.is_number_integer()) return InvalidType(one, "a token id", fmt::format("{}[{}]", where, i));
    // An unsigned above the signed range would come out negative; neither is an id.
    const int64_t id = one.is_number_unsigned() && one.get<uint64_t>() > INT64_MAX ? -1 : one.get<int64_t>();
    if (id < 0) {
      const std::string place = fmt::format("{}[{}]", where, i);
      return InvalidValue(fmt::format("{} is {}, which is no token id", place, one.dump()), place);
    }
    ids.push_back(id);
  }
  return ids;
}

Status EmptyPrompt(const std::string& where) {
  return InvalidValue(fmt::format("{} is empty; send at least one character or token", where), where);
}

Result<WirePrompt> ReadOnePrompt(const Json& value, const std::string& where) {
  if (value.is_string()) {
    if (value.get_ref<const std::string&>().empty()) return EmptyPrompt(where);
    return WirePrompt(value.get<std::string>());
  }
  if (!value.is_array()) return InvalidType(value, "a string or an array of token ids", where);
  if (value.empty()) return EmptyPrompt(where);
  WEIR_ASSIGN_OR_RETURN(std::vector<int64_t> ids, ReadIds(value, where));
  return WirePrompt(std::move(ids));
}

Result<std::vector<WirePrompt>> ReadPrompts(const FieldReader& reader) {
  const Json* field = reader.Find("prompt");
  if (field == nullptr) return MissingField("prompt");
  std::vector<WirePrompt> out;
  const bool is_list = field->is_array() && !field->empty() && !(*field)[0].is_number();
  if (!is_list) {
    WEIR_ASSIGN_OR_RETURN(WirePrompt prompt, ReadOnePrompt(*field, "prompt"));
    out.push_back(std::move(prompt));
    return out;
  }
  if (field->size() > kMaxPrompts) {
    return InvalidValue(fmt::format("prompt has {} entries, expected 1 to {}", field->size(), kMaxPrompts),
                        "prompt");
  }
  for (size_t i = 0; i < field->size(); ++i) {
    WEIR_ASSIGN_OR_RETURN(WirePrompt prompt, ReadOnePrompt((*field)[i], fmt::format("prompt[{}]", i)));
    out.push_back(std::move(prompt));
  }
  return out;
}

}  // namespace

Result<ChatRequest> ParseChatRequest(std::string_view body) {
  WEIR_ASSIGN_OR_RETURN(const FieldReader reader, FieldReader::Create(body, kChatEndpoint));
  ChatRequest out;
  WEIR_RETURN_IF_ERROR(ReadGenerationFields(reader, &out));
  WEIR_RETURN_IF_ERROR(RefuseZeroMaxTokens(out));
  WEIR_ASSIGN_OR_RETURN(out.messages, ReadMessages(reader));
  WEIR_ASSIGN_OR_RETURN(out.constraint, ReadResponseFormat(reader));
  WEIR_RETURN_IF_ERROR(ReadTools(reader, &out));
  WEIR_RETURN_IF_ERROR(CheckModalities(reader));
  WEIR_ASSIGN_OR_RETURN(out.num_logprobs, ReadChatLogprobs(reader));
  out.add_generation_prompt = reader.Bool("add_generation_prompt", true);
  return out;
}

Result<CompletionRequest> ParseCompletionRequest(std::string_view body) {
  WEIR_ASSIGN_OR_RETURN(const FieldReader reader, FieldReader::Create(body, kCompletionEndpoint));
  CompletionRequest out;
  WEIR_RETURN_IF_ERROR(ReadGenerationFields(reader, &out));
  WEIR_ASSIGN_OR_RETURN(out.prompts, ReadPrompts(reader));
  out.echo = reader.Bool("echo", false);
  if (!out.echo) WEIR_RETURN_IF_ERROR(RefuseZeroMaxTokens(out));
  out.parse_special = reader.Bool("parse_special", true);
  out.num_logprobs = static_cast<int>(reader.Integer("logprobs", -1));
  if (reader.Integer("best_of", out.n) != out.n) {
    return InvalidValue("best_of differs from n; leave it out or make it equal", "best_of");
  }
  return out;
}

Result<TokenizeRequest> ParseTokenizeRequest(std::string_view body) {
  WEIR_ASSIGN_OR_RETURN(const FieldReader reader, FieldReader::Create(body, kTokenizeEndpoint));
  TokenizeRequest out;
  if (reader.Find("model") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(out.model, ReadModel(reader));
  }
  const Json* prompt = reader.Find("prompt");
  if ((prompt == nullptr) == (reader.Find("messages") == nullptr)) {
    return InvalidArgument("expected exactly one of prompt and messages")
        .WithReason("missing_required_parameter")
        .WithParam("prompt");
  }
  if (prompt != nullptr) {
    if (!prompt->is_string()) return InvalidType(*prompt, "a string", "prompt");
    out.prompt = prompt->get<std::string>();
  } else {
    WEIR_ASSIGN_OR_RETURN(out.messages, ReadMessages(reader));
  }
  out.add_special_tokens = reader.Bool("add_special_tokens", true);
  out.parse_special = reader.Bool("parse_special", true);
  out.add_generation_prompt = reader.Bool("add_generation_prompt", true);
  return out;
}

Result<DetokenizeRequest> ParseDetokenizeRequest(std::string_view body) {
  WEIR_ASSIGN_OR_RETURN(const FieldReader reader, FieldReader::Create(body, kDetokenizeEndpoint));
  DetokenizeRequest out;
  if (reader.Find("model") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(out.model, ReadModel(reader));
  }
  const Json* tokens = reader.Find("tokens");
  if (tokens == nullptr) return MissingField("tokens");
  WEIR_ASSIGN_OR_RETURN(out.tokens, ReadIds(*tokens, "tokens"));
  return out;
}

}  // namespace weir
