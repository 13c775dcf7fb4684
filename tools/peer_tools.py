"""The load generators that weir is compared with: how to start each against a server, and what its file says in weir's words.

    ttft  ms   send to first chunk with content     weir TTFT-1     vllm ttfts              guidellm time_to_first_token_ms
    itl   ms   gap between chunks with content      weir ICL-1      vllm itls               -
    tpot  ms   (last - first token) / (n - 1)       weir TPOT-1     vllm sum(itls)/(n-1)    guidellm inter_token_latency_ms
    tps   1/s  output tokens / (last end - first    weir THR-OUT-1  both from the times of their requests: vllm's own figure
               send)                                                begins at a pause before its first request

`Load`: how many requests of how many tokens, one after the other.
"""
import dataclasses
import json
import os
import pathlib
import subprocess

SUBJECTS = ["rivers", "clocks", "bread", "comets", "bridges", "wool", "maps", "salt", "kites", "lenses", "owls", "ink"]
WORDS = "the river carries sand from the hills to the sea and every winter it cuts a little deeper into its bed".split()


@dataclasses.dataclass
class Load:
    url: str
    model: str
    tokenizer: str
    requests: int
    tokens: int
    words: int
    seed: str = ""

    def prompts(self):
        """Of one length, distinct from the first word on, and new in every round, so that no cache knows them."""
        return [f"{self.seed}-{i} {SUBJECTS[i % len(SUBJECTS)]}: "
                + " ".join(WORDS[(i + k) % len(WORDS)] for k in range(self.words)) for i in range(self.requests)]


def start(command):
    """On the second core, where there is one."""
    pinned = ["taskset", "-c", "1"] + command if len(os.sched_getaffinity(0)) > 1 else command
    return subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(os.environ, HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1"))


def finish(name, process):
    said, _ = process.communicate(timeout=300)
    if process.returncode != 0:
        raise RuntimeError(f"{name} ended with {process.returncode}: {said[-800:]}")


def percentile(values, p):
    """Nearest rank, as weir has it."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(p * len(ordered)) // 100) - 1)]


def write_prompts(path, load, name):
    path.write_text("".join(json.dumps({"prompt": text, name: load.tokens}) + "\n" for text in load.prompts()))
    return path


def start_weir(program, load, folder):
    data = write_prompts(folder / "weir.jsonl", load, "max_tokens")
    return start([program, "load", "--url", load.url, "--model", load.model, "--dataset", f"jsonl:{data}",
                  "--requests", str(load.requests), "--max-tokens", str(load.tokens), "--warmup", "0", "--allow-invalid",
                  "--output", str(folder / "weir.json"), "--concurrency", "1"])


def read_weir(folder):
    row = json.loads((folder / "weir.json").read_text())["results"][0]
    if row["counts"]["ok"] != row["counts"]["sent"]:
        raise RuntimeError(f"weir load: {row['counts']}")
    return {"ttft": row["ttft_ms"]["p50"], "itl": row["icl_ms"]["p50"], "tpot": row["tpot_ms"]["p50"],
            "tps": row["output_tps"]}


def start_vllm(program, load, folder):
    data = write_prompts(folder / "vllm.jsonl", load, "output_tokens")
    return start([program, "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions",
                  "--base-url", load.url, "--model", load.model, "--tokenizer", load.tokenizer, "--dataset-name", "custom",
                  "--dataset-path", str(data), "--custom-output-len", "-1", "--num-prompts", str(load.requests),
                  "--ignore-eos", "--skip-chat-template", "--disable-shuffle", "--disable-tqdm", "--temperature", "0",
                  "--ready-check-timeout-sec", "0", "--save-result", "--save-detailed", "--result-dir", str(folder),
                  "--result-filename", "vllm.json", "--max-concurrency", "1"])


def read_vllm(folder):
    result = json.loads((folder / "vllm.json").read_text())
    served = [(begin, ttft, itls, n) for begin, ttft, itls, n in
              zip(result["start_times"], result["ttfts"], result["itls"], result["output_lens"]) if n > 0]
    # A last chunk that only says why the answer ended carries no token: the gap in front of it is no token's.
    gaps = [[gap * 1000 for gap in itls[:n - 1]] for _, _, itls, n in served]
    seconds = max(begin + ttft + sum(itls) for begin, ttft, itls, _ in served) - min(begin for begin, *_ in served)
    return {"ttft": percentile([ttft * 1000 for _, ttft, _, _ in served], 50),
            "itl": percentile([gap for row in gaps for gap in row], 50),
            "tpot": percentile([sum(row) / len(row) for row in gaps if row], 50),
            "tps": sum(n for *_, n in served) / seconds}


def start_guidellm(program, load, folder):
    data = write_prompts(folder / "guidellm.jsonl", load, "output_tokens_count")
    return start([program, "run", "--backend", f"kind=openai_http,target={load.url},model={load.model}",
                  "--profile", "kind=concurrent,streams=1", "--constraint", f"kind=max_requests,count={load.requests}",
                  "--tokenizer", f"kind=hf_auto,model={load.tokenizer}", "--data", f"kind=json_file,path={data}",
                  "--output", f"kind=json,path={folder / 'guidellm.json'}", "--disable-console"])


def read_guidellm(folder):
    served = json.loads((folder / "guidellm.json").read_text())["benchmarks"][0]["requests"]["successful"]
    seconds = max(r["request_end_time"] for r in served) - min(r["request_start_time"] for r in served)
    return {"ttft": percentile([r["time_to_first_token_ms"] for r in served], 50),
            "tpot": percentile([r["inter_token_latency_ms"] for r in served], 50),
            "tps": sum(r["output_tokens"] for r in served) / seconds}


TOOLS = {"weir": (start_weir, read_weir), "vllm": (start_vllm, read_vllm), "guidellm": (start_guidellm, read_guidellm)}


def measure(name, program, load, folder):
    """The tool alone against that server: its file in weir's words."""
    begin, read = TOOLS[name]
    finish(name, begin(program, load, pathlib.Path(folder)))
    return read(pathlib.Path(folder))
