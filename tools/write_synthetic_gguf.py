#!/usr/bin/env python3
"""Write a GGUF file of random weights with the shape of Llama 3.2 1B, to measure speeds without the trained weights.

    write_synthetic_gguf.py 1b-q8_0|1b-q4_k_m FILE

1b-q4_k_m has the types of llama.cpp's mixture of that name: Q6_K for the tied embedding, and for attn_v and ffn_down of the
first and last eighth of the layers and every third between them; Q4_K for all else. The tokenizer is bytes and filler.
"""
import random
import struct
import sys

F32, Q8_0, Q4_K, Q6_K = 0, 8, 12, 14
BLOCK = {Q8_0: (32, 34), Q4_K: (256, 144), Q6_K: (256, 210)}  # weights, bytes


def text(value):
    return struct.pack("<Q", len(value)) + value


def byte_tokens():
    """The 256 bytes as byte-level BPE spells them: printable Latin-1 as itself, the others from U+0100 on."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte if byte in plain else 256 + others.index(byte)).encode() for byte in range(256)]


def keys_of(hidden, ffn, layers, heads, kv_heads, vocabulary):
    keys = []

    def key(name, kind, value):
        keys.append(text(name.encode()) + struct.pack("<I", kind) + value)

    key("general.architecture", 8, text(b"llama"))
    for name, value in (("block_count", layers), ("context_length", 131072), ("embedding_length", hidden),
                        ("feed_forward_length", ffn), ("attention.head_count", heads),
                        ("attention.head_count_kv", kv_heads), ("rope.dimension_count", hidden // heads)):
        key("llama." + name, 4, struct.pack("<I", value))
    key("llama.rope.freq_base", 6, struct.pack("<f", 500000.0))
    key("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5))
    key("tokenizer.ggml.model", 8, text(b"gpt2"))
    key("tokenizer.ggml.pre", 8, text(b"gpt-2"))
    tokens = b"".join(text(byte) for byte in byte_tokens()) + b"".join(text(b"#%d" % i) for i in range(256, vocabulary))
    key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, vocabulary) + tokens)
    key("tokenizer.ggml.merges", 9, struct.pack("<IQ", 8, 0))
    key("tokenizer.ggml.eos_token_id", 4, struct.pack("<I", vocabulary - 1))
    key("tokenizer.chat_template", 8, text(b"{% for message in messages %}{{ message['role'] + ': ' + message['content'] + "
                                           b"'\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"))
    return keys


def random_blocks(kind, noise):
    """About 2 MB whose weights are about as large as a trained model's."""
    count = (1 << 21) // BLOCK[kind][1]
    if kind == Q8_0:
        return b"".join(struct.pack("<e", 2.7e-4) + noise.randbytes(32) for _ in range(count))
    if kind == Q4_K:
        return b"".join(struct.pack("<ee", 1e-4, 7.5e-4) + noise.randbytes(140) for _ in range(count))
    return b"".join(noise.randbytes(208) + struct.pack("<e", 1.5e-5) for _ in range(count))


def write(name, path):
    hidden, ffn, layers, heads, kv_heads, vocabulary = 2048, 8192, 16, 32, 8, 128256
    mixed = name == "1b-q4_k_m"
    plain, better = (Q4_K, Q6_K) if mixed else (Q8_0, Q8_0)
    keys = keys_of(hidden, ffn, layers, heads, kv_heads, vocabulary)
    kv = kv_heads * hidden // heads
    tensors = [("token_embd", better, hidden, vocabulary), ("output_norm", F32, hidden, 1)]
    for i in range(layers):
        many = better if i < layers // 8 or i >= 7 * layers // 8 or (i - layers // 8) % 3 == 2 else plain
        tensors += [(f"blk.{i}.{tensor}", kind, columns, rows) for tensor, kind, columns, rows in (
            ("attn_norm", F32, hidden, 1), ("attn_q", plain, hidden, hidden), ("attn_k", plain, hidden, kv),
            ("attn_v", many, hidden, kv), ("attn_output", plain, hidden, hidden), ("ffn_norm", F32, hidden, 1),
            ("ffn_gate", plain, hidden, ffn), ("ffn_up", plain, hidden, ffn), ("ffn_down", many, ffn, hidden))]
    directory, offset, sizes = b"", 0, []
    for tensor, kind, columns, rows in tensors:
        dims = [columns] if kind == F32 else [columns, rows]
        directory += text(tensor.encode() + b".weight") + struct.pack("<I", len(dims))
        directory += b"".join(struct.pack("<Q", dim) for dim in dims) + struct.pack("<IQ", kind, offset)
        sizes.append(columns * rows * 4 if kind == F32 else columns * rows // BLOCK[kind][0] * BLOCK[kind][1])
        offset += (sizes[-1] + 31) // 32 * 32
    noise = random.Random(1)
    regions = {kind: random_blocks(kind, noise) for kind in {plain, better}}
    with open(path, "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + directory)
        file.write(bytes(-file.tell() % 32))
        for (_, kind, columns, _), size in zip(tensors, sizes):
            if kind == F32:
                file.write(struct.pack("<f", 1.0) * columns)
            else:
                region = regions[kind]
                for at in range(0, size, len(region)):
                    file.write(region[:min(len(region), size - at)])
            file.write(bytes(-size % 32))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("1b-q8_0", "1b-q4_k_m"):
        sys.exit(__doc__)
    write(sys.argv[1], sys.argv[2])
