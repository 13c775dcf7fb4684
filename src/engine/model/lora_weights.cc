#include "engine/model/lora_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "engine/model/model_tensors.h"
#include "engine/tensor/dequantize.h"

namespace weir {
namespace {

constexpr uint64_t kMaxRank = 1024;
constexpr int64_t kAlignment = 64;

struct Adapted {
  std::string_view part;  // of "blk.7.attn_q.weight"
  LoraTarget target;
};
constexpr Adapted kAdapted[] = {
    {"attn_q.weight", LoraTarget::kQ},      {"attn_k.weight", LoraTarget::kK},
    {"attn_v.weight", LoraTarget::kV},      {"attn_output.weight", LoraTarget::kO},
    {"ffn_gate.weight", LoraTarget::kGate}, {"ffn_up.weight", LoraTarget::kUp},
    {"ffn_down.weight", LoraTarget::kDown},
};

// Rows [first, first + count) of the adapted matrix belong to this target.
struct Share {
  LoraTarget target;
  uint64_t first;
  uint64_t count;
};

class Packer {
 public:
  Packer(const LoraAdapter& adapter, const ModelConfig& config, const KernelTable& kernels)
      : adapter_(adapter), config_(config), kernels_(kernels) {}

  Result<LoraWeights> Pack() {
    for (int layer = 0; layer < config_.num_layers; ++layer)
      for (ExpectedTensor& tensor : LayerTensors(config_, layer)) {
        std::string name = tensor.name;
        known_.emplace(std::move(name), std::pair(layer, std::move(tensor)));
      }
    out_.layers.resize(static_cast<size_t>(config_.num_layers));
    for (const LoraPair& pair : adapter_.pairs) WEIR_RETURN_IF_ERROR(Add(pair));
    WEIR_ASSIGN_OR_RETURN(out_.buffer, AlignedBuffer::Allocate(static_cast<size_t>(bytes_)));
    int64_t offset = 0;
    for (Pending& pending : pending_) {
      pending.matrix->data = out_.buffer.as<unsigned char>(static_cast<size_t>(offset));
      offset += (pending.matrix->bytes() + kAlignment - 1) / kAlignment * kAlignment;
      if (const Status status = PackStrips(kernels_, pending.rows, QuoteForMessage(pending.source->name), 0,
                                           pending.matrix->num_strips(), *pending.matrix);
          !status.ok())
        return Status(status.code(), fmt::format("{}: {}", adapter_.path, status.message()));
    }
    WEIR_RETURN_IF_ERROR(adapter_.CheckUnchanged());
    return std::move(out_);
  }

 private:
  struct Pending {
    PackedMatrix* matrix;
    const LoraMatrix* source;
    std::vector<std::byte> rows;
  };

  Status Bad(const LoraMatrix& matrix, const std::string& what) const {
    return DataLoss(fmt::format("{}: tensor \"{}\" {}; it was made for another model than {}", adapter_.path,
                                QuoteForMessage(matrix.name), what,
                                config_.name.empty() ? config_.architecture : QuoteForMessage(config_.name)));
  }

  Status Add(const LoraPair& pair) {
    const auto known = known_.find(pair.target);
    const std::string_view target = pair.target;
    const size_t dot = target.starts_with("blk.") ? target.find('.', 4) : std::string_view::npos;
    const std::string_view part = dot == std::string_view::npos ? target : target.substr(dot + 1);
    const std::vector<Share> shares = SharesOf(part);
    // Layers with experts have no feed-forward of their own, which other layers of the same model may have.
    const bool of_plain_ffn = !shares.empty() && shares.front().target >= LoraTarget::kGate;
    if (shares.empty() || (of_plain_ffn && known == known_.end() && config_.num_experts > 0))
      return Unimplemented(fmt::format(
          "{}: tensor \"{}\" adapts {}, which is not adapted in {} models here; train the adapter on "
          "attention{}",
          adapter_.path, QuoteForMessage(pair.a.name), QuoteForMessage(target), config_.architecture,
          !config_.any_plain_ffn()  ? " only"
          : config_.num_experts > 0 ? ", and the feed-forward of layers without experts"
                                    : " and feed-forward projections"));
    if (known == known_.end())
      return Bad(pair.a, fmt::format("adapts {}, which the model does not have", QuoteForMessage(target)));
    const auto& [layer, expected] = known->second;
    if (pair.rank() == 0 || pair.rank() > kMaxRank)
      return Bad(pair.a, fmt::format("has rank {}, expected 1 to {}", pair.rank(), kMaxRank));
    if (pair.a.columns != expected.columns)
      return Bad(pair.a, fmt::format("has {} columns, expected {}", pair.a.columns, expected.columns));
    if (pair.b.rows != expected.rows || pair.b.columns != pair.rank())
      return Bad(pair.b, fmt::format("is {} x {}, expected {} x {}", pair.b.rows, pair.b.columns,
                                     expected.rows, pair.rank()));
    if (!std::isfinite(pair.scale)) return Bad(pair.a, "has a scale that is not a finite number");
    out_.rank = std::max(out_.rank, static_cast<int>(pair.rank()));
    for (const Share& share : shares) {
      LoraFactor& factor = out_.layers[static_cast<size_t>(layer)][static_cast<size_t>(share.target)];
      if (factor.a.out > 0) return Bad(pair.a, "adapts a matrix for the second time");
      factor.scale = pair.scale;
      WEIR_RETURN_IF_ERROR(LayOut(pair.a, 0, pair.rank(), 0, &factor.a));
      const int heads = share.target == LoraTarget::kQ   ? config_.num_heads
                        : share.target == LoraTarget::kK ? config_.num_kv_heads
                                                         : 0;
      WEIR_RETURN_IF_ERROR(LayOut(pair.b, share.first, share.count, heads, &factor.b));
    }
    return OkStatus();
  }

  std::vector<Share> SharesOf(std::string_view part) const {
    const auto q = static_cast<uint64_t>(config_.num_heads) * static_cast<uint64_t>(config_.head_dim);
    const auto kv = static_cast<uint64_t>(config_.num_kv_heads) * static_cast<uint64_t>(config_.head_dim);
    const auto ffn = static_cast<uint64_t>(config_.ffn_size);
    const auto hidden = static_cast<uint64_t>(config_.hidden_size);
    if (config_.fused_qkv && part == "attn_qkv.weight")
      return {{LoraTarget::kQ, 0, q}, {LoraTarget::kK, q, kv}, {LoraTarget::kV, q + kv, kv}};
    if (config_.fused_qkv && part == "ffn_up.weight")
      return {{LoraTarget::kGate, 0, ffn}, {LoraTarget::kUp, ffn, ffn}};
    for (const Adapted& adapted : kAdapted) {
      if (adapted.part != part) continue;
      switch (adapted.target) {
        case LoraTarget::kQ:
          return {{adapted.target, 0, q}};
        case LoraTarget::kK:
        case LoraTarget::kV:
          return {{adapted.target, 0, kv}};
        case LoraTarget::kO:
          return {{adapted.target, 0, hidden}};
        default:
          return {{adapted.target, 0, adapted.target == LoraTarget::kDown ? hidden : ffn}};
      }
    }
    return {};
  }

  // `heads`: of rows that the model may want in another order than the file has them; else 0.
  Status LayOut(const LoraMatrix& source, uint64_t first, uint64_t count, int heads, PackedMatrix* matrix) {
    const DType stored = source.dtype;
    const bool is_float = stored == DType::kF32 || stored == DType::kF16 || stored == DType::kBF16;
    Pending pending{matrix, &source, {}};
    const size_t stored_row = source.data.size() / source.rows;
    const auto part = source.data.subspan(first * stored_row, count * stored_row);
    if (is_float) {
      pending.rows.assign(part.begin(), part.end());
    } else {
      const std::vector<float> values = DequantizeAll(stored, part, count * source.columns);
      const auto bytes = std::as_bytes(std::span(values));
      pending.rows.assign(bytes.begin(), bytes.end());
    }
    WEIR_ASSIGN_OR_RETURN(
        *matrix, LayOutMatrix(kernels_, is_float ? stored : DType::kF32, static_cast<int64_t>(source.columns),
                              static_cast<int64_t>(count), QuoteForMessage(source.name)));
    if (heads > 0) WEIR_RETURN_IF_ERROR(ReorderHeads(source, heads, &pending.rows));
    bytes_ += (matrix->bytes() + kAlignment - 1) / kAlignment * kAlignment;
    pending_.push_back(std::move(pending));
    return OkStatus();
  }

  // A head's rows (i, i + half) become (2i, 2i + 1), or back: whichever way the model rotates them.
  Status ReorderHeads(const LoraMatrix& source, int heads, std::vector<std::byte>* rows) const {
    const bool wants_halves = config_.rope_pairs == RopePairs::kHalves;
    if (wants_halves == adapter_.pairs_are_halves()) return OkStatus();
    if (config_.rope_dims != config_.head_dim)
      return Unimplemented(
          fmt::format("{}: tensor \"{}\": the rows of heads that rotate only in part cannot be put into the "
                      "model's order; "
                      "convert the adapter as the model was",
                      adapter_.path, QuoteForMessage(source.name)));
    const size_t half = static_cast<size_t>(config_.head_dim) / 2;
    const size_t row_bytes = rows->size() / (static_cast<size_t>(heads) * 2 * half);
    std::vector<std::byte> ordered(rows->size());
    for (size_t head = 0; head < static_cast<size_t>(heads); ++head)
      for (size_t i = 0; i < half; ++i)
        for (size_t side = 0; side < 2; ++side) {
          const size_t apart = head * 2 * half + side * half + i;
          const size_t together = head * 2 * half + 2 * i + side;
          const size_t from = wants_halves ? together : apart;
          const size_t to = wants_halves ? apart : together;
          std::copy_n(rows->begin() + static_cast<std::ptrdiff_t>(from * row_bytes), row_bytes,
                      ordered.begin() + static_cast<std::ptrdiff_t>(to * row_bytes));
        }
    *rows = std::move(ordered);
    return OkStatus();
  }

  const LoraAdapter& adapter_;
  const ModelConfig& config_;
  const KernelTable& kernels_;
  std::map<std::string, std::pair<int, ExpectedTensor>, std::less<>> known_;
  LoraWeights out_;
  std::vector<Pending> pending_;
  int64_t bytes_ = 0;
};

}  // namespace

Result<LoraWeights> LoraWeights::Pack(const LoraAdapter& adapter, const ModelConfig& config,
                                      const KernelTable& kernels) {
  // The order of a GGUF adapter's rows is that of its own architecture.
  if (!adapter.architecture.empty() && adapter.architecture != config.architecture)
    return DataLoss(
        fmt::format("{}: general.architecture is \"{}\", but the model's is \"{}\"; use an adapter that "
                    "was made for it",
                    adapter.path, QuoteForMessage(adapter.architecture), config.architecture));
  return Packer(adapter, config, kernels).Pack();
}

}  // namespace weir
