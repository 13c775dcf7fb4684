#!/usr/bin/env python3
"""Are the manual page and the completions in packaging/ those that the built weir makes, and do shells complete with them?

    tools/check_generated.py build/dev/weir            # exit code 1 when one differs, or a shell does not offer what it should
    tools/check_generated.py build/dev/weir --update   # write them

Every shell that is installed is asked what may follow "weir serve --", "weir generate " and "weir serve --kv-cache-dtype "; one that is
not is named as skipped. What a machine's own environment says (WEIR_*) is kept out of the files. Standard library only.
"""
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FILES = {"man": "weir.1", "bash": "weir.bash", "zsh": "_weir", "fish": "weir.fish"}
FOLDER = Path(__file__).resolve().parent.parent / "packaging"
# Ends a line with its first argument, and prints what the shell offers.
BASH = r"""
source "$0"; COMP_WORDS=($1); [[ $1 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _weir; printf '%s\n' "${COMPREPLY[@]}"
"""
FISH = r"source $argv[1]; complete -C $argv[2]"
# A shell of its own on a terminal of its own, as only an interactive one completes. It has 20 seconds.
ZSH = r"""
zmodload zsh/zpty zsh/datetime
zpty inner zsh -f -i
zpty -w inner "PS1=; stty columns 300 rows 500; LISTMAX=9999; fpath=(${(q)0:h} \$fpath); autoload -Uz compinit; compinit -u -D; echo rea''dy"
out= until=$(( EPOCHREALTIME + 20 ))
while [[ $out != *ready* ]] && (( EPOCHREALTIME < until )); do zpty -r -t inner line && out+=$line || sleep 0.05; done
zpty -w -n inner "$1"$'\t'
quiet=0
while (( quiet < 40 && EPOCHREALTIME < until )); do zpty -r -t inner line && { out+=$line; quiet=0 } || { sleep 0.05; (( quiet++ )) }; done
print -r -- "${out#*ready}"
"""


def offered(shell, file, line):
    if shell == "bash":
        command = ["bash", "-c", BASH, file, line]
    elif shell == "fish":
        command = ["fish", "--no-config", "-c", FISH, file, line]
    else:
        command = ["zsh", "-f", "-c", ZSH, file, line]
    with tempfile.TemporaryDirectory() as folder:  # without files of ours to offer
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, errors="replace",
                              env={**os.environ, "HOME": folder, "TERM": "xterm"})
    return set(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", " ", done.stdout).split())


def check_shells(weir, environment):
    text = subprocess.run([weir, "serve", "--help"], env=environment, check=True, capture_output=True, text=True).stdout
    flags = set(re.findall(r"--[a-z][a-z-]+", "\n".join(re.findall(r"^  (-\S.*?)(?:  |$)", text, re.M))))
    wrong = []
    for shell in ("bash", "zsh", "fish"):
        if shutil.which(shell) is None:
            print(f"skipped: {shell} is not installed, so its completion was not tried")
            continue
        for line, wanted in (("weir serve --", flags), ("weir generate ", {"man", "bash", "zsh", "fish"}),
                             ("weir serve --kv-cache-dtype ", {"auto", "fp16", "int8"})):
            if missing := wanted - offered(shell, str(FOLDER / FILES[shell]), line):
                wrong.append(f"{shell} does not offer after \"{line}\": {' '.join(sorted(missing))}")
    return wrong


def main():
    weir = sys.argv[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    differs = False
    for what, name in FILES.items():
        made = subprocess.run([weir, "generate", what], env=environment, check=True, capture_output=True, text=True).stdout
        path = FOLDER / name
        if "--update" in sys.argv:
            path.write_text(made, encoding="utf-8")
            continue
        kept = path.read_text(encoding="utf-8") if path.exists() else ""
        lines = list(difflib.unified_diff(kept.splitlines(), made.splitlines(), f"packaging/{name}", "as made now", lineterm="", n=0))
        if lines:
            differs = True
            print("\n".join(lines[:12]))
    if differs:
        sys.exit(f"out of date; write them with: {sys.argv[0]} {weir} --update")
    if wrong := check_shells(weir, environment):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
