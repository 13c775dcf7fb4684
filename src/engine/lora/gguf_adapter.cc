// GGUF files of type adapter: beside the name of each matrix one with ".lora_a" and one with ".lora_b".

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string_view>
#include <utility>

#include "base/utf8.h"
#include "engine/lora/lora_adapter.h"

namespace weir {
namespace {

constexpr std::string_view kA = ".lora_a";
constexpr std::string_view kB = ".lora_b";
constexpr const char* kActivatedBy = "adapter.alora.invocation_tokens";

Result<std::string> Text(const ModelFile& file, std::string_view key) {
  if (file.FindMetadata(key) == nullptr) return std::string();
  WEIR_ASSIGN_OR_RETURN(const std::string_view text, file.GetString(key));
  return std::string(text);
}

Status CheckKind(const ModelFile& file) {
  WEIR_ASSIGN_OR_RETURN(const std::string type, Text(file, "general.type"));
  if (type != "adapter")
    return InvalidArgument(
        fmt::format("{}: general.type is \"{}\", expected \"adapter\"; name an adapter, and the model itself "
                    "with --model",
                    file.path(), QuoteForMessage(type)));
  WEIR_ASSIGN_OR_RETURN(const std::string kind, Text(file, "adapter.type"));
  if (kind != "lora")
    return Unimplemented(fmt::format("{}: adapter.type is \"{}\"; weir computes \"lora\" only", file.path(),
                                     QuoteForMessage(kind)));
  if (file.FindMetadata(kActivatedBy) != nullptr)
    return Unimplemented(fmt::format(
        "{}: key {}: adapters that begin within a prompt are not computed; use a plain LoRA adapter",
        file.path(), kActivatedBy));
  return OkStatus();
}

Result<LoraMatrix> MatrixOf(const ModelFile& file, const TensorInfo& tensor) {
  if (tensor.dims.size() > 2)
    return DataLoss(
        fmt::format("{}: tensor {} has {} dimensions, expected 2; weir adapts single matrices only",
                    file.path(), QuoteForMessage(tensor.name), tensor.dims.size()));
  return LoraMatrix{tensor.name, tensor.dtype, tensor.num_rows(), tensor.row_length(), tensor.data};
}

}  // namespace

bool IsLoraFile(const ModelFile& file) {
  const Result<std::string_view> type = file.GetString("general.type");
  return type.has_value() && *type == "adapter";
}

Result<LoraAdapter> OpenGgufAdapter(std::unique_ptr<ModelFile> file) {
  LoraAdapter out;
  out.path = file->path();
  out.format = "GGUF";
  WEIR_RETURN_IF_ERROR(CheckKind(*file));
  WEIR_ASSIGN_OR_RETURN(out.architecture, Text(*file, "general.architecture"));
  if (out.architecture.empty())
    return DataLoss(
        fmt::format("{}: key general.architecture is missing; convert the adapter again", out.path));
  WEIR_ASSIGN_OR_RETURN(out.base_model, Text(*file, "general.base_model.0.name"));
  WEIR_ASSIGN_OR_RETURN(const double alpha, file->GetFloat("adapter.lora.alpha"));
  if (!std::isfinite(alpha))
    return DataLoss(
        fmt::format("{}: key adapter.lora.alpha: expected a finite number, found {}", out.path, alpha));
  std::map<std::string, std::pair<const TensorInfo*, const TensorInfo*>> halves;
  for (const TensorInfo& tensor : file->tensors()) {
    const std::string_view name = tensor.name;
    if (name.ends_with(kA)) {
      halves[std::string(name.substr(0, name.size() - kA.size()))].first = &tensor;
    } else if (name.ends_with(kB)) {
      halves[std::string(name.substr(0, name.size() - kB.size()))].second = &tensor;
    } else {
      return Unimplemented(
          fmt::format("{}: tensor {} is no half of a LoRA pair (.lora_a, .lora_b); adapters that replace "
                      "whole tensors are not "
                      "computed",
                      out.path, QuoteForMessage(name)));
    }
  }
  for (const auto& [target, pair] : halves) {
    if (pair.first == nullptr || pair.second == nullptr)
      return DataLoss(fmt::format("{}: tensor {}{} is missing; convert the adapter again", out.path,
                                  QuoteForMessage(target), pair.first == nullptr ? kA : kB));
    LoraPair added;
    added.target = target;
    WEIR_ASSIGN_OR_RETURN(added.a, MatrixOf(*file, *pair.first));
    WEIR_ASSIGN_OR_RETURN(added.b, MatrixOf(*file, *pair.second));
    // The format's reference takes an alpha of 0 for none given.
    if (alpha != 0) added.scale = static_cast<float>(alpha / static_cast<double>(added.b.columns));
    out.pairs.push_back(std::move(added));
  }
  if (out.pairs.empty())
    return DataLoss(fmt::format("{}: has no tensor; convert the adapter again", out.path));
  out.gguf = std::move(file);
  return out;
}

}  // namespace weir
