// tokenizer.json, and the tokenizer that it makes.
#include "engine/gguf/metadata_writer.h"
#include "engine/safetensors/tokenizer_json.h"
#include "fuzz/exercise_tokenizer.h"
#include "fuzz/scratch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const weir::ScratchFile file("tokenizer.json");
  file.Write(data, size);
  weir::MetadataWriter metadata;
  if (!weir::WriteTokenizer(file.folder(), 512, &metadata).ok()) return 0;
  const auto model =
      weir::ModelFile::Assemble("fuzz", std::move(metadata.bytes()), metadata.num_keys(), {}, nullptr);
  if (model.has_value()) weir::ExerciseTokenizer(**model);
  return 0;
}
