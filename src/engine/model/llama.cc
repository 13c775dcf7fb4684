#include "engine/model/llama.h"

#include <algorithm>
#include <initializer_list>

#include "engine/kernels/attention.h"
#include "engine/model/outlier_threshold.h"

namespace weir {
namespace {

// Fewer rows than this are normed by one thread: a barrier would cost more.
constexpr int kRowsWorthSharing = 4;

// Whether every one of them reads tiles and none the activations themselves.
bool AllQuantized(std::initializer_list<const PackedMatrix*> matrices) {
  return std::all_of(matrices.begin(), matrices.end(),
                     [](const PackedMatrix* matrix) { return matrix->quantized(); });
}

// Rows that are worth a range of their own. On tiles of prompts, unpacking a strip costs as much as multiplying some 12 rows (int8)
// or 60 (bf16); without them a range reads the weights once more, which some 10 rows pay for.
constexpr int kPromptRowsOfRange = 256;
constexpr int kRowsOfRange = 64;

// On tiles, a unit reads the activations once for all its strips: fewer units, three or four a thread, of whole pairs of strips, so
// many that all threads end together.
int PromptStripsPerUnit(int num_strips, int num_threads) {
  const int pairs = (num_strips + 1) / 2;
  const int most = std::max(1, pairs / (3 * num_threads));
  const auto pairs_of_a_thread = [&](int per_unit) {
    const int units = (pairs + per_unit - 1) / per_unit;
    return (units + num_threads - 1) / num_threads * per_unit;
  };
  int best = most;
  for (int per_unit = most; per_unit >= std::max(1, pairs / (4 * num_threads)); --per_unit)
    if (pairs_of_a_thread(per_unit) < pairs_of_a_thread(best)) best = per_unit;
  return 2 * best;
}

}  // namespace

Result<std::unique_ptr<Model>> LlamaModel::Load(const ModelFile& file, const ModelConfig& config,
                                                const KernelTable& kernels, const ModelOptions& options) {
  std::unique_ptr<LlamaModel> model(new LlamaModel);
  model->config_ = config;
  model->kernels_ = &kernels;
  const int threads = options.num_threads > 0 ? options.num_threads : ThreadPool::AvailableCores();
  WEIR_ASSIGN_OR_RETURN(model->pool_, ThreadPool::Create(threads));
  WEIR_ASSIGN_OR_RETURN(model->weights_, Weights::Load(file, config, kernels, *model->pool_, options.storage,
                                                       options.on_progress));
  for (const RopeSpec& rope : config.ropes) {
    // The file's own divisors belong to the first.
    const std::span<const float> divisors = model->ropes_.empty()
                                                ? std::span<const float>(model->weights_.rope_divisors)
                                                : std::span<const float>();
    WEIR_ASSIGN_OR_RETURN(RopeTable table, RopeTable::Create(config.rope_dims, rope, config.rope_pairs,
                                                             divisors, config.max_context));
    model->ropes_.push_back(std::move(table));
  }
  for (const LayerKind& layer : config.layers)
    model->plain_attention_ = model->plain_attention_ && layer.window == 0 && config.attention_soft_cap == 0;
  const int unit_columns = std::max(model->HeadUnitColumns(config.num_heads), kFfnUnitColumns);
  const int64_t strip_bytes =
      options.storage == WeightStorage::kMmap ? model->weights_.largest_strip_bytes() : 0;
  const int max_rows = std::max({1, options.max_rows, options.max_logit_rows});
  const AttentionPlan::Sizes sizes{max_rows,        config.num_heads,   config.num_kv_heads,
                                   config.head_dim, config.max_context, threads};
  WEIR_ASSIGN_OR_RETURN(model->scratch_, Scratch::Create(kernels, config, max_rows, threads, unit_columns,
                                                         AttentionPlan::PartialFloats(sizes), strip_bytes));
  const PackedMatrix& lm_head = model->weights_.lm_head;
  const int per_unit = LogitStripsPerUnit(lm_head, threads);
  model->scratch_.logit_maxima.resize(static_cast<size_t>(max_rows) *
                                      static_cast<size_t>((lm_head.num_strips() + per_unit - 1) / per_unit));
  model->attention_ = AttentionPlan(sizes);
  const auto most_logit_rows = static_cast<size_t>(max_rows);
  model->logit_batch_.positions.reserve(most_logit_rows);
  model->logit_batch_.logit_rows.reserve(most_logit_rows);
  model->logit_batch_.sequences.reserve(most_logit_rows);
  if (config.num_experts > 0)
    model->experts_ = ExpertPlan(max_rows, config.num_experts, config.experts_per_row);
  WEIR_ASSIGN_OR_RETURN(model->lora_, LoraStep::Create(options.adapters, config, kernels, max_rows));
  model->cost_ = CostOf(model->weights_, config);
  return std::unique_ptr<Model>(std::move(model));
}

int64_t LlamaModel::memory_bytes() const {
  return static_cast<int64_t>(weights_.buffer.size() + scratch_.buffer.size()) + lora_.memory_bytes();
}

void LlamaModel::set_profile(StepProfile* profile) {
  profile_ = profile;
  pool_->set_profile(profile);
}

// Every thread keeps to one range of a long prompt's rows, as far as it can, through all the products and norms of a layer:
// they stay in its cache. Rows beyond those that are divided go with the last range.
void LlamaModel::DivideRows(int num_rows) {
  const bool prompts_first = num_prompt_rows_ > 0;
  const int divided = prompts_first ? num_prompt_rows_ : num_rows;
  const int count =
      std::clamp(divided / (prompts_first ? kPromptRowsOfRange : kRowsOfRange), 1, pool_->num_threads());
  // Of prompts as evenly as whole tiles allow: who has a tile more is waited for in every phase.
  const int together = prompts_first ? kernels_->prompts->tile_rows : 4 * kMaxTileRows;
  row_ranges_.clear();
  int first = 0;
  for (int i = 1; i <= count; ++i) {
    const int end = i < count ? (divided * i / count + together / 2) / together * together : num_rows;
    row_ranges_.push_back({first, end - first});
    first = end;
  }
}

void LlamaModel::BeginRows(const Batch& batch) {
  num_prompt_rows_ = kernels_->prompts == nullptr ? 0 : batch.num_prompt_rows;
  DivideRows(batch.num_rows());
  lora_.Begin(batch);
  const bool prompts_apart = plain_attention_ && HasPromptAttention(*kernels_, config_.head_dim);
  attention_.Build(batch, prompts_apart ? batch.num_prompt_rows : 0, scratch_.partials);
}

void LlamaModel::KeepLogitRows(const Batch& batch) {
  for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
    const auto row = static_cast<size_t>(batch.logit_rows[i]);
    if (row == i) continue;
    const auto n = static_cast<size_t>(config_.hidden_size);
    std::copy_n(scratch_.hidden + row * n, n, scratch_.hidden + i * n);
    const auto max_rows = static_cast<size_t>(scratch_.max_rows);
    for (size_t rope = 0; rope < ropes_.size(); ++rope)
      scratch_.rope[rope * max_rows + i] = scratch_.rope[rope * max_rows + row];
  }
  logit_batch_.TakeLogitRows(batch);
  BeginRows(logit_batch_);
}

void LlamaModel::NormAndProject(const Batch& batch, KvStorage& kv, int layer_index, Heads heads) {
  const LayerWeights& layer = weights_.layers[static_cast<size_t>(layer_index)];
  // What adapters multiply are the floats.
  const bool tiles_suffice = lora_.empty() && AllQuantized({&layer.q, &layer.k, &layer.v});
  NormAndQuantize(nullptr, batch.num_rows(), layer.attention_norm.data(), tiles_suffice,
                  layer.attention_largest);
  ProjectHeads(batch, layer, kv, layer_index, heads);
}

void LlamaModel::FinishLayer(const Batch& batch, KvStorage& kv, int layer_index) {
  const LayerWeights& layer = weights_.layers[static_cast<size_t>(layer_index)];
  const int rows = batch.num_rows();
  Attend(batch, kv, layer_index, layer);
  Enter(StepSegment::kMatmulOut);
  AddProduct(layer.o,
             {scratch_.attended_tiles, scratch_.attended, rows, config_.num_heads * config_.head_dim,
              num_prompt_rows_},
             layer.post_attention_norm, layer_index, LoraTarget::kO);
  if (KindOf(layer_index).experts) {
    NormAndQuantize(nullptr, rows, layer.ffn_norm.data(), false);
    return FeedForwardOfExperts(layer, rows);
  }
  NormAndQuantize(nullptr, rows, layer.ffn_norm.data(),
                  lora_.empty() && AllQuantized({&layer.gate, &layer.up}), layer.ffn_largest);
  FeedForward(layer, layer_index, rows);
  Enter(StepSegment::kMatmulFfn);
  AddProduct(layer.down, {scratch_.ffn_tiles, scratch_.ffn, rows, config_.ffn_size, num_prompt_rows_},
             layer.post_ffn_norm, layer_index, LoraTarget::kDown);
}

void LlamaModel::Forward(const Batch& batch, KvStorage& kv, MatrixView<float> logits,
                         std::span<RowMaximum> maxima) noexcept {
  const int rows = batch.num_rows();
  if (rows == 0) return;
  DCHECK(rows <= scratch_.max_rows);
  block_ids_ = batch.block_ids.data();
  Enter(StepSegment::kAttention);
  BeginRows(batch);
  Enter(StepSegment::kEmbed);
  Embed(batch);
  const int last = config_.num_layers - 1;
  for (int i = 0; i < last; ++i) {
    NormAndProject(batch, kv, i, Heads::kAll);
    FinishLayer(batch, kv, i);
  }
  // Later steps read of the last layer only keys and values: what follows them is for logits.
  const bool all_go_on = batch.logit_rows.size() == static_cast<size_t>(rows);
  NormAndProject(batch, kv, last, all_go_on ? Heads::kAll : Heads::kKeysAndValues);
  if (batch.logit_rows.empty()) return;
  if (!all_go_on) {
    KeepLogitRows(batch);
    NormAndProject(logit_batch_, kv, last, Heads::kQueries);
  }
  const Batch& going_on = all_go_on ? batch : logit_batch_;
  FinishLayer(going_on, kv, last);
  ComputeLogits(going_on, logits, maxima);
}

void LlamaModel::Embed(const Batch& batch) {
  pool_->Run(batch.num_rows(), [&](int row, int) {
    const size_t r = static_cast<size_t>(row);
    DCHECK(batch.tokens[r] >= 0 && batch.tokens[r] < config_.vocab_size);
    float* hidden = scratch_.hidden + int64_t{row} * config_.hidden_size;
    UnpackRow(*kernels_, weights_.embedding, batch.tokens[r], hidden);
    if (config_.embedding_scale != 1.0f)
      kernels_->scale(hidden, config_.hidden_size, config_.embedding_scale);
    int64_t at = row;  // of [ropes, max_rows]
    for (const RopeTable& table : ropes_) {
      scratch_.rope[static_cast<size_t>(at)] =
          table.Row(batch.positions[r], scratch_.rope_rows + at * table.row_floats());
      at += scratch_.max_rows;
    }
  });
}

// Norms and quantizes the given rows of the residual stream (all of them when `rows` is null), packed one after another.
// With `tiles_suffice` nobody reads the normed floats: writing them would cost a prompt more than norming it.
void LlamaModel::NormAndQuantize(const int32_t* rows, int num_rows, const float* norm, bool tiles_suffice,
                                 std::optional<float> threshold) {
  Enter(StepSegment::kNormQuantize);
  const int n = config_.hidden_size;
  const Activations into{scratch_.normed_tiles, scratch_.normed, num_rows, n,
                         rows == nullptr ? num_prompt_rows_ : 0};
  if (threshold) std::fill_n(scratch_.thresholds.begin(), num_rows, *threshold);
  // Rows that go into a tile together are quantized together.
  const int of_tile = into.prompt_rows > 0 ? std::min(kernels_->prompts->tile_rows, int32_t{kMaxTileRows})
                                           : int32_t{kMaxTileRows};
  const int group = std::clamp((num_rows + pool_->num_threads() - 1) / pool_->num_threads(), 1, of_tile);
  const auto norm_group = [&](int index, int thread) {
    const int first = index * group;
    const int count = std::min(group, num_rows - first);
    float* const out = tiles_suffice ? scratch_.threads[static_cast<size_t>(thread)].rows
                                     : scratch_.normed + int64_t{first} * n;
    for (int i = 0; i < count; ++i) {
      const int64_t from = rows == nullptr ? first + i : rows[first + i];
      scratch_.row_rms[static_cast<size_t>(first + i)] = kernels_->rms_norm(
          scratch_.hidden + from * n, norm, n, static_cast<float>(config_.rms_epsilon), out + int64_t{i} * n);
    }
    if (n % 32 == 0)
      QuantizeRows(*kernels_, out, n, first, count, 0, n, into,
                   threshold ? &scratch_.thresholds[static_cast<size_t>(first)] : nullptr);
  };
  const int groups = (num_rows + group - 1) / group;
  if (num_rows >= kRowsWorthSharing)
    return pool_->Run(groups, std::max(1, groups / (8 * pool_->num_threads())), norm_group);
  for (int index = 0; index < groups; ++index) norm_group(index, 0);
}

void LlamaModel::FeedForward(const LayerWeights& layer, int layer_index, int num_rows) {
  const int strips_per_unit = kFfnUnitColumns / layer.gate.strip_rows;
  const int units = (config_.ffn_size + kFfnUnitColumns - 1) / kFfnUnitColumns;
  const Activations input{scratch_.normed_tiles, scratch_.normed, num_rows, config_.hidden_size,
                          num_prompt_rows_};
  const Activations into{scratch_.ffn_tiles, scratch_.ffn, num_rows, config_.ffn_size, num_prompt_rows_};
  const float largest = LargestFor(layer.down, kStreamError);
  for (size_t row = 0; row < static_cast<size_t>(num_rows); ++row)
    scratch_.thresholds[row] = largest * scratch_.row_rms[row];
  Enter(StepSegment::kMatmulFfn);
  if (!lora_.empty())
    lora_.Shrink(*pool_, layer_index, {LoraTarget::kGate, LoraTarget::kUp}, scratch_.normed,
                 config_.hidden_size);
  const bool keeps_floats = lora_.Adapts(layer_index, LoraTarget::kDown);
  RunOnRanges(units, [&](RowRange range, int unit, int thread_index, int next_unit) {
    Enter(StepSegment::kMatmulFfn, thread_index);
    const ThreadScratch& thread = scratch_.threads[static_cast<size_t>(thread_index)];
    const Activations part = RowsOf(*kernels_, input, range.first, range.count);
    float* gate = thread.columns;
    float* up = gate + int64_t{range.count} * kFfnUnitColumns;
    const int first = unit * strips_per_unit;
    const int last = std::min(first + strips_per_unit, layer.gate.num_strips());
    // Two streams side by side, each of which goes on with the next unit.
    const auto next = [&](const PackedMatrix& matrix) {
      return next_unit >= 0 ? NextStrips{&matrix, next_unit * strips_per_unit}
                            : BeginningOf(layer.down, StripsOfSum(layer.down), thread_index);
    };
    MultiplyStrips(*kernels_, layer.gate, part, first, last, gate, kFfnUnitColumns, false, thread.strip,
                   next(layer.gate));
    MultiplyStrips(*kernels_, layer.up, part, first, last, up, kFfnUnitColumns, false, thread.strip,
                   next(layer.up));
    lora_.Add(layer_index, LoraTarget::kGate, range.first, range.count, first, last, gate, kFfnUnitColumns);
    lora_.Add(layer_index, LoraTarget::kUp, range.first, range.count, first, last, up, kFfnUnitColumns);
    Enter(StepSegment::kNormQuantize, thread_index);
    const int first_column = unit * kFfnUnitColumns;
    const int columns = std::min(kFfnUnitColumns, config_.ffn_size - first_column);
    const bool quantized = layer.down.quantized();
    const bool gelu = config_.activation == Activation::kGelu;
    // Beside SiLU a prompt's rows are rounded one by one.
    const int prompt_rows = quantized && !gelu ? part.prompt_rows : 0;
    if (prompt_rows > 0)
      kernels_->prompts->silu_multiply(gate, up, kFfnUnitColumns, prompt_rows, first_column,
                                       into.tiles + PromptTileBytes(*kernels_, range.first, config_.ffn_size),
                                       config_.ffn_size,
                                       &scratch_.thresholds[static_cast<size_t>(range.first)]);
    if (keeps_floats)
      lora_.ForEachRow(range.first, prompt_rows, [&](int row) {
        const int64_t at = int64_t{row - range.first} * kFfnUnitColumns;
        kernels_->silu_multiply(gate + at, up + at, columns,
                                scratch_.ffn + int64_t{row} * config_.ffn_size + first_column);
      });
    const bool to_floats = !quantized || keeps_floats;
    const int first_row = range.first + prompt_rows;
    const int generated = range.count - prompt_rows;
    float* const gate_rows = gate + int64_t{prompt_rows} * kFfnUnitColumns;
    float* const up_rows = up + int64_t{prompt_rows} * kFfnUnitColumns;
    float* const out =
        to_floats ? scratch_.ffn + int64_t{first_row} * config_.ffn_size + first_column : gate_rows;
    const int64_t stride = to_floats ? config_.ffn_size : int64_t{kFfnUnitColumns};
    for (int i = 0; i < generated; ++i)
      (gelu ? kernels_->gelu_multiply : kernels_->silu_multiply)(gate_rows + int64_t{i} * kFfnUnitColumns,
                                                                 up_rows + int64_t{i} * kFfnUnitColumns,
                                                                 columns, out + i * stride);
    if (quantized && generated > 0)
      QuantizeRows(*kernels_, out, stride, first_row, generated, first_column, columns, into,
                   &scratch_.thresholds[static_cast<size_t>(first_row)]);
  });
}

int LlamaModel::StripsOfSum(const PackedMatrix& matrix) const {
  const int threads = pool_->num_threads();
  return num_prompt_rows_ > 0 ? PromptStripsPerUnit(matrix.num_strips(), threads)
                              : StripsPerUnit(matrix.num_strips(), threads);
}

NextStrips LlamaModel::BeginningOfLayer(int layer_index, int thread) const {
  if (layer_index == config_.num_layers) return {};
  const LayerWeights& layer = weights_.layers[static_cast<size_t>(layer_index)];
  const int strips = HeadUnitColumns(config_.num_kv_heads) / layer.v.strip_rows;
  const NextStrips of_v = BeginningOf(layer.v, strips, thread);
  return of_v.first == 0 ? NextStrips{&layer.q, 0} : of_v;
}

void LlamaModel::AddProduct(const PackedMatrix& matrix, const Activations& input,
                            const std::vector<float>& norm, int layer_index, LoraTarget target) {
  if (!lora_.empty()) lora_.Shrink(*pool_, layer_index, {target}, input.x, input.columns);
  const int per_unit = StripsOfSum(matrix);
  const int units = (matrix.num_strips() + per_unit - 1) / per_unit;
  float* const into = norm.empty() ? scratch_.hidden : scratch_.sublayer;
  const bool is_down = target == LoraTarget::kDown;
  const auto beginning_of_next = [&](int thread) -> NextStrips {
    if (is_down) return BeginningOfLayer(layer_index + 1, thread);
    const LayerWeights& layer = weights_.layers[static_cast<size_t>(layer_index)];
    return KindOf(layer_index).experts
               ? NextStrips{}
               : BeginningOf(layer.gate, kFfnUnitColumns / layer.gate.strip_rows, thread);
  };
  RunOnRanges(units, [&](RowRange range, int unit, int thread, int next_unit) {
    const int first = unit * per_unit;
    const int last = std::min(first + per_unit, matrix.num_strips());
    float* const y = into + int64_t{range.first} * config_.hidden_size + int64_t{first} * matrix.strip_rows;
    MultiplyStrips(*kernels_, matrix, RowsOf(*kernels_, input, range.first, range.count), first, last, y,
                   config_.hidden_size, norm.empty(), scratch_.threads[static_cast<size_t>(thread)].strip,
                   next_unit >= 0 ? NextStrips{&matrix, next_unit * per_unit} : beginning_of_next(thread));
    lora_.Add(layer_index, target, range.first, range.count, first, last, y, config_.hidden_size);
  });
  if (!norm.empty()) AddNormed(norm, input.rows);
}

void LlamaModel::AddNormed(const std::vector<float>& norm, int num_rows) {
  Enter(StepSegment::kNormQuantize);
  const int n = config_.hidden_size;
  const auto one = [&](int row, int) {
    float* added = scratch_.sublayer + int64_t{row} * n;
    kernels_->rms_norm(added, norm.data(), n, static_cast<float>(config_.rms_epsilon), added);
    kernels_->add(added, n, scratch_.hidden + int64_t{row} * n);
  };
  if (num_rows >= kRowsWorthSharing)
    return pool_->Run(num_rows, std::max(1, num_rows / (8 * pool_->num_threads())), one);
  for (int row = 0; row < num_rows; ++row) one(row, 0);
}

}  // namespace weir
