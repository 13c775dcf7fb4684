"""A weir that serves a model for a tool, its access log in the file LOG. Errors: exits with code 3 when it does not become ready."""
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
BINARY = HERE.parent / "build/dev/weir"
NAME = "test-model"


def default_model():
    done = subprocess.run([HERE / "get_model.sh"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(3)
    return done.stdout.strip()


class Served:
    """Owns the process: a context manager; after it, `code` is weir's exit code, 0 when all was well."""

    def __init__(self, binary, model, *flags, log=None):
        if not os.access(binary, os.X_OK):
            sys.exit(f"{binary} is not there; build weir first")
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.code = None
        self.log = open(log or os.devnull, "wb")
        self.process = subprocess.Popen([binary, "serve", "--model", model, "--port", str(port), "--control-port", "0",
                                         "--served-model-name", NAME, *flags],
                                        stdout=subprocess.DEVNULL, stderr=self.log)

    def __enter__(self):
        for _ in range(1200):
            try:
                with urllib.request.urlopen(self.url + "/ready", timeout=2):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.process.kill()
        print("weir serve was not ready", file=sys.stderr)
        sys.exit(3)

    def __exit__(self, *_):
        self.process.terminate()
        self.code = self.process.wait(timeout=60)
        self.log.close()
