#!/usr/bin/env python3
"""Compare the time until weights are ready with reading the same file once, cold and warm, and the peak of memory.

    measure_loading.py [--weir build/release/weir] [--rounds 5] [--model FILE | --synthetic 1b-q8_0]

Goals: ready after at most 1.5 times the reading, in the same state of the page cache; memory at most that of weights and
KV cache + 15 %. Sides alternate within one run. --synthetic writes a GGUF file of random weights with the shape of
Llama 3.2 1B (1.3 GB) to a temporary folder and removes it afterwards.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time

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


def text(value):
    return struct.pack("<Q", len(value)) + value


def write_synthetic(path):
    """Q8_0 blocks out of one random region; a tokenizer of bytes and filler."""
    hidden, ffn, layers, heads, kv_heads, vocabulary = 2048, 8192, 16, 32, 8, 128256
    keys = []

    def key(name, kind, value):
        keys.append(text(name.encode()) + struct.pack("<I", kind) + value)

    def number(name, value):
        key("llama." + name, 4, struct.pack("<I", value))

    key("general.architecture", 8, text(b"llama"))
    for name, value in (("block_count", layers), ("context_length", 131072), ("embedding_length", hidden),
                        ("feed_forward_length", ffn), ("attention.head_count", heads),
                        ("attention.head_count_kv", kv_heads), ("rope.dimension_count", hidden // heads)):
        number(name, value)
    key("llama.rope.freq_base", 6, struct.pack("<f", 500000.0))
    key("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5))
    key("tokenizer.ggml.model", 8, text(b"gpt2"))
    key("tokenizer.ggml.pre", 8, text(b"gpt-2"))
    tokens = b"".join(text(b"#%d" % i) for i in range(vocabulary))
    key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, vocabulary) + tokens)
    key("tokenizer.ggml.merges", 9, struct.pack("<IQ", 8, 0))
    key("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", vocabulary - 1))

    f32, q8_0 = 0, 8
    kv = kv_heads * hidden // heads
    tensors = [("token_embd", q8_0, hidden, vocabulary), ("output_norm", f32, hidden, 1)]
    for i in range(layers):
        tensors += [(f"blk.{i}.{name}", kind, columns, rows) for name, kind, columns, rows in (
            ("attn_norm", f32, hidden, 1), ("attn_q", q8_0, hidden, hidden), ("attn_k", q8_0, hidden, kv),
            ("attn_v", q8_0, hidden, kv), ("attn_output", q8_0, hidden, hidden), ("ffn_norm", f32, hidden, 1),
            ("ffn_gate", q8_0, hidden, ffn), ("ffn_up", q8_0, hidden, ffn), ("ffn_down", q8_0, ffn, hidden))]
    directory, offset, sizes = b"", 0, []
    for name, kind, columns, rows in tensors:
        dims = [columns] if kind == f32 else [columns, rows]
        directory += text(name.encode() + b".weight") + struct.pack("<I", len(dims))
        directory += b"".join(struct.pack("<Q", dim) for dim in dims) + struct.pack("<IQ", kind, offset)
        sizes.append(columns * rows * 4 if kind == f32 else columns * rows // 32 * 34)
        offset += (sizes[-1] + 31) // 32 * 32
    noise = random.Random(1)
    scale = struct.pack("<e", 2.7e-4)
    region = b"".join(scale + noise.randbytes(32) for _ in range(1 << 16))
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + directory)
        file.write(bytes(-file.tell() % 32))
        for (_, kind, columns, _), size in zip(tensors, sizes):
            if kind == f32:
                file.write(struct.pack("<f", 1.0) * columns)
            for at in range(0, size if kind == q8_0 else 0, len(region)):
                file.write(region[:min(len(region), size - at)])
            file.write(bytes(-size % 32))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=str(ROOT / "build/release/weir"))
    parser.add_argument("--model")
    parser.add_argument("--synthetic", choices=["1b-q8_0"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-loading-") as name:
        folder = pathlib.Path(name)
        model = options.model
        if options.synthetic:
            model = str(folder / "synthetic.gguf")
            write_synthetic(model)
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
