#!/usr/bin/env python3
"""Hold the source tree against the include law; print every breach, exit 1 if there is one.

    check_layers.py [ROOT]       check a tree (default: the repository this file is in)
    check_layers.py --self-test  plant one breach per rule in a copy of nothing and see that each is found

Rules: a folder includes only the folders of its row · no include cycle between folders · each CMakeLists.txt names
exactly the row as DEPS · third-party headers stay with their owner · no banned names, calls or JSON where none belongs.
"""
import pathlib
import re
import sys
import tempfile

BASE = {"base"}
ENGINE_PARTS = {"engine/request", "engine/tokenizer", "engine/admission", "engine/scheduler", "engine/kvcache",
                "engine/batch", "engine/model", "engine/kernels", "engine/sampling", "engine/gguf", "engine/tensor",
                "engine/synthetic", "engine/safetensors", "engine/lora"}

# folder -> folders it may include besides itself
MAY_INCLUDE = {
    "base": set(),
    "engine/tensor": BASE,
    "engine/gguf": BASE | {"engine/tensor"},
    "engine/safetensors": BASE | {"engine/gguf", "engine/tensor"},
    "engine/lora": BASE | {"engine/safetensors", "engine/gguf", "engine/tensor"},
    "engine/kernels": BASE | {"engine/tensor"},
    "engine/tokenizer": BASE | {"engine/gguf"},
    "engine/synthetic": BASE | {"engine/gguf", "engine/tokenizer", "engine/tensor"},
    "engine/kvcache": BASE | {"engine/tensor"},
    "engine/batch": BASE | {"engine/kvcache"},
    "engine/sampling": BASE | {"engine/kernels"},
    "engine/grammar": BASE,
    "engine/request": BASE | {"engine/kvcache", "engine/sampling", "engine/grammar"},
    "engine/admission": BASE | {"engine/request"},
    "engine/scheduler": BASE | {"engine/request", "engine/kvcache"},
    "engine/model": BASE | {"engine/batch", "engine/kvcache", "engine/kernels", "engine/gguf", "engine/tensor",
                     "engine/lora"},
    "engine": BASE | ENGINE_PARTS | {"engine/grammar"},
    "net/http": BASE,
    "net/openai": BASE,
    "server": BASE | {"net/http", "net/openai", "engine", "engine/request", "engine/sampling", "engine/tokenizer",
               "engine/grammar"},
    "perf/recorder": BASE,
    "perf/workload": BASE | {"engine/tokenizer"},
    "perf/statistics": BASE | {"perf/recorder"},
    "perf/driver": BASE | {"perf/workload", "perf/recorder", "net/http", "net/openai", "engine", "engine/request",
                           "engine/sampling", "perf/statistics"},
    "perf/report": BASE | {"perf/statistics", "perf/recorder"},
    "cli": BASE | ENGINE_PARTS | {"engine", "server", "net/http", "net/openai", "perf/workload", "perf/driver",
                                  "perf/recorder", "perf/statistics", "perf/report"},
    "": {"cli"},  # src/main.cc
}

# third-party header pattern -> folders that may include it
OWNERS = [
    (re.compile(r"^(boost|curl)/"), {"net/http"}),
    (re.compile(r"^openssl/"), {"net/http", "base"}),  # base/sha256 only
    (re.compile(r"^(simdjson\.h|nlohmann/)"), {"base"}),
    (re.compile(r"^(pcre2\.h|utf8proc\.h)"), {"engine/tokenizer"}),
    (re.compile(r"^sqlite3\.h"), {"perf/recorder"}),
    (re.compile(r"^(CLI/|toml\+\+/|toml)"), {"cli"}),
    (re.compile(r"^spdlog/"), {"base"}),
    (re.compile(r"^immintrin\.h"), {"engine/kernels"}),
]
JSON_USERS = {"base", "engine/safetensors", "engine/lora", "cli", "server", "net/openai", "perf/recorder", "perf/report",
              "perf/statistics", "perf/driver", "perf/workload"}  # the last: datasets are JSON
ISA_FOLDERS = re.compile(r"engine/kernels/(generic|avx2|avx512vnni|avx512bf16|amx)/")
ISA_MAY_INCLUDE = {"engine/kernels/isa_abi.h", "immintrin.h", "cstdint", "cstddef"}
BANNED_NAMES = {"util", "utils", "common", "core", "misc", "framework", "helpers"}
BANNED_CODE = [
    (re.compile(r"\bthrow\b(?!\s*\()"), "throw"),
    (re.compile(r"(?<![\w.:_])assert\s*\("), "assert"),
    (re.compile(r"(?<![\w.>_])(std::)?(exit|abort|_Exit|quick_exit)\s*\("), "exit or abort"),
]
PRINTS = re.compile(r"std::cout|(?<![\w:n])printf\s*\(|std::printf|fmt::print")


def strip(text):
    """Source without comments and string literals, same number of lines."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)


def folder_of(path):
    """Longest folder of the table that holds `path` (relative to src)."""
    parts = path.split("/")[:-1]
    while parts and "/".join(parts) not in MAY_INCLUDE:
        parts.pop()
    return "/".join(parts)


def check(root):
    src = root / "src"
    breaches = []
    edges = {}
    for path in sorted(src.rglob("*")):
        relative = path.relative_to(src).as_posix()
        for part in relative.split("/"):
            if part.split(".")[0] in BANNED_NAMES:
                breaches.append(f"src/{relative}: the name '{part}' says nothing; name the noun it holds")
        if path.suffix not in (".h", ".cc"):
            continue
        is_test = relative.endswith("_test.cc")
        folder = folder_of(relative)
        if folder not in MAY_INCLUDE:
            breaches.append(f"src/{relative}: its folder is not in the table")
            continue
        text = path.read_text()
        code = strip(text)
        for number, line in enumerate(text.splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^">]+)[">]', line)
            if not match:
                continue
            quoted, header = match.group(1) == '"', match.group(2)
            where = f"src/{relative}:{number}"
            if ISA_FOLDERS.match(relative) and header not in ISA_MAY_INCLUDE and not header.startswith("engine/kernels/isa_"):
                breaches.append(f"{where}: an ISA file may include only {', '.join(sorted(ISA_MAY_INCLUDE))}")
            if header.startswith("tests/"):
                if not is_test:
                    breaches.append(f"{where}: only *_test.cc may include tests/")
                continue
            if quoted and (src / header).exists():
                target = folder_of(header)
                if target != folder:
                    if not is_test:
                        edges.setdefault(folder, set()).add(target)
                    allowed = MAY_INCLUDE[folder] | (MAY_INCLUDE["cli"] if is_test else set())
                    if target not in allowed:
                        breaches.append(f"{where}: '{folder}' may not include '{target}' ({header})")
                if header == "base/json.h" and folder not in JSON_USERS:
                    breaches.append(f"{where}: no JSON in '{folder}'")
            else:
                for pattern, owners in OWNERS:
                    if pattern.match(header) and folder not in owners:
                        breaches.append(f"{where}: <{header}> belongs to {', '.join(sorted(owners))}")
        if not is_test:
            for number, line in enumerate(code.splitlines(), 1):
                where = f"src/{relative}:{number}"
                if not relative.startswith("base/check"):
                    for pattern, what in BANNED_CODE:
                        if pattern.search(line):
                            breaches.append(f"{where}: {what} is banned; return a Status")
                if folder != "cli" and not relative.startswith("base/check") and PRINTS.search(line):
                    breaches.append(f"{where}: only cli/ prints; use base/log")
    breaches += cycles(edges)
    breaches += cmake_rows(src)
    return breaches


def cycles(edges):
    state, path, found = {}, [], []

    def visit(node):
        state[node] = 1
        path.append(node)
        for target in sorted(edges.get(node, ())):
            if state.get(target) == 1:
                found.append("include cycle: " + " -> ".join(path[path.index(target):] + [target]))
            elif target not in state:
                visit(target)
        path.pop()
        state[node] = 2

    for node in sorted(edges):
        if node not in state:
            visit(node)
    return found


def cmake_rows(src):
    found = []
    for folder, allowed in MAY_INCLUDE.items():
        lists = src / folder / "CMakeLists.txt"
        if not folder or not lists.exists():
            continue
        match = re.search(r"add_module\(\s*" + re.escape(folder) + r"\b([^)]*)\)", lists.read_text())
        if not match:
            found.append(f"src/{folder}/CMakeLists.txt: no add_module({folder} ...)")
            continue
        words = match.group(1).split()
        deps, inside = set(), False
        for word in words:
            if word.isupper():
                inside = word == "DEPS"
            elif inside:
                deps.add(word)
        if deps != allowed:
            odd = sorted(deps ^ allowed)
            found.append(f"src/{folder}/CMakeLists.txt: DEPS differ from the table in: {', '.join(odd)}")
    return found


PLANTS = {  # file -> content, and a word its breach must contain
    "engine/gguf/a.cc": ('#include "server/b.h"\n', "may not include 'server'"),
    "engine/tensor/a.cc": ('#include "base/json.h"\n', "no JSON"),
    "server/a.cc": ("#include <boost/asio.hpp>\n", "belongs to net/http"),
    "base/util.h": ("", "says nothing"),
    "base/a.cc": ("void f() { throw 1; }\n", "throw is banned"),
    "base/b.cc": ("void f() { assert(true); }\n", "assert is banned"),
    "base/c.cc": ("void f() { std::abort(); }\n", "exit or abort is banned"),
    "net/http/a.cc": ('void f() { fmt::print("x"); }\n', "only cli/ prints"),
    "engine/model/a.cc": ('#include "tests/support/x.h"\n', "only *_test.cc"),
    "engine/kernels/avx2/a.cc": ("#include <vector>\n", "ISA file"),
    "perf/report/CMakeLists.txt": ("add_module(perf/report DEPS base)\n", "DEPS differ"),
    "base/d.h": ('#include "engine/tensor/d.h"\n', "include cycle"),
    "engine/tensor/d.h": ('#include "base/d.h"\n', "include cycle"),
}


def self_test():
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, (content, _) in PLANTS.items():
            file = root / "src" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        for name in ("server/b.h", "base/json.h"):
            (root / "src" / name).write_text("")
        found = "\n".join(check(root))
        for name, (_, expected) in PLANTS.items():
            if expected not in found:
                print(f"self-test: the breach planted in {name} was not found ({expected})")
                missed += 1
    print(f"self-test: {len(PLANTS) - missed} of {len(PLANTS)} planted breaches found")
    return missed


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(1 if self_test() else 0)
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent
    breaches = check(root)
    print("\n".join(breaches) if breaches else "layers: sound")
    sys.exit(1 if breaches else 0)


main()
