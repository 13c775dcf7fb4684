// A whole block's keys, token by token, into the order of the cache.
//
// Shapes    keys [kBlockSize][stride] halves, of which `count` a token, a multiple of 8; to: [count][kBlockSize]
// Threads   pure function
//
// Stored one by one, every two values of a token go to a cache line of their own; here they are turned in registers, 8 by 8.
#pragma once

#include <cstdint>

namespace weir {

void TurnKeys(const uint16_t* keys, int64_t stride, int count, uint16_t* to);

}  // namespace weir
