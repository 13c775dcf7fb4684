// A whole llama-architecture model, small enough to make anew in every test, with random but seeded weights.
//
// Shapes    2 layers, width 64, 4 heads of 16, 2 KV heads, ffn 128, vocabulary 512, context 2048; tied lm-head
// Owns      TinyModel owns a temporary file
// Source    metadata as in the default model: gpt2 tokenizer, pre-tokenizer "smollm", ChatML template
//
// Vocabulary: 0 <|endoftext|>, 1 <|im_start|>, 2 <|im_end|> (end of turn), 3 to 258 the 256 bytes, then 253 merges,
// so any text encodes. The special tokens' embeddings are nearly zero, so greedy text does not end by chance.
#pragma once

#include <cstdint>
#include <string>

#include "engine/tensor/dtype.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/temp_file.h"

namespace weir {

struct TinyModelOptions {
  DType weight_type = DType::kQ4_1;  // of all matrices; norms are always F32
  uint64_t seed = 1;
  int num_layers = 2;
  int hidden_size = 64;
  int num_heads = 4;
  int num_kv_heads = 2;
  int ffn_size = 128;
  int max_context = 2048;
  bool tied_embeddings = true;  // otherwise a tensor output.weight of its own
};

inline constexpr int kTinyVocabSize = 512;
inline constexpr int kTinyEndOfText = 0;
inline constexpr int kTinyTurnStart = 1;
inline constexpr int kTinyTurnEnd = 2;

GgufWriter TinyModelFile(const TinyModelOptions& options = {});

class TinyModel {
 public:
  explicit TinyModel(const TinyModelOptions& options = {}) : file_(TinyModelFile(options).Build()) {}
  const std::string& path() const { return file_.path(); }

 private:
  TempFile file_;
};

}  // namespace weir
