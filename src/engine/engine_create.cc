// Loading: file, tokenizer, template, model, then what is left of the memory for the KV cache.

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/kernels/thread_pool.h"
#include "engine/lora/lora_adapter.h"
#include "engine/memory_plan.h"
#include "engine/safetensors/model_directory.h"
#include "engine/scheduler/continuous.h"
#include "engine/scheduler/sequential.h"

namespace weir {
namespace {

constexpr int kAutoMaxNumBatchedTokens = 512;
constexpr int kMaxSeqs = 1024;
constexpr int kMaxBatchedTokens = 1 << 16;

Status CheckRange(const char* flag, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return OkStatus();
  return InvalidArgument(fmt::format("{} is {}, expected {} to {}", flag, value, least, most))
      .WithParam(flag);
}

// What can be told before the file is read.
Status CheckAsked(const EngineOptions& options) {
  WEIR_RETURN_IF_ERROR(CheckRange("--max-num-seqs", options.max_num_seqs, 0, kMaxSeqs));
  WEIR_RETURN_IF_ERROR(
      CheckRange("--max-num-batched-tokens", options.max_num_batched_tokens, 0, kMaxBatchedTokens));
  if (options.memory_utilization > 0.0 && options.memory_utilization <= 1.0) return OkStatus();
  return InvalidArgument(fmt::format("--memory-utilization is {}, expected above 0 and at most 1",
                                     options.memory_utilization))
      .WithParam("--memory-utilization");
}

Status FillAutomatic(EngineOptions& options) {
  WEIR_RETURN_IF_ERROR(CheckRange("--max-num-seqs", options.max_num_seqs, 1, kMaxSeqs));
  if (options.max_num_batched_tokens == 0) options.max_num_batched_tokens = kAutoMaxNumBatchedTokens;
  // A step must have room for one token of everybody who runs.
  options.max_num_batched_tokens = std::max(options.max_num_batched_tokens, options.max_num_seqs);
  if (options.max_num_queued_reqs < 0) options.max_num_queued_reqs = 4 * options.max_num_seqs;
  return OkStatus();
}

SequenceRoom RoomFor(const ModelFile& file, ModelConfig config, const EngineOptions& options) {
  config.kv_dtype = options.kv_dtype;
  int64_t weight_bytes = 0;
  for (const TensorInfo& tensor : file.tensors()) weight_bytes += static_cast<int64_t>(tensor.num_bytes());
  SequenceRoom room;
  room.budget_bytes =
      BudgetBeside(weight_bytes, ReadMachineMemory(options.memory_limit_bytes), options.memory_utilization);
  room.tokens_per_context = options.max_model_len;
  room.bytes_per_sequence = config.kv_shape().bytes_per_block() * BlocksFor(options.max_model_len) +
                            int64_t{config.vocab_size} * static_cast<int64_t>(sizeof(float));
  room.max_num_seqs = kMaxSeqs;
  return room;
}

Result<int> ChooseMaxModelLen(int asked, int most, const ModelConfig& config) {
  if (asked == 0) return most > 0 ? std::min(most, config.max_context) : config.max_context;
  if (asked < 0 || asked > config.max_context) {
    return InvalidArgument(
               fmt::format("--max-model-len is {}, but the model was trained on {} tokens; give 1 to {}",
                           asked, config.max_context, config.max_context))
        .WithParam("--max-model-len");
  }
  return asked;
}

// A model whose template we cannot read still completes plain text.
std::unique_ptr<ChatTemplate> LoadChatTemplate(const ModelFile& file, const Tokenizer& tokenizer) {
  Result<std::string_view> source = file.GetString("tokenizer.chat_template");
  if (!source.has_value()) return nullptr;
  Result<std::unique_ptr<ChatTemplate>> chat_template = ChatTemplate::Create(*source, tokenizer);
  if (chat_template.has_value()) return std::move(chat_template).value();
  LogWarning("{}: the chat template cannot be used, so chat requests will be refused: {}", file.path(),
             chat_template.error().message());
  return nullptr;
}

Result<std::vector<LoraAdapter>> OpenAdapters(const std::vector<AdapterSpec>& specs) {
  std::vector<LoraAdapter> adapters;
  for (const AdapterSpec& spec : specs) {
    WEIR_ASSIGN_OR_RETURN(LoraAdapter adapter, LoraAdapter::Open(spec.path));
    adapters.push_back(std::move(adapter));
  }
  return adapters;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options) {
  auto state = std::make_unique<State>(options.clock != nullptr ? *options.clock : MonotonicClock::Get());
  State& s = *state;
  s.options = options;
  WEIR_RETURN_IF_ERROR(CheckAsked(s.options));
  WEIR_ASSIGN_OR_RETURN(s.file,
                        options.synthetic.has_value()
                            ? MakeSyntheticModel(*options.synthetic)
                            : OpenModel(options.model_path, options.quantization, options.quantized_cache));
  WEIR_ASSIGN_OR_RETURN(s.tokenizer, Tokenizer::Create(*s.file));
  s.chat_template = LoadChatTemplate(*s.file, *s.tokenizer);
  WEIR_ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(*s.file));
  WEIR_ASSIGN_OR_RETURN(s.max_model_len,
                        ChooseMaxModelLen(options.max_model_len, options.most_model_len, config));
  s.options.max_model_len = s.max_model_len;
  const SequenceRoom room = RoomFor(*s.file, config, s.options);
  const int num_threads = options.num_threads > 0 ? options.num_threads : ThreadPool::AvailableCores();
  if (options.choose_max_num_seqs) {
    s.options.max_num_seqs = options.choose_max_num_seqs(room);
  } else if (options.max_num_seqs == 0) {
    s.options.max_num_seqs = AutoMaxNumSeqs(room, num_threads);
    s.max_num_seqs_reason = DescribeAutoMaxNumSeqs(room, num_threads);
  }
  WEIR_RETURN_IF_ERROR(FillAutomatic(s.options));

  SchedulerLimits limits{.max_num_seqs = s.options.max_num_seqs,
                         .max_num_batched_tokens = s.options.max_num_batched_tokens,
                         .itl_objective = s.options.itl_objective};
  // What the door believes to be slots must be slots.
  if (options.policy == SchedulerPolicy::kSequential) limits.max_num_seqs = 1;
  WEIR_ASSIGN_OR_RETURN(const std::vector<LoraAdapter> adapters, OpenAdapters(options.adapters));
  ModelOptions model_options{.num_threads = options.num_threads,
                             .max_rows = limits.max_num_batched_tokens,
                             .max_logit_rows = limits.max_num_seqs + limits.max_prompt_logit_rows,
                             .max_context = s.max_model_len,
                             .kv_dtype = options.kv_dtype,
                             .isa = options.isa,
                             .storage = options.weights,
                             .on_progress = options.on_progress};
  for (const LoraAdapter& adapter : adapters) model_options.adapters.push_back(&adapter);
  WEIR_ASSIGN_OR_RETURN(s.model, Model::Load(*s.file, model_options));
  s.options.num_threads = s.model->num_threads();

  const KvShape shape = s.model->config().kv_shape();
  WEIR_ASSIGN_OR_RETURN(const int num_blocks,
                        PlanKvBlocks(ReadMachineMemory(options.memory_limit_bytes),
                                     {.bytes_per_block = shape.bytes_per_block(),
                                      .tokens_per_context = s.max_model_len,
                                      .max_num_seqs = s.options.max_num_seqs,
                                      .model_bytes = s.model->memory_bytes(),
                                      .mapped_bytes = s.model->weight_facts().mapped_bytes,
                                      .requested_bytes = options.kv_cache_bytes,
                                      .memory_utilization = options.memory_utilization}));
  WEIR_ASSIGN_OR_RETURN(s.kv, KvStorage::Create(shape, num_blocks));
  s.options.kv_cache_bytes = s.kv.bytes();
  s.pool = std::make_unique<BlockPool>(num_blocks);
  s.pool_tokens = int64_t{num_blocks} * kBlockSize;
  s.SizeBuffers(model_options.max_logit_rows);
  s.SeedCostModel();
  // The peak counts requests only.
  s.pool = std::make_unique<BlockPool>(num_blocks);
  if (options.policy == SchedulerPolicy::kSequential) s.options.prefix_cache = false;
  if (s.options.prefix_cache)
    s.prefix_cache = std::make_unique<PrefixCache>(s.pool.get(), options.prefix_hash_mask);
  if (options.policy == SchedulerPolicy::kSequential) {
    s.scheduler = std::make_unique<SequentialScheduler>(limits, s.pool.get(), &s.cost);
  } else {
    s.scheduler = std::make_unique<ContinuousScheduler>(limits, s.pool.get(), &s.cost, s.prefix_cache.get());
  }
  // Without bounds there is no promise to keep, and the study's server serves in the order of arrival.
  if (options.bounded_queue && options.policy == SchedulerPolicy::kContinuous) {
    s.queue_delay.emplace(options.ttft_objective,
                          FromSeconds(kCodelTarget * ToSeconds(options.ttft_objective)));
  }
  s.counters = std::make_shared<Reservation::Counters>();
  s.PublishLoad(s.clock.Now());
  return std::unique_ptr<Engine>(new Engine(std::move(state)));
}

}  // namespace weir
