#!/usr/bin/env python3
"""Write seed inputs for the fuzz targets: fuzz_seeds.py OUT. Makes OUT/{gguf,safetensors,tokenizer_json,chat_template,config}/*.

Small files made here, and the goldens of the tests. Standard library only.
"""
import json
import pathlib
import struct
import sys

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "tests/golden"
STRING, ARRAY = 8, 9


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def strings(values):
    return struct.pack("<IQ", STRING, len(values)) + b"".join(map(text, values))


def numbers(kind, form, values):
    return struct.pack("<IQ", kind, len(values)) + struct.pack(f"<{len(values)}{form}", *values)


def gguf(model, pre, tokens, types, **other):
    keys = [key("general.architecture", STRING, text("llama")), key("tokenizer.ggml.model", STRING, text(model)),
            key("tokenizer.ggml.pre", STRING, text(pre)), key("tokenizer.ggml.tokens", ARRAY, strings(tokens)),
            key("tokenizer.ggml.token_type", ARRAY, numbers(5, "i", types)),
            key("tokenizer.ggml.bos_token_id", 4, struct.pack("<I", 0)), key("llama.block_count", 4, struct.pack("<I", 1))]
    if "merges" in other:
        keys.append(key("tokenizer.ggml.merges", ARRAY, strings(other["merges"])))
    if "scores" in other:
        keys.append(key("tokenizer.ggml.scores", ARRAY, numbers(6, "f", other["scores"])))
    if "charsmap" in other:
        keys.append(key("tokenizer.ggml.precompiled_charsmap", ARRAY, numbers(0, "B", other["charsmap"])))
    tensor = text("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 2, 8, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys)) + b"".join(keys) + tensor
    return head + bytes(-len(head) % 32) + bytes(2 * 34)


def spell(byte):
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return chr(byte) if byte in visible else chr(256 + [other for other in range(256) if other not in visible].index(byte))


def main():
    out = pathlib.Path(sys.argv[1])

    def write(target, name, data):
        (out / target).mkdir(parents=True, exist_ok=True)
        (out / target / name).write_bytes(data)

    letters = [spell(byte) for byte in range(256)]
    for pre in ("gpt-2", "llama-bpe", "qwen2", "smollm", "tekken", "gpt-4o"):
        tokens = letters + ["aa", "aaaa", "He", "<|im_end|>"]
        write("gguf", pre, gguf("gpt2", pre, tokens, [1] * (len(tokens) - 1) + [3], merges=["a a", "aa aa", "H e"]))
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + ["\u2581", "a", "aa", "\u2581a", "l", "ll", "\n"]
    types = [2, 3, 3] + [6] * 256 + [1] * 6 + [4]
    scores = [-float(i) for i in range(len(pieces))]
    write("gguf", "llama", gguf("llama", "default", pieces, types, scores=scores))
    # A unit for "a" that leads to a replacement.
    units = [0] * 256
    units[0], units[ord("a")], units[ord("a") ^ 1] = 0, ord("a") | (1 << 8) | (1 << 10), 1 << 31
    charsmap = struct.pack("<I", 4 * len(units)) + struct.pack(f"<{len(units)}I", *units) + b"bc\0"
    write("gguf", "t5", gguf("t5", "default", pieces, types, scores=scores, charsmap=charsmap))

    header = json.dumps({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}, "b": {
        "dtype": "F32", "shape": [], "data_offsets": [8, 12]}, "__metadata__": {"format": "pt"}}).encode()
    write("safetensors", "small", struct.pack("<Q", len(header)) + header + bytes(12))
    write("safetensors", "empty", struct.pack("<Q", 2) + b"{}")

    for path in GOLDEN.glob("tokenizer_families/*/tokenizer.json"):
        state = json.loads(path.read_text(encoding="utf-8"))
        vocab = state["model"]["vocab"]
        if isinstance(vocab, dict):  # the bytes and the first merges are enough to get everywhere
            kept = {token: i for token, i in vocab.items() if i < 320}
            merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in state["model"]["merges"]]
            state["model"].update(vocab=kept, merges=[pair for pair in merges if {*pair, "".join(pair)} <= kept.keys()][:40])
        else:
            state["model"]["vocab"] = vocab[:60]
        for i, token in enumerate(state["added_tokens"]):
            token["id"] = token["id"] if token["id"] < 60 else 400 + i
        write("tokenizer_json", path.parent.name, json.dumps(state, ensure_ascii=False).encode())
    for path in GOLDEN.glob("chat_template/*/*.jinja"):
        write("chat_template", path.stem, path.read_bytes())
    for path in GOLDEN.glob("architectures/*/config.json"):
        write("config", path.parent.name, path.read_bytes())


if __name__ == "__main__":
    main()
