#!/usr/bin/env python3
"""Are the manual page and the completions in packaging/ those that the built weir makes?

    tools/check_generated.py build/dev/weir            # exit code 1 when one differs
    tools/check_generated.py build/dev/weir --update   # write them

What a machine's own environment says (WEIR_*) is kept out of them. Standard library only.
"""
import difflib
import os
import subprocess
import sys
from pathlib import Path

FILES = {"man": "weir.1", "bash": "weir.bash", "zsh": "_weir", "fish": "weir.fish"}
FOLDER = Path(__file__).resolve().parent.parent / "packaging"


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


if __name__ == "__main__":
    main()
