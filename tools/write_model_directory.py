#!/usr/bin/env python3
"""Write a GGUF file of the llama architecture with a byte-level vocabulary as a Hugging Face directory: config.json, BF16
safetensors and tokenizer files.

usage: write_model_directory.py MODEL.gguf DIRECTORY [--dtype bfloat16|float16|float32] [--shards N]

What the file's blocks say is rounded to the type that is asked for. Runs in an environment with torch, transformers, tokenizers,
gguf and numpy.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM

NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
CONTROL, USER_DEFINED = 3, 4


def transformers_rows(weight, heads):
    """GGUF interleaves the two halves that RoPE rotates; transformers keeps them apart."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def read_model(path):
    """A LlamaForCausalLM in float32 with the weights that the file's blocks say, and the file's reader."""
    reader = gguf.GGUFReader(path)
    value = lambda key: reader.fields[f"llama.{key}"].contents()
    heads, kv_heads = value("attention.head_count"), value("attention.head_count_kv")
    state = {}
    for tensor in reader.tensors:
        weight = np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if tensor.name == "token_embd.weight":
            state["model.embed_tokens.weight"] = weight
        elif tensor.name in ("output_norm.weight", "output.weight"):
            state["model.norm.weight" if "norm" in tensor.name else "lm_head.weight"] = weight
        else:
            _, layer, part, _ = tensor.name.split(".")
            if part in ("attn_q", "attn_k"):
                weight = transformers_rows(weight, heads if part == "attn_q" else kv_heads)
            state[f"model.layers.{layer}.{NAMES[part]}.weight"] = weight
    vocabulary, hidden = state["model.embed_tokens.weight"].shape
    tied = "lm_head.weight" not in state
    token = lambda kind: reader.fields[f"tokenizer.ggml.{kind}_token_id"].contents()
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"), num_attention_heads=heads, num_key_value_heads=kv_heads,
        head_dim=hidden // heads, max_position_embeddings=value("context_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"), tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": value("rope.freq_base")},
        bos_token_id=token("bos"), eos_token_id=token("eos"), pad_token_id=None, attn_implementation="eager")
    if tied:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = LlamaForCausalLM(config).eval()
    model.load_state_dict({name: torch.from_numpy(weight) for name, weight in state.items()})
    return model, reader


def write_tokenizer(reader, folder):
    field = lambda name: reader.fields[f"tokenizer.{name}"].contents()
    if field("ggml.model") != "gpt2" or field("ggml.pre") not in ("smollm", "gpt-2"):
        raise SystemExit("only byte-level vocabularies cut as gpt-2's or smollm's are written")
    tokens, types = field("ggml.tokens"), field("ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in field("ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    pieces = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    if field("ggml.pre") == "smollm":
        pieces.insert(0, pre_tokenizers.Digits(individual_digits=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pieces)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False)
                                  for token, kind in zip(tokens, types) if kind == CONTROL])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token, kind in zip(tokens, types)
                          if kind == USER_DEFINED])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {f"{kind}_token": tokens[field(f"ggml.{kind}_token_id")] for kind in ("bos", "eos")}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    if "tokenizer.chat_template" in reader.fields:
        settings["chat_template"] = field("chat_template")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))


def write_directory(path, folder, dtype=torch.bfloat16, shards=1):
    model, reader = read_model(path)
    folder.mkdir(parents=True, exist_ok=True)
    model = model.to(dtype)
    size = sum(weight.numel() for weight in model.parameters()) * dtype.itemsize
    model.save_pretrained(folder, max_shard_size=max(1, size // shards + (1 << 20 if shards == 1 else 0)))
    write_tokenizer(reader, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("directory", type=pathlib.Path)
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16")
    parser.add_argument("--shards", type=int, default=1)
    args = parser.parse_args()
    write_directory(args.model, args.directory, getattr(torch, args.dtype), args.shards)
    for file in sorted(args.directory.iterdir()):
        print(f"{file.stat().st_size:12} {file.name}")


if __name__ == "__main__":
    main()
