// A huge value among the small ones of a block, included inside the anonymous namespace of the ISA files that quantize rows, after
// their lanes.
//
// Threads   pure functions
// Source    docs/KERNELS.md, "Activations"
#pragma once

// Of the largest value, the most that the second may be for the first to be taken out.
static constexpr float kWorthTaking = 0.75f;

struct BlockMaximum {
  float largest;       // of what is left in the block
  int32_t taken_from;  // the column, or -1
};

// Copies 32 values without the largest, if that makes the others much finer.
static inline BlockMaximum TakeOutlier(const float* x, float largest, float (&rest)[32]) {
  Lanes first = Load(x);
  Lanes last = Load(x + 16);
  const int32_t at = IndexOf(Abs(first), Abs(last), largest);
  ClearLane(first, last, at);
  const float second = MaxLanes(Max(Abs(first), Abs(last)));
  if (second > kWorthTaking * largest) return {largest, -1};
  Store(rest, first);
  Store(rest + 16, last);
  return {second, at};
}
