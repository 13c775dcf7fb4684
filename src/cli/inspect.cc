#include "cli/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "base/utf8.h"
#include "cli/command.h"
#include "cli/default_model.h"
#include "cli/flags.h"
#include "cli/kv_dtype_flag.h"
#include "cli/model_summary.h"
#include "engine/kernels/thread_pool.h"
#include "engine/lora/lora_adapter.h"
#include "engine/safetensors/model_directory.h"
#include "perf/report/number_format.h"

namespace weir {
namespace {

std::string Bytes(int64_t bytes) { return FormatBytes(static_cast<double>(bytes)); }

// 134515008 -> "134.5 M", 412000 -> "412.0 k"
std::string Count(int64_t count) {
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.2f} G", value / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} M", value / 1e6);
  if (count >= 10'000) return fmt::format("{:.1f} k", value / 1e3);
  return fmt::format("{}", count);
}

void PrintRow(std::string_view label, const std::string& text) { fmt::print("  {:<18} {}\n", label, text); }

std::string Shape(const TensorInfo& tensor) { return fmt::format("{}", fmt::join(tensor.dims, " x ")); }

void PrintHead(const ModelSummary& summary, const ModelFile& file) {
  fmt::print("{}\n", summary.name.empty() ? file.path() : QuoteForMessage(summary.name, 80));
  PrintRow("file", fmt::format("{}, {}, GGUF version {}", file.path(),
                               Bytes(static_cast<int64_t>(file.file_bytes())), file.version()));
  if (const auto& config = summary.config) {
    PrintRow(
        "architecture",
        fmt::format("{}: {} layers, width {}, {} heads ({} for keys and values) of {}, feed-forward {}",
                    QuoteForMessage(summary.architecture), config->num_layers, config->hidden_size,
                    config->num_heads, config->num_kv_heads, config->head_dim,
                    config->num_experts == 0 ? fmt::format("{}", config->ffn_size)
                                             : fmt::format("{} of {} experts of {}", config->experts_per_row,
                                                           config->num_experts, config->expert_ffn_size)));
    PrintRow("vocabulary", fmt::format("{} tokens{}", config->vocab_size,
                                       config->tied_embeddings ? ", embeddings also used as lm-head" : ""));
    PrintRow("context", fmt::format("{} tokens", config->max_context));
  } else {
    PrintRow("architecture", QuoteForMessage(summary.architecture));
  }
  PrintRow("parameters",
           fmt::format("{} ({:.2f} bits each)", Count(summary.parameters), summary.bits_per_weight));
  for (const TypeShare& share : summary.types) {
    PrintRow(
        share.dtype == summary.types[0].dtype ? "weights" : "",
        fmt::format("{:<6} {:>9}  {} tensor{}, {} parameters", Traits(share.dtype).name, Bytes(share.bytes),
                    share.num_tensors, share.num_tensors == 1 ? "" : "s", Count(share.elements)));
  }
  PrintRow("weir can serve it", summary.obstacle.empty() ? "yes" : "no: " + summary.obstacle);
}

void PrintMemory(const ModelSummary& summary) {
  if (!summary.memory) return;
  const ModelMemory& memory = *summary.memory;
  const ModelConfig& config = *summary.config;
  fmt::print("\nMemory\n");
  PrintRow("weights", Bytes(memory.weight_bytes));
  PrintRow(
      "KV cache, a token",
      fmt::format("{} = {} layers x {} heads x {} x 2 (key, value) x {}", Bytes(memory.kv_bytes_per_token),
                  config.num_layers, config.num_kv_heads, config.head_dim,
                  config.kv_dtype == KvDtype::kInt8 ? "1 byte, and scales" : "2 bytes"));
  PrintRow("KV cache, context",
           fmt::format("{} for {} tokens", Bytes(memory.kv_bytes_per_context), config.max_context));
  PrintRow("this machine", fmt::format("{} available of {}", Bytes(memory.machine.available_bytes),
                                       Bytes(memory.machine.total_bytes)));
  const int64_t contexts = config.max_context > 0 ? memory.tokens_that_fit / config.max_context : 0;
  if (contexts > 0) {
    PrintRow("fits", fmt::format("yes: {} KV tokens beside the weights, {} whole contexts at once",
                                 Count(memory.tokens_that_fit), contexts));
  } else if (memory.tokens_that_fit > 0) {
    PrintRow("fits", fmt::format("only with a shorter context: serve it with --max-model-len {} or less",
                                 memory.tokens_that_fit));
  } else {
    PrintRow("fits", "no: the weights alone need more memory than is available");
  }
  if (memory.tokens_that_fit > 0)
    PrintRow("--max-num-seqs",
             "automatic " + DescribeAutoMaxNumSeqs(memory.room, ThreadPool::AvailableCores()));
}

void PrintMetadata(const ModelFile& file) {
  fmt::print("\nMetadata ({})\n", file.metadata().size());
  size_t width = 0;
  for (const MetadataEntry& entry : file.metadata()) width = std::max(width, entry.key.size());
  for (const MetadataEntry& entry : file.metadata()) {
    fmt::print("  {:<{}}  {}\n", QuoteForMessage(entry.key), std::min<size_t>(width, 48),
               DescribeValue(entry));
  }
}

void PrintTensors(const ModelSummary& summary, const ModelFile& file, bool all) {
  if (all) {
    fmt::print("\nTensors ({})\n", file.tensors().size());
    for (const TensorInfo& tensor : file.tensors()) {
      fmt::print("  {:<36} {:<6} {:>16} {:>10}  at {}\n", QuoteForMessage(tensor.name),
                 Traits(tensor.dtype).name, Shape(tensor), Bytes(static_cast<int64_t>(tensor.num_bytes())),
                 tensor.offset);
    }
    return;
  }
  fmt::print("\nTensors ({}, equal layers on one line; --tensors lists each)\n", file.tensors().size());
  for (const TensorGroup& group : summary.groups) {
    fmt::print("  {:<28} {:<6} {:>16} {:>10}{}\n", QuoteForMessage(group.name),
               Traits(group.first->dtype).name, Shape(*group.first), Bytes(group.bytes),
               group.num_tensors > 1 ? fmt::format("  in {} tensors", group.num_tensors) : "");
  }
}

std::string JoinedParts(const LoraAdapter& adapter) {
  std::set<std::string> parts;
  for (const LoraPair& pair : adapter.pairs) {
    const size_t dot = pair.target.find('.', 4);
    parts.insert(dot == std::string::npos ? pair.target : pair.target.substr(dot + 1));
  }
  return QuoteForMessage(fmt::format("{}", fmt::join(parts, ", ")), 200);
}

void PrintAdapter(const LoraAdapter& adapter, bool all_tensors) {
  fmt::print("{}\n", adapter.path);
  PrintRow("adapter", fmt::format("LoRA, {}, {} pairs, rank {}", adapter.format, adapter.pairs.size(),
                                  adapter.largest_rank()));
  if (!adapter.architecture.empty()) PrintRow("architecture", QuoteForMessage(adapter.architecture));
  if (!adapter.base_model.empty()) PrintRow("made for", QuoteForMessage(adapter.base_model));
  PrintRow("parameters", Count(static_cast<int64_t>(adapter.num_parameters())));
  PrintRow("adapts", JoinedParts(adapter));
  PrintRow("serve it with", fmt::format("weir serve --model MODEL --lora NAME={}", adapter.path));
  if (!all_tensors) return;
  fmt::print("\nPairs ({})\n", adapter.pairs.size());
  for (const LoraPair& pair : adapter.pairs)
    fmt::print("  {:<36} {:<6} {:>6} x {:<6} rank {:<4} scale {}\n", QuoteForMessage(pair.target),
               Traits(pair.a.dtype).name, pair.a.columns, pair.b.rows, pair.rank(), pair.scale);
}

Json ToJson(const LoraAdapter& adapter) {
  Json out = {{"path", adapter.path},
              {"type", "adapter"},
              {"format", adapter.format},
              {"base_model", adapter.base_model},
              {"architecture", adapter.architecture},
              {"rank", adapter.largest_rank()},
              {"parameters", adapter.num_parameters()}};
  out["pairs"] = Json::array();
  for (const LoraPair& pair : adapter.pairs)
    out["pairs"].push_back({{"target", pair.target},
                            {"rank", pair.rank()},
                            {"scale", pair.scale},
                            {"columns", pair.a.columns},
                            {"rows", pair.b.rows},
                            {"type", std::string(Traits(pair.a.dtype).name)}});
  return out;
}

int InspectAdapter(const LoraAdapter& adapter, bool json, bool all_tensors) {
  if (json)
    fmt::print("{}", DumpJsonPretty(ToJson(adapter)));
  else
    PrintAdapter(adapter, all_tensors);
  return 0;
}

}  // namespace

int RunInspect(const std::vector<std::string>& arguments) {
  std::string model;
  bool json = false;
  bool all_tensors = false;
  CLI::App app("Say what is in a model file and how much memory serving it takes.", "weir inspect");
  app.add_option(
      "MODEL", model,
      "GGUF file or Hugging Face directory, of a model or a LoRA adapter; without one, the default model");
  app.add_flag("--json", json, "print JSON");
  app.add_flag("--tensors", all_tensors, "list every tensor instead of one line for equal layers");
  KvDtype kv_dtype = KvDtype::kF16;
  AddKvDtypeFlag(app, &kv_dtype);
  const Result<bool> go_on = ParseFlags(app, arguments);
  if (!go_on.has_value()) return Fail("inspect", go_on.error());
  if (!*go_on) return 0;

  const Result<std::string> path = FindModel(model);
  if (!path.has_value()) return Fail("inspect", path.error());
  if (IsLoraDirectory(*path)) {
    const auto adapter = LoraAdapter::Open(*path);
    return adapter.has_value() ? InspectAdapter(*adapter, json, all_tensors)
                               : Fail("inspect", adapter.error());
  }
  auto file = OpenModel(*path);
  if (!file.has_value()) return Fail("inspect", file.error());
  if (IsLoraFile(**file)) {
    const auto adapter = OpenGgufAdapter(*std::move(file));
    return adapter.has_value() ? InspectAdapter(*adapter, json, all_tensors)
                               : Fail("inspect", adapter.error());
  }
  const auto summary = SummarizeModel(**file, ReadMachineMemory(), 0.9, kv_dtype);
  if (!summary.has_value()) return Fail("inspect", summary.error());
  if (json) {
    fmt::print("{}", DumpJsonPretty(ToJson(*summary, **file)));
    return 0;
  }
  PrintHead(*summary, **file);
  PrintMemory(*summary);
  PrintMetadata(**file);
  PrintTensors(*summary, **file, all_tensors);
  return 0;
}

}  // namespace weir
