#!/usr/bin/env bash
# All tests, the slow ones too, under each sanitizer in turn. Ends with a line per preset and fails if any test did.
#
#   tools/nightly.sh [PRESET...]     default: asan tsan
set -uo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- asan tsan

summary=()
status=0
for preset in "$@"; do
  echo "nightly: $preset"
  log=build/nightly-$preset.log
  mkdir -p build
  ./test --preset "$preset" all 2>&1 | tee "$log" || status=1
  # Nothing but the last line is the count; after a failed build it is something else.
  if counts=$(tail -n 1 "$log" | grep -xE '[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?'); then
    [[ $counts == *skipped ]] || counts+=', 0 skipped'
  else
    counts='no result, see above'
    status=1
  fi
  summary+=("$preset: $counts")
done
printf '%s\n' "${summary[@]}"
exit "$status"
