#include "cli/model_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/utf8.h"
#include "cli/default_model.h"
#include "engine/safetensors/model_directory.h"
#include "engine/synthetic/synthetic_shape.h"

namespace weir {
namespace {

Status Clash(const std::string& flag, const std::string& why) {
  return InvalidArgument(fmt::format("{} {}", flag, why)).WithParam(flag);
}

Result<LoadQuantization> LoadQuantizationOf(const std::string& name) {
  if (name.empty() || name == "none") return LoadQuantization::kNone;
  for (const LoadQuantization known :
       {LoadQuantization::kQ8_0, LoadQuantization::kQ4_0, LoadQuantization::kQ4_K})
    if (name == LoadQuantizationName(known)) return known;
  return Clash("--quantization",
               fmt::format("is '{}', expected one of: none, q8_0, q4_0, q4_k", QuoteForMessage(name)));
}

}  // namespace

void ModelFlags::Declare(CLI::App& app) {
  app.add_option("--model", model,
                 "GGUF file or Hugging Face directory; without it the default model of tools/get_model.sh");
  app.add_option("--load-format", load_format,
                 "gguf: read a file; dummy: random weights in memory, to measure a model one does not have")
      ->capture_default_str();
  app.add_option("--shape", shape, fmt::format("with dummy: {}", fmt::join(SyntheticShapeNames(), ", ")));
  app.add_option("--quantization", quantization,
                 fmt::format("of a Hugging Face directory: none, q8_0, q4_0, q4_k; with dummy: {}",
                             fmt::join(QuantizationNames(), ", ")));
  app.add_option(
         "--weights", weights,
         "repack: copy them into memory in the kernels' order; mmap: leave them in the file's mapping, which "
         "takes little memory of its own but is many times slower, as every step packs them anew")
      ->capture_default_str();
}

Result<ModelChoice> ModelFlags::Choose() const {
  ModelChoice choice;
  if (weights != "repack" && weights != "mmap")
    return Clash("--weights",
                 fmt::format("is '{}', expected one of: repack, mmap", QuoteForMessage(weights)));
  choice.weights = weights == "mmap" ? WeightStorage::kMmap : WeightStorage::kRepack;
  if (load_format == "gguf") {
    if (!shape.empty()) return Clash("--shape", "describes synthetic weights; add --load-format dummy");
    if (!model.empty() && IsModelDirectory(model)) {
      WEIR_ASSIGN_OR_RETURN(choice.quantization, LoadQuantizationOf(quantization));
      choice.quantized_cache = CacheFolder() + "/quantized";
    } else if (!quantization.empty()) {
      return Clash("--quantization",
                   "describes synthetic weights or a directory's; add --load-format dummy, or name a file of "
                   "that type");
    }
    WEIR_ASSIGN_OR_RETURN(choice.path, FindModel(model));
    return choice;
  }
  if (load_format != "dummy") {
    return Clash("--load-format",
                 fmt::format("is '{}', expected one of: gguf, dummy", QuoteForMessage(load_format)));
  }
  if (!model.empty())
    return Clash("--model", "names a file, but --load-format dummy reads none; leave one of them out");
  if (choice.weights == WeightStorage::kMmap)
    return Clash("--weights", "mmap needs a file, but --load-format dummy has none; leave one of them out");
  SyntheticSpec spec;
  spec.shape = shape;
  spec.quantization = quantization;
  WEIR_RETURN_IF_ERROR(CheckSyntheticSpec(spec));
  choice.path = spec.Name();
  choice.synthetic = std::move(spec);
  return choice;
}

}  // namespace weir
