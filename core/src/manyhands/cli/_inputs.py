"""The inputs of ``map``: words, or the lines of a file or of stdin, perhaps JSON."""

import errno
import json
import os
import queue
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Final, NoReturn

from ._end import End
from ._target import encode

__all__ = ["Feed", "Inputs", "Item", "SlowFeed"]

_STDIN: Final = 0


class Item:
    """One input on its way to its row."""

    __slots__ = ("error", "future", "index", "row", "start", "value")

    def __init__(self, index: int, value: Any) -> None:
        self.index = index
        self.value = value
        #: How its row starts.
        self.start = f'{{"index": {index}, "input": {encode(value)}, '
        #: The task that works on it.
        self.future: Any = None
        #: What is printed for it; None until it is done.
        self.row: bytes | None = None
        #: Why it failed: a type's name and a message.
        self.error: tuple[str, str] | None = None

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.row is not None or (self.future is not None and self.future.done())

    def succeed(self, result: str) -> None:
        """Its *result* as JSON is there."""
        self.row = f'{self.start}"result": {result}}}\n'.encode("ascii")

    def fail(self, kind: str, message: str) -> None:
        """It came to nothing."""
        self.error = (kind, message)
        self.row = f'{self.start}"error": {encode({"type": kind, "message": message})}}}\n'.encode("ascii")


class Inputs:
    """
    Where the items come from; ``with`` opens it, and each iteration starts anew if all is at hand.

    Args:
        words: The inputs themselves.
        path: A file with one input per line, ``-`` for stdin; instead of *words*.
        jsonl: Each input is a JSON value; blank lines are skipped.
    """

    def __init__(self, words: Sequence[str], path: str | None, *, jsonl: bool) -> None:
        self._words = words
        self._path = path
        self._jsonl = jsonl
        self._descriptor = -1
        #: Whether nothing has to be waited for.
        self.at_hand = True

    def __enter__(self) -> "Inputs":
        if self._path is None:
            return self
        try:
            if self._path == "-":
                self._take_stdin()
            else:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            mode = os.fstat(self._descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, "it is a directory")
        except OSError as error:
            raise self._problem(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
        self.at_hand = stat.S_ISREG(mode)
        self._begin = os.lseek(self._descriptor, 0, os.SEEK_CUR) if self.at_hand else 0
        return self

    def _take_stdin(self) -> None:
        """Keep stdin to ourselves: a function that asks for input must not get ours."""
        if sys.stdin is None:
            raise OSError(errno.EBADF, "it is closed")
        self._descriptor = os.dup(_STDIN)
        nowhere = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        os.dup2(nowhere, _STDIN)
        os.close(nowhere)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path == "-":
            os.dup2(self._descriptor, _STDIN)
        # A descriptor that is not at hand stays open: a thread may still be reading it.
        if self._descriptor >= 0 and self.at_hand:
            os.close(self._descriptor)

    @property
    def total(self) -> int | None:
        """How many there are, if that is known."""
        return len(self._words) if self._path is None else None

    def __iter__(self) -> Iterator[Item]:
        """The items; End for what is no JSON."""
        texts: Iterator[tuple[str, str]]
        if self._path is None:
            texts = ((f"input {index}", word) for index, word in enumerate(self._words))
        else:
            texts = self._lines()
        if not self._jsonl:
            return (Item(index, text) for index, (_, text) in enumerate(texts))
        return (_json_item(index, where, text) for index, (where, text) in enumerate(texts))

    def _lines(self) -> Iterator[tuple[str, str]]:
        name = "stdin" if self._path == "-" else self._path
        if self.at_hand:
            os.lseek(self._descriptor, self._begin, os.SEEK_SET)
        with open(self._descriptor, "rb", closefd=False) as file:
            for number, line in enumerate(file, 1):
                text = os.fsdecode(line.removesuffix(b"\n").removesuffix(b"\r"))
                if text.strip() or not self._jsonl:
                    yield f"{name}:{number}", text

    def _problem(self, problem: str) -> End:
        return End(2, f"input {'stdin' if self._path == '-' else ascii(self._path)} {problem}")


def _json_item(index: int, where: str, text: str) -> Item:
    from ..options import shorten

    try:
        return Item(index, json.loads(text, parse_constant=_no_constant))
    except (ValueError, RecursionError) as error:
        raise End(2, f"{where}: not a JSON value ({error}), got {shorten(text)}") from None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


class Feed:
    """Hands out the items of inputs that are at hand."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        #: Whether no more will come.
        self.ended = False
        #: What ended it before its time.
        self.error: BaseException | None = None

    def next(self) -> Item | None:
        """The next item; None at the end, or when there is something else to look at."""
        try:
            item = next(self._items, None)
        except Exception as error:
            self.error = error
            item = None
        self.ended = item is None
        return item

    def wake(self, _: object = None) -> None:
        """Have whoever waits in ``next`` look at something else."""


class SlowFeed(Feed):
    """
    The same for a source that may keep us waiting: a thread reads it.

    Args:
        items: The items.
        ahead: How many may be read before somebody takes them.
    """

    def __init__(self, items: Iterator[Item], ahead: int) -> None:
        super().__init__(items)
        self._events: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._slots = threading.Semaphore(ahead)
        self._read_all = False
        threading.Thread(target=self._read, name="manyhands-input", daemon=True).start()

    def next(self) -> Item | None:
        item = self._events.get()
        if item is not None:
            self._slots.release()
        else:
            self.ended = self._read_all and self._events.empty()
        return item

    def wake(self, _: object = None) -> None:
        self._events.put(None)

    def _read(self) -> None:
        try:
            for item in self._items:
                self._slots.acquire()
                self._events.put(item)
        except Exception as error:
            self.error = error
        self._read_all = True
        self.wake()
