// Writes the ids and logits of every position of a text, for a script to compare: write_logits MODEL TEXT OUT, of a GGUF file or a directory. Windows of the
// text are separated by lines "%%". Per window: int32 count, int32 ids[count], float32 logits[count][vocabulary].
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/file.h"
#include "engine/model/model.h"
#include "engine/safetensors/model_directory.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

constexpr int kRows = 64;
constexpr int kNumBlocks = 256;
constexpr std::string_view kSeparator = "\n%%\n";

Status WriteWindow(Model& model, KvStorage& kv, const std::vector<TokenId>& ids, std::FILE* out) {
  const auto columns = static_cast<size_t>(model.config().vocab_size);
  const int count = static_cast<int>(ids.size());
  BlockPool pool(kNumBlocks);
  BlockTable table;
  table.Cover(pool, count);
  std::vector<float> logits(kRows * columns);
  bool written = std::fwrite(&count, sizeof(count), 1, out) == 1 &&
                 std::fwrite(ids.data(), sizeof(TokenId), ids.size(), out) == ids.size();
  for (int first = 0; first < count && written; first += kRows) {
    const int rows = std::min(kRows, count - first);
    Batch batch;
    batch.AddSequence(TokenOrigin::kPrompt, ids.data(), first, rows, table, true, true);
    model.Forward(batch, kv, MatrixView<float>(logits.data(), rows, static_cast<int64_t>(columns)), {});
    const size_t values = static_cast<size_t>(rows) * columns;
    written = std::fwrite(logits.data(), sizeof(float), values, out) == values;
  }
  table.Free(pool);
  return written ? OkStatus() : InvalidArgument("the output cannot be written");
}

Status Run(const std::string& model_path, const std::string& text_path, const std::string& out_path) {
  WEIR_ASSIGN_OR_RETURN(const auto file, OpenModel(model_path));
  WEIR_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Create(*file));
  WEIR_ASSIGN_OR_RETURN(std::string text, ReadFile(text_path));
  while (text.ends_with('\n')) text.pop_back();
  ModelOptions options;
  options.max_rows = kRows;
  options.max_logit_rows = kRows;
  options.max_context = kNumBlocks * kBlockSize;
  WEIR_ASSIGN_OR_RETURN(const auto model, Model::Load(*file, options));
  WEIR_ASSIGN_OR_RETURN(KvStorage kv, KvStorage::Create(model->config().kv_shape(), kNumBlocks));
  std::FILE* out = std::fopen(out_path.c_str(), "wb");
  if (out == nullptr) return InvalidArgument(fmt::format("{} cannot be written", out_path));
  Status status;
  for (size_t at = 0; at <= text.size() && status.ok();) {
    const size_t end = std::min(text.find(kSeparator, at), text.size());
    auto ids = tokenizer->Encode(text.substr(at, end - at), SpecialTokens::kAsText, true);
    status = ids.has_value() ? WriteWindow(*model, kv, *ids, out) : ids.error();
    at = end + kSeparator.size();
  }
  if (std::fclose(out) != 0 && status.ok()) status = InvalidArgument("the output cannot be written");
  return status;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const weir::Status status = argc == 4 ? weir::Run(argv[1], argv[2], argv[3])
                                        : weir::InvalidArgument("usage: write_logits MODEL TEXT OUT");
  if (!status.ok()) fmt::print(stderr, "{}\n", status.message());
  return status.ok() ? 0 : 1;
}
