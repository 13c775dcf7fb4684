#include "tests/support/tiny_model.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "base/rng.h"
#include "tests/support/quantize.h"
#include "tests/support/tiny_vocabulary.h"

namespace weir {
namespace {

constexpr std::string_view kChatMl =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a tiny model<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

class WeightMaker {
 public:
  WeightMaker(const TinyModelOptions& options, GgufWriter* out)
      : dtype_(options.weight_type), rng_(options.seed), out_(out) {}

  // Rows of `in` numbers. The layers are louder than the embeddings, so that a tied lm-head does not just
  // repeat the last token.
  void Matrix(const std::string& name, uint64_t in, uint64_t rows) {
    std::vector<float> values(in * rows);
    const double deviation = 1.5 / std::sqrt(static_cast<double>(in));
    for (float& value : values) value = static_cast<float>(rng_.NextNormal() * deviation);
    out_->AddTensor(name, {in, rows}, dtype_, Quantize(dtype_, values));
  }
  void Embeddings(const std::string& name, uint64_t width) {
    std::vector<float> values(width * kTinyVocabSize);
    for (size_t i = 0; i < values.size(); ++i) {
      const double deviation = i / width <= kTinyTurnEnd ? 0.001 : 0.1;
      values[i] = static_cast<float>(rng_.NextNormal() * deviation);
    }
    out_->AddTensor(name, {width, kTinyVocabSize}, dtype_, Quantize(dtype_, values));
  }
  void Norm(const std::string& name, uint64_t width) {
    std::vector<float> values(width);
    for (float& value : values) value = static_cast<float>(1 + 0.1 * rng_.NextNormal());
    out_->AddTensor(name, {width}, DType::kF32, Quantize(DType::kF32, values));
  }

 private:
  DType dtype_;
  Rng rng_;
  GgufWriter* out_;
};

void SetArchitecture(const TinyModelOptions& options, GgufWriter* out) {
  out->SetString("general.architecture", "llama");
  out->SetString("general.type", "model");
  out->SetString("general.name", "Tiny");
  out->SetUint32("llama.block_count", static_cast<uint32_t>(options.num_layers));
  out->SetUint32("llama.context_length", static_cast<uint32_t>(options.max_context));
  out->SetUint32("llama.embedding_length", static_cast<uint32_t>(options.hidden_size));
  out->SetUint32("llama.feed_forward_length", static_cast<uint32_t>(options.ffn_size));
  out->SetUint32("llama.attention.head_count", static_cast<uint32_t>(options.num_heads));
  out->SetUint32("llama.attention.head_count_kv", static_cast<uint32_t>(options.num_kv_heads));
  out->SetFloat32("llama.rope.freq_base", 10000.0f);
  out->SetFloat32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  out->SetUint32("llama.vocab_size", kTinyVocabSize);
  out->SetUint32("llama.rope.dimension_count",
                 static_cast<uint32_t>(options.hidden_size / options.num_heads));
}

void SetTokenizer(GgufWriter* out) {
  const TinyVocabulary vocabulary = MakeTinyVocabulary();
  out->SetBool("tokenizer.ggml.add_space_prefix", false);
  out->SetBool("tokenizer.ggml.add_bos_token", false);
  out->SetString("tokenizer.ggml.model", "gpt2");
  out->SetString("tokenizer.ggml.pre", "smollm");
  out->SetStringArray("tokenizer.ggml.tokens", vocabulary.tokens);
  out->SetInt32Array("tokenizer.ggml.token_type", vocabulary.types);
  out->SetStringArray("tokenizer.ggml.merges", vocabulary.merges);
  out->SetUint32("tokenizer.ggml.bos_token_id", kTinyTurnStart);
  out->SetUint32("tokenizer.ggml.eos_token_id", kTinyTurnEnd);
  out->SetUint32("tokenizer.ggml.unknown_token_id", kTinyEndOfText);
  out->SetUint32("tokenizer.ggml.padding_token_id", kTinyTurnEnd);
  out->SetString("tokenizer.chat_template", kChatMl);
}

}  // namespace

GgufWriter TinyModelFile(const TinyModelOptions& options) {
  GgufWriter out;
  SetArchitecture(options, &out);
  SetTokenizer(&out);
  const auto width = static_cast<uint64_t>(options.hidden_size);
  const auto ffn = static_cast<uint64_t>(options.ffn_size);
  const uint64_t kv_width =
      width / static_cast<uint64_t>(options.num_heads) * static_cast<uint64_t>(options.num_kv_heads);
  WeightMaker weights(options, &out);
  weights.Embeddings("token_embd.weight", width);
  for (int layer = 0; layer < options.num_layers; ++layer) {
    const auto name = [&](const char* part) { return fmt::format("blk.{}.{}.weight", layer, part); };
    weights.Norm(name("attn_norm"), width);
    weights.Matrix(name("ffn_down"), ffn, width);
    weights.Matrix(name("ffn_gate"), width, ffn);
    weights.Matrix(name("ffn_up"), width, ffn);
    weights.Norm(name("ffn_norm"), width);
    weights.Matrix(name("attn_k"), width, kv_width);
    weights.Matrix(name("attn_output"), width, width);
    weights.Matrix(name("attn_q"), width, width);
    weights.Matrix(name("attn_v"), width, kv_width);
  }
  weights.Norm("output_norm.weight", width);
  if (!options.tied_embeddings) weights.Embeddings("output.weight", width);
  return out;
}

}  // namespace weir
