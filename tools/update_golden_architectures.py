#!/usr/bin/env python3
"""Write tests/golden/architectures: tiny random models of every architecture, and the logits that transformers gives them.

usage: update_golden_architectures.py [--out DIR] [--only NAME]

Per model NAME: NAME.gguf with the tensors and keys that the format's converters write, NAME/ with the same weights as a
Hugging Face directory, and NAME.logits: int32 positions, int32 vocabulary, int32 tokens[positions], float32
logits[positions][vocabulary] of transformers in float32 on the CPU with eager attention. All weights are halves, so that both
files say exactly what the oracle computed with.

Runs in an environment with torch, transformers, gguf and numpy; versions used are in SOURCE.md.
"""
import argparse
import json
import pathlib
import struct

import gguf
import numpy as np
import torch
import transformers

POSITIONS = 64
VOCABULARY = 128
SMALL = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=16, max_position_embeddings=128, rms_norm_eps=1e-5,
             attn_implementation="eager", bos_token_id=1, eos_token_id=2, pad_token_id=0)


def small(**changes):
    values = dict(SMALL)
    for key, value in changes.items():
        if value is None:
            values.pop(key, None)
        else:
            values[key] = value
    return values


def rope(kind="default", theta=100.0, **more):
    return {"rope_type": kind, "rope_theta": theta, **more}


def models():
    """name -> (architecture in GGUF, configuration, extra GGUF keys)"""
    t = transformers
    yield "llama", "llama", t.LlamaConfig(**small(tie_word_embeddings=False, rope_parameters=rope())), {}
    yield "llama_llama3", "llama", t.LlamaConfig(**small(tie_word_embeddings=True, rope_parameters=rope(
        "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32))), {}
    yield "llama_linear", "llama", t.LlamaConfig(**small(rope_parameters=rope("linear", factor=4.0))), {
        "rope.scaling.type": "linear", "rope.scaling.factor": 4.0}
    yield "llama_yarn", "llama", t.LlamaConfig(**small(rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=32))), {
        "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 32}
    yield "mistral", "llama", t.MistralConfig(**small(sliding_window=20, rope_parameters=rope())), {
        "attention.sliding_window": 20}
    yield "qwen2", "qwen2", t.Qwen2Config(**small(tie_word_embeddings=True, rope_parameters=rope(), hidden_size=64)), {}
    yield "qwen3", "qwen3", t.Qwen3Config(**small(tie_word_embeddings=False, rope_parameters=rope())), {}
    yield "phi3", "phi3", t.Phi3Config(**small(head_dim=None, hidden_size=64, rope_parameters=rope(
        partial_rotary_factor=0.5), partial_rotary_factor=0.5, sliding_window=33)), {"attention.sliding_window": 33}
    short = [1.0 + 0.1 * i for i in range(8)]
    yield "phi3_longrope", "phi3", t.Phi3Config(**small(
        head_dim=None, hidden_size=64, max_position_embeddings=256, original_max_position_embeddings=64,
        rope_parameters=rope("longrope", short_factor=short, long_factor=[4.0 + i for i in range(8)],
                             original_max_position_embeddings=64))), {
        "rope.scaling.original_context_length": 64, "rope.scaling.attn_factor": float(np.sqrt(1 + np.log(4) / np.log(64)))}
    yield "gemma2", "gemma2", t.Gemma2Config(**small(
        query_pre_attn_scalar=16, sliding_window=20, attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
        hidden_activation="gelu_pytorch_tanh", rope_parameters=rope())), {
        "attention.sliding_window": 20, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}
    yield "gemma3", "gemma3", t.Gemma3TextConfig(**small(
        num_hidden_layers=7, query_pre_attn_scalar=16, sliding_window=20, num_key_value_heads=1,
        hidden_activation="gelu_pytorch_tanh",
        rope_parameters={"full_attention": rope("linear", 1000.0, factor=8.0),
                         "sliding_attention": rope(theta=100.0)})), {
        "attention.sliding_window": 20, "rope.freq_base": 1000.0, "rope.freq_base_swa": 100.0,
        "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    yield "smollm3", "smollm3", t.SmolLM3Config(**small(
        num_hidden_layers=4, rope_parameters=rope(), tie_word_embeddings=True, use_sliding_window=False)), {}
    yield "qwen3moe", "qwen3moe", t.Qwen3MoeConfig(**small(
        tie_word_embeddings=False, rope_parameters=rope(), num_experts=8, num_experts_per_tok=3,
        moe_intermediate_size=32, norm_topk_prob=True)), {
        "expert_count": 8, "expert_used_count": 3, "expert_feed_forward_length": 32}
    # Experts in layer 1 of four alone.
    yield "qwen3moe_mixed", "qwen3moe", t.Qwen3MoeConfig(**small(
        num_hidden_layers=4, tie_word_embeddings=True, rope_parameters=rope(), num_experts=4, num_experts_per_tok=2,
        moe_intermediate_size=32, norm_topk_prob=False, decoder_sparse_step=2, mlp_only_layers=[3])), {
        "expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 32, "expert_weights_norm": False}


def randomize(model, is_gemma):
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randn(weight.shape, generator=generator)
            if name.endswith("bias"):
                values *= 0.3
            elif weight.dim() == 1:
                values = 0.2 * values + (0.0 if is_gemma else 1.0)
            elif "embed_tokens" in name:
                values *= 0.5
            elif name.endswith("mlp.gate.weight"):
                values *= 2.0 / weight.shape[1] ** 0.5
            else:
                values *= 1.0 / weight.shape[-1] ** 0.5
            weight.copy_(values.half().float())


def decided_tokens(model, smallest_gap=0.35):
    """Tokens whose routers' last chosen and first rejected expert are clearly apart, so that no rounding exchanges them: a
    choice is not continuous, and what is compared here are the experts and not the luck of a tie."""
    draw = np.random.default_rng(11)
    gaps = []

    def note(_, inputs, output):
        logits = inputs[0].reshape(-1, inputs[0].shape[-1])[-1] @ note.weight[_].T
        ordered = logits.sort(descending=True).values
        used = model.config.num_experts_per_tok
        gaps.append(float(ordered[used - 1] - ordered[used]))

    gates = [layer.mlp.gate for layer in model.model.layers if hasattr(layer.mlp, "gate")]
    note.weight = {gate: gate.weight for gate in gates}
    hooks = [gate.register_forward_hook(note) for gate in gates]
    tokens = []
    while len(tokens) < POSITIONS:
        candidate = int(draw.integers(3, VOCABULARY))
        gaps.clear()
        with torch.no_grad():
            model(torch.tensor([tokens + [candidate]]))
        if min(gaps) > smallest_gap:
            tokens.append(candidate)
    for hook in hooks:
        hook.remove()
    return np.array(tokens, np.int32)


def interleaved(weight, heads):
    """The order in which GGUF's llama keeps the two halves that a head rotates."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up",
    "post_attention_layernorm": "ffn_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm", "mlp.gate": "ffn_gate_inp",
}


def gguf_name(name, is_gemma):
    if name.startswith("model.embed_tokens"):
        return "token_embd.weight"
    if name.startswith("model.norm"):
        return "output_norm.weight"
    if name.startswith("lm_head"):
        return "output.weight"
    _, _, layer, rest = name.split(".", 3)
    part, kind = rest.rsplit(".", 1)
    if is_gemma and part == "post_attention_layernorm":
        return f"blk.{layer}.post_attention_norm.{kind}"
    return f"blk.{layer}.{NAMES[part]}.{kind}"


def write_gguf(path, architecture, config, model, keys):
    is_gemma = architecture.startswith("gemma")
    writer = gguf.GGUFWriter(str(path), architecture)
    put = lambda key, value: (writer.add_string if isinstance(value, str) else writer.add_bool
                              if isinstance(value, bool) else writer.add_float32
                              if isinstance(value, float) else writer.add_uint32)(f"{architecture}.{key}", value)
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope_parameters = config.rope_parameters
    partial = rope_parameters.get("partial_rotary_factor", 1.0)
    for key, value in {
            "block_count": config.num_hidden_layers, "context_length": config.max_position_embeddings,
            "embedding_length": config.hidden_size, "feed_forward_length": config.intermediate_size,
            "attention.head_count": config.num_attention_heads,
            "attention.head_count_kv": config.num_key_value_heads, "attention.key_length": head_dim,
            "attention.value_length": head_dim, "attention.layer_norm_rms_epsilon": config.rms_norm_eps,
            "rope.dimension_count": int(head_dim * partial),
            "rope.freq_base": rope_parameters.get("rope_theta", 0.0), **keys}.items():
        put(key, value)
    state = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
    for name, weight in state.items():
        if ".mlp.experts." in name:
            layer, part = name.split(".")[2], name.rsplit(".", 1)[1]
            pieces = {"down_proj": [("ffn_down_exps", weight)]}.get(part)
            if pieces is None:
                half = weight.shape[1] // 2
                pieces = [("ffn_gate_exps", weight[:, :half]), ("ffn_up_exps", weight[:, half:])]
            for kind, piece in pieces:
                writer.add_tensor(f"blk.{layer}.{kind}.weight", np.ascontiguousarray(piece).astype(np.float16))
            continue
        if name.endswith("mlp.gate.weight"):
            writer.add_tensor(gguf_name(name, is_gemma), weight.astype(np.float32))
            continue
        if architecture in ("llama", "smollm3"):
            if ".q_proj." in name:
                weight = interleaved(weight, config.num_attention_heads)
            if ".k_proj." in name:
                weight = interleaved(weight, config.num_key_value_heads)
        if is_gemma and "norm" in name:
            weight = weight + 1
        writer.add_tensor(gguf_name(name, is_gemma), weight.astype(np.float16 if weight.ndim > 1 else np.float32))
    if rope_parameters.get("rope_type") == "llama3":
        inverse = 1.0 / model.model.rotary_emb.inv_freq.numpy()
        plain = config.rope_parameters["rope_theta"] ** (np.arange(0, head_dim, 2) / head_dim)
        writer.add_tensor("rope_freqs.weight", (inverse / plain).astype(np.float32))
    if rope_parameters.get("rope_type") == "longrope":
        for kind in ("short", "long"):
            writer.add_tensor(f"rope_factors_{kind}.weight",
                              np.array(rope_parameters[f"{kind}_factor"], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default=pathlib.Path(__file__).parents[1] / "tests/golden/architectures", type=pathlib.Path)
    parser.add_argument("--only")
    args = parser.parse_args()
    tokens = np.random.default_rng(11).integers(3, VOCABULARY, POSITIONS).astype(np.int32)
    for name, architecture, config, keys in models():
        if args.only and name != args.only:
            continue
        torch.manual_seed(1)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
        randomize(model, architecture.startswith("gemma"))
        model.tie_weights()
        fed = decided_tokens(model) if config.model_type == "qwen3_moe" else tokens
        with torch.no_grad():
            logits = model(torch.tensor(fed[None].astype(np.int64))).logits[0].float().numpy()
        write_gguf(args.out / f"{name}.gguf", architecture, config, model, keys)
        (args.out / f"{name}.logits").write_bytes(
            struct.pack("<ii", POSITIONS, VOCABULARY) + fed.tobytes() + logits.astype("<f4").tobytes())
        model.half().save_pretrained(args.out / name)
        (args.out / name / "generation_config.json").unlink(missing_ok=True)
        print(name, f"rms {np.sqrt((logits ** 2).mean()):.3f}", f"{(args.out / f'{name}.gguf').stat().st_size} bytes")


if __name__ == "__main__":
    main()
