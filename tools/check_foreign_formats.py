#!/usr/bin/env python3
"""Do the tools that read other load generators' files read those that weir writes?

    check_foreign_formats.py --weir build/release/weir [--vllm-python PY] [--guidellm-python PY] [--aiperf-python PY]
                             [--llama-python PY --compare-llama-bench SCRIPT]

Runs a small load test and benchmarks with --format vllm, guidellm, aiperf and llama-bench, and gives each file to the tool's own
reader: `vllm bench sweep plot` (the table behind its figures), guidellm's GenerativeBenchmarksReport.load_file and its CSV export,
aiperf's export model, llama.cpp's scripts/compare-llama-bench.py (from the sources of llama-cpp-python; needs tabulate and
GitPython). A reader whose Python is not named is left out, and the keys that its file must have are looked for instead. Numbers
that both files hold must be the same. Prints accepted or refused.

Exit code: 0 all accepted, 1 one was refused, 2 wrong usage, 3 a run did not end well.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import served

# What must be there when the reader itself is not.
KEYS = {
    "vllm": "date backend model_id tokenizer_id num_prompts request_rate max_concurrency duration completed failed "
            "total_input_tokens total_output_tokens request_throughput output_throughput total_token_throughput mean_ttft_ms "
            "median_ttft_ms p99_ttft_ms mean_tpot_ms median_tpot_ms p99_tpot_ms mean_itl_ms median_itl_ms p99_itl_ms",
    "vllm-direct": "avg_latency latencies percentiles elapsed_time num_requests total_num_tokens requests_per_second "
                   "tokens_per_second",
    "guidellm": "metadata config benchmarks",
    "aiperf": "schema_version request_latency time_to_first_token inter_token_latency output_sequence_length request_throughput "
              "error_summary",
    "llama-bench": "build_commit build_number cpu_info gpu_info backends model_filename model_type model_size model_n_params n_batch "
                   "n_ubatch n_threads type_k type_v n_gpu_layers n_prompt n_gen n_depth test_time avg_ns stddev_ns avg_ts stddev_ts "
                   "n_cpu_moe tensor_buft_overrides embeddings cpu_mask cpu_strict poll load_mode no_kv_offload split_mode main_gpu "
                   "tensor_split flash_attn fit_target fit_min_ctx",
}
GUIDELLM = """
import sys
from guidellm.benchmark import GenerativeBenchmarksReport
report = GenerativeBenchmarksReport.load_file(sys.argv[1])
[one] = report.benchmarks
print(one.metrics.output_tokens_per_second.successful.mean, one.metrics.time_to_first_token_ms.successful.median)
"""
AIPERF = """
import sys
from aiperf.common.models.export_models import JsonExportData
data = JsonExportData.model_validate_json(open(sys.argv[1]).read())
print(data.output_token_throughput.avg, data.time_to_first_token.p50)
"""
VLLM = """
import sys
from pathlib import Path
from vllm.benchmarks.sweep.plot import PlotBinners, PlotFilters, plot
folder = Path(sys.argv[1])
plot(folder, folder, [], [], [], ["max_concurrency"], var_x="total_token_throughput", var_y="median_ttft_ms",
     filter_by=PlotFilters.parse_str("max_concurrency<=100"), bin_by=PlotBinners.parse_str("request_throughput%1"), scale_x=None,
     scale_y=None, dry_run=True)
"""


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, **more)
    return done.returncode, done.stdout


def weir(args, *flags):
    code, said = run([args.weir, *flags])
    if code != 0:
        print(f"weir {flags[0]} ended with {code}: {said[-400:]}", file=sys.stderr)
        sys.exit(3)


def has_keys(name, rows):
    missing = [key for row in rows for key in KEYS[name].split() if key not in row]
    return f"lacks {', '.join(sorted(set(missing)))}" if missing else None


def reader(python, program, path, ours):
    """What is wrong, or None: the reader ends well and, where it prints numbers, they are OURS."""
    code, said = run([python, "-c", program, str(path)])
    if code != 0:
        return said.strip().splitlines()[-1] if said.strip() else f"exit code {code}"
    theirs = said.strip().splitlines()[-1].split() if ours else []
    for mine, other in zip(ours, theirs, strict=True):
        if abs(float(other) - mine) > 1e-3 * abs(mine):
            return f"reads {other}, weir says {mine}"
    return None


def compare_llama_bench(args, folder, rows):
    """The same rows under two commits: the script compares one with the other."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(dict(row, build_commit=commit)) + "\n" for commit in ("aaaaaaaa", "bbbbbbbb") for row in rows))
    code, said = run([args.llama_python, args.compare_llama_bench, "--tool", "llama-bench", "-i", str(path), "-b", "aaaaaaaa", "-c", "bbbbbbbb"])
    tests = {f"pp{row['n_prompt']}" if row["n_prompt"] else f"tg{row['n_gen']}" for row in rows}
    absent = [test for test in tests if test not in said]
    return None if code == 0 and not absent else f"exit code {code}, no {absent}: {said.strip().splitlines()[-1:]}"


def load(args, folder):
    """{name: (foreign file, our row)} of a load test in every format."""
    model = args.model or served.default_model()
    files = {}
    with served.Served(args.weir, model) as server:
        for name in ("vllm", "guidellm", "aiperf"):
            out = folder / f"{name}.json"
            weir(args, "load", "--url", server.url, "--requests", str(args.requests), "--concurrency", "2", "--max-tokens", "12",
                 "--warmup", "1", "--allow-invalid", "--format", name, "--output", str(out))
            files[name] = foreign(folder, out, name), json.loads(out.read_text())["results"][0]
    return model, files


def foreign(folder, out, name):
    """The file that weir wrote beside OUT."""
    path = folder / f"{out.stem}.{name}.json"
    if not path.is_file():
        print(f"no {path.name} beside {out.name}", file=sys.stderr)
        sys.exit(3)
    return path


def parse(path):
    text = path.read_text()
    try:
        document = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]
    return document if isinstance(document, list) else [document]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=str(served.BINARY))
    parser.add_argument("--model", help="default: the cached one")
    parser.add_argument("--requests", type=int, default=13, help="odd: then every tool's median is the same one")
    for tool in ("vllm", "guidellm", "aiperf", "llama"):
        parser.add_argument(f"--{tool}-python")
    parser.add_argument("--compare-llama-bench")
    args = parser.parse_args()
    if bool(args.llama_python) != bool(args.compare_llama_bench):
        parser.error("--llama-python and --compare-llama-bench go together")
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        model, files = load(args, folder)
        bench = ["--model", model, "--repeats", "1", "--warmup", "1", "--allow-invalid"]
        weir(args, "bench", "--batch-sizes", "2", "--num-prompts", "3", "--max-tokens", "8", *bench, "--format", "vllm", "--output",
             str(folder / "direct.json"))
        weir(args, "bench", "--mode", "matrix", "--prompt-lens", "16", "--gen-len", "8", "--batch-sizes", "1", *bench, "--format",
             "llama-bench", "--output", str(folder / "matrix.json"))
        files["vllm-direct"] = foreign(folder, folder / "direct.json", "vllm"), None
        files["llama-bench"] = foreign(folder, folder / "matrix.json", "llama-bench"), None
        refused = 0
        for name, (file, row) in files.items():
            rows = parse(file)
            wrong, by = has_keys(name, rows), "keys"
            ours = [row["output_tps"], row["ttft_ms"]["p50"]] if row else []
            if name == "vllm" and args.vllm_python:
                sweep = folder / "sweep"
                sweep.mkdir()
                (sweep / "summary.json").write_text(json.dumps([dict(rows[0], run_number=0)]))
                wrong, by = wrong or reader(args.vllm_python, VLLM, sweep, []), "vllm bench sweep plot"
            elif name == "guidellm" and args.guidellm_python:
                wrong, by = wrong or reader(args.guidellm_python, GUIDELLM, file, ours), "guidellm load_file"
            elif name == "aiperf" and args.aiperf_python:
                wrong, by = wrong or reader(args.aiperf_python, AIPERF, file, ours), "aiperf JsonExportData"
            elif name == "llama-bench" and args.llama_python:
                wrong, by = wrong or compare_llama_bench(args, folder, rows), "compare-llama-bench.py"
            refused += wrong is not None
            print(f"{name:<12} {by:<24} {'refused: ' + wrong if wrong else 'accepted'}", flush=True)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
