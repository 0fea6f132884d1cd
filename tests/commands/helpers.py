"""Commands that the tests run, and looks at processes."""

import contextlib
import sys
import textwrap
from pathlib import Path
from typing import Any, Final

from manyhands import Command

__all__ = ["MIB", "python", "running", "sh", "state"]

MIB: Final = 1 << 20


def sh(line: str, **options: Any) -> Command:
    """A command line for the shell."""
    return Command(["sh", "-c", line], **options)


def python(script: str, *args: object, **options: Any) -> Command:
    """A program for the interpreter that runs the tests."""
    return Command([sys.executable, "-c", textwrap.dedent(script), *map(str, args)], **options)


def state(pid: int) -> str:
    """The letter of a process's state; empty when there is no such process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return ""


def running(pid: int) -> bool:
    """Whether a process still runs; one that waits to be reaped does not."""
    return state(pid) not in ("", "Z", "X")
