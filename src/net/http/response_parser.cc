#include "net/http/response_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "net/http/field_syntax.h"
#include "net/http/message_reader.h"

namespace weir {

namespace {

constexpr size_t kMaxResponseHeadBytes = 64 << 10;
constexpr size_t kStatusEnd = std::string_view("HTTP/1.1 200").size();
// Tokens arrive in small chunks with about 6 bytes of framing each, so framing is not held against the data here.
constexpr uint64_t kFramingAllowance = std::numeric_limits<uint64_t>::max() / 2;

}  // namespace

struct ResponseParser::Reader : MessageReader<false> {
  Reader() : MessageReader(kMaxResponseHeadBytes + 4, kFramingAllowance) {}
};

ResponseParser::ResponseParser(bool head_method) : head_method_(head_method) {}
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;
ResponseParser::~ResponseParser() = default;

bool ResponseParser::Fail(std::string message) {
  message_ = std::move(message);
  state_ = State::kMalformed;
  return false;
}

ResponseParser::State ResponseParser::Feed(std::string_view bytes, const Sink& sink) {
  while (state_ == State::kHead && !bytes.empty()) {
    if (!TakeHead(bytes)) return state_;
    if (state_ != State::kHead && sink.on_head) sink.on_head();
  }
  if (state_ == State::kBody) {
    TakeBody(bytes, sink);
  } else if (!bytes.empty()) {
    surplus_ = true;
  }
  return state_;
}

// False: more bytes are needed, or the head is malformed. Beast gets the head in one piece: fed line by line it would take
// any number of fields, since its limit holds for what is left in the buffer only.
bool ResponseParser::TakeHead(std::string_view& bytes) {
  const size_t old_size = pending_.size();
  pending_ += bytes.substr(0, kMaxResponseHeadBytes + 4 - std::min(kMaxResponseHeadBytes, old_size));
  const size_t end = pending_.find("\r\n\r\n", old_size < 3 ? 0 : old_size - 3);
  if (end == std::string::npos) {
    if (pending_.size() >= kMaxResponseHeadBytes) return Fail("the response head is longer than 64 KiB");
    constexpr std::string_view kBegin = "HTTP/1.";
    if (pending_.compare(0, kBegin.size(), kBegin.substr(0, pending_.size())) != 0) {
      return Fail(fmt::format("the response does not begin with HTTP/1.: {}", Quoted(pending_)));
    }
    bytes = {};
    return false;
  }
  bytes.remove_prefix(end + 4 - old_size);
  pending_.resize(end + 4);
  // Some servers leave out the blank before an empty reason, which Beast insists on.
  if (pending_.size() > kStatusEnd && pending_[kStatusEnd] == '\r') pending_.insert(kStatusEnd, 1, ' ');
  reader_ = std::make_unique<Reader>();
  reader_->skip(head_method_);
  boost::beast::error_code error;
  const size_t count = reader_->ReadHead(pending_, error);
  if (error) {
    std::string_view line = pending_;
    line.remove_prefix(count);
    return Fail(fmt::format("the response head is malformed: {} in the line {}", error.message(),
                            Quoted(line.substr(0, line.find("\r\n")))));
  }
  pending_.clear();
  return Judge();
}

// What Beast leaves open about a complete head.
bool ResponseParser::Judge() {
  status_ = reader_->status;
  if (status_ < 100) return Fail(fmt::format("the status {} is none of HTTP", status_));
  if (status_ == 101) return Fail("the server switched protocols, which was not asked for");
  if (status_ < 200) return true;  // an interim response; the real one follows
  headers_ = std::move(reader_->fields);
  for (const HttpHeader& header : headers_) {
    if (EqualsIgnoreCase(header.name, "transfer-encoding") && !EqualsIgnoreCase(header.value, "chunked"))
      return Fail(fmt::format("Transfer-Encoding {} is not understood", Quoted(header.value)));
  }
  state_ = reader_->is_done() ? State::kComplete : State::kBody;
  return true;
}

void ResponseParser::TakeBody(std::string_view bytes, const Sink& sink) {
  const bool had_pending = !pending_.empty();
  if (had_pending) bytes = pending_ += bytes;
  const bool sound = reader_->TakeBody(bytes, sink.on_body);
  if (!sound) {
    Fail(reader_->message());
  } else if (reader_->is_done()) {
    state_ = State::kComplete;
    surplus_ = !bytes.empty();
  } else if (had_pending) {
    pending_.erase(0, pending_.size() - bytes.size());
  } else {
    pending_ = bytes;
  }
}

bool ResponseParser::FinishAtEof() {
  if (state_ == State::kBody && reader_->need_eof()) state_ = State::kComplete;
  return state_ == State::kComplete;
}

bool ResponseParser::reusable() const {
  return state_ == State::kComplete && reader_->keep_alive() && !surplus_;
}

}  // namespace weir
