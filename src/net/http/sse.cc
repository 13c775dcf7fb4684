#include "net/http/sse.h"

namespace weir {

namespace {

constexpr size_t kMaxLineBytes = 1 << 20;

}  // namespace

std::string SseEvent(std::string_view one_line_of_json) {
  std::string out;
  out.reserve(one_line_of_json.size() + 8);
  out += "data: ";
  out += one_line_of_json;
  out += "\n\n";
  return out;
}

Status SseParser::Feed(std::string_view bytes, const std::function<void(std::string_view data)>& on_event) {
  while (!broken_ && !bytes.empty()) {
    if (skip_line_feed_) {
      skip_line_feed_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > kMaxLineBytes || data_.size() > kMaxLineBytes) {
      broken_ = true;
      break;
    }
    line_ += part;
    if (end == std::string_view::npos) return OkStatus();
    skip_line_feed_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    WEIR_RETURN_IF_ERROR(TakeLine(on_event));
  }
  if (broken_) return DataLoss("event stream: a line or an event is longer than 1 MiB");
  return OkStatus();
}

Status SseParser::TakeLine(const std::function<void(std::string_view)>& on_event) {
  if (line_.empty()) {
    const bool dispatch = has_data_;
    has_data_ = false;
    std::string data;
    data.swap(data_);
    if (dispatch) on_event(data);
    return OkStatus();
  }
  std::string_view value;
  const size_t colon = line_.find(':');
  const std::string_view field = std::string_view(line_).substr(0, colon);
  if (colon != std::string_view::npos) value = std::string_view(line_).substr(colon + 1);
  if (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  if (field == "data") {  // comments have an empty field; event, id and retry are not used here
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
  line_.clear();
  return OkStatus();
}

}  // namespace weir
