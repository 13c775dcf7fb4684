// SiLU of what becomes 8 bits, included inside the anonymous namespace of the ISA files that have tiles of prompts, after
// isa_attention_prompts.h.
//
// Threads   pure functions
#pragma once

inline __attribute__((always_inline)) Lanes SiluMultiply(Lanes gate, Lanes up) {
  // A power that is too large becomes infinity, and its reciprocal zero.
  const Lanes sigmoid = _mm512_rcp14_ps(Add(PowerOf2(Mul(gate, Set(-kLog2E))), Set(1.0f)));
  return Mul(Mul(gate, sigmoid), up);
}
