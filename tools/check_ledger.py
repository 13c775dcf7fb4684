#!/usr/bin/env python3
"""Does every request's ledger account for its wall time? Runs a server, sends it requests of all kinds, and adds up.

    tools/check_ledger.py build/release/weir              # 1,000 requests, about half a minute
    tools/check_ledger.py build/release/weir --requests 5000

A third of the requests stream, some ask for several choices, some are wrong, some are left by their client. For each: the stages
sum to the wall time within 1 % or 0.2 ms, whichever is more, none is negative, and the stage `other`, which is what no
stage claimed, is within the same bound. Prints the largest of each; exit code 1 when one is beyond it. Standard library only.
"""
import argparse
import concurrent.futures
import http.client
import json
import random
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, number):
    rng = random.Random(number)
    body = {"model": "m", "prompt": [rng.randrange(1000, 20000) for _ in range(rng.randint(1, 60))],
            "max_tokens": rng.randint(1, 12), "stream": number % 3 == 0, "n": 2 if number % 11 == 0 else 1,
            "ignore_eos": True}
    if number % 17 == 0:
        body["temperature"] = 7
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    if number % 29 == 0:
        time.sleep(0.005)
    else:
        answer = connection.getresponse()
        answer.read()
    connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weir", help="the binary")
    parser.add_argument("--model", help="GGUF file; without it the default model")
    parser.add_argument("--requests", type=int, default=1000)
    args = parser.parse_args()
    model = args.model or subprocess.check_output([ROOT / "tools/get_model.sh"], text=True).split()[-1]
    port, control = free_port(), free_port()
    server = subprocess.Popen([args.weir, "serve", "--model", model, "--served-model-name", "m", "--port", str(port),
                               "--control-port", str(control), "--log-level", "warning"], stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda number: ask(port, number), range(args.requests)))
        time.sleep(1)
        ledgers = []
        with urllib.request.urlopen(f"http://127.0.0.1:{control}/debug/requests?limit=65536", timeout=60) as answer:
            for line in answer.read().decode().splitlines():
                entry = json.loads(line)
                if "ledger_ms" in entry:
                    ledgers.append(entry)
    finally:
        server.terminate()
        server.wait(60)
    worst_gap = worst_other = 0.0
    outcomes, bad = {}, []
    for entry in ledgers:
        stages, wall = entry["ledger_ms"], entry["wall_ms"]
        outcomes[entry["outcome"]] = outcomes.get(entry["outcome"], 0) + 1
        bound = max(0.01 * wall, 0.2)
        gap, other = abs(sum(stages.values()) - wall), stages.get("other", 0.0)
        worst_gap, worst_other = max(worst_gap, gap), max(worst_other, other)
        if gap > bound or other > bound or min(stages.values(), default=0) < 0:
            bad.append(entry)
    print(f"{len(ledgers)} ledgers of {args.requests} requests ({outcomes}): largest |sum - wall| {worst_gap:.6f} ms, largest "
          f"`other` {worst_other:.3f} ms, {len(bad)} beyond 1 % or 0.2 ms")
    for entry in bad[:5]:
        print(json.dumps(entry))
    sys.exit(0 if not bad and len(ledgers) == args.requests else 1)


if __name__ == "__main__":
    main()
