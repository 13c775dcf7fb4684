// Where name and arguments lie in the text of a tool call, {"name": "...", "arguments": {...}}, while it is still arriving.
//
// Units     bytes
// Errors    none: text of another form is kNo
// Threads   any
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

struct ToolCallHead {
  enum class Found : uint8_t { kNo, kNotYet, kYes };

  Found found = Found::kNo;
  std::string name{};
  size_t arguments = 0;  // where their "{" stands in the text
};

// Reads the text behind <tool_call>. Only the usual order is a head: the name, then "arguments" or "parameters".
ToolCallHead ReadToolCallHead(std::string_view text);

// Finds the end of a JSON object that arrives in pieces.
class JsonObjectEnd {
 public:
  // How many bytes of `piece` belong to the object; all, unless it ends there. Linear in the piece.
  size_t Feed(std::string_view piece);
  bool at_end() const { return at_end_; }
  // A control character in a string, which JSON does not allow: the end will not be found by counting.
  bool is_broken() const { return is_broken_; }

 private:
  int64_t depth_ = 0;
  bool in_string_ = false;
  bool is_escaped_ = false;
  bool at_end_ = false;
  bool is_broken_ = false;
};

}  // namespace weir
