#!/usr/bin/env python3
"""Write tests/golden/tokenizer_families: small tokenizers set up as each family's is, and the ids that `tokenizers` gives.

usage: update_golden_tokenizer_families.py [--out DIR] [--strings N]

Per family NAME: NAME/tokenizer.json, trained on texts of this repository, and NAME/cases.jsonl with lines
[special, text, ids]: special 1 encodes special tokens that the text names, 0 keeps them as text. The committed cases are
600 per family; --strings 20000 --out SOMEWHERE makes the large set, which the test reads from WEIR_TOKENIZER_FAMILIES.

Runs in an environment with tokenizers; the version used is in SOURCE.md.
"""
import argparse
import json
import pathlib
import random
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parents[1]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
VOCABULARY = 1500
SPACE = "\u2581"
FOREIGN = ["Zażółć gęślą jaźń, мир труд май, 漢字仮名交じり文 中文分词, العربية, हिन्दी भाषा", "ﬁ ½ Å Å é é ñ 한글 한글 ẛ̣",
           "naïve façade — “quotes” … 🙂👩‍👩‍👧 🇩🇪", "def f(x):\n\treturn x ** 2  # squares\n\n\n", "    if (a != b) {\r\n}\n"]


def corpus():
    text = (ROOT / "tests/golden/logits/text.txt").read_text(encoding="utf-8").split("\n")
    code = (ROOT / "src/engine/model/llama.cc").read_text().split("\n")
    lines = [line[i:i + 60] for line in text + code for i in range(0, len(line), 60)]
    return lines + FOREIGN * 20


def byte_level(pieces, normalizer=None, ignore_merges=False, specials=(), bos=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pieces
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in specials])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def sentence_piece(normalizer, pieces, specials, added=(), bos="<s>", strip=False):
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", SPACE)
    # Pieces that begin with a space: what such vocabularies are made of.
    trained.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    trained.train_from_iterator(corpus(), trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False,
                                                              limit_alphabet=200))
    state = json.loads(trained.to_str())["model"]
    names = list(specials) + [f"<0x{byte:02X}>" for byte in range(256)] + list(added)
    vocab = {name: i for i, name in enumerate(names)}
    for token, _ in sorted(state["vocab"].items(), key=lambda item: item[1]):
        vocab.setdefault(token, len(vocab))
    merges = [tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in state["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pieces:
        tokenizer.pre_tokenizer = pieces
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False,
                                             rstrip=strip and text.startswith("<|")) for text in specials])
    if added:
        tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


def families():
    chatml = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    yield "gpt2", byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), specials=["<|endoftext|>"])
    yield "smollm2", byte_level(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), specials=chatml)
    yield "qwen2", byte_level(split(QWEN2), normalizers.NFC(), specials=chatml)
    yield "llama3", byte_level(split(LLAMA3), ignore_merges=True, bos="<|begin_of_text|>",
                               specials=["<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>"])
    yield "phi4", byte_level(split(LLAMA3), specials=chatml)
    prepend = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    yield "llama2", sentence_piece(prepend, None, ["<unk>", "<s>", "</s>"])
    yield "phi3", sentence_piece(prepend, None, ["<unk>", "<s>", "</s>", "<|user|>", "<|end|>"], strip=True)
    yield "mistral", sentence_piece(None, pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False),
                                    ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])
    yield "gemma", sentence_piece(normalizers.Replace(" ", SPACE), pre_tokenizers.Split(" ", "merged_with_previous"),
                                  ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"],
                                  ["\n" * i for i in range(1, 6)] + ["<table>", "</h1>"], bos="<bos>")


class Strings:
    """Words, code, digits, white space, marks, any Unicode, special tokens."""

    def __init__(self, seed, specials):
        self.random = random.Random(seed)
        self.specials = specials
        self.words = [word for line in corpus() for word in line.split(" ") if word]

    def piece(self):
        pick, r = self.random.randrange(12), self.random
        if pick < 3:
            return r.choice(self.words) + r.choice(["", " ", "  ", "\n", ", "])
        if pick == 3:
            return r.choice([" ", "\n", "\t", "\r\n", "\u00a0", "\u2003", "\u3000", "\x0b", "\x85"]) * r.randrange(1, 7)
        if pick == 4:
            return str(r.randrange(10 ** r.randrange(1, 12))) + r.choice(["", ".", "٣٤", "²", "Ⅷ"])
        if pick == 5:
            return r.choice(["'s", "'S", "'re", "'LL", "'ſ", "'d've", "''", "don't", "I'm", "’s"])
        if pick == 6:
            return "".join(r.choice("e a\u0301\u0316\u0327\u1100\u1161\u11a8\u0958\u2126ﬁ") for _ in range(r.randrange(1, 9)))
        if pick == 7:
            return "".join(chr(self.point()) for _ in range(r.randrange(1, 8)))
        if pick == 8:
            return r.choice(self.specials + ["<table>", "</h1>", "<0x0A>", "\u2581", "\u2581\u2581"]) + r.choice(["", " ", "\n"])
        if pick == 9:
            return r.choice(["{}();", "!= ", "->", "/*", "*/\n", "##", "...", "::", "\\n", "<|", "|>"])
        if pick == 10:
            return r.choice("aeioun ") * r.randrange(1, 20)
        return r.choice(FOREIGN)[r.randrange(5):][:r.randrange(1, 20)]

    def point(self):
        while True:
            point = self.random.choice([self.random.randrange(0x250), self.random.randrange(0x3000),
                                        self.random.randrange(0x10000), self.random.randrange(0x110000)])
            # Newer ones have other classes in newer versions of Unicode, of which each library has its own.
            if unicodedata.category(chr(point)) not in ("Cn", "Cs"):
                return point

    def text(self):
        return "".join(self.piece() for _ in range(self.random.randrange(1, 9)))


def as_text(tokenizer, text, specials):
    """Ids of a text in which no special token counts."""
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer.encode_special_tokens = False
    return ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/tokenizer_families")
    parser.add_argument("--strings", type=int, default=600)
    args = parser.parse_args()
    for name, tokenizer in families():
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        specials = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
        strings = Strings(name, specials)
        with open(folder / "cases.jsonl", "w", encoding="utf-8") as out:
            for i in range(args.strings):
                text = strings.text()
                special = i % 2
                ids = tokenizer.encode(text, add_special_tokens=False).ids if special else as_text(tokenizer, text, specials)
                out.write(json.dumps([special, text, ids], ensure_ascii=True, separators=(",", ":")) + "\n")
        print(name, tokenizer.get_vocab_size(), (folder / "tokenizer.json").stat().st_size, (folder / "cases.jsonl").stat().st_size)


if __name__ == "__main__":
    main()
