"""
The journal of ``map --resume``: the rows of the items that are done, in the order in which they were done.

The first line says which job it belongs to; what decides about a result is part of that, what does
not (backend, number of workers, timeout, retries) is not. Every other line is a row as it is
printed. A line is one ``write``, so that a killed run leaves whole lines, and at most the last one
torn when the machine itself went down.
"""

import errno
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, NoReturn

from ._end import End
from ._inputs import Item

__all__ = ["Journal"]

_KEY: Final = "manyhands map journal"
_VERSION: Final = 1
#: Seconds of work that a crash of the machine may cost; a crash of the program costs nothing.
_SYNC_S: Final = 1.0


class Journal:
    """
    An open journal; ``with`` closes it. May be used from any thread.

    Args:
        path: The file, made if it is not there.
        job: What the rows depend on, beside their inputs.

    Raises:
        End: it cannot be opened, is no journal, belongs to another job, is damaged, or is in use.
    """

    def __init__(self, path: str, job: Mapping[str, Any]) -> None:
        self._path = path
        self._header = json.dumps({_KEY: _VERSION, "job": dict(job)}).encode("ascii") + b"\n"
        self._lock = threading.RLock()
        #: Where the row of an item starts in the file, and its length.
        self._places: dict[int, tuple[int, int]] = {}
        self._error: OSError | None = None
        try:
            self._descriptor = _opened(path)
            try:
                self._take_over()
            except BaseException:
                os.close(self._descriptor)
                raise
        except OSError as error:
            raise self._problem((error.strerror or str(error)).lower()) from error
        self._synced = time.monotonic()

    def recall(self, item: Item) -> bool:
        """Give *item* its row if it is done; End when the journal has another input in its place."""
        place = self._places.get(item.index)
        if place is None:
            return False
        row = os.pread(self._descriptor, place[1], place[0])
        if not row.startswith(f'{item.start}"result": '.encode("ascii")):
            recorded = json.loads(row).get("input")
            self._changed(item.index, recorded, f"now it is {_shorten(item.value)}")
        item.row = row
        return True

    def end(self, count: int) -> None:
        """There are *count* inputs; End when there were more."""
        surplus = [index for index in self._places if index >= count]
        if surplus:
            place = self._places[min(surplus)]
            recorded = json.loads(os.pread(self._descriptor, place[1], place[0])).get("input")
            self._changed(min(surplus), recorded, f"now there are only {count} inputs")

    def record(self, row: bytes) -> None:
        """Add the *row* of an item that is done; a failure is kept for :meth:`check`."""
        with self._lock:
            if self._descriptor < 0 or self._error is not None:
                return
            try:
                _write(self._descriptor, row)
                if time.monotonic() - self._synced >= _SYNC_S:
                    os.fsync(self._descriptor)
                    self._synced = time.monotonic()
            except OSError as error:
                self._error = error

    def check(self) -> None:
        """End when something could not be recorded."""
        if self._error is not None:
            raise End(1, f"cannot write to journal {self._path!r}: {(self._error.strerror or '').lower()}")

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            descriptor, self._descriptor = self._descriptor, -1
            try:
                os.fsync(descriptor)
            except OSError as failure:
                self._error = self._error or failure
            os.close(descriptor)
        if kind is None:
            self.check()

    # Opening.

    def _take_over(self) -> None:
        """Lock the file, read what is in it, cut a torn last line off, write the header into a new one."""
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise self._problem("another run is using it") from None
        with open(self._descriptor, "rb", closefd=False) as file:
            header = file.readline(1 << 20)
            if not self._header.startswith(header):  # a torn one is of a run that ended at its very beginning
                self._refuse(header)
            whole = len(header) if header.endswith(b"\n") else 0
            for number, line in enumerate(file, 2):
                index = _index(line)
                if index is None:
                    if file.read(1):
                        raise self._problem(f"line {number} is damaged; take the line out to have its item done again")
                    break
                self._places.setdefault(index, (whole, len(line)))
                whole += len(line)
        os.ftruncate(self._descriptor, whole)
        if not whole:
            _write(self._descriptor, self._header)
            os.fsync(self._descriptor)

    def _refuse(self, header: bytes) -> NoReturn:
        """Say what is wrong with a first line that is not the one expected."""
        try:
            found = json.loads(header)
            version, job = found[_KEY], found["job"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._problem("it is not a journal of manyhands map, and is left as it is") from None
        if version != _VERSION:
            raise self._problem(f"it has format {_shorten(version)}, this manyhands knows format {_VERSION}")
        expected = json.loads(self._header)["job"]
        raise self._problem(f"it belongs to another job: {_described(job)}, not {_described(expected)}")

    def _changed(self, index: int, recorded: object, now: str) -> NoReturn:
        raise self._problem(f"the inputs have changed: item {index} was {_shorten(recorded)}, {now}")

    def _problem(self, problem: str) -> End:
        return End(2, f"journal {self._path!r}: {problem}")


def _opened(path: str) -> int:
    """
    A descriptor of the regular file *path*, made with mode 0600 if it is not there.

    Neither waits, as opening a FIFO would, nor makes a file at the far end of a symbolic link.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def _write(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


def _index(line: bytes) -> int | None:
    """The index in a row; None if *line* is no row."""
    try:
        row = json.loads(line)
        index = row["index"]
        whole = line.endswith(b"\n") and "result" in row and "input" in row
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return index if whole and type(index) is int and index >= 0 else None


def _described(job: Any) -> str:
    return ", ".join(f"{key} {_shorten(value, 300)}" for key, value in job.items()) if isinstance(job, dict) else "?"


def _shorten(value: object, limit: int = 80) -> str:
    from ..options import shorten

    return shorten(value, limit)
