#include "engine/model/model.h"

#include <fmt/format.h>

#include "engine/kernels/kernels.h"
#include "engine/model/llama.h"

namespace weir {
Result<std::unique_ptr<Model>> Model::Load(const ModelFile& file, const ModelOptions& options) {
  WEIR_ASSIGN_OR_RETURN(const KernelTable* kernels, SelectKernels(options.isa));
  WEIR_ASSIGN_OR_RETURN(ModelConfig config, ReadModelConfig(file));
  if (options.max_context > 0) config.max_context = std::min(config.max_context, options.max_context);
  config.kv_dtype = options.kv_dtype;
  if (config.kv_dtype == KvDtype::kInt8 && config.head_dim > kMaxInt8HeadDim) {
    return Unimplemented(
        fmt::format("{}: an int8 KV cache takes heads of up to {} values, these have {}; use "
                    "--kv-cache-dtype fp16",
                    file.path(), int{kMaxInt8HeadDim}, config.head_dim));
  }
  return LlamaModel::Load(file, config, *kernels, options);
}

}  // namespace weir
