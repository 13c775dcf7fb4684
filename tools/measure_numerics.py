#!/usr/bin/env python3
"""Compare llama.cpp's arithmetic with weir's on the golden texts: mean KL and top-1 agreement against the fp32 oracle.

    measure_numerics.py --python PYTHON_WITH_LLAMA_CPP [--model FILE] [--test build/dev/tests/integration/integration_numerics]

Both are teacher-forced on the same tokens of the same file (tests/golden/logits/SOURCE.md tells what is stored, and how the
divergence is estimated from it). llama.cpp runs by its own Python binding, two threads, everything else as it comes;
weir's figures are those that its own test prints, for every kernel path of this CPU.
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


def measure_llama_cpp(model):
    """Runs inside the environment that has llama_cpp."""
    import numpy as np
    import llama_cpp
    llama = llama_cpp.Llama(model, n_ctx=1024, n_batch=512, n_threads=2, n_threads_batch=2, logits_all=True,
                            verbose=False)
    result = {"version": llama_cpp.__version__}
    for name, file in FILES.items():
        kl, equal = [], []
        for tokens, first, top, sample, rest in read_windows(GOLDEN / file):
            llama.reset()
            llama.eval([int(t) for t in tokens])
            # The logits after token i say what comes at i + 1; the stored position i says the same.
            logits = np.array(llama.scores[first:len(tokens)], dtype=np.float64)
            logprobs = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True)) \
                - logits.max(1, keepdims=True)
            kl.append(divergence(logprobs, (top, sample, rest)))
            equal.append(logits.argmax(1) == top[0][:, 0])
        kl, equal = np.concatenate(kl), np.concatenate(equal)
        result[name] = {"positions": len(kl), "mean_kl": float(kl.mean()), "top1": float(equal.mean())}
    print(json.dumps(result))


def measure_weir(test, model):
    """{path: {text: figures}} from what the numerics test prints."""
    done = subprocess.run([test, "--gtest_filter=*CloseToTheOracle*"], env={**os.environ, "WEIR_TEST_MODEL": model}, capture_output=True, text=True)
    found = {}
    pattern = r"^(\w+), (\w+): (\d+) tokens: mean KL ([\d.]+), p99 [\d.]+, top-1 ([\d.]+) %"
    for path, name, positions, kl, top1 in re.findall(pattern, done.stdout, re.M):
        found.setdefault(path, {})[name] = {"positions": int(positions), "mean_kl": float(kl),
                                            "top1": float(top1) / 100}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--model")
    parser.add_argument("--test", default=ROOT / "build/dev/tests/integration/integration_numerics", type=pathlib.Path)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    model = args.model or subprocess.run([ROOT / "tools/get_model.sh"], check=True, capture_output=True,
                                         text=True).stdout.strip()
    if args.inside:
        return measure_llama_cpp(model)
    peer = json.loads(subprocess.run([args.python, __file__, "--inside", "--model", model], check=True,
                                     capture_output=True, text=True).stdout.splitlines()[-1])
    holds = True
    for name in FILES:
        figures = peer[name]
        print(f"{name}: llama-cpp-python {peer['version']}: {figures['positions']} positions, "
              f"mean KL {figures['mean_kl']:.6f}, top-1 {figures['top1']:.2%}")
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
