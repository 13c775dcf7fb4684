// A value or the Status that says why there is none. Member names are those of std::expected.
//
// Requires  value() and * only when has_value(), error() only when not (CHECK)
// Threads   as T
#pragma once

#include <utility>
#include <variant>

#include "base/check.h"
#include "base/status.h"

namespace weir {

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // implicit, so `return value;` works
  Result(Status error) : state_(std::in_place_index<1>, std::move(error)) {
    CHECK(!std::get<1>(state_).ok());  // a Result without a value must say why
  }

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & {
    CHECK(has_value());
    return std::get<0>(state_);
  }
  const T& value() const& {
    CHECK(has_value());
    return std::get<0>(state_);
  }
  T&& value() && {
    CHECK(has_value());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Status& error() const& {
    CHECK(!has_value());
    return std::get<1>(state_);
  }
  Status&& error() && {
    CHECK(!has_value());
    return std::get<1>(std::move(state_));
  }
  // OK when there is a value: for code that handles both alike.
  Status status() const { return has_value() ? OkStatus() : error(); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace weir

#define WEIR_CONCAT_INNER(a, b) a##b
#define WEIR_CONCAT(a, b) WEIR_CONCAT_INNER(a, b)
#define WEIR_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                        \
  if (!result.has_value()) return std::move(result).error();         \
  declaration = std::move(result).value()
// WEIR_ASSIGN_OR_RETURN(auto file, Open(path));
#define WEIR_ASSIGN_OR_RETURN(declaration, expression) \
  WEIR_ASSIGN_OR_RETURN_INNER(WEIR_CONCAT(weir_result_, __LINE__), declaration, expression)
