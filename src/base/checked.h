// Arithmetic on sizes that come from files and requests: overflow is a value, not a surprise.
//
// Errors    an operand or result that does not fit makes the number invalid, and it stays so through later
// operations
#pragma once

#include <cstdint>
#include <optional>

namespace weir {

class CheckedSize {
 public:
  constexpr CheckedSize(uint64_t value) : value_(value) {}  // implicit, so formulas read as formulas

  constexpr bool valid() const { return valid_; }
  constexpr std::optional<uint64_t> value() const {
    return valid_ ? std::optional<uint64_t>(value_) : std::nullopt;
  }
  // True when valid and not above the limit.
  constexpr bool FitsIn(uint64_t limit) const { return valid_ && value_ <= limit; }

  friend constexpr CheckedSize operator+(CheckedSize a, CheckedSize b) {
    CheckedSize out(0);
    out.valid_ = !__builtin_add_overflow(a.value_, b.value_, &out.value_) && a.valid_ && b.valid_;
    return out;
  }
  friend constexpr CheckedSize operator-(CheckedSize a, CheckedSize b) {
    CheckedSize out(0);
    out.valid_ = !__builtin_sub_overflow(a.value_, b.value_, &out.value_) && a.valid_ && b.valid_;
    return out;
  }
  friend constexpr CheckedSize operator*(CheckedSize a, CheckedSize b) {
    CheckedSize out(0);
    out.valid_ = !__builtin_mul_overflow(a.value_, b.value_, &out.value_) && a.valid_ && b.valid_;
    return out;
  }
  // Next multiple of `alignment`, which must be a power of two.
  constexpr CheckedSize AlignUp(uint64_t alignment) const {
    CheckedSize padded = *this + CheckedSize(alignment - 1);
    padded.value_ &= ~(alignment - 1);
    return padded;
  }

 private:
  uint64_t value_;
  bool valid_ = true;
};

}  // namespace weir
