#!/usr/bin/env python3
"""Write the golden logits of tests/golden/logits from an fp32 oracle.

usage: update_golden_logits.py MODEL.gguf [--out DIR] [--check]

The oracle is transformers' LlamaForCausalLM in float32 on the CPU, with the weights that the GGUF's blocks say, exactly
(gguf's own dequantization; q and k rows put back into transformers' order). Reads prompts.json, text.txt and
transcripts.json in DIR and writes greedy.json, text.bin and transcripts.bin beside them; SOURCE.md describes their
formats.

--check writes nothing: it measures, against perturbed models, how close the KL from the stored tokens comes to the KL
over the whole vocabulary, and whether float64 picks the same greedy tokens.

Runs in an environment with torch, transformers, gguf and numpy; versions used are in SOURCE.md.
"""
import argparse
import json
import pathlib
import struct
import sys

import gguf
import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

NUM_GREEDY_TOKENS = 32
NUM_TOP = 48          # per position: the most likely tokens,
NUM_SAMPLES = 16      # and tokens drawn from the others in proportion to their probability
LOGPROB_UNIT = 2048   # stored as round(-logprob * 2048) in 16 bits: down to -32 nats
MAGIC = b"WGL3"
WINDOW_SEPARATOR = "\n%%\n"


def field(reader, name):
    return reader.fields[name].contents()


def transformers_rows(weight, num_heads):
    """GGUF interleaves the two halves that RoPE rotates; transformers keeps them apart."""
    rows, columns = weight.shape
    return weight.reshape(num_heads, rows // num_heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def load_oracle(path):
    reader = gguf.GGUFReader(path)
    if field(reader, "general.architecture") != "llama":
        sys.exit(f"{path}: architecture {field(reader, 'general.architecture')}, expected llama")
    tensors = {t.name: gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    num_heads = field(reader, "llama.attention.head_count")
    num_kv_heads = field(reader, "llama.attention.head_count_kv")
    hidden = field(reader, "llama.embedding_length")
    vocab = tensors["token_embd.weight"].shape[0]
    config = LlamaConfig(
        vocab_size=vocab, hidden_size=hidden, intermediate_size=field(reader, "llama.feed_forward_length"),
        num_hidden_layers=field(reader, "llama.block_count"), num_attention_heads=num_heads,
        num_key_value_heads=num_kv_heads, head_dim=hidden // num_heads,
        max_position_embeddings=field(reader, "llama.context_length"),
        rms_norm_eps=field(reader, "llama.attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field(reader, "llama.rope.freq_base")},
        tie_word_embeddings="output.weight" not in tensors, attn_implementation="eager")

    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    top = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
           "output.weight": "lm_head.weight"}
    state = {}
    for name, weight in tensors.items():
        if name in top:
            state[top[name]] = weight
            continue
        _, layer, kind, _ = name.split(".")
        if kind == "attn_q":
            weight = transformers_rows(weight, num_heads)
        if kind == "attn_k":
            weight = transformers_rows(weight, num_kv_heads)
        state[f"model.layers.{layer}.{names[kind]}.weight"] = weight
    if "lm_head.weight" not in state:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    model = LlamaForCausalLM(config).float().eval()
    state = {name: torch.from_numpy(np.array(weight, dtype=np.float32)) for name, weight in state.items()}
    model.load_state_dict(state, strict=True)
    return model


@torch.no_grad()
def greedy(model, prompt):
    ids, gaps, cache = [], [], None
    step = torch.tensor([prompt])
    for _ in range(NUM_GREEDY_TOKENS):
        output = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logits = output.logits[0, -1]
        best = torch.topk(logits, 2)
        token = int(torch.argmax(logits))
        ids.append(token)
        gaps.append(float(best.values[0] - best.values[1]))
        step = torch.tensor([[token]])
    return ids, gaps


@torch.no_grad()
def log_probabilities(model, ids):
    return torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0].double(), dim=-1)


def render(tokenizer, prompt):
    if "messages" in prompt:
        text = tokenizer.apply_chat_template(prompt["messages"], add_generation_prompt=True, tokenize=False)
    else:
        text = prompt["text"]
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def write_greedy(path, model, tokenizer, prompts):
    lines = []
    for prompt in prompts:
        ids = render(tokenizer, prompt)
        tokens, gaps = greedy(model, ids)
        print(f"{prompt['name']}: {len(ids)} tokens, smallest gap {min(gaps):.3f}: {tokenizer.decode(tokens)!r}")
        lines.append(json.dumps({"name": prompt["name"], "prompt": ids, "tokens": tokens,
                                 "gaps": [round(gap, 4) for gap in gaps]}, separators=(",", ":")))
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def compress(logprobs, generator):
    """Top ids, their log-probabilities, the mass of the others, and a systematic sample of the others: token i of them is
    expected NUM_SAMPLES * p_i / rest times, so a mean over the sample is an unbiased estimate of the mean over them."""
    best = torch.topk(logprobs, NUM_TOP, dim=-1)
    others = logprobs.exp().scatter(-1, best.indices, 0.0)
    rest = others.sum(-1)
    cumulative = others.cumsum(-1) / rest[:, None]
    offsets = torch.rand((len(logprobs), 1), generator=generator, dtype=torch.float64)
    points = (torch.arange(NUM_SAMPLES) + offsets) / NUM_SAMPLES
    ids = torch.searchsorted(cumulative, points).clamp(max=logprobs.shape[-1] - 1)
    return best.indices, best.values, ids, torch.gather(logprobs, -1, ids), rest


def stored(logprobs):
    return torch.clamp(torch.round(-logprobs * LOGPROB_UNIT), 0, 65535)


def write_teacher(path, model, windows):
    generator = torch.Generator().manual_seed(1)
    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<4i", len(windows), NUM_TOP, NUM_SAMPLES, LOGPROB_UNIT))
        for first, ids in windows:
            logprobs = log_probabilities(model, ids)[first:]
            top_ids, top, sample_ids, sample, rest = compress(logprobs, generator)
            file.write(struct.pack("<2i", len(ids), first))
            file.write(np.asarray(ids, dtype="<i4").tobytes())
            for tokens, logprobs in ((top_ids, top), (sample_ids, sample)):
                file.write(tokens.numpy().astype("<u2").tobytes())
                file.write(stored(logprobs).numpy().astype("<u2").tobytes())
            file.write(rest.numpy().astype("<f4").tobytes())


def divergence_terms(p, q):
    """p ln(p/q) + q - p, divided by p. Over a vocabulary the terms q - p cancel; with them each term is >= 0 and of second
    order in p/q - 1, so that neither the rounding of the stored numbers nor the sampling weighs much."""
    ratio = p - q
    return ratio + (-ratio).exp() - 1.0


def transcripts(path):
    """Only the answer counts: from the position that expects its first token to the one that expects its last."""
    return [(entry["answer_starts"] - 1, entry["tokens"][:-1])
            for entry in json.loads(path.read_text(encoding="utf-8"))]


def estimated_kl(p, q, generator):
    """What the test computes: exact over the top, an unbiased estimate over the others."""
    top_ids, top, sample_ids, sample, rest = compress(p, generator)
    top, sample = -stored(top) / LOGPROB_UNIT, -stored(sample) / LOGPROB_UNIT
    exact = (top.exp() * divergence_terms(top, torch.gather(q, -1, top_ids))).sum(-1)
    return exact + rest * divergence_terms(sample, torch.gather(q, -1, sample_ids)).mean(-1)


def check(path, tokenizer, prompts, windows):
    model = load_oracle(path)
    generator = torch.Generator().manual_seed(2)
    for scale in (0.005, 0.01, 0.02):
        noisy = load_oracle(path)
        torch.manual_seed(1)
        for parameter in noisy.parameters():
            if parameter.dim() == 2:
                parameter.data += scale * parameter.data.std() * torch.randn_like(parameter)
        full, estimate, agree = [], [], []
        for ids in windows:
            p, q = log_probabilities(model, ids), log_probabilities(noisy, ids)
            full.append((p.exp() * (p - q)).sum(-1))
            estimate.append(estimated_kl(p, q, generator))
            agree.append((p.argmax(-1) == q.argmax(-1)).double())
        full, estimate, agree = (torch.cat(values) for values in (full, estimate, agree))
        print(f"noise {scale}: mean KL {full.mean():.6f}, estimated {estimate.mean():.6f} "
              f"({100 * estimate.mean() / full.mean():.1f} %), top-1 {100 * agree.mean():.2f} %", flush=True)
    double = load_oracle(path).double()
    equal, steps, smallest = 0, 0, []
    for prompt in prompts:
        ids = render(tokenizer, prompt)
        for (a, gap), b in zip(zip(*greedy(model, ids)), greedy(double, ids)[0]):
            steps += 1
            equal += a == b
            if a != b:
                smallest.append(gap)
                break
    print(f"float64 agrees in {equal} of {steps} greedy steps; gaps where it differs: {smallest}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path,
                        default=pathlib.Path(__file__).resolve().parent.parent / "tests/golden/logits")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()

    path = arguments.model.resolve()
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    prompts = json.loads((arguments.out / "prompts.json").read_text(encoding="utf-8"))
    text = (arguments.out / "text.txt").read_text(encoding="utf-8")
    windows = [tokenizer(window, add_special_tokens=False)["input_ids"]
               for window in text.rstrip("\n").split(WINDOW_SEPARATOR)]
    if arguments.check:
        check(path, tokenizer, prompts, windows)
        return
    model = load_oracle(path)
    write_greedy(arguments.out / "greedy.json", model, tokenizer, prompts)
    write_teacher(arguments.out / "text.bin", model, [(0, ids) for ids in windows])
    write_teacher(arguments.out / "transcripts.bin", model, transcripts(arguments.out / "transcripts.json"))


if __name__ == "__main__":
    main()
