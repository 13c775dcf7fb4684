#!/usr/bin/env python3
"""Fail when an ISA file of src/engine/kernels emits a weak symbol.

usage: check_isa.py [--compiler CXX] [--self-test]

A weak symbol is an inline function or template that the linker may keep for the whole program. Compiled with AVX-512 it
would crash on older CPUs, in code that never asked for it. -O0 keeps what optimisation would inline away by luck.

--self-test plants one and checks that it is found.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
FLAGS = {
    "generic": [],
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512vnni": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma", "-mf16c"],
    "amx": ["-mamx-tile", "-mamx-bf16", "-mavx512bf16", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma",
            "-mf16c"],
    "avx512bf16": ["-mavx512bf16", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma", "-mf16c"],
}
WEAK = set("WwVvu")


def weak_symbols(compiler, source, flags):
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "isa.o"
        subprocess.run([compiler, "-std=c++20", "-O0", "-fno-exceptions", "-fno-strict-aliasing", "-w",
                        f"-I{ROOT / 'src'}", *flags, "-c", str(source), "-o", str(output)], check=True)
        lines = subprocess.run(["nm", "-C", str(output)], check=True, capture_output=True, text=True).stdout.splitlines()
    found = []
    for line in lines:
        kind, name = line[17:].split(" ", 1)
        if kind in WEAK:
            found.append(name)
    return found


def check(compiler):
    folder = ROOT / "src/engine/kernels"
    breaches = []
    for name, flags in FLAGS.items():
        sources = sorted((folder / name).glob("*.cc"))
        if not sources:
            breaches.append(f"{name}: no source; take it out of FLAGS")
        for source in sources:
            breaches += [f"{source.relative_to(ROOT)}: weak symbol {symbol}"
                         for symbol in weak_symbols(compiler, source, flags)]
    known = set(FLAGS) | {"reference"}
    breaches += [f"{path.name}: an ISA folder without flags in this script"
                 for path in folder.iterdir() if path.is_dir() and path.name not in known]
    return breaches


def self_test(compiler):
    with tempfile.TemporaryDirectory() as folder:
        planted = pathlib.Path(folder) / "planted.cc"
        planted.write_text("#include <vector>\nint Planted() { std::vector<int> v(3); return int(v.size()); }\n")
        clean = pathlib.Path(folder) / "clean.cc"
        clean.write_text("namespace { template <int N> int Twice(int x) { return N * x; } }\n"
                         "int Clean(int x) { return Twice<2>(x); }\n")
        if not weak_symbols(compiler, planted, FLAGS["avx2"]):
            return ["a planted std::vector was not found"]
        return [f"clean file: weak symbol {symbol}" for symbol in weak_symbols(compiler, clean, FLAGS["avx2"])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    breaches = (self_test if arguments.self_test else check)(arguments.compiler)
    for breach in breaches:
        print(breach)
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
