#!/usr/bin/env python3
"""Compare the time until weights are ready with reading the same file once, cold and warm, and the peak of memory.

    measure_loading.py [--weir build/release/weir] [--rounds 5] [--model FILE | --synthetic 1b-q8_0|1b-q4_k_m]

Goals: ready after at most 1.5 times the reading, in the same state of the page cache; memory at most that of weights and
KV cache + 15 %. Sides alternate within one run. --synthetic writes a GGUF file of random weights with the shape of
Llama 3.2 1B (0.8 or 1.3 GB) to a temporary folder and removes it afterwards.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import write_synthetic_gguf

ROOT = pathlib.Path(__file__).resolve().parent.parent


def read_once(path):
    buffer = bytearray(1 << 20)
    start = time.monotonic()
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return time.monotonic() - start


def drop_cache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def load_once(weir, path, folder):
    out = folder / "loading.json"
    subprocess.run([weir, "bench", "--model", path, "--mode", "matrix", "--prompt-lens", "8", "--gen-len", "1",
                    "--batch-sizes", "1", "--repeats", "1", "--output", out, "--allow-invalid"],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return json.loads(out.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=str(ROOT / "build/release/weir"))
    parser.add_argument("--model")
    parser.add_argument("--synthetic", choices=["1b-q8_0", "1b-q4_k_m"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-loading-") as name:
        folder = pathlib.Path(name)
        model = options.model
        if options.synthetic:
            model = str(folder / "synthetic.gguf")
            write_synthetic_gguf.write(options.synthetic, model)
        elif model is None:
            model = subprocess.run([ROOT / "tools/get_model.sh"], check=True, capture_output=True,
                                   text=True).stdout.strip().splitlines()[-1]
        size = os.path.getsize(model)
        print(f"{model}: {size / 1e6:.1f} MB")
        for state in ("warm", "cold"):
            reads, loads = [], []
            read_once(model)
            for _ in range(options.rounds):
                for side in ("read", "load"):
                    if state == "cold":
                        drop_cache(model)
                    if side == "read":
                        reads.append(read_once(model))
                    else:
                        document = load_once(options.weir, model, folder)
                        loads.append(document["model"]["load_s"])
            read, load = statistics.median(reads), statistics.median(loads)
            print(f"{state}: read {read:.3f} s ({size / read / 1e9:.2f} GB/s), ready {load:.3f} s "
                  f"({size / load / 1e9:.2f} GB/s), ratio {load / read:.2f}; "
                  f"read {min(reads):.3f}-{max(reads):.3f}, ready {min(loads):.3f}-{max(loads):.3f}")
        memory = document["memory"]
        wanted = memory["packed_weights_bytes"] + memory["kv_pool_bytes"]
        print(f"memory: peak {memory['process_peak_bytes'] / 1e6:.1f} MB, weights and KV cache {wanted / 1e6:.1f} MB, "
              f"ratio {memory['process_peak_bytes'] / wanted:.2f}; "
              f"{memory['huge_page_bytes'] / memory['packed_weights_bytes']:.0%} of the weights in huge pages")


if __name__ == "__main__":
    sys.exit(main())
