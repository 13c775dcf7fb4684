// A row-major matrix that somebody else owns.
//
// Shapes    [rows, columns]; `stride` elements from one row to the next, stride >= columns
// Owns      nothing
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;

  MatrixView() = default;
  MatrixView(T* d, int64_t r, int64_t c) : data(d), rows(r), columns(c), stride(c) {}
  MatrixView(T* d, int64_t r, int64_t c, int64_t s) : data(d), rows(r), columns(c), stride(s) {}

  T* row(int64_t i) const { return data + i * stride; }
  operator MatrixView<const T>() const { return {data, rows, columns, stride}; }
};

}  // namespace weir
