"""A command that runs: its process, its pipes, and how both come to an end."""

import contextlib
import io
import math
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

from .._parking import poll_ready
from ..errors import CommandError
from ._family import Family, writers
from ._pipes import Drain, Feed, close
from ._start import interrupt_held, start

if TYPE_CHECKING:
    from ._command import Command

__all__ = ["RunningCommand"]

#: The longest that one system call waits, in seconds. A signal that comes after the interpreter looked for
#: one and before the call blocks interrupts neither, and is acted on when the call returns.
LONGEST_WAIT: Final = 1.0
#: How often the end of a process is looked for where the system cannot announce it, in seconds.
WITHOUT_PIDFD: Final = 0.01
#: How long the last output of killed processes is waited for, in seconds.
LAST_WORDS: Final = 0.1


class RunningCommand:
    """
    A started command, with the methods and attributes of :class:`subprocess.Popen`.

    What differs: ``terminate`` and ``kill`` reach everything that the command started, and leaving
    ``with`` by an exception stops all of it. The same holds as for Popen: ``wait`` with pipes that
    nobody reads may never return, ``communicate`` reads them.
    """

    def __init__(self, command: "Command", *, stdin: IO[Any] | None = None) -> None:
        self.command = command
        self.args: list[Any] = list(command.args)
        self.started: float = time.monotonic()
        self.deadline: float = _deadline(command.timeout)
        self._reaping = threading.RLock()  # who signals holds it, so that nobody reaps meanwhile
        self._pumps: dict[str, Feed | Drain] | None = None
        _backends_wait()  # imports what waiting needs, before there is a process that an interrupt may leave behind
        try:
            with interrupt_held():
                self._popen = popen = start(command, stdin)
                self.pid: int = popen.pid
                self.stdin: IO[Any] | None = popen.stdin
                self.stdout: IO[Any] | None = popen.stdout
                self.stderr: IO[Any] | None = popen.stderr
                self._family = Family(popen.pid)
        except BaseException:
            if hasattr(self, "_family"):
                stop([self], command.grace)
                self.close()
            raise

    @property
    def returncode(self) -> int | None:
        """The exit code, ``-signal``, or None until ``poll``, ``wait`` or ``communicate`` saw the end."""
        return self._popen.returncode

    def poll(self) -> int | None:
        """The exit code if the command has ended, else None."""
        with self._reaping:
            return self._popen.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; :class:`subprocess.TimeoutExpired` after *timeout* seconds, and it goes on running."""
        if not self.ended():
            serve([self], _deadline(timeout), enough=self.ended)
            if not self.ended():
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        with self._reaping:
            return self._popen.wait()

    def communicate(self, input: Any = None, timeout: float | None = None) -> tuple[Any, Any]:
        """
        Send *input*, read both outputs to their end, wait for the end.

        Args:
            input: What to send to a stdin that is a pipe; None sends the command's own ``input``.
            timeout: Seconds to wait at most. Nothing is lost: the call may be repeated without *input*.

        Returns:
            What it wrote to stdout and to stderr; None for one that is not a pipe.

        Raises:
            subprocess.TimeoutExpired: it is not done, and goes on running.
            CommandError: it wrote more than its ``output_limit``, and was stopped.
            ValueError: *input* was given in a repeated call, or there is no pipe for it.
        """
        if input is not None and self._pumps is not None:
            raise ValueError("input cannot be sent once the communication has started")
        if input is not None and self.stdin is None:
            raise ValueError("input cannot be sent to a command that was started without stdin=PIPE")
        self.start_pumps(input)
        done = serve([self], _deadline(timeout), enough=lambda: bool(self.overrun()))
        if self.overrun():
            stop([self], self.command.grace)
            raise self.failure(self.overrun())
        if not done:
            raise subprocess.TimeoutExpired(self.args, timeout or 0, self.output("stdout"), self.output("stderr"))
        self.poll()
        return self.output("stdout", lenient=False), self.output("stderr", lenient=False)

    def send_signal(self, signal: int) -> None:
        """Send *signal* to the process, not to those that it started; nothing happens when it has ended."""
        with self._reaping:
            if self._look() is False:
                os.kill(self.pid, signal)

    def terminate(self) -> None:
        """SIGTERM to everything that the command started; nothing happens once its end was seen."""
        with self._reaping:
            if self._look() is not None:
                self._family.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to everything that the command started; nothing happens once its end was seen."""
        with self._reaping:
            if self._look() is not None:
                self._family.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.close()
                self.wait()
        finally:
            stop([self], self.command.grace)  # has nothing to do once the end was seen
            self.close()

    def __repr__(self) -> str:
        return f"<RunningCommand {self.args!r} pid={self.pid} returncode={self.returncode}>"

    # For those that wait for it.

    def start_pumps(self, data: Any = None) -> None:
        """Have its pipes fed and drained by whoever waits for it; *data* goes instead of the command's input."""
        if self._pumps is None:
            self._pumps = {}
            for name, pipe in (("stdout", self.stdout), ("stderr", self.stderr)):
                if pipe is not None and not pipe.closed:
                    self._pumps[name] = Drain(pipe, self.command.output_limit)
            if self.stdin is not None and not self.stdin.closed:
                with contextlib.suppress(BrokenPipeError):
                    self.stdin.flush()
                self._pumps["stdin"] = Feed(self.stdin, self._encode(self.command.input if data is None else data))

    def pumps(self) -> list[Feed | Drain]:
        """Those of its pumps that are not done."""
        return [pump for pump in (self._pumps or {}).values() if not pump.pipe.closed]

    def overrun(self) -> str:
        """Which output became larger than ``output_limit``, as the reason of an error; empty when none did."""
        for name, pump in (self._pumps or {}).items():
            if isinstance(pump, Drain) and pump.overflowed:
                return f"wrote more than {self.command.output_limit} bytes to {name}"
        return ""

    def failure(self, reason: str = "") -> CommandError:
        """The error that tells what came of it, or else *reason*."""
        outputs = {"output": self.output("stdout"), "stderr": self.output("stderr")}
        return CommandError(self.args, self.returncode, reason=reason, **outputs)

    def output(self, name: str, *, lenient: bool = True) -> Any:
        """What came from ``stdout`` or ``stderr`` so far; None if it was not read from a pipe."""
        pump = (self._pumps or {}).get(name)
        return pump.value(lenient=lenient) if isinstance(pump, Drain) else None

    def ended(self) -> bool:
        """Whether the process has ended; it is not reaped by this question."""
        return self._look() is not False

    def finished(self) -> bool:
        """Whether the process has ended and its outputs too; input that it did not want does not count."""
        return not any(isinstance(pump, Drain) for pump in self.pumps()) and self.ended()

    def alive(self) -> bool:
        """Whether anything of it still runs."""
        return self._look() is not None and self._family.alive()

    def close(self) -> None:
        """Close our ends of its pipes."""
        for pipe in (self.stdout, self.stderr, self.stdin):
            if pipe is not None:
                close(pipe)

    def reap(self) -> None:
        """Take the exit code of a killed process from the system, if it is there yet."""
        with self._reaping, contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(LAST_WORDS)

    def _look(self) -> bool | None:
        """Whether it has ended; None once it was reaped, for then its number may mean somebody else."""
        if self._popen.returncode is not None:
            return None
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:  # somebody waits for every child there is, or ignores SIGCHLD
            return None

    def _encode(self, data: Any) -> bytes:
        if isinstance(data, str) and isinstance(self.stdin, io.TextIOWrapper):
            return data.encode(self.stdin.encoding, self.stdin.errors or "strict")
        return b"" if data is None else bytes(memoryview(data))


def serve(
    commands: Sequence[RunningCommand],
    deadline: float,
    *,
    tick: float | None = None,
    enough: Callable[[], bool] | None = None,
) -> bool:
    """
    Feed and drain the pipes of *commands* that have pumps until all outputs and processes are at their end.

    Args:
        commands: Those to wait for.
        deadline: When to stop waiting, on the clock of ``time.monotonic``; ``math.inf`` for never.
        tick: The longest time in seconds between two questions to *enough*.
        enough: Stops the waiting by returning True.

    Returns:
        Whether all are at their end.
    """
    wait_ready = _backends_wait()
    watched: dict[int, int] = {}
    pumps: dict[int, Feed | Drain] = {}
    with contextlib.ExitStack() as handles:
        pause = tick or LONGEST_WAIT
        for command in commands:
            for pump in command.pumps():
                pumps[pump.pipe.fileno()] = pump
                watched[pump.pipe.fileno()] = pump.event
            try:
                handle = os.pidfd_open(command.pid) if not command.ended() else None
            except (AttributeError, OSError):  # no such call here, no descriptor left, or reaped this moment
                pause = min(pause, WITHOUT_PIDFD)
            else:
                if handle is not None:
                    handles.callback(os.close, handle)
                    watched[handle] = select.POLLIN
        while not all(command.finished() for command in commands):
            left = deadline - time.monotonic()
            if left <= 0 or (enough is not None and enough()):
                return False
            for descriptor, _ in wait_ready(watched, min(left, pause)):
                if descriptor not in pumps or not pumps[descriptor].step():
                    del watched[descriptor]
        return True


def _backends_wait() -> Callable[[Mapping[int, int], float | None], list[tuple[int, int]]]:
    """How the calling activity waits for descriptors."""
    from ..executor.worker import current_backend  # only here: commands by hand need no executor

    try:
        return current_backend().wait_ready  # type: ignore[no-any-return]
    except RuntimeError:
        return poll_ready


def stop(commands: Sequence[RunningCommand], grace: float) -> list[int]:
    """
    End everything that *commands* started and reap them: SIGTERM, *grace* seconds to comply, SIGKILL.

    Returns:
        The processes that got away and still hold an output: they left the session and have no
        parent any more.
    """
    outputs = [pump for command in commands for pump in command.pumps() if isinstance(pump, Drain)]
    commands = [command for command in commands if command.returncode is None]
    deadline = time.monotonic() + grace
    try:
        for command in commands:
            command.terminate()
        while time.monotonic() < deadline and any(command.alive() for command in commands):
            if serve(commands, min(deadline, time.monotonic() + 0.05)):
                time.sleep(0.005)  # the processes have ended, others of theirs have not
    finally:
        for command in commands:
            command.kill()
        serve(commands, time.monotonic() + LAST_WORDS)
        for command in commands:
            command.reap()
    return writers(pump.pipe.fileno() for pump in outputs if not pump.pipe.closed)


def _deadline(timeout: float | None) -> float:
    return math.inf if timeout is None else time.monotonic() + timeout
