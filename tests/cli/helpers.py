"""The command line as a user types it, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from manyhands.contract.support import DEADLOCK_S

__all__ = ["COMMAND", "FUNCTIONS", "environment", "lines", "manyhands", "one_line", "results", "rows", "start"]

COMMAND: Final = [sys.executable, "-m", "manyhands"]

#: What the tests map; the working directory of every test has it as ``work.py``.
FUNCTIONS: Final = '''
import os, pathlib, sys, threading

def upper(text):
    return text.upper()

def count(text):
    if text == "bad":
        raise ValueError("it is bad")
    return len(text)

def same(value):
    return value

def log(text):
    """Leave a trace of having been called; with the variable HOLD_AT, do not return from that item on."""
    with open("log", "a") as file:
        file.write(text + "\\n")
    if int(text) >= int(os.environ.get("HOLD_AT", 10**9)):
        threading.Event().wait()
    return text * 3

def noisy(text):
    print("printed", text)
    os.system("echo echoed")
    sys.stdout.flush()
    return text

def ask(text):
    return sys.stdin.read()

def various(name):
    return {
        "path": pathlib.PurePosixPath("a/b"), "set": {3, 1, 2}, "tuple": (1, "x"), "nan": float("nan"),
        "object": object(), "deep": [name], "mixed": {1, "a"},
    }[name]

def leave(text):
    sys.exit(3)

def unprintable(text):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError
    raise Odd

class Tool:
    @staticmethod
    def double(text):
        return 2 * text

async def coroutine(text):
    return text

number = 3
'''


def environment(**more: str) -> dict[str, str]:
    """The variables of a user who has configured nothing."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MANYHANDS_")}
    return {**kept, "XDG_CONFIG_HOME": "/nonexistent", **more}


def start(
    *words: str | bytes, command: Sequence[str] = COMMAND, env: dict[str, str] | None = None, **options: Any
) -> "subprocess.Popen[str]":
    """Start ``manyhands`` with these *words*; its outputs are pipes unless said otherwise."""
    options = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    } | options
    return subprocess.Popen([*command, *words], env=environment(**(env or {})), **options)


def manyhands(*words: str | bytes, input: str | None = None, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run ``manyhands`` with these *words* to its end."""
    if input is not None:
        options["stdin"] = subprocess.PIPE
    with start(*words, **options) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=DEADLOCK_S)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def rows(stdout: str) -> list[Any]:
    """The rows that were printed."""
    return [json.loads(line) for line in stdout.splitlines()]


def results(stdout: str) -> list[Any]:
    """Their results."""
    return [row["result"] for row in rows(stdout)]


def one_line(finished: "subprocess.CompletedProcess[str]", code: int = 2) -> str:
    """The one line on stderr of a run that ended with exit *code* and printed nothing."""
    assert finished.returncode == code, finished.stderr
    assert finished.stdout in ("", None)
    (line,) = finished.stderr.splitlines()
    return line


def lines(path: Path) -> list[str]:
    """The lines of a file; none if it is not there."""
    return path.read_text().splitlines() if path.exists() else []
