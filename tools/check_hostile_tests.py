#!/usr/bin/env python3
"""Every hostile input that the program is held to has a test whose name begins with its id. Lists the ids that have none.

    tools/check_hostile_tests.py            # exit code 1 when an id has no test
    tools/check_hostile_tests.py --list     # every id with its tests

Groups: G model files and how they are fetched; of what a client may send T text and tokens, J chat templates, S JSON, grammars and
schemas, H HTTP, A API parameters and access. In Python a test's name begins with test_ and the id in small letters.
"""
import re
import sys
from pathlib import Path

HIGHEST = {"G": 15, "T": 5, "J": 5, "S": 4, "H": 6, "A": 11}
IDS = [f"{group}{number}" for group, last in HIGHEST.items() for number in range(1, last + 1)]
ROOT = Path(__file__).resolve().parent.parent


def main():
    tests = {name: [] for name in IDS}
    for path in [*ROOT.glob("src/**/*_test.cc"), *ROOT.glob("tests/**/*_test.cc")]:
        for suite, name in re.findall(r"\bTEST(?:_F|_P)?\((\w+),\s*(\w+)\)", path.read_text(encoding="utf-8")):
            found = re.match(r"([A-Z]\d+)[A-Z]\w*$", name)
            if found and found[1] in tests:
                tests[found[1]].append(f"{suite}.{name}")
    for path in ROOT.glob("tests/**/*_test.py"):
        for test in re.findall(r"\bdef test_([a-z]\d+_\w+)\(", path.read_text(encoding="utf-8")):
            name = test.split("_")[0].upper()
            if name in tests:
                tests[name].append(f"{path.stem}.test_{test}")
    if "--list" in sys.argv:
        for name in IDS:
            print(f"{name}: {', '.join(tests[name])}")
    missing = [name for name in IDS if not tests[name]]
    if missing:
        sys.exit(f"no test whose name begins with: {', '.join(missing)}")
    print(f"{len(IDS)} ids, {sum(map(len, tests.values()))} tests")


if __name__ == "__main__":
    main()
