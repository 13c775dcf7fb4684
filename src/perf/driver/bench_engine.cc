#include "perf/driver/bench_engine.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "base/sha256.h"
#include "perf/workload/prompts.h"

namespace weir {
namespace {

int64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  int64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Zero where the system does not say.
int64_t PeakResidentBytes() {
  std::ifstream file("/proc/self/status");
  std::string key, rest;
  for (int64_t kib = 0; file >> key; std::getline(file, rest))
    if (key == "VmHWM:" && file >> kib) return kib * 1024;
  return 0;
}

// Where it is not allowed, later peaks include what was before: too much, never too little.
void ResetPeakResidentBytes() { std::ofstream("/proc/self/clear_refs") << 5; }

// Room for what one sequence of matrix mode computes: its prompt, the timed tokens, and those that early sequences
// produce while later prompts are still being computed.
int MatrixLength(const BenchSpec& spec) {
  const int prompt = *std::max_element(spec.prompt_lens.begin(), spec.prompt_lens.end());
  const int batch = *std::max_element(spec.batch_sizes.begin(), spec.batch_sizes.end());
  const int prefill_steps = batch * (prompt / 32 + 2);
  return prompt + spec.gen_len + std::min(prefill_steps, 4096) + 32;
}

// The built-in prompts are short: a chat template and a sentence or two.
constexpr int kStudyPromptTokens = 48;

// A conversation of a prompt file, with texts only.
Result<std::vector<ChatMessage>> ReadMessages(const Prompt& prompt) {
  WEIR_ASSIGN_OR_RETURN(const Json list, ParseJson(prompt.messages));
  std::vector<ChatMessage> messages;
  for (const Json& entry : list) {
    const auto role = JsonString(FindJson(entry, {"role"})),
               content = JsonString(FindJson(entry, {"content"}));
    if (!role || !content) {
      return InvalidArgument(
          fmt::format("--prompts: {}: a message needs \"role\" and \"content\", both text, found {}",
                      prompt.id, DumpJson(entry)));
    }
    messages.push_back({*role, *content, ""});
  }
  return messages;
}

double PeakFor(DType dtype, const MachineLimits& limits) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
      return limits.fp32_mac_per_s;
    case DType::kBF16:
      return limits.bf16_mac_per_s > 0 ? limits.bf16_mac_per_s : limits.fp32_mac_per_s;
    default:
      return limits.int8_mac_per_s;
  }
}

}  // namespace

Result<std::unique_ptr<BenchEngine>> BenchEngine::Create(const BenchSpec& spec) {
  EngineOptions options;
  options.model_path = spec.model_path;
  options.synthetic = spec.synthetic;
  options.quantization = spec.quantization;
  options.quantized_cache = spec.quantized_cache;
  options.weights = spec.weights;
  options.num_threads = spec.threads;
  std::optional<BatchPlan> plan;
  if (spec.up_to_max) {
    options.choose_max_num_seqs = [&](const SequenceRoom& room) {
      plan = PlanBatches(BatchSizes{spec.batch_sizes, true}, room);
      return *std::max_element(plan->batch_sizes.begin(), plan->batch_sizes.end());
    };
  } else {
    options.max_num_seqs = *std::max_element(spec.batch_sizes.begin(), spec.batch_sizes.end());
  }
  options.max_num_batched_tokens = spec.max_num_batched_tokens;
  options.max_model_len = spec.max_model_len;
  options.most_model_len = kUsualModelLen;
  options.memory_utilization = spec.memory_utilization;
  options.bounded_queue = false;  // the driver decides what is in flight
  options.prefix_cache =
      spec.prefix_cache;  // off: every prompt is computed, also one that another repeat has sent
  options.kv_dtype = spec.kv_dtype;
  options.isa = spec.isa;
  if (spec.mode == BenchMode::kMatrix) {
    options.max_model_len = MatrixLength(spec);
    // Prefill and decode are timed apart here, so nobody waits for a next token while prompts are computed.
    options.itl_objective = std::chrono::seconds(60);
  }
  WEIR_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, Engine::Create(options));
  std::unique_ptr<BenchEngine> bench(new BenchEngine(std::move(engine)));
  options.max_num_seqs = bench->engine_->options().max_num_seqs;
  if (plan) {
    // The pool is planned again once the weights are there: what it holds is the last word.
    const int64_t contexts = bench->engine_->num_kv_blocks() / BlocksFor(bench->engine_->max_model_len());
    if (contexts < options.max_num_seqs) {
      SequenceRoom room = plan->room;
      room.budget_bytes = std::min(room.budget_bytes, contexts * room.bytes_per_sequence);
      plan = PlanBatches(BatchSizes{spec.batch_sizes, true}, room);
    }
    bench->batch_plan_ = std::move(plan);
  }
  const ModelCost& cost = bench->engine_->model().cost();
  const int prompt_tokens = spec.prompt_tokens > 0 ? spec.prompt_tokens : kStudyPromptTokens;
  const int64_t context =
      spec.mode == BenchMode::kMatrix ? options.max_model_len : spec.max_tokens + prompt_tokens;
  bench->step_bytes_ = cost.weight_bytes + int64_t{options.max_num_seqs} * context * cost.kv_bytes_per_token;
  bench->synthetic_ = spec.synthetic.has_value();
  if (bench->synthetic_ || spec.prompt_tokens > 0) {
    bench->prompt_tokens_ = prompt_tokens;
    bench->ordinary_ids_ = OrdinaryTokenIds(bench->engine_->tokenizer());
    if (bench->ordinary_ids_.empty())
      return DataLoss("the model's vocabulary holds no ordinary token to make prompts of");
  }
  return bench;
}

int BenchEngine::threads() const { return engine_->model().num_threads(); }

Result<std::vector<int32_t>> BenchEngine::Encode(const Prompt& prompt) const {
  // Drawn by the text, which itself means nothing to a synthetic vocabulary.
  if (prompt_tokens_ > 0) {
    uint64_t seed = 0;
    for (const char c : prompt.text) seed = seed * 31 + static_cast<unsigned char>(c);
    Rng rng(seed);
    return RandomPrompt(ordinary_ids_, prompt_tokens_, &rng);
  }
  std::vector<ChatMessage> messages = {{"user", prompt.text, ""}};
  if (!prompt.messages.empty()) {
    WEIR_ASSIGN_OR_RETURN(messages, ReadMessages(prompt));
  }
  if (const ChatTemplate* chat = engine_->chat_template()) return chat->RenderAndEncode(messages, true);
  const Tokenizer& tokenizer = engine_->tokenizer();
  std::string text;
  for (const ChatMessage& message : messages) text += (text.empty() ? "" : "\n") + message.content;
  return tokenizer.Encode(text, SpecialTokens::kAsText, tokenizer.add_bos_by_default());
}

MachineLimits BenchEngine::Probe() {
  // The probe's buffers are no part of what serving takes: the peak before them is kept, and the count starts anew after.
  peak_bytes_ = std::max(peak_bytes_, PeakResidentBytes());
  const MachineRoofs roofs = ProbeMachine(threads(), engine_->model().cost().weight_bytes, step_bytes_,
                                          kProbeBudget, engine_->model().isa());
  MachineLimits limits{roofs.read_bandwidth_bytes_per_s,
                       roofs.int8_mac_per_s,
                       roofs.bf16_mac_per_s,
                       roofs.fp32_mac_per_s,
                       roofs.tile_mac_per_s,
                       roofs.read_rates};
  best_.Improve(limits);
  ResetPeakResidentBytes();
  return limits;
}

LimitInput BenchEngine::limit() const {
  const ModelCost& cost = engine_->model().cost();
  LimitInput input;
  input.read_bandwidth_bytes_per_s = best_.read_bandwidth_bytes_per_s;
  input.read_rates = best_.read_rates;
  input.weight_bytes = static_cast<double>(cost.weight_bytes);
  input.kv_bytes_per_token = static_cast<double>(cost.kv_bytes_per_token);
  for (const ModelCost::PerType& type : cost.types) {
    const bool on_tiles = best_.tile_mac_per_s > 0 && Traits(type.dtype).block_size > 1;
    input.work.push_back({static_cast<double>(type.macs_per_token), static_cast<double>(type.logit_row_macs),
                          PeakFor(type.dtype, best_), on_tiles ? best_.tile_mac_per_s : 0});
  }
  const ModelConfig& config = engine_->model().config();
  input.attention_macs_per_context_token = 2.0 * config.num_layers * config.num_heads * config.head_dim;
  input.int8_mac_per_s = best_.int8_mac_per_s;
  input.tile_mac_per_s = best_.tile_mac_per_s;
  return input;
}

Environment BenchEngine::environment() const { return CaptureEnvironment(engine_->model().isa(), threads()); }

Json BenchEngine::ModelDocument(const std::string& path) const {
  const ModelConfig& config = engine_->model().config();
  const ModelCost& cost = engine_->model().cost();
  std::string format;
  int64_t largest = -1;
  Json types = Json::object();
  for (const ModelCost::PerType& type : cost.types) {
    types[std::string(Traits(type.dtype).name)] = type.weight_bytes;
    if (type.weight_bytes > largest) {
      largest = type.weight_bytes;
      format = Traits(type.dtype).name;
    }
  }
  const Result<std::string> hash =
      engine_->file().num_files() == 1 ? Sha256File(path) : NotFound("no single file");
  Json document = {
      {"name", config.name.empty() ? std::filesystem::path(path).filename().string() : config.name},
      {"architecture", config.architecture},
      {"parameters", cost.parameters},
      {"weight_format", format},
      {"weight_bytes", cost.weight_bytes},
      {"weight_bytes_by_type", std::move(types)},
      {"kv_bytes_per_token", cost.kv_bytes_per_token},
      {"macs_per_token", cost.macs_per_token},
      {"max_model_len", engine_->max_model_len()},
      {"sha256", hash ? Json(*hash) : Json(nullptr)},
      {"load_format", synthetic_                  ? "dummy"
                      : engine_->file().in_file() ? "gguf"
                                                  : "safetensors"}};
  const WeightFacts& facts = engine_->model().weight_facts();
  document["weight_storage"] = facts.storage == WeightStorage::kMmap ? "mmap" : "repack";
  document["load_s"] = facts.load_s;
  if (synthetic_) document["weights"] = "synthetic weights";
  return document;
}

Json BenchEngine::Memory() const {
  const int64_t blocks = engine_->num_kv_blocks();
  const int64_t peak = blocks > 0 ? engine_->kv_bytes() / blocks * engine_->peak_kv_blocks() : 0;
  const WeightFacts& facts = engine_->model().weight_facts();
  return {{"process_bytes", ResidentBytes()},
          {"process_peak_bytes", std::max(peak_bytes_, PeakResidentBytes())},
          {"packed_weights_bytes", facts.packed_bytes},
          {"mapped_weights_bytes", facts.mapped_bytes},
          {"huge_page_bytes", facts.huge_bytes},
          {"weights_bytes", engine_->model().cost().stored_bytes},
          {"kv_pool_bytes", engine_->kv_bytes()},
          {"kv_peak_bytes", peak},
          {"scratch_bytes",
           std::max<int64_t>(0, engine_->model().memory_bytes() - engine_->model().cost().stored_bytes)},
          {"device_bytes", nullptr}};
}

}  // namespace weir
