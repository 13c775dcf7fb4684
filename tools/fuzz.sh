#!/usr/bin/env bash
# Fuzz the parsers of files that strangers write, under AddressSanitizer and UndefinedBehaviorSanitizer, two at a time.
#
#   tools/fuzz.sh [SECONDS [TARGET ...]]     60 seconds each; all of gguf safetensors tokenizer_json chat_template config
#
# Needs clang++-14 and its runtime, which tools/setup.sh --tests installs; says so and ends with 0 where they are missing. What was
# found is kept in build/fuzz/corpus, so that later runs go on from there. An input that crashes, leaks, hangs or takes over a
# gigabyte ends with 1 and stays in build/fuzz/findings: make it a test, and replay it with build/fuzz/fuzz/fuzz_TARGET FILE.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(gguf safetensors tokenizer_json chat_template config)

if ! command -v clang++-14 >/dev/null || ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
  clang++-14 -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null; then
  echo "fuzz: NOT RUN: clang++-14 or its fuzzer runtime (libclang-rt-14-dev) is not installed"
  exit 0
fi

mkdir -p build/fuzz
cmake --preset fuzz >build/configure-fuzz.log 2>&1 || { tail -n 30 build/configure-fuzz.log >&2; exit 1; }
cmake --build --preset fuzz --target "${targets[@]/#/fuzz_}" -- --quiet
corpus=build/fuzz/corpus
findings=build/fuzz/findings
mkdir -p "$findings"
python3 tools/fuzz_seeds.py build/fuzz/seeds

run() {
  local target=$1
  mkdir -p "$corpus/$target"
  if ! ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
    "build/fuzz/fuzz/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=32768 -print_final_stats=1 \
    -artifact_prefix="$findings/$target-" "$corpus/$target" "build/fuzz/seeds/$target" >"build/fuzz/$target.log" 2>&1; then
    echo "fuzz: $target FAILED:"
    tail -n 40 "build/fuzz/$target.log"
    return 1
  fi
  echo "fuzz: $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$target.log") inputs in $seconds s, slowest" \
    "$(sed -n 's/^stat::slowest_unit_time_sec: *//p' "build/fuzz/$target.log") s, no finding"
}

failed=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
  pids=()
  for target in "${targets[@]:i:2}"; do
    run "$target" &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do
    wait "$pid" || failed=1
  done
done
exit $failed
