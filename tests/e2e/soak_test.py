#!/usr/bin/env python3
"""Minutes of hostile load on one server: overload, clients that leave, slow readers. Afterwards nothing is kept or lost.

Run as: soak_test.py WEIR_BINARY [ROUNDS], with the model's path in WEIR_TEST_MODEL. After every round the cache must be empty
and a plain request must be served; the memory of the last round must be that of the third, when all buffers have grown.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

BINARY = sys.argv[1]
MODEL = "soaked"
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 12
KEPT_BYTES = 24 << 20  # allocator and page cache of the model may move by this


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def get(url, body=None):
    request = urllib.request.Request(url, data=None if body is None else json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.read()


def gauge(url, name):
    for line in get(url + "/metrics").decode().splitlines():
        if line.startswith(name) and not line.startswith("#"):
            return float(line.rsplit(" ", 1)[1])
    raise AssertionError(f"no metric {name}")


def resident_bytes(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def leave_early(port, rng, until):
    """Streams whose reader goes away after a random part, reads nothing, or never ends its request."""
    body = json.dumps({"model": MODEL, "prompt": "Once upon a time", "max_tokens": 400, "stream": True, "ignore_eos": True}).encode()
    head = b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    whole = head % len(body) + body
    while time.monotonic() < until:
        with socket.create_connection(("127.0.0.1", port)) as one:
            one.settimeout(5)
            try:
                one.sendall(whole[:rng.randrange(1, len(whole))] if rng.random() < 0.2 else whole)
                if rng.random() < 0.7:
                    one.recv(rng.randrange(1, 3000))
                time.sleep(rng.random() * 0.2)
            except OSError:
                pass  # refused or cut off: that is the server's right
            if rng.random() < 0.5:  # with a reset instead of an end
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def load(url, folder, *flags):
    done = subprocess.run([BINARY, "load", "--url", url, "--output", os.path.join(folder, "load.json"), "--allow-invalid",
                           "--warmup", "0", *flags], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"weir load ended with {done.returncode}: {done.stderr}"
    with open(os.path.join(folder, "load.json")) as results:
        return json.load(results)["results"][0]


def wait_until_idle(url):
    deadline = time.monotonic() + 30
    while gauge(url, "vllm:kv_cache_usage_perc") > 0 or gauge(url, "vllm:num_requests_running") > 0:
        assert time.monotonic() < deadline, "the server still holds cache or requests 30 s after the last client left"
        time.sleep(0.1)


def main():
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    rng = random.Random(7)
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "server.log"), "w+") as log:
        server = subprocess.Popen([BINARY, "serve", "--model", os.environ["WEIR_TEST_MODEL"], "--port", str(port), "--control-port",
                                   "0", "--served-model-name", MODEL, "--max-model-len", "1024", "--max-num-seqs", "8", "--max-num-queued-reqs", "16"],
                                  stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    get(url + "/ready")
                    break
                except OSError:
                    assert server.poll() is None and time.monotonic() < deadline, "the server did not start"
                    time.sleep(0.1)
            answer = {"model": MODEL, "prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}
            expected = json.loads(get(url + "/v1/completions", answer))["choices"][0]["text"]
            memory = []
            for number in range(ROUNDS):
                leavers = [threading.Thread(target=leave_early, args=(port, random.Random(rng.random()), time.monotonic() + 8))
                           for _ in range(6)]
                for leaver in leavers:
                    leaver.start()
                result = load(url, folder, "--request-rate", "40", "--requests", "240", "--max-tokens", "60", "--timeout",
                              str(rng.choice([0.5, 2, 20])))
                for leaver in leavers:
                    leaver.join()
                assert server.poll() is None, f"the server ended with {server.returncode}"
                # Whoever was not served ran into its own timeout, or was told so.
                classes = {error["class"] for error in result["errors"] if error["outcome"] == "failed"}
                assert classes <= {"timeout", "deadline_dropped"}, f"round {number}: {result['errors']}"
                wait_until_idle(url)
                text = json.loads(get(url + "/v1/completions", answer))["choices"][0]["text"]
                assert text == expected, f"round {number}: {text!r} instead of {expected!r}"
                memory.append(resident_bytes(server.pid))
                print(f"round {number + 1} of {ROUNDS}: {result['counts']}, {memory[-1] >> 20} MiB", flush=True)
            # AddressSanitizer keeps what was freed.
            if len(memory) > 3 and "ASAN_OPTIONS" not in os.environ:
                assert memory[-1] <= memory[2] + KEPT_BYTES, f"memory grew from {memory[2]} to {memory[-1]} bytes"
            server.send_signal(signal.SIGTERM)
            assert server.wait(timeout=60) == 0, f"after SIGTERM the server ended with {server.returncode}"
        except BaseException:
            server.kill()
            server.wait()
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise


if __name__ == "__main__":
    main()
