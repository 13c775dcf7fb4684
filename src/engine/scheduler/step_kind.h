// Whether a step computes prompts: their tokens take kernels of their own, so it costs differently.
#pragma once

namespace weir {

enum class StepKind { kWithPrompts, kDecodesOnly };

}  // namespace weir
