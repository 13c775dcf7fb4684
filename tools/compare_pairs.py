#!/usr/bin/env python3
"""Does `weir compare` call equal sides equal, and find a planted slowdown of 5 %? With real runs, real clocks and real pairs.

    compare_pairs.py --weir build/release/weir [--pairs 5] [--runs 10] [--slower 5] [--engine]

A pair is two commands that weir runs in turns. Both are `weir load` against a server that paces its answers by the clock (30 ms to
the first token, then one every 10 ms); of the planted pairs B's server takes --slower percent longer over both. So the slowdown
is known, which no flag of an engine would make sure of. --engine adds --pairs equal pairs of `weir bench` on a small synthetic
model, whose speed is whatever this machine gives.

Exit code: 0 no equal pair reads as worse and all planted ones but one in five do, 1 not, 3 something did not run.
"""
import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import threading

FIRST_S, GAP_S = 0.030, 0.010


async def answer(reader, writer, factor):
    """One connection: models, or a paced stream of as many tokens as asked for."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = await reader.readexactly(length)
            begun = loop.time()
            if head.startswith(b"GET /v1/models"):
                send(writer, json.dumps({"data": [{"id": "paced"}]}).encode(), "200 OK")
                continue
            if not head.startswith(b"POST /v1/chat/completions"):
                send(writer, b"{}", "404 Not Found")
                continue
            tokens = json.loads(body)["max_tokens"]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(tokens):
                await asyncio.sleep(max(0, begun + factor * (FIRST_S + i * GAP_S) - loop.time()))
                event(writer, {"choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]})
            event(writer, {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
            event(writer, {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": tokens}})
            piece(writer, b"data: [DONE]\n\n")
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def send(writer, body, status):
    writer.write(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def piece(writer, data):
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def event(writer, document):
    piece(writer, b"data: " + json.dumps(document).encode() + b"\n\n")


class PacedServer:
    def __init__(self, factor):
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def serve():
            server = await asyncio.start_server(lambda r, w: answer(r, w, factor), "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await server.serve_forever()

        threading.Thread(target=lambda: self.loop.run_until_complete(serve()), daemon=True).start()
        ready.wait()

    def command(self):
        return (f"weir load --url http://127.0.0.1:{self.port} --requests 20 --concurrency 4 --max-tokens 20 --warmup 4 "
                "--allow-invalid")


ENGINE = ("weir bench --load-format dummy --shape smollm2-135m --quantization q8_0 --batch-sizes 4 --num-prompts 4 "
          "--max-tokens 16 --repeats 1 --warmup 1 --max-model-len 512 --allow-invalid")


def compare(args, a, b):
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/compare.json"
        done = subprocess.run([args.weir, "compare", a, b, "--runs", str(args.runs), "--output", out],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode not in (0, 1, 5):
            raise RuntimeError(f"weir compare ended with {done.returncode}: {done.stdout[-400:]}")
        with open(out, encoding="utf-8") as file:
            return json.load(file)


def shifts(comparison):
    return ", ".join(f"{m['metric']} {m['shift_ratio']:+.1%}" for m in comparison["metrics"] if m["shift_ratio"] is not None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=10, help="of each side of a pair")
    parser.add_argument("--slower", type=float, default=5, help="percent")
    parser.add_argument("--engine", action="store_true")
    args = parser.parse_args()
    try:
        usual, slower = PacedServer(1), PacedServer(1 + args.slower / 100)
        kinds = [("equal", usual.command(), usual.command()), ("planted", usual.command(), slower.command())]
        if args.engine:
            kinds.append(("equal engines", ENGINE, ENGINE))
        worse = {kind: 0 for kind, _, _ in kinds}
        for pair in range(args.pairs):
            for kind, a, b in kinds:
                comparison = compare(args, a, b)
                worse[kind] += comparison["verdict"] == "worse"
                print(f"pair {pair + 1}, {kind:<14} {comparison['verdict']:<13} {shifts(comparison)} {comparison['reason']}",
                      flush=True)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        print(f"compare_pairs.py: {error}", file=sys.stderr)
        return 3
    found = worse.pop("planted")
    print(f"\n{found} of {args.pairs} planted slowdowns of {args.slower:g} % found; "
          f"{sum(worse.values())} of {len(worse) * args.pairs} equal pairs read as worse")
    return 0 if found >= args.pairs - args.pairs // 5 and sum(worse.values()) == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
