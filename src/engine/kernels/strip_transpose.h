// Packs whole strips, four rows or more at a time: fast enough to keep up with reading the file.
//
// Shapes    rows: strip_rows rows of the file, one after another; strip: as PackedMatrix says
// Errors    false: nothing useful was written, pack row by row. Then the width is odd, or a number is not
//           finite (the slow way says which)
// Threads   pure functions
#pragma once

#include <cstddef>

#include "engine/kernels/packed_matrix.h"

namespace weir {

// `flip` is xored to every code byte of the types of bytes.
bool TransposeStrip(const PackedMatrix& matrix, unsigned char flip, const std::byte* rows,
                    unsigned char* strip);

}  // namespace weir
