"""How a command ends, and what it says on the two outputs."""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from typing import Final, TextIO

__all__ = ["End", "complain", "emit", "one_line", "rows"]

#: What a shell reports for a program that SIGPIPE ended.
READER_GONE: Final = 141


class End(Exception):
    """The command is over: the exit *code*, a *message* of one line, and the *usage* line to go before it."""

    def __init__(self, code: int, message: str = "", *, usage: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.usage = usage


def one_line(text: str) -> str:
    """The *text* as one line that any terminal can show: what is not printable is escaped."""
    joined = " ".join(text.splitlines())
    return joined if joined.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in joined)


def complain(line: str) -> None:
    """Say one line on stderr, if there is one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(one_line(line) + "\n")
        sys.stderr.flush()


def emit(text: str) -> None:
    """Write *text* to stdout; End when that is not possible."""
    if sys.stdout is None:
        raise _not_written(OSError(errno.EBADF, "it is closed"))
    try:
        sys.stdout.flush()
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # an object that somebody put there, without a descriptor
        _write_text(sys.stdout, text)
    else:
        # Not into a buffer: what could not be written would be tried again at the end, and complained about twice.
        _write(descriptor, text.encode(sys.stdout.encoding, "backslashreplace"))


@contextlib.contextmanager
def rows() -> Iterator[Callable[[bytes], None]]:
    """
    A function that writes rows to stdout, each at once; End when that is not possible.

    Nobody else writes there in the ``with`` block: what functions and their child processes print
    goes to stderr, on whatever backend they run.
    """
    stdout = sys.stdout
    if stdout is None:
        raise _not_written(OSError(errno.EBADF, "it is closed"))
    _open_standard_descriptors()
    with contextlib.ExitStack() as stack:
        elsewhere = sys.stderr or stack.enter_context(open(os.devnull, "w"))
        stack.enter_context(contextlib.redirect_stdout(elsewhere))
        try:
            stdout.flush()
            descriptor = stdout.fileno()
        except (OSError, ValueError):  # an object that somebody put there, without a descriptor
            yield lambda row: _write_text(stdout, row.decode("ascii"))
            return
        private = os.dup(descriptor)
        stack.callback(os.close, private)
        stack.callback(os.dup2, private, descriptor)
        os.dup2(2, descriptor)
        yield lambda row: _write(private, row)


def _open_standard_descriptors() -> None:
    """Open those of stdin, stdout and stderr that are closed, lest another file gets the number and the output."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _write(descriptor: int, row: bytes) -> None:
    try:
        written = os.write(descriptor, row)
        while written < len(row):
            written += os.write(descriptor, row[written:])
    except OSError as error:
        raise _not_written(error) from error


def _write_text(file: TextIO, text: str) -> None:
    try:
        file.write(text)
        file.flush()
    except (OSError, ValueError) as error:
        raise _not_written(error) from error


def _not_written(error: OSError | ValueError) -> End:
    if isinstance(error, BrokenPipeError):
        return End(READER_GONE)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return End(1, f"cannot write to stdout: {reason[:1].lower()}{reason[1:]}")
