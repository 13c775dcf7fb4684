#!/usr/bin/env bash
# Run a test of a sanitizer build, and fail when any process of it was reported, whatever became of that process.
#
#   tools/sanitized.sh PROGRAM [ARGUMENT...]
#
# ctest starts every test of such a build through this. A test may start a server and read neither its stderr nor its
# exit code, so each process writes its reports into a file of its own, and a file that is there at the end is a failure.
# ASAN_OPTIONS, UBSAN_OPTIONS and TSAN_OPTIONS of the caller come last and win.
set -uo pipefail

reports=$(mktemp -d) || exit 1
trap 'rm -rf "$reports"' EXIT
common=log_path=$reports/report:log_exe_name=1
# Not detect_stack_use_after_return: g++ 12 moves locals to a fake stack that does not keep the 64 bytes of alignment which its own
# AVX-512 code then relies on.
export ASAN_OPTIONS=$common:detect_leaks=1:strict_string_checks=1:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=$common:print_stacktrace=1:${UBSAN_OPTIONS:-}
export TSAN_OPTIONS=$common:second_deadlock_stack=1:${TSAN_OPTIONS:-}

# ctest kills only this script at a timeout; the test must not live on without it.
setpriv --pdeathsig KILL -- "$@"
status=$?

if [ -n "$(ls -A "$reports")" ]; then
  echo "sanitized: the sanitizer reported:" >&2
  cat "$reports"/* >&2
  # By signal: no exit code makes ctest count a test as failed that also said it was skipped.
  rm -rf "$reports"
  kill -ABRT $$
fi
exit "$status"
