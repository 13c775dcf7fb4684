#!/usr/bin/env python3
"""Do `weir load`, `vllm bench serve` and `guidellm` read the same from one live server?

    agree_with_peers.py --weir build/release/weir --vllm PATH/vllm [--guidellm PATH/guidellm] [--url URL] [--rounds 3]

Every tool sends the same prompts with the same number in flight, in turns (A B C C B A ...), so that a drift of the machine
hits all alike. Their words are mapped onto one formula each before they are compared:

    ttft   send to first content chunk            weir TTFT-1  vllm ttfts             guidellm time_to_first_token_ms
    itl    gap between content chunks             weir ICL-1   vllm itls              -
    tpot   (last - first token) / (n - 1)         weir TPOT-1  vllm sum(itls)/(n-1)   guidellm inter_token_latency_ms
    tps    output tokens / first send to last end weir THR-OUT-1  vllm output_throughput

Without --url a server of the default model is started. Prints the medians over the rounds and the ratio to weir's.
Exit code: 0 all within --tolerance (3 %), 1 not, 2 wrong usage, 3 a tool failed. Not part of ./test: the tools come from PyPI,
and a comparison of clocks needs a quiet machine.
"""
import argparse
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SUBJECTS = ["rivers", "clocks", "bread", "comets", "bridges", "wool", "maps", "salt", "kites", "lenses", "owls", "ink"]


def prompts(count, seed):
    """Distinct from the first word on, and new in every round, so that no cache knows them."""
    return [f"{seed}-{i} {SUBJECTS[i % len(SUBJECTS)]}: explain the subject to a curious student in a few short sentences."
            for i in range(count)]


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)
    return done.returncode, done.stdout


def percentile(values, p):
    """Nearest rank, as weir has it."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(p * len(ordered)) // 100) - 1)]


def ask_weir(args, folder, texts):
    data = folder / "weir.jsonl"
    data.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    out = folder / "weir.json"
    code, said = run([args.weir, "load", "--url", args.url, "--dataset", f"jsonl:{data}", "--requests", str(len(texts)),
                      "--concurrency", str(args.concurrency), "--max-tokens", str(args.tokens), "--warmup", "2",
                      "--allow-invalid", "--output", str(out)])
    if code != 0:
        raise RuntimeError(f"weir load ended with {code}: {said[-400:]}")
    row = json.loads(out.read_text())["results"][0]
    return {"ttft": row["ttft_ms"]["p50"], "itl": row["icl_ms"]["p50"], "tpot": row["tpot_ms"]["p50"],
            "tps": row["output_tps"]}


def ask_vllm(args, folder, texts):
    data = folder / "vllm.jsonl"
    data.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    code, said = run([args.vllm, "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions",
                      "--base-url", args.url, "--model", args.model, "--dataset-name", "custom", "--dataset-path",
                      str(data), "--custom-output-len", str(args.tokens), "--num-prompts", str(len(texts)),
                      "--max-concurrency", str(args.concurrency), "--ignore-eos", "--skip-tokenizer-init",
                      "--skip-chat-template", "--disable-shuffle", "--disable-tqdm", "--temperature", "0",
                      "--save-result", "--save-detailed", "--result-dir", str(folder), "--result-filename", "vllm.json"])
    if code != 0:
        raise RuntimeError(f"vllm bench serve ended with {code}: {said[-800:]}")
    result = json.loads((folder / "vllm.json").read_text())
    served = [(ttft, itls, n) for ttft, itls, n in zip(result["ttfts"], result["itls"], result["output_lens"]) if n > 0]
    gaps = [gap * 1000 for _, itls, _ in served for gap in itls]
    # The chunk that only carries the usage is no token: the gap in front of it is none either.
    return {"ttft": percentile([ttft * 1000 for ttft, _, _ in served], 50), "itl": percentile(gaps, 50),
            "tpot": percentile([sum(itls) * 1000 / (n - 1) for _, itls, n in served if n > 1], 50),
            "tps": result["output_throughput"]}


def ask_guidellm(args, folder, texts):
    data = folder / "guidellm.jsonl"
    data.write_text("".join(json.dumps({"prompt": text, "output_tokens_count": args.tokens}) + "\n" for text in texts))
    out = folder / "guidellm.json"
    code, said = run([args.guidellm] + args.guidellm_flags.format(
        url=args.url, data=data, count=len(texts), concurrency=args.concurrency, tokens=args.tokens, out=out,
        model=args.model).split())
    if code != 0 or not out.exists():
        raise RuntimeError(f"guidellm ended with {code}: {said[-800:]}")
    metrics = json.loads(out.read_text())["benchmarks"][0]["metrics"]

    def median(name):
        return metrics[name]["successful"]["median"]

    return {"ttft": median("time_to_first_token_ms"), "tpot": median("inter_token_latency_ms")}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start_server(args):
    port = free_port()
    args.url = f"http://127.0.0.1:{port}"
    model = ["--model", args.model_file] if args.model_file else []
    server = subprocess.Popen([args.weir, "serve", "--port", str(port), "--exit-with-parent"] + model,
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
    print(f"{'tool':<10} {'metric':<6} {'weir':>10} {'tool says':>10} {'ratio':>7}")
    for tool, of_tool in samples.items():
        if tool == "weir":
            continue
        for metric in of_tool[0]:
            ours = statistics.median(sample[metric] for sample in samples["weir"])
            theirs = statistics.median(sample[metric] for sample in of_tool)
            ratio = theirs / ours
            far = abs(ratio - 1) > args.tolerance
            bad += far
            print(f"{tool:<10} {metric:<6} {ours:>10.2f} {theirs:>10.2f} {ratio:>7.3f}{'  beyond the tolerance' if far else ''}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--vllm")
    parser.add_argument("--guidellm")
    parser.add_argument("--guidellm-flags", default="", help="its command line, with {url} {data} {count} {concurrency} "
                        "{tokens} {out} {model} filled in: it differs between its versions")
    parser.add_argument("--url")
    parser.add_argument("--model-file", help="of the server to start (default: the cached one)")
    parser.add_argument("--requests", type=int, default=40)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tolerance", type=float, default=0.03)
    args = parser.parse_args()
    tools = {"weir": ask_weir}
    if args.vllm:
        tools["vllm"] = ask_vllm
    if args.guidellm:
        tools["guidellm"] = ask_guidellm
    if len(tools) == 1:
        parser.error("name a tool to compare with: --vllm or --guidellm")
    server = None
    try:
        if not args.url:
            server = start_server(args)
        with urllib.request.urlopen(args.url + "/v1/models", timeout=10) as answer:
            args.model = json.load(answer)["data"][0]["id"]
        samples = {name: [] for name in tools}
        for turn in range(args.rounds):
            order = list(tools) if turn % 2 == 0 else list(tools)[::-1]
            for name in order:
                with tempfile.TemporaryDirectory() as folder:
                    texts = prompts(args.requests, f"{name}{turn}{time.time_ns() % 100000}")
                    samples[name].append(tools[name](args, pathlib.Path(folder), texts))
                    print(f"round {turn + 1}, {name}: {samples[name][-1]}", flush=True)
        return 1 if compare(args, samples) else 0
    except (RuntimeError, OSError, KeyError) as error:
        print(f"agree_with_peers.py: {error}", file=sys.stderr)
        return 3
    finally:
        if server is not None:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    sys.exit(main())
