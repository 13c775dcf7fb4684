#!/usr/bin/env python3
"""Compare the time until weights are ready with reading the same file once, cold and warm, and the peak of memory.

    measure_loading.py [--weir build/release/weir] [--rounds 5] [--model MODEL] [--synthetic 1b-q8_0|1b-q4_k_m|1b-bf16]
                       [--states warm,cold] [--limit 1.5]

Goals: ready after at most 1.5 times the reading, in the same state of the page cache; memory at most that of weights and
KV cache + 15 %. Sides alternate within one run. --synthetic writes a GGUF file of random weights with the shape of
Llama 3.2 1B (0.8 or 1.3 GB), or with 1b-bf16 a Hugging Face directory of 2.5 GB, to a temporary folder and removes it
afterwards. Exits 1 when the ratio of a state is above --limit.
"""
import argparse
import json
import math
import os
import pathlib
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time

import write_synthetic_gguf

ROOT = pathlib.Path(__file__).resolve().parent.parent


def files_of(model):
    return sorted(map(str, pathlib.Path(model).glob("*.safetensors"))) if os.path.isdir(model) else [model]


def read_once(model):
    buffer = bytearray(1 << 20)
    start = time.monotonic()
    for path in files_of(model):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.monotonic() - start


def drop_cache(model):
    for path in files_of(model):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def write_directory(folder):
    """Llama 3.2 1B's shape in BF16, random and about as large as a trained model's."""
    hidden, ffn, layers, kv, vocabulary = 2048, 8192, 16, 512, 128256
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": layers,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5, "vocab_size": vocabulary, "tie_word_embeddings": True, "rope_theta": 500000.0,
        "hidden_act": "silu"}))
    tokens = [token.decode() for token in write_synthetic_gguf.byte_tokens()]
    tokens += [f"#{i}" for i in range(len(tokens), vocabulary)]
    (folder / "tokenizer.json").write_text(json.dumps({
        "added_tokens": [], "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)},
                                                    "merges": []}}))
    shapes = [("model.embed_tokens", (vocabulary, hidden)), ("model.norm", (hidden,))]
    for i in range(layers):
        shapes += [(f"model.layers.{i}.{name}", shape) for name, shape in (
            ("input_layernorm", (hidden,)), ("self_attn.q_proj", (hidden, hidden)), ("self_attn.k_proj", (kv, hidden)),
            ("self_attn.v_proj", (kv, hidden)), ("self_attn.o_proj", (hidden, hidden)),
            ("post_attention_layernorm", (hidden,)), ("mlp.gate_proj", (ffn, hidden)), ("mlp.up_proj", (ffn, hidden)),
            ("mlp.down_proj", (hidden, ffn)))]
    header, at = {}, 0
    for name, shape in shapes:
        size = 2 * math.prod(shape)
        header[name + ".weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    noise = random.Random(1)
    region = b"".join(struct.pack("<f", noise.gauss(0, 0.02))[2:] for _ in range(1 << 18)) * 4
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, shape in shapes:
            size = 2 * math.prod(shape)
            for first in range(0, size, len(region)):
                file.write(region[:min(len(region), size - first)])


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
    parser.add_argument("--synthetic", choices=["1b-q8_0", "1b-q4_k_m", "1b-bf16"])
    parser.add_argument("--states", default="warm,cold")
    parser.add_argument("--limit", type=float)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="weir-loading-") as name:
        folder = pathlib.Path(name)
        model = options.model
        if options.synthetic:
            model = str(folder / "synthetic.gguf")
            if options.synthetic == "1b-bf16":
                model = str(folder / "synthetic")
                write_directory(folder / "synthetic")
            else:
                write_synthetic_gguf.write(options.synthetic, model)
        elif model is None:
            model = subprocess.run([ROOT / "tools/get_model.sh"], check=True, capture_output=True,
                                   text=True).stdout.strip().splitlines()[-1]
        size = sum(os.path.getsize(path) for path in files_of(model))
        exceeded = False
        print(f"{model}: {size / 1e6:.1f} MB")
        for state in options.states.split(","):
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
            exceeded = exceeded or (options.limit is not None and load > options.limit * read)
        memory = document["memory"]
        wanted = memory["packed_weights_bytes"] + memory["kv_pool_bytes"]
        print(f"memory: peak {memory['process_peak_bytes'] / 1e6:.1f} MB, weights and KV cache {wanted / 1e6:.1f} MB, "
              f"ratio {memory['process_peak_bytes'] / wanted:.2f}; "
              f"{memory['huge_page_bytes'] / memory['packed_weights_bytes']:.0%} of the weights in huge pages")
        return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
