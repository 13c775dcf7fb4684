#include "perf/driver/http_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <utility>

namespace weir {
namespace {

constexpr std::string_view kDeadlineExpired = "deadline_expired";

// Enough of an error body to see what it says.
constexpr size_t kMaxBody = 64 << 20;
constexpr size_t kMaxMessage = 300;

std::string Cut(std::string text) {
  if (text.size() > kMaxMessage) text = text.substr(0, kMaxMessage) + "...";
  return text;
}

const std::string* Find(const std::vector<HttpHeader>& headers, std::string_view name) {
  for (const HttpHeader& header : headers) {
    if (std::equal(header.name.begin(), header.name.end(), name.begin(), name.end(),
                   [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); })) {
      return &header.value;
    }
  }
  return nullptr;
}

std::optional<double> PositiveNumber(const std::string* text) {
  if (text == nullptr) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || !(value >= 0) || value > 86400e3) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> RetryAfterSeconds(const std::vector<HttpHeader>& headers) {
  if (const auto ms = PositiveNumber(Find(headers, "retry-after-ms"))) return *ms / 1000;
  return PositiveNumber(Find(headers, "retry-after"));
}

bool HasText(const Json* value) {
  return value != nullptr && value->is_string() && !value->get_ref<const std::string&>().empty();
}
bool HasItems(const Json* value) { return value != nullptr && value->is_array() && !value->empty(); }

}  // namespace

HttpExchangeRecord::HttpExchangeRecord(const TargetRequest& request, TimePoint run_start,
                                       bool knows_ignore_eos)
    : run_start_(run_start),
      stream_(request.stream),
      ignore_eos_(request.ignore_eos),
      knows_ignore_eos_(knows_ignore_eos) {
  record_.id = request.id;
  record_.seq = request.seq;
  record_.prompt_id = request.prompt_id;
  record_.prompt_tokens_target = request.prompt_tokens_target;
  record_.max_tokens = request.max_tokens;
  record_.intended_ms = Ms(request.intended);
}

void HttpExchangeRecord::OnHead(int status, const std::vector<HttpHeader>& headers) {
  status_ = status;
  const std::string* type = Find(headers, "content-type");
  is_event_stream_ = status == 200 && type != nullptr && type->starts_with("text/event-stream");
}

void HttpExchangeRecord::OnData(std::string_view bytes, TimePoint at) {
  if (!is_event_stream_) {
    if (body_.size() + bytes.size() <= kMaxBody) body_.append(bytes);
    return;
  }
  if (!malformed_.empty()) return;
  const double at_ms = Ms(at);
  const Status fed = parser_.Feed(bytes, [&](std::string_view data) { OnEvent(data, at_ms); });
  if (!fed.ok() && malformed_.empty()) malformed_ = fed.message();
}

void HttpExchangeRecord::OnEvent(std::string_view data, double at_ms) {
  if (!malformed_.empty()) return;
  if (saw_done_) {
    malformed_ = "an event came after [DONE]";
    return;
  }
  if (data == "[DONE]") {
    saw_done_ = true;
    return;
  }
  const Result<Json> chunk = ParseJson(data);
  if (!chunk) {
    malformed_ = fmt::format("an event is no JSON: {}", chunk.error().message());
    return;
  }
  if (const Json* error = FindJson(*chunk, {"error"}); error != nullptr && !error->is_null()) {
    malformed_ = "error event: " + JsonString(FindJson(*error, {"message"})).value_or(DumpJson(*error));
    event_code_ = JsonString(FindJson(*error, {"code"})).value_or("");
    return;
  }
  TakeChunk(*chunk, at_ms);
}

void HttpExchangeRecord::TakeChunk(const Json& chunk, double at_ms) {
  TakeUsage(chunk);
  const Json* choices = FindJson(chunk, {"choices"});
  if (!HasItems(choices)) return;
  const Json& choice = choices->front();
  if (const auto reason = JsonString(FindJson(choice, {"finish_reason"}))) record_.finish_reason = *reason;
  const Json* ids = FindJson(choice, {"token_ids"});
  const bool content = HasText(FindJson(choice, {"delta", "content"})) ||
                       HasText(FindJson(choice, {"text"})) ||
                       HasText(FindJson(choice, {"delta", "reasoning_content"})) ||
                       HasItems(FindJson(choice, {"delta", "tool_calls"})) || HasItems(ids);
  if (!content) return;
  chunks_.push_back({at_ms, HasItems(ids) ? static_cast<int>(ids->size()) : 0});
  if (HasItems(ids)) {
    for (const Json& id : *ids) token_ids_.push_back(static_cast<int32_t>(JsonNumber(&id).value_or(-1)));
  }
}

void HttpExchangeRecord::TakeUsage(const Json& document) {
  const auto number = [&](std::initializer_list<std::string_view> path) {
    return JsonNumber(FindJson(document, path));
  };
  if (const auto prompt = number({"usage", "prompt_tokens"}))
    record_.prompt_tokens = static_cast<int>(*prompt);
  if (const auto cached = number({"usage", "prompt_tokens_details", "cached_tokens"})) {
    record_.cached_tokens = static_cast<int>(*cached);
  }
  if (const auto output = number({"usage", "completion_tokens"})) usage_tokens_ = static_cast<int>(*output);
  if (const Json* weir = FindJson(document, {"weir"}); weir != nullptr && weir->is_object()) {
    record_.server = *weir;
    record_.server.erase("request_id");
  }
}

void HttpExchangeRecord::TakeWholeBody() {
  const Result<Json> body = ParseJson(body_);
  if (!body) {
    malformed_ = fmt::format("the body is no JSON: {}", body.error().message());
    return;
  }
  TakeUsage(*body);
  const Json* choices = FindJson(*body, {"choices"});
  if (!HasItems(choices)) {
    malformed_ = "the body has no choices";
    return;
  }
  if (const auto reason = JsonString(FindJson(choices->front(), {"finish_reason"}))) {
    record_.finish_reason = *reason;
  }
  saw_done_ = true;
}

void HttpExchangeRecord::SpreadTokens() {
  const size_t n = chunks_.size();
  const bool exact =
      std::all_of(chunks_.begin(), chunks_.end(), [](const auto& c) { return c.token_ids > 0; });
  int64_t claimed = 0;
  for (const ContentChunk& chunk : chunks_) claimed += chunk.token_ids;
  const int64_t total = usage_tokens_ ? *usage_tokens_ : exact ? claimed : static_cast<int64_t>(n);
  record_.output_tokens = static_cast<int>(std::max<int64_t>(0, total));
  if (exact && n > 0) {
    record_.output_tokens_local = static_cast<int>(claimed);
    record_.output_hash = HashTokenIds(token_ids_);
  }
  for (size_t i = 0; i < n; ++i) {
    const int64_t size = exact && claimed == total
                             ? chunks_[i].token_ids
                             : total * static_cast<int64_t>(i + 1) / static_cast<int64_t>(n) -
                                   total * static_cast<int64_t>(i) / static_cast<int64_t>(n);
    if (size <= 0) continue;
    record_.chunk_sizes.push_back(static_cast<int>(size));
    record_.token_times_ms.insert(record_.token_times_ms.end(), static_cast<size_t>(size), chunks_[i].at_ms);
  }
  if (n > 0) {
    record_.first_token_ms = chunks_.front().at_ms;
    record_.last_token_ms = chunks_.back().at_ms;
  }
}

void HttpExchangeRecord::Fail(std::string error_class, std::string phase, std::string message, int status) {
  record_.outcome = Outcome::kFailed;
  record_.error = RecordError{std::move(error_class), status, std::move(phase), Cut(std::move(message))};
}

std::string HttpExchangeRecord::PhaseReached() const {
  if (status_ == 0) return "first_byte";
  return chunks_.empty() ? "first_token" : "stream";
}

void HttpExchangeRecord::JudgeStatus(const ClientResponse& response) {
  const Result<Json> body = ParseJson(body_);
  std::string message = fmt::format("HTTP {}", status_), code;
  if (body) {
    if (const auto text = JsonString(FindJson(*body, {"error", "message"}))) message = *text;
    code = JsonString(FindJson(*body, {"error", "code"})).value_or("");
  }
  record_.retry_after_s = RetryAfterSeconds(response.headers);
  if (status_ == 429 && code == kDeadlineExpired)
    return Fail("deadline_dropped", "first_byte", message, status_);
  if ((status_ == 429 || status_ == 503) && record_.retry_after_s) {
    record_.outcome = Outcome::kShed;
    record_.error = RecordError{fmt::format("http_{}", status_), status_, "first_byte", Cut(message)};
    return;
  }
  Fail(fmt::format("http_{}", status_), "first_byte", message, status_);
}

void HttpExchangeRecord::JudgeAnswer() {
  const int n = record_.output_tokens;
  // Who waits long gets the head of the answer before he is dropped.
  if (event_code_ == kDeadlineExpired) return Fail("deadline_dropped", PhaseReached(), malformed_, status_);
  if (!malformed_.empty()) return Fail("malformed_stream", PhaseReached(), malformed_, status_);
  if (stream_ && !is_event_stream_) {
    return Fail("malformed_stream", PhaseReached(), "a stream was asked for, the answer is no event stream",
                status_);
  }
  if (!saw_done_) return Fail("malformed_stream", PhaseReached(), "the stream ended without [DONE]", status_);
  if (n == 0) return Fail("empty_output", PhaseReached(), "200 without a token", status_);
  if (record_.output_tokens_local && *record_.output_tokens_local != n) {
    return Fail("wrong_token_count", "stream",
                fmt::format("usage says {} tokens, the chunks hold {} ids", n, *record_.output_tokens_local),
                status_);
  }
  // A foreign server that does not know ignore_eos may end where the model ends.
  const bool must_be_full = ignore_eos_ && (knows_ignore_eos_ || record_.finish_reason == "length");
  if (n > record_.max_tokens || (must_be_full && n != record_.max_tokens)) {
    return Fail("wrong_token_count", "stream",
                fmt::format("{} tokens were asked for, {} came", record_.max_tokens, n), status_);
  }
  record_.outcome = Outcome::kOk;
}

RequestRecord HttpExchangeRecord::Finish(const ClientResponse& response) {
  if (status_ == 0) status_ = response.status;
  record_.sent_ms = Ms(response.sent);
  record_.done_ms = Ms(response.done);
  if (response.connected != TimePoint{})
    record_.connect_ms = ToMilliseconds(response.connected - response.sent);
  if (response.first_byte != TimePoint{}) record_.first_byte_ms = Ms(response.first_byte);
  const bool answered = response.failure == ClientFailure::kNone && status_ == 200;
  if (answered && !stream_) TakeWholeBody();
  if (!stream_ && usage_tokens_) record_.output_tokens = *usage_tokens_;
  if (stream_) SpreadTokens();
  const std::string phase = response.phase == ClientPhase::kConnect ? "connect" : PhaseReached();
  switch (response.failure) {
    case ClientFailure::kNone:
      if (status_ == 200) {
        JudgeAnswer();
      } else {
        JudgeStatus(response);
      }
      break;
    case ClientFailure::kTimeout:
      Fail("timeout", phase, response.message, status_);
      break;
    case ClientFailure::kConnectRefused:
      Fail("connect_refused", phase, response.message);
      break;
    case ClientFailure::kConnectReset:
      Fail("connect_reset", phase, response.message, status_);
      break;
    case ClientFailure::kConnectOther:
      Fail("connect_other", phase, response.message, status_);
      break;
    case ClientFailure::kMalformed:
      Fail("malformed_stream", phase, response.message, status_);
      break;
  }
  return std::move(record_);
}

}  // namespace weir
