"""``threading`` and ``dummy_threading``."""

import contextvars
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import ResourceError
from ..protocols import ActivityHandle
from ._activities import Listed, Roll, bind
from ._face import Face, factory, refusal

__all__ = ["FACES", "Thread", "has_threads"]


class Thread(Listed):
    """:class:`threading.Thread`, running on the backend; may be subclassed."""

    def __init__(
        self,
        group: None = None,
        target: Callable[..., object] | None = None,
        name: str | None = None,
        args: Iterable[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        daemon: bool | None = None,
        context: contextvars.Context | None = None,
    ) -> None:
        if name is None:
            of = getattr(target, "__name__", "")
            name = f"Thread-{next(self._roll.numbers)}{of and f' ({of})'}"
        super().__init__(group, target, str(name), args, kwargs, daemon=daemon)
        self._context = context

    def start(self) -> None:
        try:
            super().start()
        except ResourceError as error:  # an OSError, which nobody expects here
            raise threading.ThreadError(str(error)) from error

    def main(self, handle: ActivityHandle) -> int:
        main = super().main
        return main(handle) if self._context is None else self._context.run(main, handle)

    def _report(self, error: BaseException) -> None:
        try:
            self._face.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, self)))
        except Exception:
            sys.excepthook(*sys.exc_info())

    def getName(self) -> str:
        """Its name."""
        return self.name

    def setName(self, name: str) -> None:
        """Give it a *name*."""
        self.name = name

    def isDaemon(self) -> bool:
        """Whether it is a daemon."""
        return self.daemon

    def setDaemon(self, daemonic: bool) -> None:
        """Make it a daemon, or not."""
        self.daemon = daemonic


def has_threads(backend: Any) -> bool:
    """Whether its activities are threads of this process, so that what steers those reaches them."""
    return backend.capabilities.in_process and not backend.capabilities.deterministic


def _excepthook(args: Any) -> Any:
    """Report an error that a thread did not catch; assign another function to the module's name to replace it."""
    return threading.excepthook(args)


def _names(face: Face) -> dict[str, Any]:
    backend = face._backend
    roll = Roll(backend)
    thread = bind(face, Thread, backend.Activity)

    def current_thread() -> Any:
        """The Thread that runs this; one of the interpreter's own objects in a thread that this module did not make."""
        return roll.current or threading.current_thread()

    def get_ident() -> int:
        """A number that no other running thread has."""
        return (roll.current and roll.current.ident) or threading.get_ident()

    def get_native_id() -> int:
        """The kernel's number of this thread."""
        return (roll.current and roll.current.native_id) or threading.get_native_id()

    def enumerate() -> list[Any]:
        """Every thread that runs: those of this module, and the interpreter's other ones."""
        ours = roll.alive()
        hosts = {thread.ident for thread in ours}
        return [*(host for host in threading.enumerate() if host.ident not in hosts), *ours]

    def active_count() -> int:
        """How many threads run."""
        return len(enumerate())

    names = {
        "_roll": roll,
        "Thread": thread,
        "Timer": bind(face, backend.timer, thread),
        "Lock": factory(face, "Lock", backend.lock),
        "RLock": factory(face, "RLock", backend.rlock),
        "Condition": factory(face, "Condition", backend.condition),
        "Semaphore": factory(face, "Semaphore", backend.semaphore),
        "BoundedSemaphore": factory(face, "BoundedSemaphore", backend.bounded_semaphore),
        "Event": factory(face, "Event", backend.event),
        "Barrier": factory(face, "Barrier", backend.barrier, lambda: type(backend.barrier(1))),
        "local": backend.local,
        "current_thread": current_thread,
        "currentThread": current_thread,
        "main_thread": threading.main_thread,
        "enumerate": enumerate,
        "active_count": active_count,
        "activeCount": active_count,
        "get_ident": get_ident,
        "get_native_id": get_native_id,
        "excepthook": _excepthook,
        "__excepthook__": _excepthook,
        "BrokenBarrierError": threading.BrokenBarrierError,
        "ExceptHookArgs": threading.ExceptHookArgs,
        "ThreadError": threading.ThreadError,
        "TIMEOUT_MAX": threading.TIMEOUT_MAX,
    }
    # What is left steers the interpreter's threads: tracing, the size of stacks, iterators for several threads.
    for name in threading.__all__:
        if name not in names:
            known = has_threads(backend)
            names[name] = getattr(threading, name) if known else refusal(face, name, "its activities are not threads")
    return names


FACES = {"threading": _names, "dummy_threading": _names}
