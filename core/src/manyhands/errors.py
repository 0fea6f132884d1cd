"""
Every error of manyhands.

Each class has one base of ours and the built-in class a caller would have guessed. Facts are
attributes, the sentence is ``str(error)``. A task's own exception is never wrapped: these errors
are for what the framework itself did or could not do.
"""

import concurrent.futures
import pickle
import signal as _signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "BackendLoadError",
    "CommandError",
    "CommandTimeoutError",
    "ConfigError",
    "DeadlockError",
    "ExecutorBrokenError",
    "ExecutorClosedError",
    "InitializerError",
    "ManyhandsError",
    "ManyhandsWarning",
    "ProtocolError",
    "RemoteError",
    "ResourceError",
    "SerializationError",
    "TaskTimeoutError",
    "UnknownBackendError",
    "UnsupportedError",
    "WorkerLostError",
    "WorkerStartError",
]


def _rebuild(kind: type[BaseException], args: tuple[Any, ...], facts: dict[str, Any]) -> BaseException:
    """Make an error again from its attributes, whatever its ``__init__`` asks for."""
    error = kind.__new__(kind)
    error.args = args
    for name, value in facts.items():
        setattr(error, name, value)
    return error


class ManyhandsError(Exception):
    """Base of everything that manyhands raises on its own behalf."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By attributes: rebuilding from ``args`` breaks for classes with an OSError base and for
        # every ``__init__`` with keyword-only arguments.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


class ManyhandsWarning(UserWarning):
    """Something in the surroundings looks like a mistake, but work can go on."""


class ConfigError(ManyhandsError, ValueError):
    """
    A setting is unknown, malformed or out of bounds; nothing was started.

    ``problem`` is what is wrong, ``source`` is where the setting came from (``file:line``, an
    environment variable, an argument), or an empty string.
    """

    def __init__(self, problem: str, *, source: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.source = source

    def __str__(self) -> str:
        return f"{self.source}: {self.problem}" if self.source else self.problem


class UnknownBackendError(ManyhandsError, LookupError):
    """No installed plugin has that name; ``installed`` says which there are, ``hint`` what to do."""

    def __init__(self, name: str, *, installed: Sequence[str] = (), hint: str = "", source: str = "") -> None:
        super().__init__(name)
        self.name = name
        self.installed: tuple[str, ...] = tuple(installed)
        self.hint = hint
        self.source = source

    def __str__(self) -> str:
        installed = ", ".join(self.installed) or "none"
        where = f"{self.source}: " if self.source else ""
        sentence = f"{where}no backend named {_cut(self.name)} is installed (installed: {installed})"
        return f"{sentence}; {self.hint}" if self.hint else sentence


class BackendLoadError(ManyhandsError, ImportError):
    """The plugin is there but cannot be used; ``problems`` lists every reason found."""

    def __init__(self, backend: str, problems: Sequence[str], *, distribution: str = "") -> None:
        super().__init__(backend)
        self.backend = backend
        self.problems: tuple[str, ...] = tuple(problems)
        self.distribution = distribution

    def __str__(self) -> str:
        origin = f" of {self.distribution}" if self.distribution else ""
        return f"backend {_cut(self.backend)}{origin} cannot be loaded: {'; '.join(self.problems)}"


class UnsupportedError(ManyhandsError, NotImplementedError):
    """The backend does not offer this; raised at the call, before anything starts."""

    def __init__(self, backend: str, what: str, *, capability: str = "") -> None:
        super().__init__(backend, what)
        self.backend = backend
        self.what = what
        self.capability = capability

    def __str__(self) -> str:
        lacks = f" (it lacks the capability {self.capability!r})" if self.capability else ""
        return f"backend {self.backend!r} does not offer {self.what}{lacks}"


class ExecutorClosedError(ManyhandsError, RuntimeError):
    """Used after it was closed; ``reason`` says why and ``closed_at`` where (``file:line``)."""

    def __init__(self, reason: str = "cannot schedule new futures after shutdown", *, closed_at: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.closed_at = closed_at

    def copy(self) -> "ExecutorClosedError":
        """The same facts in a fresh exception: each raise has a traceback of its own."""
        return ExecutorClosedError(self.reason, closed_at=self.closed_at)

    def __str__(self) -> str:
        return f"{self.reason} (closed at {self.closed_at})" if self.closed_at else self.reason


class ExecutorBrokenError(ManyhandsError, concurrent.futures.BrokenExecutor):
    """The executor itself cannot go on; every unfinished future of it fails with this error."""


class WorkerStartError(ExecutorBrokenError):
    """A worker did not come to life."""


class InitializerError(ExecutorBrokenError):
    """The ``initializer`` of the executor raised in every worker; the last error is the cause."""


class WorkerLostError(ManyhandsError, RuntimeError):
    """
    The worker died before its task finished.

    ``started`` says whether the task had begun, ``attempts`` how often it was tried, ``signal`` and
    ``exitcode`` how the worker ended (one of them is None), ``hint`` what may have been the reason.
    """

    def __init__(
        self,
        pid: int | None = None,
        exitcode: int | None = None,
        *,
        signal: int | None = None,
        task: str = "",
        started: bool = True,
        attempts: int = 1,
        hint: str = "",
    ) -> None:
        super().__init__(pid, exitcode)
        self.pid = pid
        self.exitcode = exitcode
        self.signal = signal
        self.task = task
        self.started = started
        self.attempts = attempts
        self.hint = hint

    def __str__(self) -> str:
        how = _how_it_ended(self.exitcode, self.signal)
        when = "before its task finished" if self.started else "before its task started"
        task = f" {self.task}" if self.task else ""
        tried = f", attempt {self.attempts}" if self.attempts > 1 else ""
        hint = f"; {self.hint}" if self.hint else ""
        return f"worker {self.pid} {how} {when}{task}{tried}{hint}"


class SerializationError(ManyhandsError, pickle.PickleError):
    """
    A value cannot cross to the worker, or back.

    ``phase`` is one of ``encode-args``, ``decode-args``, ``encode-result``, ``decode-result`` or
    ``pickle``; ``path`` leads to the culprit (``args[2].handle``) where it is known.
    """

    def __init__(self, problem: str, *, phase: str = "pickle", path: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.phase = phase
        self.path = path

    def __str__(self) -> str:
        where = f" at {self.path}" if self.path else ""
        return f"{self.phase}{where}: {self.problem}"


class TaskTimeoutError(ManyhandsError, TimeoutError):
    """The task ran longer than its ``timeout`` (seconds from its start) and was stopped."""

    def __init__(self, task: str, timeout: float) -> None:
        super().__init__(task, timeout)
        self.task = task
        self.timeout = timeout

    def __str__(self) -> str:
        return f"task {self.task} ran longer than its timeout of {self.timeout:g} s and was stopped"


class DeadlockError(ManyhandsError, RuntimeError):
    """
    Nothing can go on: every activity waits for another.

    ``graph`` maps a description of each waiter to what it waits for.
    """

    def __init__(self, problem: str, *, graph: Mapping[str, str] | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.graph: dict[str, str] = dict(graph or {})

    def __str__(self) -> str:
        edges = "".join(f"\n  {waiter} waits for {awaited}" for waiter, awaited in self.graph.items())
        return f"{self.problem}{':' if edges else ''}{edges}"


class CommandError(ManyhandsError, subprocess.CalledProcessError):
    """
    An external command could not be started, failed, or wrote more than it may.

    Attributes as in :class:`subprocess.CalledProcessError` (``cmd``, ``returncode``, ``output``,
    ``stderr``); ``returncode`` is None when the command never ran, and ``reason`` then says why,
    ``errno`` with the system's number for it.
    """

    def __init__(
        self,
        cmd: Sequence[Any],
        returncode: int | None = None,
        *,
        output: Any = None,
        stderr: Any = None,
        reason: str = "",
        errno: int | None = None,
    ) -> None:
        super().__init__(returncode, list(cmd), output, stderr)  # type: ignore[arg-type]
        self.reason = reason
        self.errno = errno

    def __str__(self) -> str:
        name = self.cmd[0] if self.cmd else "?"
        if self.reason:
            outcome = self.reason
        elif self.returncode is not None and self.returncode < 0:
            outcome = _how_it_ended(None, -self.returncode)
        else:
            outcome = f"ended with exit code {self.returncode}"
        return f"command {name!r} {outcome}{_stderr_tail(self.stderr)}"


class CommandTimeoutError(CommandError, subprocess.TimeoutExpired):
    """The command ran longer than its ``timeout`` in seconds; it and its children were killed."""

    def __init__(self, cmd: Sequence[str], timeout: float, *, output: Any = None, stderr: Any = None) -> None:
        super().__init__(
            cmd, None, output=output, stderr=stderr, reason=f"ran longer than {timeout:g} s and was killed"
        )
        self.timeout = timeout


class ProtocolError(ManyhandsError, RuntimeError):
    """Bytes on a channel that no worker of ours would send; ``offset`` is where, in bytes."""

    def __init__(self, problem: str, *, offset: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset

    def __str__(self) -> str:
        return self.problem if self.offset is None else f"{self.problem} (at byte {self.offset})"


class ResourceError(ManyhandsError, OSError):
    """The machine has no more of something (threads, processes, descriptors, memory)."""

    def __init__(self, problem: str, *, errno: int | None = None) -> None:
        super().__init__(errno, problem)
        self.problem = problem

    def __reduce__(self) -> tuple[Any, ...]:
        # OSError keeps ``errno`` in a slot that is filled from ``args`` only by its constructor.
        return _rebuild, (type(self), self.args, {**self.__dict__, "errno": self.errno})

    def __str__(self) -> str:
        return self.problem


class RemoteError(ManyhandsError):
    """Stands in for a task's exception that cannot be rebuilt here; carries what it said."""

    def __init__(self, type_name: str, message: str, *, traceback_text: str = "") -> None:
        super().__init__(type_name, message)
        self.type_name = type_name
        self.message = message
        self.traceback_text = traceback_text

    def __str__(self) -> str:
        tail = f"\n{self.traceback_text}" if self.traceback_text else ""
        return f"{self.type_name}: {self.message}{tail}"


def _how_it_ended(exitcode: int | None, signal: int | None) -> str:
    if signal is not None:
        try:
            return f"was killed by {_signal.Signals(signal).name}"
        except ValueError:
            return f"was killed by signal {signal}"
    return "ended" if exitcode is None else f"ended with exit code {exitcode}"


def _cut(name: str, limit: int = 80) -> str:
    """A name that somebody gave, for a message."""
    shown = ascii(name)
    return shown if len(shown) <= limit else f"{shown[: limit - 3]}..."


def _stderr_tail(stderr: Any, limit: int = 4096) -> str:
    """The end of a command's stderr (at most *limit* characters), ready to follow the sentence."""
    if not stderr:
        return ""
    text = stderr.decode(errors="backslashreplace") if isinstance(stderr, bytes) else str(stderr)
    # It goes to terminals and logs: data, not control.
    shown = "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text.strip()[-limit:])
    return f"; the end of its stderr: {shown}"
