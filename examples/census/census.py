"""
A census of Python's own standard library, taken once on every backend that is installed.

``examine`` is an ordinary function of one path; it knows nothing of manyhands. Run as a program,
this file has ``manyhands map`` apply it to all of the standard library (or to the folder that is
its argument) on one backend after another, each chosen by nothing but a variable, and compares
what comes out with a plain loop.
"""

import ast
import io
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Some files hold escapes and comparisons that are allowed and frowned upon: that is not our business here.
warnings.filterwarnings("ignore", category=SyntaxWarning)
warnings.filterwarnings("ignore", category=DeprecationWarning)


def examine(path: str) -> dict[str, Any]:
    """
    Count the tokens and the functions in a source file, and find the longest function.

    The test suite of the standard library holds files that are broken on purpose: those are
    reported with the reason why they cannot be read.
    """
    try:
        with tokenize.open(path) as file:
            source = file.read()
        tokens = sum(1 for _ in tokenize.generate_tokens(io.StringIO(source).readline))
        tree = ast.parse(source)
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
        return {"unreadable": f"{type(error).__name__}: {error}"}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    longest = max(functions, key=length, default=None)
    return {
        "tokens": tokens,
        "functions": len(functions),
        "longest": longest and {"name": longest.name, "line": longest.lineno, "lines": length(longest)},
    }


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function has, from its ``def`` to its end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def main(root: str) -> int:
    """Take the census of the folder *root* in a plain loop and on each backend; 1 when the answers differ."""
    paths = sorted(find_sources(root))
    began = time.perf_counter()
    rows = [{"index": index, "input": path, "result": examine(path)} for index, path in enumerate(paths)]
    took = time.perf_counter() - began
    expected = "".join(json.dumps(row) + "\n" for row in rows)
    print(f"{'backend':<20}{'same answer':<14}seconds")
    print(f"{'(a plain loop)':<20}{'':<14}{took:.2f}", flush=True)
    all_same = True
    for backend in installed_backends():
        answer, took = take_census(backend, paths)
        all_same &= answer == expected
        print(f"{backend:<20}{'yes' if answer == expected else 'NO':<14}{took:.2f}", flush=True)
    print_headlines(root, rows)
    return 0 if all_same else 1


def find_sources(root: str) -> Iterator[str]:
    """The source files below *root*, without what was installed beside the standard library."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in ("site-packages", "dist-packages", "__pycache__")]
        yield from (os.path.join(folder, name) for name in names if name.endswith(".py"))


def installed_backends() -> list[str]:
    """The names of the backends that can be used here."""
    command = [sys.executable, "-m", "manyhands", "backends", "--load", "--json"]
    listed = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return [backend["name"] for backend in listed if backend["status"] == "loaded"]


def take_census(backend: str, paths: list[str]) -> tuple[str, float]:
    """What ``manyhands map`` prints on *backend*, and how many seconds it took."""
    target = f"{os.path.abspath(__file__)}:examine"
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder, "paths.txt")
        inputs.write_bytes(b"".join(os.fsencode(path) + b"\n" for path in paths))
        began = time.perf_counter()
        finished = subprocess.run(
            [sys.executable, "-m", "manyhands", "map", target, "--input", inputs],
            env={**os.environ, "MANYHANDS_BACKEND": backend},
            stdout=subprocess.PIPE,
            text=True,
        )
        took = time.perf_counter() - began
    return finished.stdout, took


def print_headlines(root: str, rows: list[dict[str, Any]]) -> None:
    """What the census found."""
    read = [row for row in rows if "unreadable" not in row["result"]]
    tokens = sum(row["result"]["tokens"] for row in read)
    functions = sum(row["result"]["functions"] for row in read)
    print(f"\n{len(rows):,} files, {len(rows) - len(read):,} of them unreadable")
    print(f"{tokens:,} tokens, {functions:,} functions")
    with_functions = [row for row in read if row["result"]["longest"]]
    if with_functions:
        row = max(with_functions, key=lambda row: row["result"]["longest"]["lines"])
        name, line, lines = (row["result"]["longest"][key] for key in ("name", "line", "lines"))
        print(f"the longest function is {name}: {lines:,} lines, {os.path.relpath(row['input'], root)}:{line}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2] or [sysconfig.get_paths()["stdlib"]]))
