// The default model with a KV cache and no scheduler: tests decide themselves which rows share a step.
//
// Requires  WEIR_TEST_MODEL names the model file
// Threads   one test thread
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/batch/batch.h"
#include "engine/kvcache/block_pool.h"
#include "engine/kvcache/block_table.h"
#include "engine/kvcache/kv_storage.h"
#include "engine/model/model.h"

namespace weir {

Result<std::string> TestModelPath();

// "generic", "avx2", "avx512vnni". Asked of the CPU itself, so that a path which fails to load where it
// should run is a failure and not a skip.
bool MachineHasIsa(std::string_view isa);
// A sanitizer makes the real model ten to fifty times slower, and what it looks for shows in short texts as well: there
// the tests take samples, and leave the scalar path to the kernels' own tests and the tiny models.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

class ModelRunner {
 public:
  struct Options {
    std::string isa;
    int num_threads = 0;
    int max_rows = 512;
    int max_logit_rows = 64;
    int num_blocks = 256;
    KvDtype kv_dtype = KvDtype::kF16;
  };
  static Result<std::unique_ptr<ModelRunner>> Create(const Options& options);
  ~ModelRunner();

  // A token stream whose first `num_computed` tokens are in the cache, and whose first `num_prompt` are its prompt.
  // Release() gives its blocks back.
  struct Stream {
    std::vector<int32_t> tokens;
    int num_prompt = std::numeric_limits<int>::max();
    int num_computed = 0;
    BlockTable table;
  };
  void Release(Stream& stream) { stream.table.Free(pool_); }

  // One step: Begin(), Add() per stream, Run(). Add() takes the next `count` tokens of the stream, all of its prompt or none;
  // streams that are in their prompts come first.
  void Begin() { batch_.Clear(); }
  void Add(Stream& stream, int count, bool wants_last_logits, bool wants_all_logits = false);
  // Row i belongs to the i-th wanted row; valid until the next Run().
  MatrixView<float> Run();

  const Model& model() const { return *model_; }
  int vocab_size() const { return model_->config().vocab_size; }
  int num_rows() const { return batch_.num_rows(); }

 private:
  ModelRunner(std::unique_ptr<ModelFile> file, std::unique_ptr<Model> model, KvStorage kv,
              const Options& options);

  std::unique_ptr<ModelFile> file_;
  std::unique_ptr<Model> model_;
  KvStorage kv_;
  BlockPool pool_;
  Batch batch_;
  std::vector<float> logits_;
};

}  // namespace weir
