#!/usr/bin/env python3
"""Write tests/golden/adapters: LoRA adapters of the tiny models of tests/golden/architectures, and the logits that PEFT gives.

usage: update_golden_adapters.py [--out DIR] [--only NAME]

Per model NAME and adapter KIND (plain, rslora): NAME.KIND/ as PEFT saves it, NAME.KIND.gguf with the tensors and keys that the
format's converter writes, and NAME.KIND.logits in the form of the architectures' logits, computed by transformers and PEFT in
float32 on the CPU, the adapter unmerged.

Runs in an environment with torch, transformers, peft, gguf and numpy; versions used are in SOURCE.md.
"""
import argparse
import json
import pathlib
import shutil
import struct
import warnings

import gguf
import numpy as np
import peft
import safetensors.torch
import torch
import transformers

from update_golden_architectures import gguf_name, interleaved

POSITIONS = 24
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
FEED_FORWARD = ["gate_proj", "up_proj", "down_proj"]
# model -> (GGUF's architecture, matrices that are adapted)
MODELS = {
    "llama": ("llama", ATTENTION + FEED_FORWARD), "smollm3": ("smollm3", ATTENTION + FEED_FORWARD),
    "qwen2": ("qwen2", ATTENTION + FEED_FORWARD), "qwen3": ("qwen3", ["q_proj", "v_proj", "down_proj"]),
    "gemma2": ("gemma2", ATTENTION + FEED_FORWARD), "gemma3": ("gemma3", ATTENTION + FEED_FORWARD),
    "phi3": ("phi3", ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]), "qwen3moe": ("qwen3moe", ATTENTION),
}


def configurations(modules):
    """name -> how the adapter is made; ranks are no multiple of anything."""
    yield "plain", peft.LoraConfig(r=4, lora_alpha=10, target_modules=modules, task_type="CAUSAL_LM")
    last = modules[-1]
    yield "rslora", peft.LoraConfig(r=5, lora_alpha=3, target_modules=modules, use_rslora=True, task_type="CAUSAL_LM",
                                    rank_pattern={last: 3, "layers.1.self_attn.q_proj": 1}, alpha_pattern={last: 6})


def write_gguf(path, architecture, config, directory):
    """One alpha for all: only adapters of one rank and scale can be said in this format."""
    settings = json.loads((directory / "adapter_config.json").read_text())
    writer = gguf.GGUFWriter(str(path), architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(settings["lora_alpha"]))
    for name, weight in safetensors.torch.load_file(directory / "adapter_model.safetensors").items():
        module, half, _ = name.removeprefix("base_model.model.").rsplit(".", 2)
        weight = weight.numpy()
        if architecture in ("llama", "smollm3") and half == "lora_B":
            if module.endswith("q_proj"):
                weight = interleaved(weight, config.num_attention_heads)
            if module.endswith("k_proj"):
                weight = interleaved(weight, config.num_key_value_heads)
        target = gguf_name(module + ".weight", architecture.startswith("gemma"))
        writer.add_tensor(f"{target}.{half.lower()}", np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    golden = pathlib.Path(__file__).parents[1] / "tests/golden"
    parser.add_argument("--out", default=golden / "adapters", type=pathlib.Path)
    parser.add_argument("--only")
    args = parser.parse_args()
    args.out.mkdir(exist_ok=True)
    warnings.simplefilter("ignore")
    for name, (architecture, modules) in MODELS.items():
        if args.only and name != args.only:
            continue
        data = (golden / f"architectures/{name}.logits").read_bytes()
        tokens = np.frombuffer(data, "<i4", POSITIONS, 8)
        for kind, configuration in configurations(modules):
            base = transformers.AutoModelForCausalLM.from_pretrained(
                golden / "architectures" / name, dtype=torch.float32, attn_implementation="eager").eval()
            model = peft.get_peft_model(base, configuration).eval()
            generator = torch.Generator().manual_seed(len(name) + len(kind))
            with torch.no_grad():
                for parameter, weight in model.named_parameters():
                    if "lora_" in parameter:
                        values = torch.randn(weight.shape, generator=generator) * (0.3 / weight.shape[-1] ** 0.5)
                        weight.copy_(values.half().float())
                logits = model(torch.tensor(tokens[None].astype(np.int64))).logits[0].float().numpy()
                with model.disable_adapter():
                    plain = model(torch.tensor(tokens[None].astype(np.int64))).logits[0].float().numpy()
            directory = args.out / f"{name}.{kind}"
            shutil.rmtree(directory, ignore_errors=True)
            model.save_pretrained(directory)
            (directory / "README.md").unlink(missing_ok=True)
            settings = json.loads((directory / "adapter_config.json").read_text())
            settings["base_model_name_or_path"] = name
            (directory / "adapter_config.json").write_text(json.dumps(settings, indent=2) + "\n")
            (args.out / f"{name}.{kind}.logits").write_bytes(
                struct.pack("<ii", POSITIONS, logits.shape[1]) + tokens.tobytes() + logits.astype("<f4").tobytes())
            if kind == "plain":
                write_gguf(args.out / f"{name}.{kind}.gguf", architecture, base.config, directory)
            print(name, kind, f"moves the logits by {np.sqrt(((logits - plain) ** 2).mean() / (plain ** 2).mean()):.2f}")


if __name__ == "__main__":
    main()
