#!/usr/bin/env bash
# Install what weir needs, and nothing when all is there.
#
#   tools/setup.sh [--tests]
#
# --tests   also what ./test needs: GoogleTest, clang-format, the fuzzer, and a Python environment with the packages of
#           tools/requirements.txt. Packages are listed in tools/packages.txt.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}

with_tests=false
case "${1:-}" in
  "") ;;
  --tests) with_tests=true ;;
  *) echo "setup: unknown option '$1'; usage: tools/setup.sh [--tests]" >&2; exit 2 ;;
esac

wanted=()
while read -r first second; do
  case "$first" in
    ''|'#'*) ;;
    tests) if $with_tests; then wanted+=("$second"); fi ;;
    *) wanted+=("$first") ;;
  esac
done <"$here/packages.txt"

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "setup: not root and no sudo; install by hand: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  echo "setup: installing ${#missing[@]} Debian packages: ${missing[*]}"
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update -qq &&
         "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
       >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    echo "setup: apt-get failed, see above; weir needs Debian 12 and its package mirror" >&2
    exit 1
  fi
  rm -f "$log"
fi

if $with_tests; then
  venv=$cache/test-venv
  stamp=$venv/.requirements
  if ! cmp -s "$here/requirements.txt" "$stamp" 2>/dev/null; then
    echo "setup: making the Python environment of the tests in $venv"
    rm -rf "$venv"
    mkdir -p "$cache"
    # The system's Python, so that a local version manager cannot change what the tests run with.
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$stamp"
  fi
fi
