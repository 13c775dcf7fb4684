#!/usr/bin/env python3
"""What the server loses against its own engine: output tok/s over the API / output tok/s of `weir bench`, the same work.

    tools/api_throughput.py build/release/weir                                    # the default model
    tools/api_throughput.py build/release/weir --dummy llama-3.2-1b --concurrency 8 --per-slot 2

The sides take turns within one run, streams on; which goes first changes from round to round. A shared machine changes its
speed within seconds, so what counts is the median of the rounds' own ratios: their two sides ran one right after the other. A
model of random weights has no text to put into its engine: that side gets as many random tokens per prompt as the server counted. The
load generator computes on the same cores, which the engine cannot have meanwhile: its CPU time (measured) is taken off the
engine's side for the second ratio. The first is as measured.
Standard library only. Exit code 1 when the second ratio is below 0.97 or a request failed.
"""
import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command, output):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    done = subprocess.run([*command, "--output", output, "--allow-invalid"], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{command}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    with open(output, encoding="utf-8") as file:
        return json.load(file)["results"][0], cpu / (time.monotonic() - begin)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weir", help="the binary, a release build")
    parser.add_argument("--model", help="GGUF file; without it the default model")
    parser.add_argument("--dummy", metavar="SHAPE", help="random weights of this shape instead, q4_k_m")
    parser.add_argument("--concurrency", type=lambda text: [int(part) for part in text.split(",")], default=[8, 32])
    parser.add_argument("--per-slot", type=int, default=4, help="requests = this times the concurrency")
    parser.add_argument("--max-tokens", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    what = ["--load-format", "dummy", "--shape", args.dummy, "--quantization", "q4_k_m"] if args.dummy else []
    what += ["--model", args.model] if args.model else []
    port = free_port()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen([args.weir, "serve", *what, "--port", str(port), "--control-port", "off", "--prefix-cache",
                                   "off", "--max-model-len", "4096", "--log-level", "warning"], stdout=subprocess.DEVNULL)
        try:
            for _ in range(1200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1).close()
                    break
                except OSError:
                    if server.poll() is not None:
                        sys.exit("the server ended")
                    time.sleep(0.1)
            for concurrency in args.concurrency:
                sides, client = {"engine": [], "api": []}, []
                count = str(args.per_slot * concurrency)
                commands = {"engine": [args.weir, "bench", *what, "--batch-sizes", str(concurrency), "--num-prompts", count,
                                       "--max-tokens", str(args.max_tokens), "--repeats", "1", "--tail", "drain"],
                            "api": [args.weir, "load", "--url", f"http://127.0.0.1:{port}", "--concurrency", str(concurrency),
                                    "--requests", count, "--max-tokens", str(args.max_tokens), "--ignore-eos"]}
                if args.dummy:
                    row, _ = run(commands["api"], os.path.join(folder, "result.json"))
                    commands["engine"] += ["--prompt-tokens", str(round(row["input_tokens"] / (args.per_slot * concurrency)))]
                for turn in range(args.rounds):
                    for side in list(sides)[::1 if turn % 2 == 0 else -1]:
                        row, share = run(commands[side], os.path.join(folder, "result.json"))
                        sides[side].append(row["output_tps"])
                        failed |= row.get("num_failed", 0) > 0
                        if side == "api":
                            client.append(share / os.cpu_count())
                engine, api = (statistics.median(sides[side]) for side in ("engine", "api"))
                share = statistics.median(client)
                ratios = [b / a for a, b in zip(sides["engine"], sides["api"])]
                ratio = statistics.median(ratios)
                print(f"concurrency {concurrency}: engine {engine:.1f} tok/s, API {api:.1f} tok/s (medians of {args.rounds}); ratios of "
                      f"the rounds {[round(x, 2) for x in ratios]}, median {ratio:.3f}; the client had {100 * share:.1f} % of the "
                      f"cores, without it {ratio / (1 - share):.3f}", flush=True)
                failed |= ratio / (1 - share) < 0.97
        finally:
            server.terminate()
            server.wait(60)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
