"""Runs commands to their end: one, or several that are connected."""

import math
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Final

import attrs

from ..errors import CommandError, CommandTimeoutError
from ._running import RunningCommand, serve, stop
from ._start import interrupt_held

if TYPE_CHECKING:
    from ._command import Command

__all__ = ["CompletedCommand", "run"]

#: How often a command in a task looks whether somebody asked the task to stop, in seconds.
TICK: Final = 0.05


@attrs.frozen(slots=False)
class CompletedCommand(subprocess.CompletedProcess[Any]):
    """
    What came of a command; a :class:`subprocess.CompletedProcess` that knows more.

    ``stdout`` and ``stderr`` are bytes, or text if the command asked for text; None if they went
    elsewhere. In a pipeline's result ``stages`` are the results of all its commands in order.
    """

    args: list[Any]
    returncode: int
    stdout: Any = None
    stderr: Any = None
    #: How long it ran, in seconds.
    duration: float = 0.0
    stages: tuple["CompletedCommand", ...] = ()

    def check_returncode(self) -> None:
        """Raise :class:`manyhands.CommandError` unless the exit code is 0."""
        if self.returncode:
            raise CommandError(self.args, self.returncode, output=self.stdout, stderr=self.stderr)


def run(commands: Sequence["Command"]) -> list[CompletedCommand]:
    """
    Start *commands*, each reading what the one before writes, and wait until all are at their end.

    Whatever keeps this from happening, a Ctrl-C included, stops all of them and what they started.

    Raises:
        CommandError: one could not be started, failed (the first one, if several did), or wrote too much.
        CommandTimeoutError: one ran longer than its timeout.
        concurrent.futures.CancelledError: somebody asked the task that this runs in to stop.
    """
    running: list[RunningCommand] = []
    try:
        for command in commands:
            upstream = running[-1].stdout if running else None
            with interrupt_held():  # until it is where the handler below finds it
                running.append(RunningCommand(command, stdin=upstream))
            if upstream is not None:
                upstream.close()  # only the reader holds it, so that its end reaches the writer
        for one in running:
            one.start_pumps()
        _wait(running)
        return _results(running)
    except BaseException as error:
        strays = _stop(running)
        if strays:
            pids = ", ".join(map(str, strays))
            error.add_note(f"an output is still held by process {pids}, which left the session and was not stopped")
        raise
    finally:
        for one in running:
            one.close()


def _wait(running: list[RunningCommand]) -> None:
    from ..executor.worker import current_task  # only here: commands by hand need no executor

    task = current_task()

    def cancelled() -> bool:
        return task is not None and task.cancel_requested

    def enough() -> bool:
        return cancelled() or any(one.overrun() for one in running)

    finished = False
    while not finished:
        due = min((one.deadline for one in running if not one.finished()), default=math.inf)
        finished = serve(running, due, tick=None if task is None else TICK, enough=enough)
        for one in running:
            if one.overrun():
                _stop(running)
                raise one.failure(one.overrun())
            if one.deadline <= time.monotonic() and not one.finished():
                _stop(running)
                raise _timed_out(one)
        if not finished and cancelled():
            raise CancelledError


def _stop(running: list[RunningCommand]) -> list[int]:
    return stop(running, max((one.command.grace for one in running), default=0))


def _results(running: list[RunningCommand]) -> list[CompletedCommand]:
    ended = time.monotonic()
    codes = [one.wait() for one in running]
    for one, code in zip(running, codes, strict=True):
        # A writer is not to blame when its reader had read enough.
        cut_short = code == -signal.SIGPIPE and one is not running[-1]
        if code and one.command.check and not cut_short:
            raise one.failure()
    return [
        CompletedCommand(
            one.args,
            code,
            one.output("stdout", lenient=False),
            one.output("stderr", lenient=False),
            duration=ended - one.started,
        )
        for one, code in zip(running, codes, strict=True)
    ]


def _timed_out(one: RunningCommand) -> CommandTimeoutError:
    timeout = one.command.timeout or 0.0
    return CommandTimeoutError(one.args, timeout, output=one.output("stdout"), stderr=one.output("stderr"))
