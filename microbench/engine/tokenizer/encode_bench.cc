// Encoding text that breaks other tokenizers, and ordinary text to compare it with: bytes per second.
//
// Linear time shows as the same rate at both sizes.
#include <benchmark/benchmark.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/tokenizer/tiny_vocabulary.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

void Encode(benchmark::State& state, const char* pre_tokenizer, const char* unit) {
  const auto tokenizer = std::move(*Tokenizer::Create(TinyVocabularyOfRuns(pre_tokenizer)));
  const auto bytes = static_cast<size_t>(state.range(0));
  std::string text;
  while (text.size() < bytes) text += unit;
  const Result<std::vector<TokenId>> ids = tokenizer->Encode(text, SpecialTokens::kAsText, false);
  if (!ids.has_value() || tokenizer->Decode(*ids, false) != text) {
    state.SkipWithError("decoding does not give the text back");
    return;
  }
  for (auto _ : state) {
    Result<std::vector<TokenId>> found = tokenizer->Encode(text, SpecialTokens::kAsText, false);
    benchmark::DoNotOptimize(found);
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}

void RegisterAll() {
  const std::pair<const char*, const char*> kTexts[] = {{"letters", "a"},
                                                        {"spaces", " "},
                                                        {"cjk", "中"},
                                                        {"marks", "\xCC\x81"},
                                                        {"prose", "The weir holds the water back. "}};
  for (const char* pre_tokenizer : {"gpt-2", "llama-bpe", "qwen2", "smollm"}) {
    for (const auto& [name, unit] : kTexts) {
      const std::string full = std::string("BM_Encode/") + pre_tokenizer + "/" + name;
      benchmark::RegisterBenchmark(full.c_str(), Encode, pre_tokenizer, unit)
          ->ArgName("bytes")
          ->Arg(1 << 17)
          ->Arg(1 << 20)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

const bool kRegistered = (RegisterAll(), true);

}  // namespace
}  // namespace weir
