#!/usr/bin/env python3
"""Check how a weir binary behaves when it has nothing to do, company, or more threads than cores.

    check_threads.py WEIR [--only idle,engines,threads] [--model FILE] [--rounds 3]
    check_threads.py --self-test

    idle     `weir serve` answers requests; one second after the last one its CPU time over 5 s must be zero
    engines  two `weir bench` at once, each with a thread per core: both must finish
    threads  `weir bench --threads 8` against one thread per core, interleaved: at most 30 % slower

The last two use matrix mode. Use a release build and an idle machine. Exit code: 0 all hold, 1 one does not, 2 wrong
usage, 3 a command failed.
"""
import argparse
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import unittest

CHECKS = ["idle", "engines", "threads"]
IDLE_SECONDS = 5
MOST_LOSS = 0.30
MANY_THREADS = 8
PATIENCE_S = 180
PHASES = [("prefill", "speed_pp_tps"), ("decode", "speed_tg_tps")]


def fail(text):
    sys.stderr.write(f"check_threads: {text}\n")
    sys.exit(3)


def cpu_ticks(stat):
    """utime + stime from the text of /proc/PID/stat; the name in brackets may hold anything."""
    fields = stat[stat.rindex(")") + 2:].split()
    return int(fields[11]) + int(fields[12])


def run_ns(pid):
    """CPU time of all threads in ns, finer than the ticks; None where the kernel does not keep it."""
    try:
        return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))
    except (OSError, ValueError, IndexError):
        return None


def speeds(document):
    return {(row["pp"], row["pl"], phase): float(row[key]) for row in document["matrix"] for phase, key in PHASES}


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def losses(few, many):
    """Per cell (median of few, median of many, share lost)."""
    out = {}
    for cell in few[0]:
        a, b = median([run[cell] for run in few]), median([run[cell] for run in many])
        out[cell] = (a, b, 1 - b / a)
    return out


def bench_command(arguments, threads, output):
    command = [str(arguments.weir), "bench", "--mode", "matrix", "--prompt-lens", "128", "--batch-sizes", "1,8", "--gen-len",
               "48", "--repeats", "1", "--threads", str(threads), "--allow-invalid", "--output", str(output)]
    return command + (["--model", arguments.model] if arguments.model else [])


def start(command, folder):
    return subprocess.Popen(command, env=dict(os.environ, WEIR_STATE=folder), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def finish(process):
    """Standard error of a command that ended in time with 0; else the check ends."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        fail(f"{' '.join(process.args)}: not done after {PATIENCE_S} s; a deadlock, or a very busy machine")
    if process.returncode != 0:
        fail(f"{' '.join(process.args)}: exit code {process.returncode}\n{err.strip() or out.strip()}")
    return err


def ask(port, method, path, body=None):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    client.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
    answer = client.getresponse()
    text = answer.read().decode()
    client.close()
    if answer.status != 200:
        fail(f"{method} {path} was answered with {answer.status}: {text[:300]}")
    return text


def check_idle(arguments, folder):
    command = [str(arguments.weir), "serve", "--port", "0"] + (["--model", arguments.model] if arguments.model else [])
    process = start(command, folder)
    try:
        port = None
        for line in process.stdout:
            found = re.search(r"listens at http://[^:]+:(\d+)", line)
            port = int(found.group(1)) if found else port
            if "ready" in line:
                break
        if port is None or process.poll() is not None:
            fail(f"{' '.join(command)}: it did not start\n{process.stderr.read()}")
        model = json.loads(ask(port, "GET", "/v1/models"))["data"][0]["id"]
        for _ in range(3):
            ask(port, "POST", "/v1/completions",
                {"model": model, "prompt": "Once upon a time", "max_tokens": 32, "stream": True})
        time.sleep(1)
        stat = pathlib.Path(f"/proc/{process.pid}/stat")
        ticks, fine = cpu_ticks(stat.read_text()), run_ns(process.pid)
        time.sleep(IDLE_SECONDS)
        ticks, fine_end = cpu_ticks(stat.read_text()) - ticks, run_ns(process.pid)
        detail = "" if fine is None or fine_end is None else f", {(fine_end - fine) / 1e3:.0f} us by the scheduler"
        print(f"idle     utime + stime over {IDLE_SECONDS} s, from 1 s after the last request: "
              f"{ticks * 1000 // os.sysconf('SC_CLK_TCK')} ms{detail}")
        return ticks == 0
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def check_engines(arguments, folder):
    cores = len(os.sched_getaffinity(0))
    outputs = [pathlib.Path(folder) / f"engine{i}.json" for i in range(2)]
    started = time.monotonic()
    processes = [start(bench_command(arguments, cores, output), folder) for output in outputs]
    try:
        for process in processes:
            finish(process)
    finally:
        for process in processes:
            process.kill()  # nothing, where it has ended
    both = [speeds(json.loads(output.read_text())) for output in outputs]
    print(f"engines  two at once with {cores} threads each on {cores} cores: both done after "
          f"{time.monotonic() - started:.1f} s")
    for prompt, batch, phase in both[0]:
        print(f"         prompt {prompt}, batch {batch}, {phase}: "
              + " and ".join(f"{one[(prompt, batch, phase)]:.1f}" for one in both) + " tok/s")
    return True


def check_threads(arguments, folder):
    cores = len(os.sched_getaffinity(0))
    output = pathlib.Path(folder) / "threads.json"
    runs = {cores: [], MANY_THREADS: []}
    if cores >= MANY_THREADS:
        print(f"threads  {cores} cores: {MANY_THREADS} threads are not too many here")
        return True
    for i in range(arguments.rounds):
        for threads in [cores, MANY_THREADS] if i % 2 == 0 else [MANY_THREADS, cores]:
            finish(start(bench_command(arguments, threads, output), folder))
            runs[threads].append(speeds(json.loads(output.read_text())))
    sound = True
    for (prompt, batch, phase), (few, many, loss) in losses(runs[cores], runs[MANY_THREADS]).items():
        print(f"threads  prompt {prompt}, batch {batch}, {phase}: {few:.1f} tok/s with {cores} threads, {many:.1f} with "
              f"{MANY_THREADS}: {-loss * 100:+.0f} %{'' if loss <= MOST_LOSS else '  TOO SLOW'}")
        sound = sound and loss <= MOST_LOSS
    return sound


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weir", type=pathlib.Path, help="the binary, from a release build")
    parser.add_argument("--only", default=",".join(CHECKS), help="some of idle,engines,threads")
    parser.add_argument("--model", help="GGUF file (default: the cached default model)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side of `threads` (default 3)")
    out = parser.parse_args(arguments)
    if not out.weir.is_file() or not os.access(out.weir, os.X_OK):
        parser.error(f"{out.weir} is no executable file")
    out.weir = out.weir.resolve()
    out.only = out.only.split(",")
    unknown = [name for name in out.only if name not in CHECKS]
    if unknown:
        parser.error(f"--only names {', '.join(unknown)}, expected some of {', '.join(CHECKS)}")
    if out.rounds < 1:
        parser.error(f"--rounds is {out.rounds}, expected at least 1")
    if out.model and not pathlib.Path(out.model).is_file():
        parser.error(f"--model is {out.model}, which is no file")
    return out


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.argv = sys.argv[:1]
        unittest.main(module=__name__, verbosity=1)
    arguments = parse(sys.argv[1:])
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        for name, check in zip(CHECKS, (check_idle, check_engines, check_threads)):
            if name not in arguments.only:
                continue
            holds = check(arguments, folder)
            print(f"{name:<8} {'holds' if holds else 'DOES NOT HOLD'}")
            sound = sound and holds
    sys.exit(0 if sound else 1)


class CheckThreadsTest(unittest.TestCase):
    def test_cpu_time_is_read_behind_any_name(self):
        stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 1 0 5 0 0"
        self.assertEqual(cpu_ticks(stat), 42)

    def test_own_cpu_time_is_seen(self):
        before, end = cpu_ticks(pathlib.Path("/proc/self/stat").read_text()), time.process_time() + 0.2
        while time.process_time() < end:
            pass
        used = cpu_ticks(pathlib.Path("/proc/self/stat").read_text()) - before
        self.assertGreaterEqual(used / os.sysconf("SC_CLK_TCK"), 0.1)

    def test_loss_is_between_medians(self):
        few = [{"c": 100.0}, {"c": 10.0}, {"c": 110.0}]
        many = [{"c": 80.0}, {"c": 70.0}]
        self.assertEqual(losses(few, many)["c"][:2], (100.0, 75.0))
        self.assertAlmostEqual(losses(few, many)["c"][2], 0.25)

    def test_wrong_usage_exits_with_2(self):
        for arguments in (["/no/such"], [sys.executable, "--only", "x"], [sys.executable, "--rounds", "0"]):
            with self.assertRaises(SystemExit) as caught, open(os.devnull, "w") as sink:
                stderr, sys.stderr = sys.stderr, sink
                try:
                    parse(arguments)
                finally:
                    sys.stderr = stderr
            self.assertEqual(caught.exception.code, 2, arguments)


if __name__ == "__main__":
    main()
