#!/usr/bin/env python3
"""Do `weir load`, `vllm bench serve` and `guidellm run` read the same from one server?

    agree_with_peers.py --weir build/release/weir --tokenizer DIR --vllm PATH/vllm --guidellm PATH/guidellm [--rounds 1] [--part P]

Two parts, in which every tool sends one request after the other, alone. **script**: against tools/scripted_server.py, whose log
says when every chunk was really written. **live**: against a weir server of a real model, whose ledgers say the same of every
request. So each tool is held to what the server did for *its* requests: a machine that changes its speed from minute to minute
would otherwise decide, and not the tools. Two tools agree when their shares of that truth do. Every tool asks in its own way (its
JSON, its connections); the words are mapped onto one formula each (tools/peer_tools.py).

The server has the first core and one thread, the tools have the second: those in Python take most of a core, and would otherwise
slow the server that they measure. Prompts are long enough that a few ms of a client stay below the tolerance; those ms are printed.

Prints every ratio, the median over the rounds. Exit code: 0 all within --tolerance (3 %), 1 not, 2 wrong usage, 3 a tool failed. A
tool beyond the tolerance is forgiven where the truth shows that it is off and weir is not; it is printed as such. Not part of
./test: the tools come from PyPI, and a comparison of clocks needs a quiet machine.
"""
import argparse
import json
import math
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import peer_tools
import scripted_server

HERE = pathlib.Path(__file__).resolve().parent


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class FirstCore:
    """A server on the first core, where there is a second. Owns its process."""

    def __init__(self, command, url, ready):
        pinned = ["taskset", "-c", "0"] if len(os.sched_getaffinity(0)) > 1 else []
        self.process = subprocess.Popen(pinned + command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url, self.ready = url, ready

    def __enter__(self):
        for _ in range(600):
            try:
                with urllib.request.urlopen(self.url + self.ready, timeout=2):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.process.kill()
        raise RuntimeError("the server did not become ready")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def truth(log):
    """What a client without any time of its own would read, from what the server did."""
    served = [json.loads(line) for line in pathlib.Path(log).read_text().splitlines()]
    gaps = [[b - a for a, b in zip(one["written_ms"], one["written_ms"][1:])] for one in served]
    seconds = (max(one["written_ms"][-1] for one in served) - min(one["read_ms"] for one in served)) / 1000
    return {"ttft": peer_tools.percentile([one["written_ms"][0] - one["read_ms"] for one in served], 50),
            "itl": peer_tools.percentile([gap for row in gaps for gap in row], 50),
            "tpot": peer_tools.percentile([sum(row) / len(row) for row in gaps], 50),
            "tps": sum(one["tokens"] for one in served) / seconds}


def against_the_script(args, name, turn):
    """One run of a tool: {metric: (the truth, the tool's)}."""
    with tempfile.TemporaryDirectory() as folder:
        port, log = free_port(), str(pathlib.Path(folder) / "played.jsonl")
        url = f"http://127.0.0.1:{port}"
        with FirstCore([sys.executable, str(HERE / "scripted_server.py"), "--port", str(port), "--log", log], url, "/ready"):
            load = peer_tools.Load(url, scripted_server.MODEL, args.tokenizer, args.requests, args.tokens, 20, seed=f"{turn}")
            said = peer_tools.measure(name, getattr(args, name), load, folder)
        real = truth(log)
    return {metric: (real[metric], said[metric]) for metric in real if metric in said}


class Live:
    """A server of a real model, and what its own ledgers say of the requests it served."""

    def __init__(self, args, url):
        with urllib.request.urlopen(url + "/v1/models", timeout=10) as answer:
            self.model = json.load(answer)["data"][0]["id"]
        with urllib.request.urlopen(url + "/version", timeout=10) as answer:
            self.control = url.rsplit(":", 1)[0] + f":{json.load(answer)['control_port']}"
        self.args, self.url, self.seen = args, url, set()

    def ledgers(self):
        """Of the requests since the last call."""
        with urllib.request.urlopen(self.control + "/debug/requests", timeout=10) as answer:
            closed = [json.loads(line) for line in answer.read().decode().splitlines() if line]
        new = [one for one in closed if one["number"] not in self.seen and one["outcome"] == "ok"]
        self.seen.update(one["number"] for one in new)
        return new

    def record(self, count):
        """What the server says: from the first byte of a request to its first token, and from that to the last byte."""
        served = self.ledgers()
        if len(served) < count:
            raise RuntimeError(f"the server has ledgers of {len(served)} of {count} requests")
        seconds = (max(one["closed_ns"] for one in served) - min(one["started_ns"] for one in served)) / 1e9
        per_token = [(one["wall_ms"] - one["ttft_ms"]) / (one["output_tokens"] - 1) for one in served]
        return {"ttft": peer_tools.percentile([one["ttft_ms"] for one in served], 50),
                "tpot": peer_tools.percentile(per_token, 50), "tps": sum(one["output_tokens"] for one in served) / seconds}

    def measure(self, name, turn):
        """One run of a tool: {metric: (the server's, the tool's)}."""
        args = self.args
        self.ledgers()
        load = peer_tools.Load(self.url, self.model, args.tokenizer, args.requests, args.tokens, args.words,
                               seed=f"{name}{turn}-{time.time_ns() % 100000}")
        with tempfile.TemporaryDirectory() as folder:
            said = peer_tools.measure(name, getattr(args, name), load, folder)
        real = self.record(args.requests)
        return {metric: (real[metric], said[metric]) for metric in real if metric in said}


def table(title, samples, tolerance=math.inf):
    """Prints and returns {(tool, metric): what it says over the truth}."""
    ratios = {}
    print(f"\n{title}\n{'tool':<10} {'metric':<6} {'truth':>10} {'tool says':>10} {'ratio':>7} {'differs':>11}  of the rounds")
    for tool, rounds in samples.items():
        for metric in rounds[0]:
            each = [said / real for real, said in (one[metric] for one in rounds)]
            ratio = ratios[tool, metric] = statistics.median(each)
            real, said = (statistics.median(one[metric][side] for one in rounds) for side in (0, 1))
            unit = "1/s" if metric == "tps" else "ms"
            print(f"{tool:<10} {metric:<6} {real:>10.2f} {said:>10.2f} {ratio:>7.3f} {said - real:>+7.2f} {unit:<3}  "
                  f"{' '.join(f'{r:.3f}' for r in each)}{'' if abs(ratio - 1) <= tolerance else '  beyond the tolerance'}")
    return ratios


def judge(ratios, tools, tolerance):
    """Prints weir's share of the truth over each tool's; returns how many disagreements are not explained by the truth."""
    bad = 0
    for tool in tools:
        for metric in ("ttft", "itl", "tpot", "tps"):
            if (tool, metric) not in ratios:
                continue
            ours, theirs = ratios["weir", metric], ratios[tool, metric]
            far = abs(theirs / ours - 1) > tolerance
            explained = far and abs(ours - 1) <= tolerance < abs(theirs - 1)
            bad += far and not explained
            verdict = ("agree" if not far else f"{tool} is off, weir is not" if explained else "disagree")
            print(f"{tool + ' / weir':<17} {metric:<6} {theirs / ours:.3f}  {verdict}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--vllm")
    parser.add_argument("--guidellm")
    parser.add_argument("--tokenizer", help="Hugging Face directory of the model's tokenizer: both tools count with it")
    parser.add_argument("--model-file", help="of the server to start (default: the cached one)")
    parser.add_argument("--part", choices=["script", "live", "both"], default="both")
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--words", type=int, default=600, help="of a prompt of the live server")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--tolerance", type=float, default=0.03)
    args = parser.parse_args()
    tools = [name for name in ("vllm", "guidellm") if getattr(args, name)]
    if tools and not args.tokenizer:
        parser.error("the other tools need --tokenizer")
    everyone = ["weir", *tools]
    bad = 0
    try:
        if args.part != "live":
            samples = {name: [against_the_script(args, name, turn) for turn in range(args.rounds)] for name in everyone}
            ratios = table("Against the script: 100 ms to the first chunk, then one every 10 ms", samples, args.tolerance)
            bad += sum(tool == "weir" and abs(ratio - 1) > args.tolerance for (tool, _), ratio in ratios.items())
            bad += judge(ratios, tools, args.tolerance)
        if args.part != "script":
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            model = ["--model", args.model_file] if args.model_file else []
            command = [args.weir, "serve", "--port", str(port), "--threads", "1", "--prefix-cache", "off", "--exit-with-parent"]
            with FirstCore(command + model, url, "/ready"):
                server = Live(args, url)
                samples = {name: [server.measure(name, turn) for turn in range(args.rounds)] for name in everyone}
            # The server's record ends where the engine has a token; writing it is the same for every tool.
            bad += judge(table("Against a live server, beside its own record of the same requests", samples), tools, args.tolerance)
    except (RuntimeError, OSError, KeyError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"agree_with_peers.py: {error}", file=sys.stderr)
        return 3
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
