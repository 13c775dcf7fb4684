// Text that remembers who wrote each part: the template, or data from a client.
//
// Threads   a value
//
// Special tokens count only inside template parts, so the mark must survive every operation on strings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

class JinjaText {
 public:
  // Neighbouring bytes with one origin.
  struct Run {
    size_t bytes = 0;
    bool from_template = false;
  };

  JinjaText() = default;
  JinjaText(std::string text, bool from_template);

  const std::string& str() const { return text_; }
  size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  // Memory in bytes, marks included.
  size_t footprint() const { return text_.size() + runs_.size() * sizeof(Run); }
  const std::vector<Run>& runs() const { return runs_; }
  // True when no byte came from a client.
  bool from_template() const { return runs_.empty() || (runs_.size() == 1 && runs_[0].from_template); }

  void Append(const JinjaText& other);
  void Append(std::string_view text, bool from_template);
  // Bytes [begin, begin + bytes), both cut to the text.
  JinjaText Substr(size_t begin, size_t bytes = std::string::npos) const;

 private:
  std::string text_;
  std::vector<Run> runs_;  // in order, none empty, neighbours differ
};

}  // namespace weir
