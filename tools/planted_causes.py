#!/usr/bin/env python3
"""Does the report name what is wrong? Starts servers with one cause planted each, measures them as a user would
(`weir load`, then `weir report`), and reads which cause the report puts first.

    planted_causes.py --weir build/release/weir [--model FILE] [--only NAME]

Every cause is planted in two ways or more, and the clean server is measured as often. How long a request takes here is measured
first, so that rates and timeouts mean the same on any machine. Exit code: 0 at least 9 of 10 planted causes are named first and
the clean runs name none, 1 not, 2 wrong usage, 3 something did not run.
"""
import argparse
import json
import pathlib
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PLACES = 8  # of every server that batches


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A weir server with these flags."""

    def __init__(self, args, flags):
        self.port = free_port()
        self.process = subprocess.Popen(
            [args.weir, "serve", "--port", str(self.port), "--exit-with-parent"] + args.model_flags + flags,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        for _ in range(1200):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=2):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.05)
        raise RuntimeError("the server did not become ready")

    def __exit__(self, *_):
        self.process.kill()  # work for clients that have left is nobody's any more
        self.process.wait()


class SlowLink:
    """A proxy that passes requests at once and answers slowly: at most `bytes_per_s` to each client, or each piece so much later."""

    def __init__(self, port, bytes_per_s=0, delay_s=0.0):
        self.target, self.bytes_per_s, self.delay_s = port, bytes_per_s, delay_s
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                try:
                    if client in ready:
                        data = client.recv(65536)
                        if not data:
                            return
                        server.sendall(data)
                    if server in ready:
                        data = server.recv(1024)
                        if not data:
                            return
                        time.sleep(self.delay_s + (len(data) / self.bytes_per_s if self.bytes_per_s else 0))
                        client.sendall(data)
                except OSError:
                    return

    def close(self):
        self.listener.close()


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def measure(args, folder, port, flags):
    """weir load against that port: the result file."""
    out = pathlib.Path(folder) / "load.json"
    code, said = run([args.weir, "load", "--url", f"http://127.0.0.1:{port}", "--output", str(out), "--allow-invalid",
                      "--max-tokens", str(args.tokens)] + flags)
    if code != 0:
        raise RuntimeError(f"weir load ended with {code}: {said[-400:]}")
    return out


def benchmark(args, folder):
    """weir bench of the same model: the result file."""
    out = pathlib.Path(folder) / "benchmark.json"
    code, said = run([args.weir, "bench", "--batch-sizes", "1", str(PLACES), "--num-prompts", "8", "--repeats", "2", "--max-tokens",
                      str(args.tokens), "--allow-invalid", "--output", str(out)] + args.model_flags)
    if code != 0:
        raise RuntimeError(f"weir bench ended with {code}: {said[-400:]}")
    return out


def named(args, folder, results):
    """What the report says: the causes in order, and the row they were read from."""
    code, said = run([args.weir, "report", *map(str, results), "--out", str(folder)])
    if code != 0:
        raise RuntimeError(f"weir report ended with {code}: {said[-400:]}")
    report = json.loads((pathlib.Path(folder) / "report.json").read_text())
    root = report["root_causes"][0]
    if not root["known"]:
        return [f"not known: {root['why_unknown']}"], report
    return [cause["cause"] for cause in root["causes"]], report


def cases(alone_s, full_s):
    """name, planted cause or None, server flags, load flags, link (or a benchmark for the report). `alone_s`: a request alone; `full_s`: one of PLACES together."""
    places = ["--max-num-seqs", str(PLACES)]
    free = ["--queue", "unbounded"]
    capacity = PLACES / full_s
    batch = ["--requests", "40", "--concurrency", "8"]

    def s(value):
        return f"{value:.3f}"

    return [
        ("clean, as many clients as places", None, places, batch, None),
        ("clean, with a benchmark beside it", None, places, batch, ("benchmark", None)),
        ("clean, half as many", None, places, ["--requests", "24", "--concurrency", "4"], None),
        ("clean, one client", None, places, ["--requests", "10", "--concurrency", "1"], None),
        ("clean, open loop below capacity", None, places,
         ["--requests", "40", "--request-rate", s(0.5 * capacity), "--arrival", "constant"], None),
        ("clean, on a patient sequential server", None, ["--scheduler", "sequential"],
         ["--requests", "10", "--concurrency", "1"], None),
        ("clean, bounded queue with a deadline", None, places, batch + ["--timeout", s(4 * full_s)], None),
        ("sequential, patient clients", "batching off", ["--scheduler", "sequential"] + free,
         ["--requests", "20", "--concurrency", "5"], None),
        ("sequential, clients give up", "batching off",
         ["--scheduler", "sequential", "--on-disconnect", "ignore"] + free,
         ["--requests", "20", "--concurrency", "5", "--timeout", s(2.6 * alone_s), "--no-deadline-header"], None),
        ("one place", "batching off", ["--max-num-seqs", "1"], ["--requests", "20", "--concurrency", "4"], None),
        ("unbounded, many clients that give up", "queue unbounded", places + free,
         ["--requests", "120", "--concurrency", "40", "--timeout", s(2.5 * full_s), "--no-deadline-header"], None),
        ("unbounded, open loop above capacity", "queue unbounded", places + free,
         ["--requests", "120", "--request-rate", s(3 * capacity), "--timeout", s(2.5 * full_s), "--no-deadline-header"], None),
        ("unbounded, patient clients", "queue unbounded", places + free, ["--requests", "72", "--concurrency", "24"], None),
        ("timeout of half a request", "short timeout", places, batch + ["--timeout", s(0.5 * full_s), "--no-deadline-header"],
         None),
        ("timeout of half a request, alone", "short timeout", places,
         ["--requests", "10", "--concurrency", "1", "--timeout", s(0.5 * alone_s), "--no-deadline-header"], None),
        ("timeout of half a request, told to the server", "short timeout", places,
         batch + ["--timeout", s(0.5 * full_s)], None),
        ("tokenizer, a fifth of a request each", "slow tokenizer", places + ["--tokenizer-delay", s(0.2 * full_s)], batch, None),
        ("tokenizer, one client", "slow tokenizer", places + ["--tokenizer-delay", s(0.5 * alone_s)],
         ["--requests", "10", "--concurrency", "1"], None),
        ("tokenizer, open loop", "slow tokenizer", places + ["--tokenizer-delay", s(0.15 * full_s)],
         ["--requests", "30", "--request-rate", s(0.5 * capacity)], None),
        ("client that thinks over every chunk", "slow client", places,
         batch + ["--chunk-delay", s(1000 * full_s / 100)], None),
        ("link of half the speed", "slow client", places, batch, ("bytes", 0.5)),
        ("link that delays every piece", "slow client", places, ["--requests", "24", "--concurrency", "4"], ("delay", 2.0)),
    ]


def play(args, case, token_s, folder):
    name, planted, server_flags, load_flags, link = case
    with Server(args, server_flags) as server:
        port, proxy, beside = server.port, None, []
        if link is not None and link[0] == "benchmark":
            beside = [benchmark(args, folder)]
        elif link is not None:
            kind, factor = link
            # A chunk of one token has about 400 bytes on the way.
            proxy = (SlowLink(port, bytes_per_s=factor * 400 / token_s) if kind == "bytes" else
                     SlowLink(port, delay_s=factor * token_s))
            port = proxy.port
        try:
            causes, report = named(args, folder, [*beside, measure(args, folder, port, load_flags)])
        finally:
            if proxy is not None:
                proxy.close()
    counts = report["load_tests"][0]["document"]["results"][0]["counts"]
    right = not causes if planted is None else causes[:1] == [planted]
    share = report["root_causes"][0]["causes"][0]["share_ratio"] if report["root_causes"][0]["causes"] else 0
    print(f"{'ok ' if right else 'BAD'} {name:<46} {planted or '-':<16} {', '.join(causes) or '-':<40} {share:6.1%}"
          f"  {counts['ok']}/{counts['sent']} ok", flush=True)
    return right


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--model", help="default: the cached one")
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--only", help="cases whose name has this in it")
    args = parser.parse_args()
    args.model_flags = ["--model", args.model] if args.model else []
    try:
        with tempfile.TemporaryDirectory() as folder:
            with Server(args, ["--max-num-seqs", str(PLACES)]) as server:
                def p50(concurrency):
                    result = measure(args, folder, server.port, ["--requests", str(4 * concurrency), "--concurrency", str(concurrency)])
                    return json.loads(result.read_text())["results"][0]["e2el_ms"]["p50"] / 1000
                alone_s, full_s = p50(1), p50(PLACES)
        print(f"a request takes {alone_s:.3f} s alone and {full_s:.3f} s with {PLACES} together\n")
        print(f"    {'server':<46} {'planted':<16} {'named, first to last':<40} {'share':>6}")
        planted = right = clean = false_alarms = 0
        for case in cases(alone_s, full_s):
            if args.only and args.only not in case[0]:
                continue
            with tempfile.TemporaryDirectory() as folder:
                good = play(args, case, full_s / args.tokens, folder)
            if case[1] is None:
                clean, false_alarms = clean + 1, false_alarms + (not good)
            else:
                planted, right = planted + 1, right + good
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        print(f"planted_causes.py: {error}", file=sys.stderr)
        return 3
    print(f"\n{right} of {planted} planted causes named first; {false_alarms} of {clean} clean runs name one")
    return 0 if right >= 0.9 * planted and false_alarms == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
