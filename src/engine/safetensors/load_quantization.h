// What the matrices of a Hugging Face directory become while they are loaded.
#pragma once

namespace weir {

enum class LoadQuantization { kNone, kQ8_0, kQ4_0 };

}  // namespace weir
