#!/usr/bin/env python3
"""Asks a real server for more than it can do, and says what it kept of its promises.

    tools/overload.py build/release/weir                 # about 6 minutes
    tools/overload.py build/release/weir --seconds 60 --repeats 3
    tools/overload.py build/release/weir --only long-prompt

Workload: prompts of 64 to 256 and answers of 32 to 96 tokens, both uniform; Poisson arrivals, streamed, no retries, over kept-alive
connections. Goodput counts answers with TTFT <= 2 s and mean ITL <= 100 ms. Capacity is the highest rate of the sweep at which
99 % are that good; peak rate the one with the best goodput. Client and server share the machine, so both are what remains for the server.

Points, each printed with its figures; exit code 1 when one fails:
  goodput      at 1, 2, 5 and 10 x capacity: >= 95 % of the peak, measured anew in every round (at 1 x: of what was offered);
               p99 TTFT of the admitted <= 2 s; medians of --repeats rounds
  rejection-cpu  an idle engine, 20,000 requests that cannot meet their deadline: <= 50 us of the server process's CPU each
  rejections   at 10 x: p99 <= 10 ms from the last byte sent to the last received; every 429 has Retry-After; no 503
  metrics      at 10 x: /metrics of the control listener, ten times a second: p99 <= 10 ms, none above 50 ms, 128 KiB at most
               prediction: median error <= 20 %, p90 <= 50 %, of those with TTFT >= 50 ms, at 1 and 2 x
  retries      10 s at 5 x, then nothing new: >= 90 % of those who wait exactly their retry-after-ms are admitted then
  fairness     two keys that offer 0.6 and 6 x: Jain index over what they were served >= 0.95
  recovery     30 s at 10 x, then 0.5 x: after 5 s no rejection, p99 TTFT <= 2 s
  deadlines    at 1, 2, 5 and 10 x, and in waves of 3 s at 5 x with quiet between: every client sets a deadline for its whole answer, 1 to 3
               times what one of its length takes at capacity (--usual-at: at another rate; --usual: as given), or 10 s (one in five): 504 <= 0.1 % of the
               admitted, and how many more were dropped while they waited
  long-prompt  one prompt of 4,000 tokens among 8 decoding streams: no stream's p99 ITL above 2 x the ITL objective
Every level says how much of the machine others took (steal): figures of levels with much of it compare badly.
Standard library only.
"""
import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

MOST_TTFT = 2.0
MOST_ITL = 0.1
ITL_OBJECTIVE = 0.05
KEYS = {"modest": "modest-0123456789", "greedy": "greedy-0123456789"}
ROOT = Path(__file__).resolve().parent.parent


def percentile(values, share):
    if not values:
        return float("nan")
    values = sorted(values)
    return values[max(0, min(len(values) - 1, -(-int(share * 1000) * len(values) // 1000) - 1))]


class Answer:
    def __init__(self, due):
        self.due = due  # when it should have been sent: waiting in the client counts as the server's
        self.status = 0
        self.code = ""
        self.sent = self.first = self.ended = None
        self.gaps = []
        self.tokens = 0
        self.has_retry_after = False
        self.predicted = None
        self.retry_after = None
        self.allowed = None  # seconds, for the whole answer

    @property
    def ttft(self):
        return self.first - self.due if self.first else None

    @property
    def is_good(self):
        mean = sum(self.gaps) / len(self.gaps) if self.gaps else 0
        return self.ttft is not None and self.ttft <= MOST_TTFT and mean <= MOST_ITL and not self.code


class Client:
    """A pool of kept-alive connections, each speaking as much HTTP as this server answers."""

    def __init__(self, port, key=None):
        self.port = port
        self.more = f"Authorization: Bearer {key}\r\n" if key else ""
        self.idle = []

    async def post(self, body, answer):
        payload = json.dumps(body).encode()
        deadline = f"x-request-timeout-ms: {1000 * answer.allowed:.0f}\r\n" if answer.allowed else ""
        head = (
            f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nContent-Type: application/json\r\n{self.more}"
            f"{deadline}Content-Length: {len(payload)}\r\n\r\n"
        ).encode()
        for attempt in range(2):
            kept = bool(self.idle) and attempt == 0
            connection = self.idle.pop() if kept else await asyncio.open_connection("127.0.0.1", self.port)
            try:
                return await self.exchange(connection, head + payload, answer)
            except (ConnectionError, asyncio.IncompleteReadError):
                connection[1].close()
                if not kept:
                    answer.code = answer.code or "connection"
                    return None

    async def exchange(self, connection, payload, answer):
        reader, writer = connection
        writer.write(payload)
        await writer.drain()
        answer.sent = time.monotonic()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        answer.status = int(lines[0].split()[1])
        headers = dict((k.lower(), v.strip()) for k, v in (line.split(":", 1) for line in lines[1:] if ":" in line))
        answer.has_retry_after = "retry-after" in headers and "retry-after-ms" in headers
        if answer.has_retry_after:
            answer.retry_after = float(headers["retry-after-ms"]) / 1000
        if "x-predicted-ttft-ms" in headers:
            answer.predicted = float(headers["x-predicted-ttft-ms"]) / 1000
        if "content-length" in headers:
            text = await reader.readexactly(int(headers["content-length"]))
            if answer.status != 200:
                answer.code = json.loads(text)["error"]["code"]
        else:
            await self.read_events(reader, answer)
        answer.ended = time.monotonic()
        if headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self.idle.append(connection)

    async def read_events(self, reader, answer):
        last = None
        while True:
            size = int(await reader.readline(), 16)
            chunk = await reader.readexactly(size + 2)
            if size == 0:
                return
            now = time.monotonic()
            for event in chunk[:-2].split(b"\n\n"):
                if event.startswith(b'data: {"error"'):
                    answer.code = json.loads(event[6:])["error"]["code"]
                elif event.startswith(b"data: {") and b'"finish_reason":null' in event:
                    answer.tokens += 1
                    if last is None:
                        answer.first = now
                    else:
                        answer.gaps.append(now - last)
                    last = now


def random_body(rng, model, prompt=(64, 256), output=(32, 96)):
    return {
        "model": model,
        "prompt": [rng.randrange(1000, 20000) for _ in range(rng.randint(*prompt))],
        "max_tokens": rng.randint(*output),
        "ignore_eos": True,
        "temperature": 0,
        "stream": True,
    }


class Scraper:
    """Reads /metrics of the control listener ten times a second, in a process of its own: this one is busy."""

    SCRIPT = """
import http.client, sys, time
took, size = [], 0
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    start = time.monotonic()
    connection.request("GET", "/metrics")
    size = max(size, len(connection.getresponse().read()))
    took.append(time.monotonic() - start)
    time.sleep(0.1)
print(size, *took)
"""

    def __init__(self, control_port, seconds):
        self.process = subprocess.Popen([sys.executable, "-c", self.SCRIPT, str(control_port), str(seconds)],
                                        stdout=subprocess.PIPE, text=True)

    def result(self):
        size, *took = self.process.communicate(timeout=60)[0].split()
        return int(size), [float(one) for one in took]


def stolen():
    """Seconds of CPU that the host gave to others, and seconds of all CPUs."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(part) for part in file.readline().split()[1:9]]
    return ticks[7], sum(ticks)


async def offer(client, model, phases, seed, first_retry=None, allow=None):
    """Poisson arrivals at (rate, seconds) after one another; returns the answers with the second of their arrival.

    first_retry: a list that gets (second, answer) of the one retry of everybody who was refused.
    allow: gives the deadline of an answer by its body, in seconds."""
    rng = random.Random(seed)
    start = time.monotonic() + 0.05
    tasks, answers = [], []
    begin = 0.0
    for rate, seconds in phases:
        at = begin + rng.expovariate(rate)
        while at < begin + seconds:
            await asyncio.sleep(max(0.0, start + at - time.monotonic()))
            answer = Answer(start + at)
            answers.append((at, answer))
            body = random_body(rng, model)
            if allow:
                answer.allowed = allow(rng, body)
            tasks.append(asyncio.create_task(post_and_retry(client, body, answer, start, first_retry)))
            at += rng.expovariate(rate)
        begin += seconds
    await asyncio.wait_for(asyncio.gather(*tasks), 120)
    return answers


async def post_and_retry(client, body, answer, start, retries):
    await client.post(body, answer)
    if retries is None or answer.status != 429:
        return
    await asyncio.sleep(max(0.0, answer.ended + answer.retry_after - time.monotonic()))
    again = Answer(time.monotonic())
    retries.append((again.due - start, again))
    await client.post(body, again)


class Level:
    def __init__(self, rate, seconds, answers, before=None):
        self.rate, self.seconds = rate, seconds
        now = stolen()
        self.steal = (now[0] - before[0]) / max(1, now[1] - before[1]) if before else float("nan")
        self.answers = [answer for _, answer in answers]
        good = [a for a in self.answers if a.is_good]
        self.goodput = len(good) / seconds
        self.good_share = len(good) / max(1, len(self.answers))
        self.offered = len(self.answers) / seconds
        self.admitted = [a for a in self.answers if a.first]
        self.refused = [a for a in self.answers if a.status == 429]
        self.p99_ttft = percentile([a.ttft for a in self.admitted], 0.99)
        self.p99_refusal = percentile([a.ended - a.sent for a in self.refused], 0.99)
        self.codes = {}
        for answer in self.answers:
            if answer.code:
                self.codes[answer.code] = self.codes.get(answer.code, 0) + 1
        errors = [abs(a.predicted - a.ttft) / a.ttft for a in self.admitted if a.predicted and a.ttft >= 0.05]
        self.prediction_error = percentile(errors, 0.5)
        self.p90_prediction_error = percentile(errors, 0.9)

    def show(self, name):
        print(
            f"{name:>12}  {self.offered:6.1f}/s offered  goodput {self.goodput:5.2f}/s  p50 TTFT "
            f"{percentile([a.ttft for a in self.admitted], 0.5):.3f} s  p99 {self.p99_ttft:.3f} s  "
            f"429: {len(self.refused):4d}, p99 {1e3 * self.p99_refusal:.1f} ms  "
            f"prediction off by {100 * self.prediction_error:.0f} %, p90 {100 * self.p90_prediction_error:.0f} %  "
            f"steal {100 * self.steal:.0f} %  {self.codes or ''}",
            flush=True,
        )


class Points:
    def __init__(self):
        self.failed = []

    def check(self, what, holds):
        print(f"  {'ok  ' if holds else 'FAIL'} {what}", flush=True)
        if not holds:
            self.failed.append(what)


async def measure(client, model, rate, seconds, seed, name):
    before = stolen()
    level = Level(rate, seconds, await offer(client, model, [(rate, seconds)], seed), before)
    level.show(name)
    return level


async def sweep(client, model, args):
    """The capacity, and the rate at which the goodput was best."""
    capacity, peak, rate_of_peak, rate = 0.0, 0.0, 0.0, args.first_rate
    misses = 0
    while misses < 3:
        level = await measure(client, model, rate, args.seconds, int(rate * 100), f"{rate:.1f}/s")
        if level.goodput > peak:
            peak, rate_of_peak = level.goodput, rate
        if level.good_share >= 0.99:
            capacity, misses = max(capacity, rate), 0
        else:
            misses += 1
        rate *= 1.3
    print(f"capacity {capacity:.1f}/s, peak goodput {peak:.2f}/s at {rate_of_peak:.1f}/s", flush=True)
    return capacity, rate_of_peak


async def overload(client, model, args, capacity, rate_of_peak, points):
    """Rounds, so that a machine that becomes faster or slower does so for the peak as well: what is compared lies a minute apart."""
    rounds, scrapes, size = [], [], 0
    for number in range(args.repeats):
        levels = {"peak": await measure(client, model, rate_of_peak, args.seconds, 6000 + number, "peak")}
        for factor in (1, 2, 5, 10):
            scraper = Scraper(args.control_port, args.seconds) if factor == 10 else None
            levels[factor] = await measure(client, model, factor * capacity, args.seconds, 7000 + 10 * factor + number, f"{factor} x")
        rounds.append(levels)
        size, took = scraper.result()
        scrapes += took
    for factor in (1, 2, 5, 10):
        levels = [levels[factor] for levels in rounds]
        # Nobody can be served who does not ask: at its capacity, which lies below the peak, what was offered is the most there is.
        bases = [min(level.offered, others["peak"].goodput) if factor == 1 else others["peak"].goodput
                 for level, others in zip(levels, rounds)]
        shares = sorted(level.goodput / base for level, base in zip(levels, bases))
        share = percentile(shares, 0.5)
        points.check(f"{factor} x: goodput in the median {100 * share:.1f} % ({', '.join(f'{100 * one:.0f}' for one in shares)}) of "
                     f"{'what was offered' if factor == 1 else 'the peak of the same round'}, 95 % wanted", share >= 0.95)
        worst = percentile([level.p99_ttft for level in levels], 0.5)
        points.check(f"{factor} x: p99 TTFT of the admitted {worst:.3f} s, at most {MOST_TTFT} s", worst <= MOST_TTFT)
        if factor <= 2:
            off = percentile([level.prediction_error for level in levels], 0.5)
            p90 = percentile([level.p90_prediction_error for level in levels], 0.5)
            points.check(f"{factor} x: predictions off by {100 * off:.0f} % (p90 {100 * p90:.0f} %), at most 20 % (50 %)",
                         off <= 0.2 and p90 <= 0.5)
        if factor == 10:
            refusal = percentile([level.p99_refusal for level in levels], 0.5)
            points.check(f"10 x: p99 of a refusal {1e3 * refusal:.2f} ms, at most 10 ms", refusal <= 0.010)
            slow, slowest = percentile(scrapes, 0.99), max(scrapes)
            points.check(f"10 x: p99 of {len(scrapes)} scrapes of /metrics {1e3 * slow:.2f} ms, slowest {1e3 * slowest:.2f} ms, {size} bytes; "
                         "at most 10 ms, 50 ms and 131,072 bytes", slow <= 0.010 and slowest <= 0.050 and size <= 131072)
        everybody = [answer for level in levels for answer in level.answers]
        points.check(f"{factor} x: every 429 has Retry-After",
                     all(a.has_retry_after for a in everybody if a.status == 429))
        points.check(f"{factor} x: nothing but 200 and 429", all(a.status in (200, 429) for a in everybody))


async def recovery(client, model, capacity, points):
    answers = await offer(client, model, [(10 * capacity, 30), (0.5 * capacity, 25)], 99)
    after = Level(0.5 * capacity, 20, [(at, answer) for at, answer in answers if at >= 35])
    after.show("recovered")
    points.check(f"recovery: {len(after.refused)} refused from 5 s after the overload on", not after.refused)
    points.check(f"recovery: p99 TTFT {after.p99_ttft:.3f} s", after.p99_ttft <= MOST_TTFT)


async def retries(client, model, capacity, points):
    again = []
    await offer(client, model, [(5 * capacity, 10)], 98, again)
    admitted = [answer for _, answer in again if answer.first]
    late = [answer for at, answer in again if at >= 10]
    points.check(f"retries: {len(admitted)} of {len(again)} admitted at the first, {100 * len(admitted) / len(again):.1f} %; of "
                 f"{len(late)} after the overload {len([a for a in late if a.first])}", len(admitted) >= 0.9 * len(again))


class Missed:
    """Of clients with deadlines: who was let in, who of them had an answer in time, and who had none."""

    def __init__(self, answers):
        codes = [answer.code for _, answer in answers]
        self.refused = sum(answer.status == 429 and answer.code != "deadline_expired" for _, answer in answers)
        self.unmeetable = codes.count("deadline_unmeetable")
        # Both also inside a stream, whose head may be out already. Who is dropped from the queue had been let in.
        self.exceeded = codes.count("deadline_exceeded")
        self.dropped = codes.count("deadline_expired")
        self.admitted = len(answers) - self.refused
        self.in_time = sum(answer.status == 200 and not answer.code for _, answer in answers)
        self.exceeded_at = [at for at, answer in answers if answer.code == "deadline_exceeded"]

    def show(self, name, seconds):
        print(f"{name:>12}  admitted {self.admitted}, in time {self.in_time} ({self.in_time / seconds:.2f}/s), 504 {self.exceeded}, dropped while "
              f"they waited {self.dropped}; refused {self.refused}, {self.unmeetable} of them for their deadline; 504s had come at "
              f"{', '.join(f'{at:.1f}' for at in self.exceeded_at) or 'no time'}", flush=True)


async def deadlines(client, model, args, capacity, points):
    if args.usual:
        first, each = args.usual
    else:
        usual_rate = args.usual_at or capacity
        before = Level(usual_rate, args.seconds, await offer(client, model, [(usual_rate, args.seconds)], 500))
        first = percentile([a.ttft for a in before.admitted], 0.5)
        gaps = [gap for a in before.admitted for gap in a.gaps]
        each = sum(gaps) / len(gaps)
        print(f"at {usual_rate:.1f}/s an answer takes {first:.3f} s and {each:.4f} s for every token but the first", flush=True)

    def allow(rng, body):
        usual = first + (body["max_tokens"] - 1) * each
        return 10.0 if rng.random() < 0.2 else max(0.001, usual * rng.uniform(1, 3))

    everybody = []
    for name, phases in [(f"{factor} x", [(factor * capacity, args.seconds)]) for factor in (1, 2, 5, 10)] + [
            ("waves", [(5 * capacity, 3), (0.1 * capacity, 3)] * max(1, round(args.seconds / 6)))]:
        answers = await offer(client, model, phases, 510 + len(everybody), allow=allow)
        Missed(answers).show(name, sum(seconds for _, seconds in phases))
        everybody += answers
        await asyncio.sleep(1)
    missed = Missed(everybody)
    share = missed.exceeded / max(1, missed.admitted)
    points.check(f"deadlines: {missed.exceeded} of {missed.admitted} admitted had 504, {100 * share:.2f} %, at most 0.1 %; with those dropped while "
                 f"they waited {100 * (missed.exceeded + missed.dropped) / max(1, missed.admitted):.2f} %", share <= 0.001)
    points.check("deadlines: every 429 has Retry-After", all(a.has_retry_after for _, a in everybody if a.status == 429))
    points.check("deadlines: nothing but 200, 429 and 504", all(a.status in (200, 429, 504) for _, a in everybody))


def served_cost(port, key):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {name: sum(float(line.rsplit(" ", 1)[1]) for line in lines
                      if line.startswith("weir:key_served_cost_total") and f'key="{name}"' in line)
            for name in KEYS}


async def fairness(port, model, args, capacity, points):
    clients = {name: Client(port, key) for name, key in KEYS.items()}
    at_first = served_cost(port, KEYS["modest"])

    async def measure():
        await asyncio.sleep(args.fair_seconds)
        return await asyncio.to_thread(served_cost, port, KEYS["modest"])

    at_last, *_ = await asyncio.gather(
        measure(), offer(clients["modest"], model, [(0.6 * capacity, args.fair_seconds)], 5),
        offer(clients["greedy"], model, [(6 * capacity, args.fair_seconds)], 6))
    a, b = (at_last[name] - at_first[name] for name in KEYS)
    jain = (a + b) ** 2 / (2 * (a * a + b * b)) if a + b else 0
    points.check(f"fairness: served {a:.0f} and {b:.0f} in {args.fair_seconds:.0f} s, Jain index {jain:.3f}", jain >= 0.95)


async def long_prompt(client, model, points):
    rng = random.Random(1)
    for _ in range(4):  # a server just started knows its speed from a few steps, and refuses a burst that looks too much for it
        await client.post(random_body(rng, model, (64, 64), (16, 16)), Answer(time.monotonic()))
    streams, tasks = [], []
    for _ in range(8):
        answer = Answer(time.monotonic())
        streams.append(answer)
        tasks.append(asyncio.create_task(client.post(random_body(rng, model, (64, 64), (500, 500)), answer)))
    while any(answer.tokens < 20 for answer in streams):
        await asyncio.sleep(0.01)
        if any(task.done() for task in tasks):
            answers = [f"{answer.status} {answer.code} with {answer.tokens} tokens" for answer in streams]
            return points.check(f"long-prompt: 8 streams that last until the prompt has come; there are {answers}", False)
    before = [len(answer.gaps) for answer in streams]
    arrival = Answer(time.monotonic())
    await client.post(random_body(rng, model, (4000, 4000), (2, 2)), arrival)
    during = [answer.gaps[count:] for answer, count in zip(streams, before)]
    await asyncio.gather(*tasks)
    points.check(f"long-prompt: its own TTFT {arrival.ttft:.2f} s while 8 streams ran on", arrival.ttft is not None)
    points.check(f"long-prompt: {min(map(len, during))} tokens or more per stream meanwhile", min(map(len, during)) > 10)
    for what, gaps in (("whole stream", [answer.gaps for answer in streams]), ("while it was computed", during)):
        worst = max(percentile(of_one, 0.99) for of_one in gaps)
        longest = max(max(of_one) for of_one in gaps)
        points.check(f"long-prompt: worst p99 ITL, {what}: {1e3 * worst:.1f} ms (longest gap {1e3 * longest:.1f} ms), "
                     f"at most {2e3 * ITL_OBJECTIVE:.0f} ms", worst <= 2 * ITL_OBJECTIVE)


def cpu_seconds(pid):
    """Of all threads of a process, user and system."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rejection_cpu(port, pid, points, count=20000):
    """The engine is idle, and the deadline that the head brings cannot be met: all CPU of the process is that of refusing."""
    body = json.dumps(random_body(random.Random(3), "m", (256, 256), (96, 96))).encode()
    plain = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection, connection.makefile("rb") as answers:
        def ask(more=""):
            connection.sendall((plain + more + "\r\n").encode() + body)
            status = int(answers.readline().split()[1])
            length = None
            while (line := answers.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if length is not None:
                answers.read(length)
                return status
            while (size := int(answers.readline(), 16)) >= 0:
                answers.read(size + 2)
                if size == 0:
                    return status
        for _ in range(4):  # until then no rate is known
            ask()
        refused = sum(ask("x-slo-ttft-ms: 1\r\n") == 429 for _ in range(200))
        before, start = cpu_seconds(pid), time.monotonic()
        refused = sum(ask("x-slo-ttft-ms: 1\r\n") == 429 for _ in range(count))
        used, took = cpu_seconds(pid) - before, time.monotonic() - start
    points.check(f"rejections: {refused} of {count} refused, {len(body)} bytes of body each, {1e6 * took / count:.0f} us apart", refused == count)
    points.check(f"rejections: {1e6 * used / count:.1f} us of the server's CPU each, at most 50", used / count <= 50e-6)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_ready(port, process):
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the server did not become ready within a minute")


async def run(port, pid, args, points):
    client = Client(port, KEYS["greedy"] if args.only == "fairness" else None)
    if args.only in (None, "long-prompt"):
        await long_prompt(client, "m", points)
    if args.only in (None, "rejection-cpu"):
        rejection_cpu(port, pid, points)
    if args.only in ("long-prompt", "rejection-cpu"):
        return
    capacity, rate_of_peak = (args.capacity, args.peak_rate) if args.capacity else await sweep(client, "m", args)
    if capacity == 0:
        points.check("the lowest rate of the sweep is served well; try a lower --first-rate", False)
        return
    if args.only in (None, "overload"):
        await overload(client, "m", args, capacity, rate_of_peak or 1.3 * capacity, points)
    if args.only in (None, "retries"):
        await retries(client, "m", capacity, points)
    if args.only == "fairness":
        await fairness(port, "m", args, capacity, points)
    if args.only == "deadlines":
        await deadlines(client, "m", args, capacity, points)
    if args.only in (None, "recovery"):
        await recovery(client, "m", capacity, points)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weir", help="the binary, a release build")
    parser.add_argument("--model", help="GGUF file; without it the default model")
    parser.add_argument("--seconds", type=float, default=15, help="per level")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of overload")
    parser.add_argument("--first-rate", type=float, default=2.0, help="where the sweep for the capacity begins")
    parser.add_argument("--only", choices=["sweep", "overload", "recovery", "retries", "fairness", "deadlines", "long-prompt", "rejection-cpu"],
                        help="fairness, which needs a server with keys, and deadlines run only when they are named")
    parser.add_argument("--fair-seconds", type=float, default=60)
    parser.add_argument("--usual-at", type=float, help="requests/s at which answers take what deadlines are drawn from; without it the capacity")
    parser.add_argument("--usual", type=float, nargs=2, metavar=("FIRST", "EACH"),
                        help="what answers take, in seconds, instead of measuring it: to compare two servers")
    parser.add_argument("--capacity", type=float, help="requests/s, of an earlier sweep, which is then left out")
    parser.add_argument("--peak-rate", type=float, help="requests/s at which the goodput was best in the same sweep; without it 1.3 x the capacity")
    parser.add_argument("--server-flag", action="append", default=[], help="one more flag of the server; may be repeated")
    args = parser.parse_args()
    model = args.model or subprocess.check_output([ROOT / "tools/get_model.sh"], text=True).split()[-1]
    port, args.control_port = free_port(), free_port()
    command = [args.weir, "serve", "--model", model, "--port", str(port), "--control-port", str(args.control_port),
               "--served-model-name", "m", "--ttft-objective", "1500ms", "--log-level", "warning", *args.server_flag]
    keys = tempfile.NamedTemporaryFile("w", suffix=".toml")
    if args.only == "fairness":
        keys.write("".join(f'[[keys]]\nname = "{name}"\nkey = "{key}"\n' for name, key in KEYS.items()))
        keys.flush()
        command += ["--api-keys-file", keys.name, "--public-routes", "/ready"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    points = Points()
    try:
        wait_ready(port, process)
        asyncio.run(run(port, process.pid, args, points))
    finally:
        process.terminate()
        process.wait(60)
    print(f"{len(points.failed)} points failed" if points.failed else "all points hold")
    sys.exit(1 if points.failed else 0)


if __name__ == "__main__":
    main()
