#!/usr/bin/env python3
"""Does lm-evaluation-harness find the same model behind weir as in transformers?

    tools/check_lm_eval.py [--weir build/dev/weir] [--model FILE.gguf] [--tolerance 0.5] [--most ITEMS]

Scores 400 multiple-choice items (tools/lm_eval/facts.json) by log-likelihood, once through a served weir (model type
`local-completions`: echo and logprobs over token ids) and once through transformers in fp32 with the weights that the file's blocks
say. Prints acc and acc_norm of both, how many items are answered alike, and how far the log-likelihoods lie apart. Nothing comes
from the network but the packages of tools/lm_eval/requirements.txt, once, into weir's cache (5 GB with torch).
Exit code: 0 the accuracies lie within --tolerance percentage points, 1 they do not, 3 something could not be installed or started.
"""
import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import environment
import served


def items(most):
    """Three wrong answers are right ones of other questions of the same kind; the right one's place goes round."""
    rows = []
    for kind in json.loads((HERE / "lm_eval/facts.json").read_text(encoding="utf-8")).values():
        pairs = kind["pairs"]
        for i, (subject, right) in enumerate(pairs):
            wrong = [pairs[(i + step) % len(pairs)][1] for step in (3, 7, 12)]
            for asked in kind["asked"]:
                place = len(rows) % 4
                rows.append({"question": asked.format(subject), "choices": [*wrong[:place], right, *wrong[place:]],
                             "answer": place})
    return rows[:most]


def score(model, arguments, task):
    import lm_eval
    found = lm_eval.simple_evaluate(model=model, model_args=arguments, tasks=[task], bootstrap_iters=0, log_samples=True,
                                    random_seed=0, numpy_random_seed=0, torch_random_seed=0)
    return found["results"][task["task"]], found["samples"][task["task"]]


def loglikelihoods(sample):
    return [float(answer[0]) for answer in sample["filtered_resps"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=str(served.BINARY))
    parser.add_argument("--model", help="default: what tools/get_model.sh prints")
    parser.add_argument("--tolerance", type=float, default=0.5, help="percentage points")
    parser.add_argument("--most", type=int, help="score only so many items")
    args = parser.parse_args()
    python = environment.install("lm_eval", [HERE / "lm_eval/requirements.txt"]) / "venv/bin/python"
    if pathlib.Path(sys.prefix) != python.parent.parent:
        os.execve(python, [python, *sys.argv], {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                                                "TOKENIZERS_PARALLELISM": "false", "PYTHONDONTWRITEBYTECODE": "1"})

    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer
    from update_golden_logits import load_oracle

    model = pathlib.Path(args.model or served.default_model()).resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = folder + "/datasets"
        data = pathlib.Path(folder) / "items.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in items(args.most)), encoding="utf-8")
        tokenizer = AutoTokenizer.from_pretrained(model.parent, gguf_file=model.name)
        tokenizer.save_pretrained(folder + "/tokenizer")
        task = {"task": "weir_facts", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}},
                "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{question}}",
                "doc_to_choice": "{{choices}}", "doc_to_target": "answer",
                "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}]}
        with served.Served(args.weir, str(model), "--max-model-len", "512") as server:
            ours, our_samples = score("local-completions", {
                "model": served.NAME, "base_url": server.url + "/v1/completions", "tokenizer": folder + "/tokenizer",
                "tokenizer_backend": "huggingface", "tokenized_requests": True, "num_concurrent": 4, "max_retries": 1,
                "batch_size": 1}, task)
        oracle = HFLM(pretrained=load_oracle(model), tokenizer=tokenizer, batch_size=16, device="cpu")
        theirs, their_samples = score(oracle, {}, task)

    apart, alike = [], 0
    for ours_of, theirs_of in zip(our_samples, their_samples, strict=True):
        a, b = loglikelihoods(ours_of), loglikelihoods(theirs_of)
        apart += [abs(x - y) for x, y in zip(a, b, strict=True)]
        alike += a.index(max(a)) == b.index(max(b))
    worst = 0.0
    print(f"{'':10} {'weir':>8} {'fp32':>8}   of {len(our_samples)} items")
    for metric in ("acc", "acc_norm"):
        a, b = 100 * ours[metric + ",none"], 100 * theirs[metric + ",none"]
        worst = max(worst, abs(a - b))
        print(f"{metric:10} {a:7.2f}% {b:7.2f}%")
    print(f"answered alike: {alike} of {len(our_samples)}; log-likelihoods lie {statistics.mean(apart):.4f} nats apart in the mean, "
          f"{max(apart):.4f} at most")
    print(f"accuracies differ by {worst:.2f} points, allowed {args.tolerance:.2f}; weir serve ended with {server.code}")
    sys.exit(0 if worst <= args.tolerance and server.code == 0 else 1)


if __name__ == "__main__":
    main()
