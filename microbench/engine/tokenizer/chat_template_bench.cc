// How long templates run that only the budget ends: the longest time that one request can hold up the server.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tiny_vocabulary.h"

namespace weir {
namespace {

void Exhaust(benchmark::State& state, const char* source) {
  const auto tokenizer = std::move(*Tokenizer::Create(TinyVocabulary("smollm")));
  const auto chat_template = std::move(*ChatTemplate::Create(source, *tokenizer));
  for (auto _ : state) {
    if (chat_template->Render({{"user", "hello", ""}}, true).has_value()) {
      state.SkipWithError("the budget did not end it");
      return;
    }
  }
}

#define WEIR_EXHAUST(name, source)            \
  BENCHMARK_CAPTURE(Exhaust, name, source)    \
      ->Name("BM_TemplateAtItsBudget/" #name) \
      ->Unit(benchmark::kMillisecond)

WEIR_EXHAUST(loops, "{% for x in range(1000) %}{% for y in range(1000) %}{% endfor %}{% endfor %}");
WEIR_EXHAUST(upper, "{% for i in range(100000) %}{{ ('b' * 1000000) | upper | length }}{% endfor %}");
WEIR_EXHAUST(replace,
             "{% set s = 'ab' * 500000 %}{% for i in range(100000) %}{{ s | replace('ab', 'c') | length }}{% "
             "endfor %}");
WEIR_EXHAUST(split,
             "{% set s = 'ab ' * 300000 %}{% for i in range(100000) %}{{ s.split() | length }}{% endfor %}");
WEIR_EXHAUST(index, "{% set s = 'ab ' * 300000 %}{% for i in range(100000) %}{{ s[i] }}{% endfor %}");
WEIR_EXHAUST(tojson,
             "{% set s = 'ab ' * 300000 %}{% for i in range(100000) %}{{ s | tojson | length }}{% endfor %}");
WEIR_EXHAUST(
    concatenate,
    "{% set s = ' ' * 1000000 %}{% for i in range(100000) %}{{ (s ~ s) | trim | length }}{% endfor %}");
WEIR_EXHAUST(
    compare,
    "{% set s = 'ab' * 1000000 %}{% for i in range(100000) %}{{ 'x' in s }}{{ s == s }}{% endfor %}");

}  // namespace
}  // namespace weir
