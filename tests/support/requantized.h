// A model file as a GGUF file whose matrices are of another type.
//
// Owns      nothing lasting
#pragma once

#include <string>
#include <vector>

#include "engine/gguf/model_file.h"
#include "engine/tensor/dequantize.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/quantize.h"

namespace weir {

inline GgufWriter Requantized(const ModelFile& file, DType dtype) {
  GgufWriter out;
  for (const MetadataEntry& entry : file.metadata()) {
    std::string value(reinterpret_cast<const char*>(entry.data.data()), entry.data.size());
    if (entry.type == MetadataType::kString) {
      out.SetString(entry.key, entry.strings.front());
    } else {
      out.SetRaw(entry.key, static_cast<uint32_t>(entry.type), value);
    }
  }
  for (const TensorInfo& tensor : file.tensors()) {
    const std::vector<float> values = DequantizeAll(tensor.dtype, tensor.data, tensor.num_elements());
    const DType to = tensor.dims.size() > 1 ? dtype : DType::kF32;
    out.AddTensor(tensor.name, tensor.dims, to, Quantize(to, values));
  }
  return out;
}

}  // namespace weir
