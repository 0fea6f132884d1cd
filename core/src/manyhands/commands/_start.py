"""Starts the process of a command."""

import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, Final

from ..errors import CommandError
from ..options import shorten

if TYPE_CHECKING:
    from ._command import Command

#: The options of a command that Popen takes under the same name and with the same meaning.
PASSED_ON: Final = (
    *("stdout", "stderr", "close_fds", "cwd", "env", "text", "encoding", "errors", "restore_signals", "pass_fds"),
    *("user", "group", "extra_groups", "umask", "pipesize"),
)


def start(command: "Command", stdin: int | IO[Any] | None) -> "subprocess.Popen[Any]":
    """Start *command*, with *stdin* in place of its own unless that is None; CommandError if that cannot be done."""
    if stdin is None:
        stdin = subprocess.PIPE if command.input is not None else command.stdin
    own_session = command.process_group is None and command.start_new_session
    group = None if own_session else command.process_group or 0
    options = {name: getattr(command, name) for name in PASSED_ON}
    try:
        return subprocess.Popen(
            command.args, stdin=stdin, start_new_session=own_session, process_group=group, **options
        )
    except (OSError, LookupError) as error:
        raise _not_started(command, error) from error


def _not_started(command: "Command", error: OSError | LookupError) -> CommandError:
    argv: list[Any] = list(command.args)
    if not isinstance(error, OSError):  # the name of a user or group
        return CommandError(argv, reason=f"could not be started: {error.args[0]}")
    cwd = command.cwd
    # The system names the folder also when something else failed before the program's turn.
    blame_cwd = cwd is not None and error.filename == cwd and not (os.path.isdir(cwd) and os.access(cwd, os.X_OK))
    where = f" in cwd {shorten(cwd)}" if blame_cwd else ""
    number = error.errno or 0
    problem = f"{os.strerror(number).lower()} ({errno.errorcode.get(number, number)})"
    return CommandError(argv, reason=f"could not be started{where}: {problem}", errno=error.errno)


@contextlib.contextmanager
def interrupt_held() -> Iterator[None]:
    """
    Let a Ctrl-C that comes meanwhile act at the end.

    In the middle of starting a process it would leave one behind that nobody knows yet.
    """
    came: list[FrameType | None] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(frame)

    handler = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(ValueError):  # in a thread that no signal interrupts
        if callable(handler):
            signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        if callable(handler) and signal.getsignal(signal.SIGINT) is hold:
            signal.signal(signal.SIGINT, handler)
            if came:
                handler(signal.SIGINT, came[0])
