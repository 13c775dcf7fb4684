#!/usr/bin/env python3
"""Write the tokenizer goldens with the Hugging Face tokenizers library as the oracle.

    update_golden_tokenizer.py MODEL.gguf

Needs: pip install tokenizers gguf. Writes tests/golden/tokenizer/{smollm2.jsonl,pieces.tsv}; formats in SOURCE.md there.
The strings come from a fixed seed, so a second run changes nothing.
"""
import json
import pathlib
import random
import sys
import unicodedata

import gguf
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden" / "tokenizer"
CONTROL = 3

SENTENCES = """
The quick brown fox jumps over the lazy dog.|It's what they'd've said: "I'll see, we're done, don't!" HE'S HERE, THEY'LL STAY.
Der Fluß fließt über die größte Brücke in Köln.|Où est l'œuvre d'Édouard? Ça coûte 12,50 €.|¿Qué pasó mañana? ¡Él comió piñas!
Čeština má háčky a čárky: žluťoučký kůň.|Zażółć gęślą jaźń.|İstanbul'da ığdır şeker çok güzel.|Þórður át ærlega brúnköku.
Съешь же ещё этих мягких французских булок.|Ґанок, їжак, є, ї.|Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.|Բարեւ աշխարհ, ինչպե՞ս ես։
გამარჯობა მსოფლიო, როგორ ხარ?|שלום עולם, מה שלומך היום?|مرحبا بالعالم، كيف حالك اليوم؟|سلام دنیا، حال شما چطور است؟|اَلْعَرَبِيَّةُ
नमस्ते दुनिया, आप कैसे हैं? १२३|ওহে বিশ্ব, কেমন আছো? ৪৫৬|வணக்கம் உலகம்!|హలో ప్రపంచం|ನಮಸ್ಕಾರ ಪ್ರಪಂಚ|ഹലോ വേൾഡ്|ਸਤ ਸ੍ਰੀ ਅਕਾਲ|ආයුබෝවන්
สวัสดีชาวโลก วันนี้อากาศดี ๑๒๓|ສະບາຍດີ|မင်္ဂလာပါ|សួស្តីពិភពលោក|བོད་སྐད་|ሰላም ልዑል|你好，世界！今天是2024年3月5日。|我能吞下玻璃而不傷身體。
いろはにほへと ちりぬるを。カタカナ、ﾊﾝｶｸ。漢字とかな混じり文|안녕하세요 세계! 오늘은 날씨가 좋네요.|Xin chào thế giới, tiếng Việt có dấu.|Ma Nɔ Ɛwe gbe
😀😃😄 emoji 👩‍👩‍👧‍👦 family 🏳️‍🌈 flag 🇩🇪 🇯🇵 👍🏽 ok|🤷🏿‍♀️🧑🏻‍🚀|♥️ ❤ ☃ ⛄|∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β = ¬(¬α ∨ β)|½ ² ³ ⅷ ① ㊿ Ⅻ ٣ ५ ৩ ๗ 五 〇
def f(x, *args, **kw):\\n    return x ** 2  # square\\n|for (int i = 0; i < 10; ++i) { sum += a[i] * 0x1F; }\\n|SELECT * FROM t WHERE a >= 1.5e-3 AND b != 'x';
{"key": [1, 2.5, -3e10, null, true], "s": "a\\\\nb\\u00e9"}|<div class="a b">&nbsp;&lt;</div>|https://example.org/a/b?c=d&e=%20f#g|user@example.com
if __name__ == '__main__':\\n\\tmain()\\n\\n\\n|#include <vector>\\n\\nint main() {\\n\\t\\treturn 0;\\n}\\n|let x: Vec<u8> = vec![0; 16];|$ ls -la | grep '^d' > /dev/null 2>&1
1234567890|3.14159265358979|1,000,000.00|2024-03-05T12:34:56Z|+1 (555) 010-9999|0b1010 0o17 0xDEADBEEF|v1.2.3-rc.4+build.5|12 345 678|1/2 3/4
a|A| |  |   |\\n|\\n\\n|\\r\\n|\\t|\\t\\t | \\n | \\n\\n  x|x  \\n  y|.|...|!!!|'|''|'s|'S| 's|'ll'LL|'ſ|don’t|a'b'c|\\u00a0|\\u3000|\\u2028|a\\u00a0b|\\u200b|\\ufeff|\\u0000|\\u0001\\u0007|\\u007f|\\u0085|\\u001c a
e\\u0301|\\u0301|\\u0301\\u0301|Z\\u0351\\u0353\\u0310a\\u0360|\\u1100\\u1161\\u11a8|\\u0635\\u064e|ﬁ ﬂ ﬆ|ａｂｃ１２３|𝒜𝓑𝔠 𝟘𝟙𝟚|𐍈𐎀|𠮷野家|\\ud83d\\ude00|\\ue000\\uf8ff|\\ufffd|\\ufffe|\\U0010ffff|\\U00040000
"""


def sentences():
    out = []
    for part in SENTENCES.strip("\n").replace("\n", "|").split("|"):
        # The escapes of this file's own table, without touching the text that is already Unicode.
        text = part.replace("\\\\", "\0BACKSLASH").replace("\\n", "\n").replace("\\r", "\r").replace("\\t", "\t")
        pieces = text.split("\\u")
        text = pieces[0] + "".join(chr(int(p[:4], 16)) + p[4:] for p in pieces[1:])
        pieces = text.split("\\U")
        text = pieces[0] + "".join(chr(int(p[:8], 16)) + p[8:] for p in pieces[1:])
        text = text.replace("\0BACKSLASH", "\\").encode("utf-16", "surrogatepass").decode("utf-16")
        out.append(text)
    return out


def random_strings(rng, count):
    base = sentences()
    words = [w for s in base for w in s.split(" ") if w]
    ranges = [(0x20, 0x7E), (0xA0, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x530, 0x6FF), (0x900, 0xDFF), (0xE00, 0x11FF),
              (0x1E00, 0x23FF), (0x2460, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFFEF),
              (0x10000, 0x1049F), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF), (0x20000, 0x2A6DF)]
    spaces = [" ", "  ", "   ", "\n", "\n\n", "\t", "\r\n", " \n", "\n ", "\u00a0", "\u3000", "\u2009", "\x0b", "\x0c", "\x85", "    "]
    marks = list(".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+~`") + ["...", "::", "->", "//", "'s", "'re", "'ll", "’s", "—", "«", "»", "。"]

    def assigned(low, high):
        while True:
            c = chr(rng.randint(low, high))
            # Characters of Unicode 13 and before, about which every library agrees.
            if unicodedata.category(c) not in ("Cn", "Cs"):
                return c

    def atom():
        kind = rng.randrange(9)
        if kind <= 2:
            return rng.choice(words)
        if kind == 3:
            return "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 7)))
        if kind == 4:
            return rng.choice(marks) * rng.choice([1, 1, 1, 2, 3])
        if kind == 5:
            return rng.choice(spaces) * rng.choice([1, 1, 2, 3, 7])
        if kind == 6:
            low, high = rng.choice(ranges)
            return "".join(assigned(low, high) for _ in range(rng.randint(1, 6)))
        if kind == 7:
            return "".join(rng.choice("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(rng.randint(1, 9)))
        return chr(rng.choice([rng.randint(0, 31), rng.randint(0, 0x2FF), rng.randint(0x2000, 0x206F)]))

    for _ in range(count):
        yield "".join(atom() + (" " if rng.random() < 0.4 else "") for _ in range(rng.choice([1, 2, 3, 5, 8, 13])))


def field(reader, key):
    f = reader.fields[key]
    return f.contents() if hasattr(f, "contents") else [bytes(f.parts[i]).decode() for i in f.data]


PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
           r"|\s+(?!\S)|\s+")


def split(numbers):
    return pre_tokenizers.Split(Regex(PATTERN % numbers), behavior="isolated", invert=False)


PRE_TOKENIZERS = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]),
    "llama-bpe": split(r"\p{N}{1,3}"),
    "qwen2": split(r"\p{N}"),
}


def make_oracle(path, with_special):
    reader = gguf.GGUFReader(path)
    tokens = field(reader, "tokenizer.ggml.tokens")
    types = [int(t) for t in field(reader, "tokenizer.ggml.token_type")]
    merges = [tuple(m.split(" ")) for m in field(reader, "tokenizer.ggml.merges")]
    vocab = {t: i for i, t in enumerate(tokens)}
    oracle = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    oracle.pre_tokenizer = PRE_TOKENIZERS["smollm"]
    oracle.decoder = decoders.ByteLevel()
    special = [AddedToken(t, special=True, normalized=False) for t, kind in zip(tokens, types) if kind == CONTROL]
    if with_special:
        oracle.add_special_tokens(special)
        assert all(oracle.token_to_id(t.content) == vocab[t.content] for t in special)
    return oracle, [t.content for t in special]


def write_ids(path):
    plain, special = make_oracle(path, False)
    parse, _ = make_oracle(path, True)
    rng = random.Random(20240305)
    cases = [(0, s) for s in sentences()] + [(0, s) for s in random_strings(rng, 5000)]
    cases += [(0, s) for s in special]
    for s in random_strings(rng, 300):
        cut = rng.randint(0, len(s))
        token = rng.choice(special)
        for mode in (0, 1):
            cases.append((mode, s[:cut] + token + s[cut:]))
            cases.append((mode, token[:-1] + token + token[1:] + s))
    lines = []
    seen = set()
    for mode, text in cases:
        if (mode, text) in seen:
            continue
        seen.add((mode, text))
        ids = (parse if mode else plain).encode(text, add_special_tokens=False).ids
        decoded = parse.decode(ids, skip_special_tokens=False)
        row = [mode, text, ids] + ([decoded] if decoded != text else [])
        lines.append(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
    (OUT / "smollm2.jsonl").write_bytes(("\n".join(lines) + "\n").encode())
    return len(lines)


def write_pieces():
    rng = random.Random(7)
    lines = []
    cases = sentences() + list(random_strings(rng, 600))
    for name, pre in PRE_TOKENIZERS.items():
        for text in cases:
            lengths = []
            for _, (begin, end) in pre.pre_tokenize_str(text):
                lengths.append(len(text[begin:end].encode()))
            assert sum(lengths) == len(text.encode()), (name, text)
            lines.append("\t".join([name, text.encode().hex(), " ".join(map(str, lengths))]))
    (OUT / "pieces.tsv").write_text("\n".join(lines) + "\n")
    return len(lines)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    OUT.mkdir(parents=True, exist_ok=True)
    print(f"{write_ids(sys.argv[1])} strings with ids, {write_pieces()} with pieces; tokenizers {tokenizers.__version__}")


if __name__ == "__main__":
    main()
