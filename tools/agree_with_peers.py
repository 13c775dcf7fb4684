#!/usr/bin/env python3
"""Do `weir load`, `vllm bench serve` and `guidellm run` read the same from one live server?

    agree_with_peers.py --weir build/release/weir --tokenizer DIR --vllm PATH/vllm --guidellm PATH/guidellm [--rounds 3]

A tool and weir run at the same time, one request in flight each, so that every step of the server is a step of both: a machine
that changes its speed from second to second would decide otherwise, and not the tools. weir starts when the server sees the
tool's first request. The server has one core and the clients another: those in Python take most of one, and would otherwise
slow the server that they measure. The words are mapped onto one formula each before they are compared:

    ttft   send to first content chunk            weir TTFT-1     vllm ttfts              guidellm time_to_first_token_ms
    itl    gap between content chunks             weir ICL-1      vllm itls               -
    tpot   (last - first token) / (n - 1)         weir TPOT-1     vllm sum(itls)/(n-1)    guidellm inter_token_latency_ms
    tps    output tokens / first send to last end weir THR-OUT-1  vllm output_throughput  guidellm, from its requests

Without --url a server of the default model is started. Prints the ratio of every metric, the median over the rounds.
Exit code: 0 all within --tolerance (3 %), 1 not, 2 wrong usage, 3 a tool failed. Not part of ./test: the tools come from PyPI,
and a comparison of clocks needs a quiet machine.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SUBJECTS = ["rivers", "clocks", "bread", "comets", "bridges", "wool", "maps", "salt", "kites", "lenses", "owls", "ink"]


WORDS = "the river carries sand from the hills to the sea and every winter it cuts a little deeper into its bed".split()


def prompts(count, seed):
    """Of one length, distinct from the first word on, and new in every round, so that no cache knows them."""
    return [f"{seed}-{i} {SUBJECTS[i % len(SUBJECTS)]}: " + " ".join(WORDS[(i + k) % len(WORDS)] for k in range(100))
            for i in range(count)]


def start(command):
    """On the second core, where there is one."""
    pinned = ["taskset", "-c", "1"] + command if len(os.sched_getaffinity(0)) > 1 else command
    return subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env=dict(os.environ, HF_HUB_OFFLINE="1"))


def finish(name, process):
    said, _ = process.communicate(timeout=300)
    if process.returncode != 0:
        raise RuntimeError(f"{name} ended with {process.returncode}: {said[-800:]}")


def is_running(args):
    with urllib.request.urlopen(args.control_url + "/metrics", timeout=2) as answer:
        lines = answer.read().decode().splitlines()
    return any(line.startswith("vllm:num_requests_running") and float(line.split()[-1]) > 0 for line in lines)


def wait_for_first_request(args, name, process):
    while not is_running(args):
        if process.poll() is not None:
            finish(name, process)
            raise RuntimeError(f"{name} ended without a request")
        time.sleep(0.02)


def lengths(args, count):
    """Of the answers: varied, so that the two clients do not fall into step with each other."""
    return [args.tokens - 16 + 7 * i % 33 for i in range(count)]


def percentile(values, p):
    """Nearest rank, as weir has it."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(p * len(ordered)) // 100) - 1)]


def start_weir(args, folder, texts):
    data = folder / "weir.jsonl"
    data.write_text("".join(json.dumps({"prompt": text, "max_tokens": n}) + "\n"
                            for text, n in zip(texts, lengths(args, len(texts))[::-1])))
    return start([args.weir, "load", "--url", args.url, "--dataset", f"jsonl:{data}", "--requests", str(len(texts)),
                  "--concurrency", "1", "--max-tokens", str(args.tokens), "--warmup", "0", "--allow-invalid",
                  "--output", str(folder / "weir.json")])


def read_weir(folder):
    row = json.loads((folder / "weir.json").read_text())["results"][0]
    return {"ttft": row["ttft_ms"]["p50"], "itl": row["icl_ms"]["p50"], "tpot": row["tpot_ms"]["p50"],
            "tps": row["output_tps"]}


def start_vllm(args, folder, texts):
    data = folder / "vllm.jsonl"
    data.write_text("".join(json.dumps({"prompt": text, "output_tokens": n}) + "\n"
                            for text, n in zip(texts, lengths(args, len(texts)))))
    return start([args.vllm, "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions",
                  "--base-url", args.url, "--model", args.model, "--tokenizer", args.tokenizer, "--dataset-name", "custom",
                  "--dataset-path", str(data), "--custom-output-len", "-1", "--num-prompts", str(len(texts)),
                  "--max-concurrency", "1", "--ignore-eos", "--skip-chat-template", "--disable-shuffle", "--disable-tqdm",
                  "--temperature", "0", "--save-result", "--save-detailed", "--result-dir", str(folder),
                  "--result-filename", "vllm.json"])


def read_vllm(folder):
    result = json.loads((folder / "vllm.json").read_text())
    served = [(ttft, itls, n) for ttft, itls, n in zip(result["ttfts"], result["itls"], result["output_lens"]) if n > 0]
    # The last chunk only says why the answer ended: the gap in front of it is no token's.
    gaps = [gap * 1000 for _, itls, n in served for gap in itls[:n - 1]]
    return {"ttft": percentile([ttft * 1000 for ttft, _, _ in served], 50), "itl": percentile(gaps, 50),
            "tpot": percentile([sum(itls) * 1000 / (n - 1) for _, itls, n in served if n > 1], 50),
            "tps": result["output_throughput"]}


def start_guidellm(args, folder, texts):
    data = folder / "guidellm.jsonl"
    data.write_text("".join(json.dumps({"prompt": text, "output_tokens_count": n}) + "\n"
                            for text, n in zip(texts, lengths(args, len(texts)))))
    return start([args.guidellm, "run", "--backend", f"kind=openai_http,target={args.url},model={args.model}",
                  "--profile", "kind=concurrent,streams=1", "--constraint", f"kind=max_requests,count={len(texts)}",
                  "--tokenizer", f"kind=hf_auto,model={args.tokenizer}", "--data", f"kind=json_file,path={data}",
                  "--output", f"kind=json,path={folder / 'guidellm.json'}", "--disable-console"])


def read_guidellm(folder):
    served = json.loads((folder / "guidellm.json").read_text())["benchmarks"][0]["requests"]["successful"]
    seconds = max(r["request_end_time"] for r in served) - min(r["request_start_time"] for r in served)
    return {"ttft": percentile([r["time_to_first_token_ms"] for r in served], 50),
            "tpot": percentile([r["inter_token_latency_ms"] for r in served], 50),
            "tps": sum(r["output_tokens"] for r in served) / seconds}


TOOLS = {"vllm": (start_vllm, read_vllm), "guidellm": (start_guidellm, read_guidellm)}


def side_by_side(args, name, turn):
    """One round of a tool and weir: {metric: (weir's, the tool's)}."""
    begin, read = TOOLS[name]
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        seed = f"{turn}{time.time_ns() % 100000}"
        tool = begin(args, folder, prompts(args.requests, f"{name}{seed}"))
        wait_for_first_request(args, name, tool)
        ours = start_weir(args, folder, prompts(args.requests, f"weir{seed}"))
        finish("weir load", ours)
        finish(name, tool)
        weir, other = read_weir(folder), read(folder)
    return {metric: (weir[metric], other[metric]) for metric in other}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start_server(args):
    port = free_port()
    args.url = f"http://127.0.0.1:{port}"
    model = ["--model", args.model_file] if args.model_file else []
    pinned = ["taskset", "-c", "0"] if len(os.sched_getaffinity(0)) > 1 else []
    server = subprocess.Popen(pinned + [args.weir, "serve", "--port", str(port), "--threads", "1", "--exit-with-parent"] + model,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        try:
            with urllib.request.urlopen(args.url + "/ready", timeout=2):
                return server
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    server.kill()
    raise RuntimeError("the server did not become ready")


def compare(args, samples):
    bad = 0
    print(f"{'tool':<10} {'metric':<6} {'weir':>10} {'tool says':>10} {'ratio':>7}   of the rounds")
    for tool, rounds in samples.items():
        for metric in rounds[0]:
            ratios = [theirs / ours for ours, theirs in (one[metric] for one in rounds)]
            ratio = statistics.median(ratios)
            ours, theirs = (statistics.median(one[metric][side] for one in rounds) for side in (0, 1))
            far = abs(ratio - 1) > args.tolerance
            bad += far
            print(f"{tool:<10} {metric:<6} {ours:>10.2f} {theirs:>10.2f} {ratio:>7.3f}   "
                  f"{' '.join(f'{r:.3f}' for r in ratios)}{'  beyond the tolerance' if far else ''}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--vllm")
    parser.add_argument("--guidellm")
    parser.add_argument("--tokenizer", help="Hugging Face directory of the model's tokenizer: both tools count with it")
    parser.add_argument("--url")
    parser.add_argument("--model-file", help="of the server to start (default: the cached one)")
    parser.add_argument("--requests", type=int, default=80)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tolerance", type=float, default=0.03)
    args = parser.parse_args()
    tools = [name for name in TOOLS if getattr(args, name)]
    if not tools:
        parser.error("name a tool to compare with: --vllm or --guidellm")
    if not args.tokenizer:
        parser.error("the other tools need --tokenizer")
    server = None
    try:
        if not args.url:
            server = start_server(args)
        with urllib.request.urlopen(args.url + "/v1/models", timeout=10) as answer:
            args.model = json.load(answer)["data"][0]["id"]
        with urllib.request.urlopen(args.url + "/version", timeout=10) as answer:
            control = json.load(answer)["control_port"]
        args.control_url = args.url.rsplit(":", 1)[0] + f":{control}"
        samples = {name: [] for name in tools}
        for turn in range(args.rounds):
            for name in tools:
                samples[name].append(side_by_side(args, name, turn))
        return 1 if compare(args, samples) else 0
    except (RuntimeError, OSError, KeyError, subprocess.TimeoutExpired) as error:
        print(f"agree_with_peers.py: {error}", file=sys.stderr)
        return 3
    finally:
        if server is not None:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
