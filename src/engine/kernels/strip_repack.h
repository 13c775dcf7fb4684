// Packs whole strips of the types whose codes the file keeps in another order than the kernels: four rows at a time.
//
// Shapes    rows: strip_rows rows of the file, one after another; strip: as PackedMatrix says
// Errors    false: nothing useful was written, pack row by row. Then a scale is not finite, or the strips are of no usual height
// Threads   pure functions
#pragma once

#include <cstddef>

#include "engine/kernels/packed_matrix.h"

namespace weir {

bool RepackStrip(const PackedMatrix& matrix, const std::byte* rows, unsigned char* strip);

}  // namespace weir
