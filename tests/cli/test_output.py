"""Row 24 of the catalogue: stdout is closed, full, or nobody reads it any more."""

from pathlib import Path

import pytest

from manyhands.contract.support import DEADLOCK_S

from .helpers import COMMAND, manyhands, start

pytestmark = pytest.mark.bad_input(24)

WORDS = [
    ("map", "work:upper", "a"),
    ("map", "a", "--", "echo"),
    ("backends",),
    ("config",),
    ("--help",),
    ("map", "--help"),
]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_full(words: tuple[str, ...]) -> None:
    """One line, and an exit code that is not 0."""
    with open("/dev/full", "wb") as full:
        finished = manyhands(*words, stdout=full)

    (line,) = finished.stderr.splitlines()
    assert line.endswith("cannot write to stdout: no space left on device")
    assert finished.returncode == 1


@pytest.mark.parametrize("words", WORDS)
def test_closed(words: tuple[str, ...]) -> None:
    """The same; and no other file that happens to get its number is written to."""
    finished = manyhands(*words, command=["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND])

    (line,) = finished.stderr.splitlines()
    assert line.endswith("cannot write to stdout: it is closed")
    assert finished.returncode == 1


def test_closed_stdout_leaves_the_journal_alone() -> None:
    """Nothing was done, so nothing is in it."""
    manyhands("map", "work:log", "1", "--resume", "journal", command=["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND])

    assert not Path("journal").exists()
    assert not Path("log").exists()


@pytest.mark.parametrize("closed", ["2>&-", "2>&- <&-"])
def test_closed_stderr(closed: str) -> None:
    """What functions print goes nowhere, and not among the rows."""
    finished = manyhands("map", "work:noisy", "a", command=["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND])

    assert finished.stdout == '{"index": 0, "input": "a", "result": "a"}\n'


@pytest.mark.parametrize("words", [("work:same",), ("work:same", "--resume", "journal"), ("--", "echo")])
def test_reader_that_leaves(words: tuple[str, ...]) -> None:
    """Quiet, and soon; the exit code is that of a program that SIGPIPE ended."""
    Path("lines").write_text("".join(f"{n}\n" for n in range(100_000)))
    with start("map", "--input", "lines", *words) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(DEADLOCK_S) == 141
        assert process.stderr is not None
        assert process.stderr.read() == ""
