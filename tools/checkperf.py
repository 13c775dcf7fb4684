#!/usr/bin/env python3
"""Say whether one weir binary is slower than another, from interleaved runs on this machine.

    checkperf.py BASE NEW [--pairs 5] [--prompt-lens 128] [--batch-sizes 1,8] [--gen-len 64] [...]
    checkperf.py --self-test

Runs `bench --mode matrix` of both binaries in the order A B B A A B B A ..., so that a drift of the machine hits both
alike, and compares within each pair. Per cell and phase it prints the ratio new/base of the speeds (geometric mean over
the pairs) with its 95 % interval. A cell is

    slower        if the whole interval lies below 1 - margin
    faster        if the whole interval lies above 1
    no difference otherwise; the interval's lower end is the largest loss that was not excluded

Exit code: 0 no cell is slower, 1 at least one is, 2 wrong usage, 3 a run failed. Use release builds and an idle machine.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

MIN_PAIRS = 5
# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom.
T95 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
       2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042]
PHASES = [("prefill", "speed_pp_tps"), ("decode", "speed_tg_tps")]


def t95(degrees):
    """Quantile for `degrees`; beyond the table its last value, which is larger and so on the safe side."""
    return T95[min(degrees, len(T95)) - 1]


def ratio_interval(base, new):
    """(ratio, low, high) of paired positive samples: mean and t-interval of the logarithms of new/base."""
    if len(base) != len(new) or len(base) < 2:
        raise ValueError(f"need at least two pairs of equal number, have {len(base)} and {len(new)}")
    if min(base) <= 0 or min(new) <= 0:
        raise ValueError("speeds must be positive")
    logs = [math.log(b / a) for a, b in zip(base, new)]
    n = len(logs)
    mean = sum(logs) / n
    deviation = math.sqrt(sum((x - mean) ** 2 for x in logs) / (n - 1))
    half = t95(n - 1) * deviation / math.sqrt(n)
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def verdict(low, high, margin):
    if high < 1 - margin:
        return "slower"
    if low > 1:
        return "faster"
    return "no difference"


def order(pairs):
    """Which side runs when: A B, B A, A B, ... as pairs of (first, second)."""
    return [("base", "new") if i % 2 == 0 else ("new", "base") for i in range(pairs)]


def cells(document):
    """{(prompt, batch, phase): tokens per second} of one result file."""
    out = {}
    for row in document["matrix"]:
        for phase, key in PHASES:
            out[(row["pp"], row["pl"], phase)] = float(row[key])
    return out


def compare(base_runs, new_runs, margin):
    """Rows (cell, base median, new median, ratio, low, high, verdict), cells in the order of the first run."""
    rows = []
    for cell in base_runs[0]:
        base = [run[cell] for run in base_runs]
        new = [run[cell] for run in new_runs]
        ratio, low, high = ratio_interval(base, new)
        rows.append((cell, sorted(base)[len(base) // 2], sorted(new)[len(new) // 2], ratio, low, high,
                     verdict(low, high, margin)))
    return rows


def table(rows):
    head = ["prompt", "batch", "phase", "base tok/s", "new tok/s", "new/base", "95 % interval", "verdict"]
    lines = [head]
    for (prompt, batch, phase), base, new, ratio, low, high, word in rows:
        lines.append([str(prompt), str(batch), phase, f"{base:.1f}", f"{new:.1f}", f"{ratio:.3f}",
                      f"{low:.3f}-{high:.3f}", word])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths)) for line in lines)


def run(binary, arguments, folder):
    output = pathlib.Path(folder) / "result.json"
    output.unlink(missing_ok=True)
    command = arguments.wrap.split() + [str(binary), "bench", "--mode", "matrix", "--prompt-lens", arguments.prompt_lens,
                                        "--batch-sizes", arguments.batch_sizes, "--gen-len", str(arguments.gen_len),
                                        "--repeats", str(arguments.repeats), "--allow-invalid", "--output", str(output)]
    if arguments.model:
        command += ["--model", arguments.model]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    # The results of a comparison are no runs to be found later in the user's index.
    environment = dict(os.environ, WEIR_STATE=folder)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0 or not output.exists():
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-3:] or ["no result file, nothing said: is it a weir?"]
        sys.stderr.write(f"checkperf: {' '.join(command)}\n  exited with {done.returncode}: " + "\n  ".join(last) + "\n")
        sys.exit(3)
    return cells(json.loads(output.read_text()))


def numbers(text):
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = []
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list like 1,8 of numbers from 1")
    return text


def positive(text):
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1")
    return value


def share(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share from 0 to below 1, like 0.02")
    return value


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=pathlib.Path, help="the binary to compare with")
    parser.add_argument("new", type=pathlib.Path, help="the binary in question")
    parser.add_argument("--pairs", type=positive, default=MIN_PAIRS, help="runs of each, at least 5 (default 5)")
    parser.add_argument("--prompt-lens", type=numbers, default="128", help="default 128")
    parser.add_argument("--batch-sizes", type=numbers, default="1,8", help="default 1,8")
    parser.add_argument("--gen-len", type=positive, default=64, help="timed output tokens (default 64)")
    parser.add_argument("--repeats", type=positive, default=1, help="rounds inside each run (default 1)")
    parser.add_argument("--margin", type=share, default=0.01, help="loss that is let pass (default 0.01)")
    parser.add_argument("--threads", type=positive, help="compute threads (default: the engine's)")
    parser.add_argument("--model", help="GGUF file (default: the cached default model)")
    parser.add_argument("--wrap", default="", help="command to put before each run, like 'taskset -c 0,1'")
    out = parser.parse_args(arguments)
    if out.pairs < MIN_PAIRS:
        parser.error(f"--pairs is {out.pairs}; fewer than {MIN_PAIRS} pairs prove nothing")
    for name, path in (("BASE", out.base), ("NEW", out.new)):
        if not path.is_file() or not os.access(path, os.X_OK):
            parser.error(f"{name} is {path}, which is no executable file; build one with the preset release")
    if out.model and not pathlib.Path(out.model).is_file():
        parser.error(f"--model is {out.model}, which is no file")
    return out


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.argv = sys.argv[:1]
        unittest.main(module=__name__, verbosity=1)
    arguments = parse(sys.argv[1:])
    runs = {"base": [], "new": []}
    with tempfile.TemporaryDirectory() as folder:
        for number, pair in enumerate(order(arguments.pairs), 1):
            for side in pair:
                sys.stderr.write(f"checkperf: pair {number} of {arguments.pairs}, {side}\n")
                runs[side].append(run(getattr(arguments, side).resolve(), arguments, folder))
    rows = compare(runs["base"], runs["new"], arguments.margin)
    print(table(rows))
    slower = [row for row in rows if row[-1] == "slower"]
    print(f"{len(slower)} of {len(rows)} cells slower (margin {arguments.margin * 100:g} %, {arguments.pairs} pairs)")
    sys.exit(1 if slower else 0)


class CheckperfTest(unittest.TestCase):
    def test_equal_sides_are_no_difference(self):
        ratio, low, high = ratio_interval([100, 101, 99, 100, 102], [100, 101, 99, 100, 102])
        self.assertEqual((ratio, low, high), (1, 1, 1))
        self.assertEqual(verdict(low, high, 0.01), "no difference")

    def test_interval_of_known_logarithms(self):
        # Logarithms -1 0 1 0 0: mean 0, deviation sqrt(2/4), t of 4 degrees 2.776.
        base, logs = [1, 10, 7, 3, 2], [-1, 0, 1, 0, 0]
        ratio, low, high = ratio_interval(base, [b * math.exp(x) for b, x in zip(base, logs)])
        self.assertAlmostEqual(ratio, 1)
        self.assertAlmostEqual(high, math.exp(2.776 * math.sqrt(0.5) / math.sqrt(5)))
        self.assertAlmostEqual(low * high, 1)

    def test_a_drift_of_the_machine_cancels_within_pairs(self):
        base = [100, 80, 60, 90, 120]
        _, low, high = ratio_interval(base, [b * 0.95 for b in base])
        self.assertAlmostEqual(low, 0.95)
        self.assertAlmostEqual(high, 0.95)
        self.assertEqual(verdict(low, high, 0.01), "slower")

    def test_a_loss_inside_the_margin_passes_and_noise_proves_nothing(self):
        self.assertEqual(verdict(0.991, 0.995, 0.01), "no difference")
        self.assertEqual(verdict(0.7, 1.1, 0.01), "no difference")
        self.assertEqual(verdict(0.97, 0.989, 0.01), "slower")
        self.assertEqual(verdict(1.001, 1.2, 0.01), "faster")

    def test_runs_are_interleaved_abba(self):
        self.assertEqual(order(4), [("base", "new"), ("new", "base")] * 2)
        self.assertEqual(sum(pair.index("new") for pair in order(6)), 3)

    def test_cells_and_comparison(self):
        document = {"matrix": [{"pp": 128, "pl": 8, "speed_pp_tps": 1000.0, "speed_tg_tps": 200.0}]}
        slow = {"matrix": [{"pp": 128, "pl": 8, "speed_pp_tps": 1000.0, "speed_tg_tps": 150.0}]}
        rows = compare([cells(document)] * 5, [cells(slow)] * 5, 0.01)
        self.assertEqual([row[0] for row in rows], [(128, 8, "prefill"), (128, 8, "decode")])
        self.assertEqual([row[-1] for row in rows], ["no difference", "slower"])
        self.assertIn("0.750", table(rows))

    def test_quantiles_fall_and_end_safely(self):
        self.assertEqual(T95, sorted(T95, reverse=True))
        self.assertEqual(t95(4), 2.776)
        self.assertEqual(t95(1000), T95[-1])

    def test_samples_that_cannot_be_compared_are_refused(self):
        for base, new in (([1], [1]), ([1, 2], [1]), ([1, 0], [1, 1]), ([1, 1], [1, -1])):
            with self.assertRaises(ValueError):
                ratio_interval(base, new)

    def test_wrong_usage_exits_with_2(self):
        me = sys.executable
        for arguments in (["/no/such", me], [me, me, "--pairs", "4"], [me, me, "--batch-sizes", "0"],
                          [me, me, "--margin", "1"], [me], [me, me, "--model", "/no/such"]):
            with self.assertRaises(SystemExit) as caught, open(os.devnull, "w") as sink:
                stderr, sys.stderr = sys.stderr, sink
                try:
                    parse(arguments)
                finally:
                    sys.stderr = stderr
            self.assertEqual(caught.exception.code, 2, arguments)


if __name__ == "__main__":
    main()
