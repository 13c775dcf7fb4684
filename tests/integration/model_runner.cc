#include "tests/integration/model_runner.h"

#include <cpuid.h>

#include <cstdlib>

namespace weir {

Result<std::string> TestModelPath() {
  const char* path = std::getenv("WEIR_TEST_MODEL");
  if (path == nullptr || *path == '\0') {
    return NotFound(
        "WEIR_TEST_MODEL is not set; expected the path of the default model, run ./test integration");
  }
  return std::string(path);
}

namespace {

// AMX with bf16 products, as the CPU says; that the kernel lets a process use it is the engine's affair.
bool HasTiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 24 & 1) != 0 && (d >> 22 & 1) != 0;
}

}  // namespace

bool MachineHasIsa(std::string_view isa) {
  if (isa == "avx2") return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == "avx512vnni") {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
  }
  if (isa == "avx512bf16") return MachineHasIsa("avx512vnni") && __builtin_cpu_supports("avx512bf16");
  if (isa == "amx") return MachineHasIsa("avx512bf16") && HasTiles();
  return isa == "generic";
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::Create(const Options& options) {
  WEIR_ASSIGN_OR_RETURN(const std::string path, TestModelPath());
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<ModelFile> file, ModelFile::Open(path));
  ModelOptions model_options;
  model_options.isa = options.isa;
  model_options.kv_dtype = options.kv_dtype;
  model_options.num_threads = options.num_threads;
  model_options.max_rows = options.max_rows;
  model_options.max_logit_rows = options.max_logit_rows;
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Model::Load(*file, model_options));
  WEIR_ASSIGN_OR_RETURN(KvStorage kv, KvStorage::Create(model->config().kv_shape(), options.num_blocks));
  return std::unique_ptr<ModelRunner>(
      new ModelRunner(std::move(file), std::move(model), std::move(kv), options));
}

ModelRunner::ModelRunner(std::unique_ptr<ModelFile> file, std::unique_ptr<Model> model, KvStorage kv,
                         const Options& options)
    : file_(std::move(file)),
      model_(std::move(model)),
      kv_(std::move(kv)),
      pool_(options.num_blocks),
      logits_(static_cast<size_t>(options.max_logit_rows) *
              static_cast<size_t>(model_->config().vocab_size)) {}

ModelRunner::~ModelRunner() = default;

void ModelRunner::Add(Stream& stream, int count, bool wants_last_logits, bool wants_all_logits) {
  stream.table.Cover(pool_, stream.num_computed + count);
  const bool is_prompt = stream.num_computed < stream.num_prompt;
  batch_.AddSequence(is_prompt ? TokenOrigin::kPrompt : TokenOrigin::kGenerated, stream.tokens.data(),
                     stream.num_computed, count, stream.table, wants_last_logits, wants_all_logits);
  stream.num_computed += count;
}

MatrixView<float> ModelRunner::Run() {
  const MatrixView<float> logits(logits_.data(), static_cast<int64_t>(batch_.logit_rows.size()),
                                 vocab_size());
  model_->Forward(batch_, kv_, logits, {});
  return logits;
}

}  // namespace weir
