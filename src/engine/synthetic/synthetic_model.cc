#include "engine/synthetic/synthetic_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/check.h"
#include "engine/gguf/metadata_writer.h"
#include "engine/synthetic/random_rows.h"
#include "engine/tokenizer/byte_alphabet.h"

namespace weir {
namespace {

constexpr const char* kControlTokens[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
constexpr uint32_t kNumControlTokens = 3;
constexpr const char* kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

void WriteArchitecture(const SyntheticShape& shape, const std::string& name, MetadataWriter* out) {
  out->SetString("general.architecture", "llama");
  out->SetString("general.name", name);
  out->SetUint32("llama.block_count", shape.num_layers);
  out->SetUint32("llama.context_length", shape.max_context);
  out->SetUint32("llama.embedding_length", shape.hidden_size);
  out->SetUint32("llama.feed_forward_length", shape.ffn_size);
  out->SetUint32("llama.attention.head_count", shape.num_heads);
  out->SetUint32("llama.attention.head_count_kv", shape.num_kv_heads);
  out->SetUint32("llama.attention.key_length", shape.head_dim);
  out->SetUint32("llama.attention.value_length", shape.head_dim);
  out->SetUint32("llama.rope.dimension_count", shape.head_dim);
  out->SetFloat32("llama.rope.freq_base", shape.rope_theta);
  out->SetFloat32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  out->SetUint32("llama.vocab_size", shape.vocab_size);
}

void WriteTokenizer(const SyntheticShape& shape, MetadataWriter* out) {
  std::vector<std::string> tokens;
  tokens.reserve(shape.vocab_size);
  for (int byte = 0; byte < 256; ++byte)
    tokens.push_back(SpellBytes(std::string(1, static_cast<char>(byte))));
  while (tokens.size() < shape.vocab_size - kNumControlTokens)
    tokens.push_back(fmt::format("#{}", tokens.size()));
  for (const char* control : kControlTokens) tokens.emplace_back(control);
  constexpr int32_t kNormal = 1, kControl = 3;
  std::vector<int32_t> types(tokens.size(), kNormal);
  std::fill(types.end() - kNumControlTokens, types.end(), kControl);
  const uint32_t first_control = shape.vocab_size - kNumControlTokens;
  out->SetString("tokenizer.ggml.model", "gpt2");
  out->SetString("tokenizer.ggml.pre", "gpt-2");
  out->SetStrings("tokenizer.ggml.tokens", tokens);
  out->SetInt32s("tokenizer.ggml.token_type", types);
  out->SetStrings("tokenizer.ggml.merges", {});
  out->SetUint32("tokenizer.ggml.bos_token_id", first_control);
  out->SetUint32("tokenizer.ggml.eos_token_id", first_control + 2);
  out->SetBool("tokenizer.ggml.add_bos_token", false);
  out->SetString("tokenizer.chat_template", kChatTemplate);
}

// Lists the tensors in the order in which converters write them.
class Directory {
 public:
  Directory(const SyntheticShape& shape, Quantization quantization)
      : shape_(shape), quantization_(quantization) {}

  std::vector<TensorInfo> Make() {
    const uint64_t hidden = shape_.hidden_size, ffn = shape_.ffn_size, vocabulary = shape_.vocab_size;
    const uint64_t q = uint64_t{shape_.num_heads} * shape_.head_dim;
    const uint64_t kv = uint64_t{shape_.num_kv_heads} * shape_.head_dim;
    Matrix("token_embd", shape_.tied_embeddings ? MatrixRole::kHead : MatrixRole::kEmbedding, hidden,
           vocabulary);
    for (layer_ = 0; layer_ < shape_.num_layers; ++layer_) {
      const auto name = [this](const char* part) { return fmt::format("blk.{}.{}", layer_, part); };
      Norm(name("attn_norm"), hidden);
      Matrix(name("attn_q"), MatrixRole::kOther, hidden, q);
      Matrix(name("attn_k"), MatrixRole::kOther, hidden, kv);
      Matrix(name("attn_v"), MatrixRole::kAttentionValue, hidden, kv);
      Matrix(name("attn_output"), MatrixRole::kOther, q, hidden);
      Norm(name("ffn_norm"), hidden);
      Matrix(name("ffn_gate"), MatrixRole::kOther, hidden, ffn);
      Matrix(name("ffn_up"), MatrixRole::kOther, hidden, ffn);
      Matrix(name("ffn_down"), MatrixRole::kFeedForwardDown, ffn, hidden);
    }
    Norm("output_norm", hidden);
    if (!shape_.tied_embeddings) Matrix("output", MatrixRole::kHead, hidden, vocabulary);
    return std::move(tensors_);
  }

 private:
  void Add(const std::string& name, DType dtype, std::vector<uint64_t> dims) {
    TensorInfo tensor;
    tensor.name = name + ".weight";
    tensor.dtype = dtype;
    tensor.dims = std::move(dims);
    tensor.offset = offset_;
    offset_ += tensor.num_bytes();
    tensors_.push_back(std::move(tensor));
  }
  void Norm(const std::string& name, uint64_t width) { Add(name, DType::kF32, {width}); }
  void Matrix(const std::string& name, MatrixRole role, uint64_t in, uint64_t out) {
    Add(name, TypeOfMatrix(quantization_, role, layer_, shape_.num_layers, in), {in, out});
  }

  const SyntheticShape& shape_;
  const Quantization quantization_;
  uint32_t layer_ = 0;
  uint64_t offset_ = 0;
  std::vector<TensorInfo> tensors_;
};

}  // namespace

Status CheckSyntheticSpec(const SyntheticSpec& spec) {
  WEIR_RETURN_IF_ERROR(FindSyntheticShape(spec.shape).status());
  return FindQuantization(spec.quantization).status();
}

Result<std::unique_ptr<ModelFile>> MakeSyntheticModel(const SyntheticSpec& spec) {
  WEIR_ASSIGN_OR_RETURN(const SyntheticShape shape, FindSyntheticShape(spec.shape));
  WEIR_ASSIGN_OR_RETURN(const Quantization quantization, FindQuantization(spec.quantization));
  return MakeSyntheticModel(shape, quantization, spec.seed, spec.Name());
}

Result<std::unique_ptr<ModelFile>> MakeSyntheticModel(const SyntheticShape& shape, Quantization quantization,
                                                      uint64_t seed, const std::string& name) {
  CHECK(shape.vocab_size >= 256 + kNumControlTokens);
  MetadataWriter metadata;
  WriteArchitecture(shape, name, &metadata);
  WriteTokenizer(shape, &metadata);
  std::vector<TensorInfo> tensors = Directory(shape, quantization).Make();
  auto rows = std::make_unique<RandomRows>(tensors, seed);
  return ModelFile::Assemble(name, std::move(metadata.bytes()), metadata.num_keys(), std::move(tensors),
                             std::move(rows));
}

}  // namespace weir
