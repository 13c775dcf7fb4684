#!/usr/bin/env python3
"""Minutes of hostile load on one server: overload, clients that leave, slow readers, garbage, reloads. Afterwards nothing is kept or lost.

    soak_test.py WEIR_BINARY [SECONDS]      SECONDS: 600; the model's path in WEIR_TEST_MODEL

Rounds of some 8 seconds follow one another. In every round at once: `weir load` asks for several times what can be served; clients
leave streams and uploads half-way, with an end or a reset; readers stop reading; senders send what is no HTTP, no JSON or no request;
patient clients with deadlines wait for their answers, of every kind that there is; the keys are reloaded (SIGHUP). After every round
the load ends, and within 5 s nothing may run, wait or hold cache, and a plain request must give the text that it gave at first.

It fails, and says which figure is wrong, unless at the end
  free KV blocks = all of them; descriptors = those at the start; resident memory at most 2 % above that after the warm-up (the first
  fifth of the rounds, at least three: buffers, prefix cache and the ring of ledgers have grown by then);
  every patient client had an answer or an end of its connection by its deadline + 1 s; no 5xx but 504, 501 and 505; of the patient
  clients that were let in at most 2 % ran into their deadline (their deadlines are near what their answers take; 0.1 % is promised
  where they are not); exit code 0 at SIGTERM.
Under a sanitizer time and memory are printed only: it keeps what was freed, and everything takes many times as long.
"""

import collections
import http.client
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

BINARY = sys.argv[1]
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 600
ROUND = 8.0
LONGEST_ROUND = 30.0  # the longest timeout of the clients is 20 s
MODEL = "soaked"
KEYS = {"a": "soak-key-of-a-0001", "b": "soak-key-of-b-0002"}
IS_SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"))
MOST_GROWTH = 0.02
MOST_MISSED = 0.02
IDLE_WITHIN = 150 if IS_SANITIZED else 5
LATE = 60 if IS_SANITIZED else 1.0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    def __init__(self, folder, log):
        self.port, self.control = free_port(), free_port()
        self.keys_file = os.path.join(folder, "keys.toml")
        self.write_keys()
        self.process = subprocess.Popen(
            [BINARY, "serve", "--model", os.environ["WEIR_TEST_MODEL"], "--port", str(self.port), "--control-port", str(self.control),
             "--served-model-name", MODEL, "--max-model-len", "1024", "--max-num-seqs", "8", "--max-num-queued-reqs", "16",
             "--ttft-objective", "2s", "--ledger-ring", "256", "--api-keys-file", self.keys_file], stdout=log, stderr=log)

    def write_keys(self):
        with open(self.keys_file + ".new", "w") as file:
            file.write("".join(f'[[keys]]\nname = "{name}"\nkey = "{key}"\n' for name, key in KEYS.items()))
        os.chmod(self.keys_file + ".new", 0o600)
        os.replace(self.keys_file + ".new", self.keys_file)

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.control, timeout=120)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def state(self):
        return json.loads(self.get("/debug/state"))

    def num_descriptors(self):
        """The fewest within a second: connections that were just closed linger."""
        def count():
            time.sleep(0.05)
            return len(os.listdir(f"/proc/{self.process.pid}/fd"))
        return min(count() for _ in range(20))

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    def wait_ready(self):
        deadline = time.monotonic() + 300
        while True:
            try:
                if json.loads(self.get("/ready")).get("ready"):
                    return
            except OSError:
                pass
            assert self.process.poll() is None and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.1)

    def wait_idle(self):
        """Returns how long it took."""
        start = time.monotonic()
        while True:
            state = self.state()
            blocks = state["kv_blocks"]
            busy = (state["running"], state["waiting"], state["queued_tokens"], state["active_requests"], blocks["total"] - blocks["free"])
            took = time.monotonic() - start
            if not any(busy):
                return took
            assert took - PULSE.stopped_since(start) < IDLE_WITHIN, (f"{IDLE_WITHIN} s after the last client left there still were (running, waiting, queued tokens, "
                                        f"requests, blocks) {busy}")
            time.sleep(0.05)


def post(body, key, path="/v1/completions", more=""):
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n{more}"
            f"Content-Length: {len(payload)}\r\n\r\n").encode() + payload


def text_of(rng, words):
    return " ".join(rng.choice(["once", "upon", "a", "time", "there", "was", "some", "river", "\u00e9t\u00e9", "\u732b"]) for _ in range(words))


def any_request(rng):
    """(path, body) of a sound request, of every kind that is served."""
    common = {"model": MODEL, "max_tokens": rng.randrange(1, 60), "stream": rng.random() < 0.5, "seed": rng.randrange(1 << 30)}
    prompt = text_of(rng, rng.randrange(1, 200))
    messages = [{"role": "user", "content": prompt[:300]}]
    schema = {"type": "object", "properties": {f"p{rng.randrange(1000)}": {"type": "integer"}, "s": {"type": "string", "maxLength": 5}},
              "required": ["s"], "additionalProperties": False}
    kind = rng.randrange(8)
    if kind == 0:
        return "/v1/completions", {**common, "prompt": [prompt, "b"], "n": 2, "logprobs": 3}
    if kind == 1:
        return "/v1/completions", {**common, "prompt": prompt[:400], "max_tokens": 0, "echo": True, "logprobs": 1, "stream": False}
    if kind == 2:
        return "/v1/chat/completions", {**common, "messages": messages, "stop": ["e", "\n"], "service_tier": rng.choice(["flex", "auto"])}
    if kind == 3:
        return "/v1/chat/completions", {**common, "messages": messages, "response_format":
                                        {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}
    if kind == 4:
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        return "/v1/chat/completions", {**common, "messages": messages, "tools": [tool], "tool_choice": rng.choice(["auto", "required"])}
    if kind == 5:
        return "/tokenize", {"model": MODEL, "prompt": prompt}
    return "/v1/completions", {**common, "prompt": prompt, "temperature": rng.random() * 2, "top_p": 0.9, "presence_penalty": 1.0}


GARBAGE_BODIES = [b"", b"null", b"[]", b"{", b"{\"model\":\"soaked\",\"model\":1}", b"[" * 5000, b"\xff\xfe\x00", b"{\"model\":\"nobody\",\"prompt\":\"a\"}",
                  b'{"model":"soaked","prompt":"a","max_tokens":-1}', b'{"model":"soaked","prompt":[[]]}', b'{"model":"soaked","prompt":[999999999]}',
                  b'{"model":"soaked","messages":[{"role":"user","content":[{"type":"image_url"}]}]}', b'{"model":"soaked","prompt":"a","n":1000000}',
                  b'{"model":"soaked","prompt":"a","response_format":{"type":"json_schema","json_schema":{"schema":{"pattern":"(?<=x)"}}}}']


def any_garbage(rng, key):
    kind = rng.randrange(9)
    if kind == 0:
        return rng.randbytes(rng.randrange(1, 4000))
    if kind == 1:
        return post(rng.choice(GARBAGE_BODIES), key, rng.choice(["/v1/completions", "/v1/chat/completions", "/tokenize"]))
    if kind == 2:
        return b"GET /" + rng.randbytes(20) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    if kind == 3:
        return b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"
    if kind == 4:
        return b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * rng.randrange(1, 5000) + b"\r\n"
    if kind == 5:
        return post({"model": MODEL, "prompt": "a"}, rng.choice(["", "wrong", key + "x"]))
    if kind == 6:
        whole = bytearray(post({"model": MODEL, "prompt": "a", "max_tokens": 4}, key))
        for _ in range(rng.randrange(1, 6)):
            whole[rng.randrange(len(whole))] = rng.randrange(256)
        return bytes(whole)
    if kind == 7:
        return f"{rng.choice(['HEAD', 'OPTIONS', 'DELETE', 'BREW'])} /v1/models HTTP/1.{rng.randrange(3)}\r\nHost: localhost\r\n\r\n".encode() * 20
    return (b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer " + key.encode() +
            b"\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(b"1;" + b"x" * 50 + b"\r\na\r\n" for _ in range(400)))


class Pulse:
    """Notices when all of this stood still: a machine that others use stops processes, and who was stopped was not late."""

    INTERVAL, LONGEST = 0.05, 0.3

    def __init__(self):
        self.gaps = []
        threading.Thread(target=self.beat, daemon=True).start()

    def beat(self):
        last = time.monotonic()
        while True:
            time.sleep(self.INTERVAL)
            now = time.monotonic()
            if now - last > self.LONGEST:
                self.gaps.append((last, now))
            last = now

    def stopped_since(self, start):
        return sum(end - max(start, begin) for begin, end in self.gaps if end > start)


PULSE = Pulse()


class Crowd:
    """The threads of one round. What is wrong with an answer is kept, not raised: the others go on."""

    def __init__(self, server, seed, until):
        self.server, self.until = server, until
        self.counts = collections.Counter()
        self.wrong = []
        self.latest = 0.0  # of the patient: seconds after the deadline
        self.last = ""  # the kind of client that ended last
        self.lock = threading.Lock()
        kinds = [self.leave] * 5 + [self.read_slowly] * 2 + [self.send_garbage] * 3 + [self.wait_patiently] * 6 + [self.reload]
        self.threads = [threading.Thread(target=self.run, args=(kind, random.Random(seed * 1000 + i))) for i, kind in enumerate(kinds)]
        for thread in self.threads:
            thread.start()

    def run(self, kind, rng):
        try:
            while time.monotonic() < self.until:
                kind(rng)
        except Exception as error:  # pylint: disable=broad-except
            self.complain(f"{kind.__name__}: {error!r}")
        with self.lock:
            self.last = kind.__name__

    def complain(self, what):
        with self.lock:
            self.wrong.append(what)

    def count(self, what):
        with self.lock:
            self.counts[what] += 1

    def connect(self, receive_buffer=0):
        one = socket.socket()
        if receive_buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        one.settimeout(120)
        one.connect(("127.0.0.1", self.server.port))
        return one

    def key(self, rng):
        return KEYS[rng.choice("ab")]

    def leave(self, rng):
        path, body = any_request(rng)
        whole = post({**body, "max_tokens": 400, "ignore_eos": True} if "prompt" in body and "max_tokens" in body else body, self.key(rng), path)
        with self.connect() as one:
            try:
                one.sendall(whole[:rng.randrange(1, len(whole))] if rng.random() < 0.3 else whole)
                if rng.random() < 0.2:
                    one.shutdown(socket.SHUT_WR)
                one.settimeout(rng.random())
                if rng.random() < 0.7:
                    one.recv(rng.randrange(1, 3000))
            except OSError:
                pass  # refused or cut off: that is the server's right
            if rng.random() < 0.5:  # with a reset instead of an end
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.count("left")
        time.sleep(rng.random() * 0.1)

    def read_slowly(self, rng):
        """Large events and a small window: the server's buffer for it grows until it is cut off, or its client goes."""
        body = {"model": MODEL, "prompt": "Once upon a time", "max_tokens": 600, "stream": True, "ignore_eos": True, "logprobs": 20}
        with self.connect(receive_buffer=2048) as one:
            try:
                # A refusal ends the connection, else its reader would wait for more until the idle connection is closed.
                one.sendall(post(body, self.key(rng), more="Connection: close\r\n"))
                while time.monotonic() < self.until and rng.random() < 0.95:
                    time.sleep(0.3)
                    if rng.random() < 0.3 and not one.recv(100):
                        break
            except OSError:
                pass
        self.count("read slowly")

    def send_garbage(self, rng):
        with self.connect() as one:
            try:
                one.sendall(any_garbage(rng, self.key(rng)))
                one.shutdown(socket.SHUT_WR)
                one.settimeout(20)
                status = one.recv(65536)[:12]
            except OSError:
                status = b""
        self.count("garbage")
        time.sleep(0.01)
        if status.startswith(b"HTTP/1.") and status[9:10] == b"5" and status[9:12] not in (b"501", b"505"):
            self.complain(f"garbage was answered with {status!r}")

    def wait_patiently(self, rng):
        path, body = any_request(rng)
        allowed = rng.choice([0.3, 1.0, 3.0])
        with self.connect() as one:
            start = time.monotonic()
            answer = b""
            try:
                one.sendall(post(body, self.key(rng), path, f"x-request-timeout-ms: {int(1000 * allowed)}\r\nConnection: close\r\n"))
                while part := one.recv(65536):
                    answer += part
            except ConnectionError:
                pass
            except TimeoutError:
                self.complain(f"{path} {body} had no end within 120 s")
        late = time.monotonic() - start - allowed
        if late > LATE:
            time.sleep(2 * Pulse.INTERVAL)  # until the pulse has noticed too
            late -= PULSE.stopped_since(start)
        status = answer[9:12].decode("latin-1")
        # A stream's head is sent with its first token, so its status cannot say what became of it.
        self.count("504 in a stream" if status == "200" and b'"code":"deadline_exceeded"' in answer else status or "closed")
        time.sleep(0.1 if status == "429" else 0)
        with self.lock:
            self.latest = max(self.latest, late)
        if late > LATE:
            self.complain(f"{path} {body} ended {late:.2f} s after its deadline of {allowed} s, status {status!r}")
        if status not in ("200", "429", "504", ""):
            self.complain(f"{path} {body}: {answer[:300]!r}")

    def reload(self, rng):
        time.sleep(1 + rng.random())
        self.server.write_keys()
        self.server.process.send_signal(signal.SIGHUP)
        self.count("reloads")

    def end(self):
        for thread in self.threads:
            thread.join()
        assert not self.wrong, f"{len(self.wrong)} wrong answers, the first: {self.wrong[0]}"


def overload(server, folder, rng, seconds):
    done = subprocess.run([BINARY, "load", "--url", f"http://127.0.0.1:{server.port}", "--output", os.path.join(folder, "load.json"),
                           "--allow-invalid", "--warmup", "0", "--request-rate", "30", "--requests", str(int(30 * seconds)), "--max-tokens", "60",
                           "--timeout", str(rng.choice([0.5, 2, 20]))], env={**os.environ, "WEIR_API_KEY": KEYS["a"]},
                          capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"weir load ended with {done.returncode}: {done.stderr}"
    with open(os.path.join(folder, "load.json")) as results:
        result = json.load(results)["results"][0]
    # Whoever was not served ran into its own timeout, or was told so.
    classes = {error["class"] for error in result["errors"] if error["outcome"] == "failed"}
    assert classes <= {"timeout", "deadline_dropped"}, f"weir load: {result['errors']}"
    return result["counts"]


def plain_answer(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    try:
        connection.request("POST", "/v1/completions", json.dumps({"model": MODEL, "prompt": "The capital of France is", "max_tokens": 8,
                                                                  "temperature": 0}),
                           {"Content-Type": "application/json", "Authorization": "Bearer " + KEYS["b"], "Connection": "close"})
        return json.loads(connection.getresponse().read())["choices"][0]["text"]
    finally:
        connection.close()


def soak(server, folder):
    rng = random.Random(7)
    server.wait_ready()
    expected = plain_answer(server)
    server.wait_idle()
    total_blocks = server.state()["kv_blocks"]["total"]
    descriptors = server.num_descriptors()
    start = time.monotonic()
    all_counts, memory, latest, slowest_idle = collections.Counter(), [], 0.0, 0.0
    warm = None
    while time.monotonic() < start + SECONDS or len(memory) < 4:
        begun = time.monotonic()
        crowd = Crowd(server, len(memory), time.monotonic() + ROUND)
        counts = overload(server, folder, rng, ROUND)
        crowd.end()
        lasted = time.monotonic() - begun - PULSE.stopped_since(begun)
        assert IS_SANITIZED or lasted < LONGEST_ROUND, f"round {len(memory)} lasted {lasted:.0f} s; the last to end: {crowd.last}"
        assert server.process.poll() is None, f"the server ended with {server.process.returncode}"
        idle = server.wait_idle()
        text = plain_answer(server)
        assert text == expected, f"round {len(memory)}: {text!r} instead of {expected!r}"
        memory.append(server.resident_bytes())
        if warm is None and len(memory) >= 3 and time.monotonic() >= start + SECONDS / 5:
            warm = memory[-1]
        all_counts.update(crowd.counts)
        all_counts["load"] += counts["sent"]
        latest, slowest_idle = max(latest, crowd.latest), max(slowest_idle, idle)
        print(f"round {len(memory)}, {time.monotonic() - start:.0f} s: {dict(crowd.counts)}, load {counts}; idle after {idle:.2f} s, "
              f"{memory[-1] / 2**20:.1f} MiB", flush=True)
    left = server.num_descriptors()
    free = server.state()["kv_blocks"]["free"]
    growth = memory[-1] / warm - 1
    num_missed = all_counts["504"] + all_counts["504 in a stream"]
    missed = num_missed / max(1, num_missed + all_counts["200"])
    print(f"{time.monotonic() - start:.0f} s, {len(memory)} rounds: {dict(all_counts)}\n"
          f"free KV blocks {free} of {total_blocks}; descriptors {left}, at the start {descriptors}; memory "
          f"{warm / 2**20:.1f} MiB after the warm-up, {memory[-1] / 2**20:.1f} MiB at the end: {100 * growth:+.2f} %; the latest patient client "
          f"ended {latest:.2f} s after its deadline; idle at most {slowest_idle:.2f} s after the load; {num_missed} of the patient that were let in missed "
          f"their deadline: {100 * missed:.2f} %; everything stood still for {PULSE.stopped_since(start):.1f} s", flush=True)
    assert free == total_blocks, f"{total_blocks - free} KV blocks are still in use"
    assert left == descriptors, f"descriptors: {left} instead of {descriptors}"
    assert IS_SANITIZED or growth <= MOST_GROWTH, f"memory grew by {100 * growth:.2f} %, at most {100 * MOST_GROWTH} % may be"
    assert IS_SANITIZED or missed <= MOST_MISSED, f"{100 * missed:.2f} % missed their deadline, at most {100 * MOST_MISSED} % may"
    server.process.send_signal(signal.SIGTERM)
    code = server.process.wait(timeout=120)
    assert code == 0, f"after SIGTERM the server ended with {code}"


def main():
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "server.log"), "w+") as log:
        server = Server(folder, log)
        try:
            soak(server, folder)
        except BaseException:
            server.process.kill()
            server.process.wait()
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise


if __name__ == "__main__":
    main()
