"""The example of the main job, on a folder that is small."""

import subprocess
import sys
from pathlib import Path

import manyhands as core

from .helpers import environment, manyhands, rows

CENSUS = Path(__file__).parents[2] / "examples" / "census" / "census.py"


def sources(folder: Path) -> list[str]:
    """Four files: one with functions, one that does not parse, one that does not decode, one that is empty."""
    files = {
        "good.py": b"def one(): pass\n\nasync def two():\n    a = 1\n    return a\n",
        "broken.py": b"1 +\n",
        "latin.py": b"# caf\xe9\n",
        "empty.py": b"",
    }
    (folder / "lib").mkdir()
    for name, content in files.items():
        (folder / "lib" / name).write_bytes(content)
    (folder / "lib" / "site-packages").mkdir()
    (folder / "lib" / "site-packages" / "other.py").touch()
    return [f"lib/{name}" for name in files]


def test_examine(folder: Path) -> None:
    """Tokens, functions and the longest one; a file that is broken is reported with the reason."""
    finished = manyhands("map", f"{CENSUS}:examine", *sources(folder))

    good, broken, latin, empty = (row["result"] for row in rows(finished.stdout))
    assert good == {"tokens": 25, "functions": 2, "longest": {"name": "two", "line": 3, "lines": 3}}
    assert broken["unreadable"].startswith("SyntaxError: ")
    assert latin["unreadable"].startswith("SyntaxError: invalid or missing encoding")
    assert empty == {"tokens": 1, "functions": 0, "longest": None}
    assert finished.returncode == 0


def test_census(folder: Path) -> None:
    """Every installed backend gives the answer of the plain loop."""
    sources(folder)

    finished = subprocess.run(
        [sys.executable, CENSUS, "lib"], env=environment(), capture_output=True, text=True, timeout=25
    )

    table, headlines = finished.stdout.split("\n\n")
    first, loop, *backends = table.splitlines()
    assert first.split() == ["backend", "same", "answer", "seconds"]
    assert loop.startswith("(a plain loop)")
    assert [line.split()[:2] for line in backends] == [[info.name, "yes"] for info in core.backends()]
    assert headlines.splitlines() == [
        "4 files, 2 of them unreadable",
        "26 tokens, 2 functions",
        "the longest function is two: 3 lines, good.py:3",
    ]
    assert finished.stderr == ""
    assert finished.returncode == 0


def test_an_answer_that_differs_is_noticed(folder: Path) -> None:
    """The exit code is 1; here the backends see another file than the loop did."""
    sources(folder)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import census\n"
        "take = census.take_census\n"
        "def lie(backend, paths): return take(backend, paths[1:])\n"
        "census.take_census = lie\n"
        "sys.exit(census.main('lib'))"
    )

    finished = subprocess.run(
        [sys.executable, "-c", program, CENSUS.parent], env=environment(), capture_output=True, text=True, timeout=25
    )

    assert " NO " in finished.stdout
    assert finished.returncode == 1
    assert finished.stderr == ""
