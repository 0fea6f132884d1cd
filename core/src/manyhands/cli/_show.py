"""What people look at: progress on a terminal, and tables. With rich where it is installed, else plain."""

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol

from ._end import emit, one_line

__all__ = ["Step", "progress", "table"]

#: Seconds between two looks of the plain progress line.
_LOOK_S: Final = 0.1


class Step(Protocol):
    """Tells the progress that one more item is done; *failed* counts those that failed so far."""

    def __call__(self, *, failed: int) -> None: ...


@contextmanager
def progress(total: int | None) -> Iterator[Step]:
    """
    Progress of *total* items on stderr, if that is a terminal and the rows go elsewhere.

    To be entered before stdout is given away to the rows.
    """
    if not _is_terminal(sys.stderr) or _is_terminal(sys.stdout):
        yield _silent
        return
    try:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        line = _Line(total)
        try:
            yield line.step
        finally:
            line.clear()
        return
    from rich.console import Console

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=total)

        def step(*, failed: int) -> None:
            bar.update(task, advance=1, description=f"{failed} failed" if failed else "")

        yield step


def _silent(*, failed: int) -> None:
    """Nobody looks."""


class _Line:
    """Progress on one line that is written over."""

    def __init__(self, total: int | None) -> None:
        self._of = "" if total is None else f" of {total}"
        self._done = 0
        self._looked = 0.0

    def step(self, *, failed: int) -> None:
        self._done += 1
        now = time.monotonic()
        if now - self._looked >= _LOOK_S:
            self._looked = now
            tail = f", {failed} failed" if failed else ""
            sys.stderr.write(f"\r{self._done}{self._of} items done{tail}\x1b[K")
            sys.stderr.flush()

    def clear(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a table to stdout."""
    shown = [[one_line(cell) for cell in row] for row in rows]
    if _is_terminal(sys.stdout):
        try:
            from rich.console import Console
            from rich.table import Table
            from rich.text import Text
        except ImportError:
            pass
        else:
            pretty = Table(*columns, box=None, header_style="bold", pad_edge=False)
            for row in shown:
                pretty.add_row(*(Text(cell) for cell in row))
            console = Console()
            with console.capture() as captured:
                console.print(pretty)
            emit(captured.get())
            return
    widths = [max(map(len, column)) for column in zip(columns, *shown, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in (columns, *shown))
    emit("".join(line.rstrip() + "\n" for line in lines))


def _is_terminal(file: Any) -> bool:
    try:
        return bool(file.isatty())
    except (AttributeError, ValueError):  # None, or closed
        return False
