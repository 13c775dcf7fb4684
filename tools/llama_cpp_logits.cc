// Teacher-forced logits of llama.cpp, for tools/measure_numerics.py, which builds it against an installed libllama.
//
// in   int32 windows; each: int32 tokens n, int32 first position f, int32 tokens[n]
// out  float32 logits[n - f][vocabulary] of each window, one after another
#include <llama.h>

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

bool Read(int32_t* values, size_t count) { return std::fread(values, sizeof *values, count, stdin) == count; }

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
  llama_backend_init();
  llama_model_params model_params = llama_model_default_params();
  // Its repacked kernels end with an illegal instruction on some CPUs; the arithmetic of the others is the same.
  model_params.use_extra_bufts = false;
  llama_model* model = llama_model_load_from_file(argv[1], model_params);
  if (model == nullptr) return 1;
  llama_context_params params = llama_context_default_params();
  params.n_ctx = params.n_batch = 2048;
  params.n_threads = params.n_threads_batch = 2;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr) return 1;
  const auto num_logits = static_cast<size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model)));
  int32_t num_windows = 0;
  if (!Read(&num_windows, 1)) return 1;
  for (int32_t window = 0; window < num_windows; ++window) {
    int32_t head[2];
    if (!Read(head, 2)) return 1;
    std::vector<int32_t> tokens(static_cast<size_t>(head[0]));
    if (!Read(tokens.data(), tokens.size())) return 1;
    llama_memory_clear(llama_get_memory(context), true);
    llama_batch batch = llama_batch_init(head[0], 0, 1);
    batch.n_tokens = head[0];
    for (int32_t i = 0; i < head[0]; ++i) {
      batch.token[i] = tokens[static_cast<size_t>(i)];
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = i >= head[1];
    }
    if (llama_decode(context, batch) != 0) return 1;
    for (int32_t i = head[1]; i < head[0]; ++i)
      std::fwrite(llama_get_logits_ith(context, i), sizeof(float), num_logits, stdout);
    llama_batch_free(batch);
  }
  return 0;
}
