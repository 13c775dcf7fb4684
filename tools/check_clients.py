#!/usr/bin/env python3
"""Do clients that people use work with weir? openai for Node, LiteLLM and LangChain against a built weir and the real model.

    tools/check_clients.py [--weir build/dev/weir] [--model FILE.gguf] [--json FILE]

Prints a table client x feature. The clients' versions stand in tools/clients/requirements.txt and package.json; they are installed
once, by pip and npm, into the folder clients of weir's cache. Exit code: 0 all work, 1 something failed, 2 wrong usage, 3 a client
could not be installed or weir did not start. Not part of ./test: it needs Node 20 and 300 MB of packages. The official Python
client is tested by tests/e2e/openai_client_test.py.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys

import environment
import served

SCRIPTS = served.HERE / "clients"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=str(served.BINARY))
    parser.add_argument("--model", help="default: what tools/get_model.sh prints")
    parser.add_argument("--json", help="write the findings there, one line each")
    args = parser.parse_args()
    folder = environment.install("clients", [SCRIPTS / "requirements.txt", SCRIPTS / "package.json"], more=[
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]])
    findings = []
    with served.Served(args.weir, args.model or served.default_model(), "--max-model-len", "2048") as server:
        for command in (["node", SCRIPTS / "openai_node.cjs"], [folder / "venv/bin/python", SCRIPTS / "litellm_client.py"],
                        [folder / "venv/bin/python", SCRIPTS / "langchain_client.py"]):
            done = subprocess.run([*command, server.url, served.NAME], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True, timeout=600, env={**os.environ, "NODE_PATH": str(folder / "node_modules"),
                                                               "PYTHONDONTWRITEBYTECODE": "1"})
            found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            if done.returncode != 0 or not found:
                found.append({"client": command[-1].stem, "feature": "start", "ok": False, "why": done.stderr[-600:]})
            findings += found
    clients = list(dict.fromkeys(f["client"] for f in findings))
    features = list(dict.fromkeys(f["feature"] for f in findings))
    word = {(f["client"], f["feature"]): "ok" if f["ok"] else "FAILED" for f in findings}
    width = max(map(len, features))
    print(" " * width, *clients, sep="  ")
    for feature in features:
        print(feature.ljust(width), *(word.get((c, feature), "-").ljust(len(c)) for c in clients), sep="  ")
    failed = [f for f in findings if not f["ok"]]
    for f in failed:
        print(f"{f['client']}, {f['feature']}: {f['why']}")
    if args.json:
        pathlib.Path(args.json).write_text("".join(json.dumps(f) + "\n" for f in findings), encoding="utf-8")
    print(f"{len(findings) - len(failed)} of {len(findings)} ok; weir serve ended with {server.code}")
    sys.exit(1 if failed or server.code != 0 else 0)


if __name__ == "__main__":
    main()
