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
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SCRIPTS = HERE / "clients"
NAME = "test-model"


def cache_folder():
    return pathlib.Path(os.environ.get("WEIR_CACHE") or
                        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "weir")


def install(folder):
    """Leaves folder/venv and folder/node_modules as the pins say."""
    pins = [SCRIPTS / "requirements.txt", SCRIPTS / "package.json"]
    stamp = folder / "stamp"
    wanted = "".join(pin.read_text(encoding="utf-8") for pin in pins)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    if not shutil.which("npm"):
        sys.exit("check_clients: npm is missing; install Node 20 or newer")
    print(f"check_clients: installing the clients into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(pins[1], folder)
    for command in ([sys.executable, "-m", "venv", "venv"],
                    ["venv/bin/pip", "install", "-q", "--disable-pip-version-check", "-r", str(pins[0])],
                    ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]):
        if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode != 0:
            print(f"check_clients: {' '.join(command)} failed", file=sys.stderr)
            sys.exit(3)
    stamp.write_text(wanted, encoding="utf-8")


def start(weir, model):
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    server = subprocess.Popen([weir, "serve", "--model", model, "--port", str(port), "--control-port", "0",
                               "--served-model-name", NAME, "--max-model-len", "2048"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            with urllib.request.urlopen(url + "/ready", timeout=2):
                return server, url
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.1)
    server.kill()
    print("check_clients: weir serve was not ready", file=sys.stderr)
    sys.exit(3)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weir", default=str(HERE.parent / "build/dev/weir"))
    parser.add_argument("--model", help="default: what tools/get_model.sh prints")
    parser.add_argument("--json", help="write the findings there, one line each")
    args = parser.parse_args()
    if not os.access(args.weir, os.X_OK):
        parser.error(f"{args.weir} is not there; build weir first")
    model = args.model or subprocess.run([HERE / "get_model.sh"], check=True, stdout=subprocess.PIPE,
                                         text=True).stdout.strip()
    folder = cache_folder() / "clients"
    install(folder)
    server, url = start(args.weir, model)
    findings = []
    try:
        for command in (["node", SCRIPTS / "openai_node.cjs"], [folder / "venv/bin/python", SCRIPTS / "litellm_client.py"],
                        [folder / "venv/bin/python", SCRIPTS / "langchain_client.py"]):
            done = subprocess.run([*command, url, NAME], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                  timeout=600, env={**os.environ, "NODE_PATH": str(folder / "node_modules"),
                                                    "PYTHONDONTWRITEBYTECODE": "1"})
            found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            if done.returncode != 0 or not found:
                found.append({"client": command[-1].stem, "feature": "start", "ok": False, "why": done.stderr[-600:]})
            findings += found
    finally:
        server.terminate()
        code = server.wait(timeout=60)
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
    print(f"{len(findings) - len(failed)} of {len(findings)} ok; weir serve ended with {code}")
    sys.exit(1 if failed or code != 0 else 0)


if __name__ == "__main__":
    main()
