"""What goes into a command and what comes out of it, one step at a time."""

import contextlib
import io
import os
import select
from typing import IO, Any


class Feed:
    """What is still to be written to a command's stdin."""

    event = select.POLLOUT

    def __init__(self, pipe: IO[Any], data: bytes) -> None:
        self.pipe = pipe
        self._rest = memoryview(data)

    def step(self) -> bool:
        """Write as much as surely does not block; False when that was the end."""
        try:
            self._rest = self._rest[os.write(self.pipe.fileno(), self._rest[: select.PIPE_BUF]) :]
        except BrokenPipeError:  # not everybody reads to the end
            self._rest = self._rest[:0]
        if not self._rest:
            close(self.pipe)
        return bool(self._rest)


class Drain:
    """What a command wrote to one of its outputs so far, at most *limit* bytes of it."""

    event = select.POLLIN

    def __init__(self, pipe: IO[Any], limit: int | None) -> None:
        self.pipe = pipe
        self.overflowed = False
        self._limit = limit
        self._data = bytearray()

    def step(self) -> bool:
        """Read what is there; False when that was the end."""
        chunk = os.read(self.pipe.fileno(), 1 << 16)
        if not chunk:
            self.pipe.close()
            return False
        if self._limit is not None and len(self._data) + len(chunk) > self._limit:
            self.overflowed = True
            chunk = chunk[: self._limit - len(self._data)]
        self._data += chunk
        return True

    def value(self, *, lenient: bool) -> Any:
        """Bytes, or text where the command asks for it; *lenient* puts marks for what cannot be decoded."""
        data = bytes(self._data)
        if not isinstance(self.pipe, io.TextIOWrapper):
            return data
        try:
            text = data.decode(self.pipe.encoding, self.pipe.errors or "strict")
        except UnicodeDecodeError:
            if not lenient:
                raise
            text = data.decode(self.pipe.encoding, "replace")
        return text.replace("\r\n", "\n").replace("\r", "\n")


def close(pipe: IO[Any]) -> None:
    """Close a pipe; what its reader does not want any more is dropped."""
    with contextlib.suppress(BrokenPipeError):
        pipe.close()
