// config.json of a Hugging Face directory.
#include "engine/gguf/metadata_writer.h"
#include "engine/safetensors/hugging_face_config.h"
#include "fuzz/scratch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const weir::ScratchFile file("config.json");
  file.Write(data, size);
  weir::MetadataWriter metadata;
  const auto config = weir::HuggingFaceConfig::Read(file.folder(), &metadata);
  if (!config.has_value()) return 0;
  // What was read must be metadata that can be read back.
  if (!weir::ModelFile::Assemble("fuzz", std::move(metadata.bytes()), metadata.num_keys(), {}, nullptr)
           .has_value())
    std::abort();
  return 0;
}
