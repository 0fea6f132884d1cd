"""Activities: Thread- and Process-shaped objects that run on a backend."""

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ExecutorClosedError, UnsupportedError
from ..executor import enter_backend
from ..protocols import ActivityHandle, Event

if TYPE_CHECKING:
    from .base import Backend

__all__ = ["Activity", "Timer"]

_numbers = itertools.count(1)


class Activity:
    """
    Something that runs beside the caller, with the methods of Thread and of Process.

    ``backend.Activity`` is this class bound to a backend; call it, or subclass it and override
    :meth:`run`. Where a method has no meaning on the backend it raises UnsupportedError.
    """

    _backend: ClassVar["Backend[Any]"]

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
    ) -> None:
        if group is not None:
            raise ValueError("group must be None")
        number = next(_numbers)
        self._target = target
        self._args = tuple(args)
        self._kwargs = dict(kwargs or {})
        self._name = name or f"{type(self).__name__}-{number}"
        self._daemon = bool(daemon)
        self._handle: ActivityHandle | None = None
        #: The right to start it, which one may take.
        self._startable: deque[None] = deque([None])

    def run(self) -> None:
        """What it does: calls the target."""
        try:
            if self._target is not None:
                self._target(*self._args, **self._kwargs)
        finally:
            # A target that refers to this object would be a cycle.
            del self._target, self._args, self._kwargs

    def start(self) -> None:
        """
        Start it.

        Raises:
            RuntimeError: it was started already.
            ExecutorClosedError: the backend was closed.
            ResourceError: the machine has no more threads or processes.
        """
        try:
            self._startable.pop()
        except IndexError:
            raise RuntimeError("an activity can only be started once") from None
        try:
            self._handle = self._backend._start_activity(self)
        except BaseException:
            if self._handle is None:  # it does not run
                self._startable.append(None)
            raise

    def main(self, handle: ActivityHandle) -> int:
        """For backends: run it here, where *handle* stands for it; returns the exit code."""
        self._handle = handle  # its starter may not have it yet
        enter_backend(self._backend)
        code = 0
        try:
            self.run()
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
        except ExecutorClosedError:
            code = 1  # the backend went away under it: that is how it is told to end
        except BaseException as error:
            code = 1
            self._report(error)
        return code

    def _report(self, error: BaseException) -> None:
        """Tell of an *error* that nobody caught."""
        thread = threading.current_thread()
        threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most *timeout* seconds; RuntimeError when it was not started, or is the caller."""
        self._started("join").join(timeout)

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._handle is not None and self._handle.is_alive()

    @property
    def name(self) -> str:
        """Its name; has no meaning but for people."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = str(name)

    @property
    def daemon(self) -> bool:
        """Whether it dies with the program instead of being waited for; to be set before the start."""
        return self._daemon

    @daemon.setter
    def daemon(self, daemon: bool) -> None:
        if self._handle is not None:
            raise RuntimeError("daemon can only be set before the start")
        self._daemon = bool(daemon)

    @property
    def ident(self) -> int | None:
        """The thread identifier; None before the start."""
        return None if self._handle is None else self._handle.ident

    @property
    def native_id(self) -> int | None:
        """The kernel's number for the thread; None before the start."""
        return None if self._handle is None else self._handle.native_id

    @property
    def pid(self) -> int | None:
        """The process it runs in; None before the start."""
        return None if self._handle is None else self._handle.pid

    @property
    def exitcode(self) -> int | None:
        """None until it has ended, then 0, or 1 for an uncaught error, or ``-signal``."""
        if self._handle is None or self._handle.is_alive():
            return None
        return self._handle.exitcode

    @property
    def authkey(self) -> bytes:
        """The key with which its process answers listeners and clients."""
        from multiprocessing import process

        return bytes(process.current_process().authkey)

    @property
    def sentinel(self) -> int:
        """A descriptor that becomes ready when it ends; UnsupportedError where there is none."""
        sentinel = getattr(self._started("sentinel"), "sentinel", None)
        if sentinel is None:
            raise UnsupportedError(self._backend.name, "a sentinel of an activity")
        return int(sentinel)

    def terminate(self) -> None:
        """Ask the system to end it; UnsupportedError where an activity cannot be ended from outside."""
        self._started("terminate").stop(kill=False)

    def kill(self) -> None:
        """End it at once; UnsupportedError where an activity cannot be ended from outside."""
        self._started("kill").stop(kill=True)

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt in it; UnsupportedError where that cannot be done."""
        interrupt = getattr(self._started("interrupt"), "interrupt", None)
        if interrupt is None:
            raise UnsupportedError(self._backend.name, "interrupting an activity")
        interrupt()

    def close(self) -> None:
        """Give back what it holds; ValueError while it runs."""
        if self.is_alive():
            raise ValueError("cannot close an activity while it runs: terminate or join it first")

    def _started(self, what: str) -> ActivityHandle:
        if self._handle is None:
            raise RuntimeError(f"cannot {what} an activity before it is started")
        return self._handle

    def __repr__(self) -> str:
        state = "initial" if self._handle is None else "started" if self.is_alive() else "stopped"
        daemon = " daemon" if self.daemon else ""
        return f"<{type(self).__name__} {self.name!r} pid={self.pid or os.getpid()} {state}{daemon}>"


class Timer(Activity):
    """
    An activity that calls *function* after *interval* seconds unless it is cancelled before.

    As :class:`threading.Timer`; ``backend.timer`` is this class bound to a backend. The arguments
    are copied when it is made.
    """

    def __init__(
        self,
        interval: float,
        function: Callable[..., object],
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.interval = interval
        self.function = function
        self.args: list[Any] = list(args or ())
        self.kwargs: dict[str, Any] = dict(kwargs or {})
        self.finished: Event = self._backend.event()

    def cancel(self) -> None:
        """Call nothing, if it is not too late."""
        self.finished.set()

    def run(self) -> None:
        """Wait and call."""
        if not self.finished.wait(self.interval):
            self.function(*self.args, **self.kwargs)
        self.finished.set()
