// What a constraint costs per token: the mask of allowed tokens at a few places of a document, over a vocabulary as large as
// a real one.

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/grammar/grammar_builder.h"
#include "engine/grammar/grammar_matcher.h"
#include "engine/grammar/json_rules.h"

namespace weir {
namespace {

constexpr int kNumTokens = 49152;

// All bytes, then random words of letters, digits and the signs of JSON.
std::shared_ptr<const GrammarVocabulary> Vocabulary() {
  static const std::vector<std::string> texts = [] {
    std::vector<std::string> out;
    for (int byte = 0; byte < 256; ++byte) out.emplace_back(1, static_cast<char>(byte));
    Rng rng(1);
    constexpr std::string_view kSigns = "abcdefghijklmnopqrstuvwxyzetaoinshrdlu0123456789 \"{}[]:,\n";
    while (out.size() < kNumTokens) {
      std::string text = rng.NextBelow(2) == 0 ? " " : "";
      for (uint64_t size = 2 + rng.NextBelow(7); size > 0; --size)
        text += kSigns[rng.NextBelow(rng.NextBelow(6) == 0 ? kSigns.size() : 38)];
      out.push_back(std::move(text));
    }
    return out;
  }();
  return GrammarVocabulary::Create(std::vector<std::string_view>(texts.begin(), texts.end()));
}

std::shared_ptr<Grammar> AnyObject(const std::shared_ptr<const GrammarVocabulary>& vocabulary) {
  GrammarBuilder builder;
  JsonRules json(&builder);
  const int root = builder.Declare("the object").value();
  builder.Define(root, json.AnyObject().value());
  return builder.Build(root, vocabulary).value();
}

void FillMask(benchmark::State& state, const std::string& before) {
  const std::shared_ptr<Grammar> grammar = AnyObject(Vocabulary());
  GrammarMatcher matcher(grammar);
  for (const char c : before) matcher.Accept(static_cast<uint8_t>(c));
  std::vector<uint64_t> mask;
  for (auto _ : state) {
    matcher.FillMask(&mask);
    benchmark::DoNotOptimize(mask.data());
  }
}

// Masks that are computed for the first time.
void Prepare(benchmark::State& state) {
  const auto vocabulary = Vocabulary();
  for (auto _ : state) {
    const std::shared_ptr<Grammar> grammar = AnyObject(vocabulary);
    grammar->Prepare(std::chrono::seconds(10));
    benchmark::DoNotOptimize(grammar.get());
  }
}

BENCHMARK_CAPTURE(FillMask, inside_a_string, std::string("{\"name\": \"some te"));
BENCHMARK_CAPTURE(FillMask, before_a_value, std::string("{\"name\": "));
BENCHMARK_CAPTURE(FillMask, inside_a_number, std::string("{\"name\": [1, 23"));
BENCHMARK_CAPTURE(FillMask, behind_a_value, std::string("{\"name\": [[\"a\""));
BENCHMARK(Prepare)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace weir
