#!/usr/bin/env python3
"""Does any request that /openapi.json allows, or just does not allow, end in a server error?

    tools/check_openapi.py [--weir build/dev/weir] [--model FILE.gguf] [--cases 1000] [--least 2000]

Starts a weir and lets schemathesis send it generated requests, right and wrong ones, on every route. What was answered is counted in
weir's own access log too, which leaves out the read-only routes. Prints cases, answers by status and the server errors. Exit code: 0 no 5xx,
at least --least cases and a clean end; 1 otherwise; 3 schemathesis could not be installed or weir did not start. A failing case is printed with a curl command.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import environment
import served

FOLDER = served.HERE / "openapi"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=str(served.BINARY))
    parser.add_argument("--model", help="default: what tools/get_model.sh prints")
    parser.add_argument("--cases", type=int, default=1000, help="generated cases for each route with a body")
    parser.add_argument("--least", type=int, default=2000, help="fewer cases than this are a failure")
    args = parser.parse_args()
    python = environment.install("openapi", [FOLDER / "requirements.txt"]) / "venv/bin"
    with tempfile.TemporaryDirectory() as folder:
        log = pathlib.Path(folder) / "weir.log"
        # Answers are short, so that the time goes into requests.
        with served.Served(args.weir, args.model or served.default_model(), "--max-model-len", "128", log=log) as server:
            done = subprocess.run([python / "schemathesis", "--config-file", FOLDER / "schemathesis.toml", "run", server.url + "/openapi.json", "--url", server.url,
                                   "--checks", "not_a_server_error", "--max-examples", str(args.cases), "--phases",
                                   "examples,coverage,fuzzing", "--request-timeout", "120", "--workers", "4"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, env={
                                      **os.environ, "SCHEMATHESIS_HOOKS": "served_model_hook",
                                      "PYTHONPATH": str(FOLDER), "PYTHONDONTWRITEBYTECODE": "1",
                                      "WEIR_SERVED_MODEL": served.NAME})
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n") if '"request_id"' in line]
    found = re.search(r"Test cases:\s+(\d+) generated", done.stdout)
    cases = int(found[1]) if found else 0
    statuses = collections.Counter(entry["status"] for entry in entries)
    by_path = collections.Counter(entry["path"] for entry in entries)
    errors = [entry for entry in entries if entry["status"] >= 500 and entry["code"] not in ("model_loading", "draining")]
    print(f"{cases} cases, {len(entries)} lines in the access log: " +
          ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items())))
    print("by path: " + ", ".join(f"{path} {count}" for path, count in by_path.most_common(6)))
    print(f"server errors: {len(errors)}; schemathesis ended with {done.returncode}, weir serve with {server.code}")
    for entry in errors[:10]:
        print(json.dumps(entry))
    # Python 3.11's ast module fails in schemathesis while it makes up boundary values of some schemas: no word about weir.
    own = re.search(r"Runtime Error: (\d+)", done.stdout)
    found = re.search(r"found (\d+) unique failures|Failures:", done.stdout)
    if own:
        print(f"schemathesis could not make the boundary cases of {own[1]} operations; their other cases were sent")
    failed = bool(errors) or bool(found) or server.code != 0 or cases < args.least or (done.returncode != 0 and not own)
    if failed:
        print(done.stdout[-20000:])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
