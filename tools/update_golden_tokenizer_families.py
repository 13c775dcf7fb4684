#!/usr/bin/env python3
"""Write tests/golden/tokenizer_families: small tokenizers set up as each family's is, and the ids that `tokenizers` gives.

usage: update_golden_tokenizer_families.py [--out DIR] [--strings N] [NAME ...]

Per family NAME: NAME/tokenizer.json, trained on texts of this repository, and NAME/cases.jsonl with lines
[special, text, ids]: special 1 encodes special tokens that the text names, 0 keeps them as text. The committed cases are
600 per family; --strings 20000 --out SOMEWHERE makes the large set, which the test reads from WEIR_TOKENIZER_FAMILIES.

Runs in an environment with tokenizers and sentencepiece; the versions used are in SOURCE.md.
"""
import argparse
import io
import json
import pathlib
import random
import re
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

ROOT = pathlib.Path(__file__).resolve().parents[1]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CASED = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+CONTRACTIONS"
         r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*CONTRACTIONS|\p{N}NUMBERS"
         r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT4O = CASED.replace("CONTRACTIONS", "(?i:'s|'t|'re|'ve|'m|'ll|'d)?").replace("NUMBERS", "{1,3}")
TEKKEN = CASED.replace("CONTRACTIONS", "").replace("NUMBERS", "")
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
    parts = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    prefixed = pieces is None or "Metaspace" in type(pieces).__name__
    tokenizer.decoder = decoders.Sequence(parts + [decoders.Strip(" ", 1, 0)] if prefixed else parts)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False,
                                             rstrip=strip and text.startswith("<|")) for text in specials])
    if added:
        tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
    return tokenizer


# Some of Unicode's compatibility forms, as SentencePiece compiles them; a table of all of them has 240 kB.
RULES = {"\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "\r": " ", "\u2003": " ", "\ufb01": "fi", "\u00bd": "1\u20442",
         "\u2126": "\u03a9", "e\u0301": "\u00e9", "a\u0327": "a", "\u1e9b\u0323": "\u1e69", "\u2026": "...", "\u200d": "",
         "\u00b2": "2", "\u2167": "VIII", "\u1112\u1161\u11ab": "\ud55c"}


def sentencepiece_model(full):
    import sentencepiece
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES.items():
            rules.write("\t".join(" ".join(f"{ord(character):X}" for character in text) for text in (source, target)) + "\n")
        rules.flush()
        model = io.BytesIO()
        chosen = {"normalization_rule_name": "nmt_nfkc"} if full else {"normalization_rule_tsv": rules.name}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(corpus()), model_writer=model, vocab_size=500, hard_vocab_limit=False, minloglevel=2, **chosen)
    return model.getvalue()


def charsmap(full):
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(sentencepiece_model(full))
    return proto.normalizer_spec.precompiled_charsmap


def unigram(normalizer, pieces, specials, byte_fallback=False):
    trained = Tokenizer(models.Unigram())
    if normalizer:
        trained.normalizer = normalizer
    trained.pre_tokenizer = pieces
    trained.train_from_iterator(corpus(), trainers.UnigramTrainer(
        vocab_size=VOCABULARY - 260, special_tokens=specials, unk_token="<unk>", show_progress=False))
    vocab = [tuple(piece) for piece in json.loads(trained.to_str())["model"]["vocab"]]
    if byte_fallback:
        vocab += [(f"<0x{byte:02X}>", 0.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=specials.index("<unk>"), byte_fallback=byte_fallback))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pieces
    if byte_fallback:
        tokenizer.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(),
                                               decoders.Strip(" ", 1, 0)])
    else:
        tokenizer.decoder = decoders.Metaspace(SPACE, prepend_scheme="always")
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in specials])
    return tokenizer


def t5(full):
    # Two forms are in use: that of old files, and what transformers makes of a SentencePiece model.
    mapping = normalizers.Precompiled(charsmap(full))
    return unigram(normalizers.Sequence([mapping, normalizers.Strip(left=False, right=True),
                                         normalizers.Replace(Regex(" {2,}"), SPACE)]),
                   pre_tokenizers.Metaspace(SPACE, prepend_scheme="always"), ["<pad>", "</s>", "<unk>"])


def families(full=False):
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
    tekken = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]"]
    yield "tekken", byte_level(split(TEKKEN), ignore_merges=True, bos="<s>", specials=tekken)
    yield "gpt4o", byte_level(split(GPT4O), specials=["<|endoftext|>", "<|user|>", "<|end|>"])
    yield "t5", t5(full)
    yield "t5_words", unigram(normalizers.Precompiled(charsmap(full)), pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(SPACE, prepend_scheme="always")]), ["<pad>", "</s>", "<unk>"])
    yield "unigram_bytes", unigram(None, pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False),
                                   ["<unk>", "<s>", "</s>"], byte_fallback=True)


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


def without_specials(tokenizer):
    """A Unigram vocabulary finds its special tokens in any text: one in which they have other names does not."""
    state = json.loads(tokenizer.to_str())
    special = {token["content"] for token in state["added_tokens"] if token["special"]}
    state["added_tokens"] = [token for token in state["added_tokens"] if not token["special"]]
    state["post_processor"] = None
    vocab = state["model"]["vocab"]
    names = {text: chr(0x10F000 + i) * 9 for i, text in enumerate(sorted(special))}
    state["model"]["vocab"] = [[names.get(text, text), score] for text, score in vocab]
    return Tokenizer.from_str(json.dumps(state))


def as_text(tokenizer, text):
    """Ids of a text in which no special token counts."""
    tokenizer.encode_special_tokens = True
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    tokenizer.encode_special_tokens = False
    return ids


def cases_of(name, tokenizer, count):
    """[special, text, ids] as the library has it."""
    specials = [token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special]
    strings = Strings(name, specials)
    is_unigram = type(tokenizer.model).__name__ == "Unigram"
    twin = without_specials(tokenizer) if is_unigram else tokenizer
    for i in range(count):
        text = strings.text()
        if is_unigram:  # it finds the names of its byte tokens in any text too
            text = re.sub("<0x..>", "", text)
        special = i % 2
        yield special, text, (tokenizer.encode(text, add_special_tokens=False).ids if special else as_text(twin, text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "tests/golden/tokenizer_families")
    parser.add_argument("--strings", type=int, default=600)
    parser.add_argument("names", nargs="*", help="these families only")
    args = parser.parse_args()
    for name, tokenizer in families():
        if args.names and name not in args.names:
            continue
        folder = args.out / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))  # whose reading of numbers counts
        with open(folder / "cases.jsonl", "w", encoding="utf-8") as out:
            for case in cases_of(name, tokenizer, args.strings):
                out.write(json.dumps(case, ensure_ascii=True, separators=(",", ":")) + "\n")
        print(name, tokenizer.get_vocab_size(), (folder / "tokenizer.json").stat().st_size, (folder / "cases.jsonl").stat().st_size)


if __name__ == "__main__":
    main()
