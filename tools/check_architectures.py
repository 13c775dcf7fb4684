#!/usr/bin/env python3
"""Serve and study a tiny random model of every architecture, as a Hugging Face directory and as a GGUF file.

    check_architectures.py [--weir build/dev/weir] [--only NAME] [--study [--strict]] [--keep FOLDER]

The models are those of tests/golden/architectures with a vocabulary of bytes, a chat template and a longer context. Each is
served for one chat and one completion, asked twice so that the second finds its prompt in the prefix cache and must answer the
same. --study also runs `weir run --quick --model MODEL`, some 70 s each, and wants all its steps and a report; INVALID verdicts are
printed, and fail it with --strict: rules about the machine object easily to models that make 30000 tokens in a second.
Prints a line per model and a count; exits 1 when one fails, 3 when weir is not built.
"""
import argparse
import json
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import urllib.request

import served
from write_synthetic_gguf import byte_tokens

ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests/golden/architectures"
VOCABULARY, CONTEXT = 512, 2048
TEMPLATE = ("{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}")
TOKENS = [token.decode() for token in byte_tokens()] + [f"<extra_{i}>" for i in range(256, VOCABULARY - 1)] + ["<end>"]
END = VOCABULARY - 1


def random_rows(columns, noise):
    """As halves; the end token's row is nearly zero, so that no greedy text ends by chance."""
    values = [0.0 if row == END else noise.gauss(0, 0.5) for row in range(VOCABULARY) for _ in range(columns)]
    return struct.pack(f"<{len(values)}e", *values)


def write_directory(source, folder, noise):
    folder.mkdir(parents=True)
    config = json.loads((source / "config.json").read_text())
    config.update(vocab_size=VOCABULARY, bos_token_id=None, eos_token_id=END, pad_token_id=None)
    rope = config.get("rope_parameters") or {}
    for place in (config, rope):
        if "original_max_position_embeddings" in place and rope.get("rope_type") == "longrope":
            place["original_max_position_embeddings"] = CONTEXT
    config["max_position_embeddings"] = 2 * CONTEXT if rope.get("rope_type") == "longrope" else CONTEXT
    (folder / "config.json").write_text(json.dumps(config))
    data = (source / "model.safetensors").read_bytes()
    length, = struct.unpack_from("<Q", data)
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    body, out = b"", {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        piece = data[8 + length + first:8 + length + last]
        if name in ("model.embed_tokens.weight", "lm_head.weight"):
            entry["shape"][0] = VOCABULARY
            piece = random_rows(entry["shape"][1], noise)
        out[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [len(body), len(body) + len(piece)]}
        body += piece
    text = json.dumps(out).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": END, "content": "<end>", "single_word": False, "lstrip": False, "rstrip": False,
                          "normalized": False, "special": True}],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(TOKENS)}, "merges": []}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "eos_token": "<end>", "tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE}))


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0]

    def text(self):
        length = self.take("Q")
        self.at += length
        return self.data[self.at - length:self.at]


def write_gguf(source, path, noise):
    """The file with other values of the keys that change, and the tokenizer's keys behind them."""
    reader = Reader(source.read_bytes())
    _, _, num_tensors, num_keys = (reader.take(form) for form in ("4s", "I", "Q", "Q"))
    text = lambda value: struct.pack("<Q", len(value)) + value
    forms = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    keys = []
    for _ in range(num_keys):
        name, kind = reader.text(), reader.take("I")
        value = text(reader.text()) if kind == 8 else struct.pack("<" + forms[kind], reader.take(forms[kind]))
        if name.endswith(b".context_length"):
            value = struct.pack("<I", 2 * CONTEXT if "longrope" in source.name else CONTEXT)
        if name.endswith(b".original_context_length") and "longrope" in source.name:
            value = struct.pack("<I", CONTEXT)
        keys.append(text(name) + struct.pack("<I", kind) + value)
    string = lambda name, value: keys.append(text(name) + struct.pack("<I", 8) + text(value))
    string(b"tokenizer.ggml.model", b"gpt2")
    string(b"tokenizer.ggml.pre", b"gpt-2")
    keys.append(text(b"tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, VOCABULARY) +
                b"".join(text(token.encode()) for token in TOKENS))
    keys.append(text(b"tokenizer.ggml.token_type") + struct.pack("<IIQ", 9, 5, VOCABULARY) +
                struct.pack(f"<{VOCABULARY}i", *[1] * (VOCABULARY - 1), 3))
    keys.append(text(b"tokenizer.ggml.merges") + struct.pack("<IIQ", 9, 8, 0))
    keys.append(text(b"tokenizer.ggml.eos_token_id") + struct.pack("<II", 4, END))
    string(b"tokenizer.chat_template", TEMPLATE.encode())
    tensors = []
    for _ in range(num_tensors):
        name, count = reader.text(), reader.take("I")
        dims = [reader.take("Q") for _ in range(count)]
        tensors.append((name, dims, reader.take("I"), reader.take("Q")))
    start = (reader.at + 31) // 32 * 32
    directory, body = b"", b""
    for name, dims, kind, offset in tensors:
        size = {0: 4, 1: 2}[kind]
        for dim in dims:
            size *= dim
        piece = reader.data[start + offset:start + offset + size]
        if name in (b"token_embd.weight", b"output.weight"):
            dims, piece = [dims[0], VOCABULARY], random_rows(dims[0], noise)
        directory += text(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
        directory += struct.pack("<IQ", kind, len(body))
        body += piece + bytes(-len(piece) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + directory
    path.write_bytes(head + bytes(-len(head) % 32) + body)


def ask(url, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def check_served(weir, model):
    prompt = "one two three four five six seven eight nine ten eleven twelve"
    bodies = (("/v1/chat/completions", {"messages": [{"role": "user", "content": prompt}]}),
              ("/v1/completions", {"prompt": prompt}))
    with served.Served(weir, model, "--threads", "1") as server:
        for path, body in bodies:
            answers = [ask(server.url, path, {"model": served.NAME, "max_tokens": 24, "temperature": 0, **body})
                       for _ in range(2)]
            texts = [answer["choices"][0].get("text", answer["choices"][0].get("message")) for answer in answers]
            if texts[0] != texts[1]:
                return f"{path}: two answers, {texts}"
            if answers[0]["usage"]["completion_tokens"] != 24:
                return f"{path}: {answers[0]['usage']}"
            if not answers[1]["usage"]["prompt_tokens_details"]["cached_tokens"]:
                return f"{path}: nothing was found in the prefix cache"
    return "" if server.code == 0 else f"weir serve ended with {server.code}"


def check_studied(weir, model, folder, strict):
    done = subprocess.run([weir, "run", "--quick", "--model", model, "--out", folder], capture_output=True, text=True)
    if done.returncode != 0:
        return f"weir run ended with {done.returncode}: {done.stderr.strip()[-300:]}"
    report = (folder / "report.md").read_text()
    invalid = sorted({line.strip("| ") for line in report.splitlines() if "| INVALID |" in line and "| V-" in line})
    for line in invalid:
        print(f"  {line}")
    return "the report has an INVALID verdict" if strict and invalid else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weir", default=str(ROOT / "build/dev/weir"))
    parser.add_argument("--only")
    parser.add_argument("--study", action="store_true")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--keep", type=pathlib.Path)
    args = parser.parse_args()
    names = sorted(path.stem for path in GOLDEN.glob("*.gguf") if args.only in (None, path.stem))
    folder = args.keep or pathlib.Path(tempfile.mkdtemp(prefix="weir-architectures-"))
    failures = []
    try:
        for name in names:
            write_directory(GOLDEN / name, folder / name, random.Random(name))
            write_gguf(GOLDEN / f"{name}.gguf", folder / f"{name}.gguf", random.Random(name))
            for model in (folder / name, folder / f"{name}.gguf"):
                why = check_served(args.weir, model)
                if not why and args.study:
                    why = check_studied(args.weir, model, folder / f"{model.name}.study", args.strict)
                print(f"{model.name:<22} {why or 'ok'}", flush=True)
                failures += [model.name] if why else []
    finally:
        if not args.keep:
            shutil.rmtree(folder)
    print(f"{2 * len(names) - len(failures)} of {2 * len(names)} models work")
    return 1 if failures or not names else 0


if __name__ == "__main__":
    sys.exit(main())
