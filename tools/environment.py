"""Python environments of the tools: made once in weir's cache, made anew when their pins change.

No network is used while the pins are as they were. Errors: exits with code 3 and the command that failed.
"""
import os
import pathlib
import shutil
import subprocess
import sys


def cache_folder():
    return pathlib.Path(os.environ.get("WEIR_CACHE") or
                        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "weir")


def install(name, pins, more=()):
    """The folder NAME of the cache, with venv/ as the first of the files PINS says; MORE are further commands, run in the folder
    after the other pins were copied there."""
    folder = cache_folder() / name
    stamp = folder / "stamp"
    wanted = "".join(pin.read_text(encoding="utf-8") for pin in pins)
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return folder
    for command in more:
        if not shutil.which(command[0]):
            sys.exit(f"{command[0]} is missing; install it first")
    print(f"installing {', '.join(pin.name for pin in pins)} into {folder}", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for pin in pins[1:]:
        shutil.copy(pin, folder)
    for command in (["/usr/bin/python3", "-m", "venv", "venv"],
                    ["venv/bin/pip", "install", "-q", "--disable-pip-version-check", "-r", str(pins[0])], *more):
        if subprocess.run(command, cwd=folder, stdout=sys.stderr).returncode != 0:
            print(f"{' '.join(command)} failed", file=sys.stderr)
            sys.exit(3)
    stamp.write_text(wanted, encoding="utf-8")
    return folder
