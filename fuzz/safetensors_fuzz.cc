// safetensors files: the header, and that every tensor it names lies in the file.
#include "engine/safetensors/checkpoint.h"
#include "fuzz/scratch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const weir::ScratchFile file("model.safetensors");
  file.Write(data, size);
  (void)weir::Checkpoint::Open(file.folder());
  return 0;
}
