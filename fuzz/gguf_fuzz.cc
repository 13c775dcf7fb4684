// GGUF files: metadata, tensor directory, vocabulary.
#include "engine/gguf/model_file.h"
#include "fuzz/exercise_tokenizer.h"
#include "fuzz/scratch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const weir::ScratchFile file("model.gguf");
  file.Write(data, size);
  const auto model = weir::ModelFile::Open(file.path());
  if (!model.has_value()) return 0;
  for (const weir::TensorInfo& tensor : (*model)->tensors()) {
    if (tensor.data.empty()) continue;
    volatile std::byte last = tensor.data.back();
    (void)last;
  }
  weir::ExerciseTokenizer(**model);
  return 0;
}
