// Follows a JSON text byte by byte and knows which keys its open objects have, so that none is written twice.
//
// Requires  the text is JSON, perhaps with other text outside of it that has neither quotes nor brackets
// Owns      its place in the text and the keys
// Threads   one
//
// A grammar cannot forbid it: what it allows does not depend on texts that came before. A key that would be repeated can always
// be made longer, so forbidding its last quote leads to no dead end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

class UniqueKeys {
 public:
  // Whether that text, next, would end a key that its object has already. Keys are compared as what they mean: \u0061 is a.
  bool WouldRepeat(std::string_view text) const;
  void Accept(std::string_view text);

 private:
  struct Open {
    bool is_object = false;
    std::vector<std::string> keys{};
  };
  enum class In : uint8_t { kNothing, kKey, kString };
  // Where one is inside the innermost value.
  struct Place {
    In in = In::kNothing;
    bool expects_key = false;
    bool escapes = false;
    int8_t hex_digits_left = 0;
    uint32_t unit = 0;            // of \uXXXX, so far
    uint32_t high_surrogate = 0;  // that waits for its other half
    std::string key{};            // so far
  };
  // A continuation that changes nothing until it is adopted.
  struct Ahead {
    Place place;
    size_t num_left = 0;              // of open_, still open
    std::vector<std::string> keys{};  // new ones of the last of these
    std::vector<Open> opened{};       // new ones inside it
    bool repeats = false;
  };

  Ahead LookAhead(std::string_view text) const;
  void Take(char c, Ahead* ahead) const;
  static void TakeInString(char c, Ahead* ahead);
  void EndKey(Ahead* ahead) const;

  std::vector<Open> open_;
  Place place_;
};

}  // namespace weir
