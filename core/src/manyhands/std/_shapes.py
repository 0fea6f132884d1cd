"""Locks and queues of the backend under the names and arguments that ``multiprocessing`` has for them."""

from types import TracebackType
from typing import Any

from ..primitives import HostedSemaphore

__all__ = ["BoundedSemaphore", "Condition", "JoinableQueue", "Lock", "Queue", "RLock", "Semaphore", "SimpleQueue"]


class Shape:
    """A primitive with other methods; the rest are its own. It may be passed wherever the primitive may."""

    __slots__ = ("__weakref__", "_inner")

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._inner, name)

    def __reduce__(self) -> Any:
        return type(self), (self._inner,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and bool(self._inner == other._inner)

    def __hash__(self) -> int:
        return hash(self._inner)

    def __repr__(self) -> str:
        return f"<multiprocessing.{type(self).__name__} over {self._inner!r}>"


class Acquirable(Shape):
    """Something to be taken and released."""

    __slots__ = ()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take it, waiting at most *timeout* seconds; less than 0 is 0, and without *block* it has no meaning."""
        return bool(self._inner.acquire(block, -1 if timeout is None or not block else max(0.0, timeout)))

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inner.release()


class Lock(Acquirable):
    """A lock."""

    __slots__ = ()


class RLock(Acquirable):
    """A reentrant lock."""

    __slots__ = ()


class Condition(Acquirable):
    """A condition."""

    __slots__ = ()


class Semaphore(Acquirable):
    """A semaphore that tells its value."""

    __slots__ = ()

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        return bool(self._inner.acquire(block, None if timeout is None or not block else max(0.0, timeout)))

    def get_value(self) -> int:
        """How many are left; others may change that at any time."""
        if isinstance(self._inner, HostedSemaphore):
            return int(self._inner._call("get_value"))
        return int(self._inner._value)  # the standard library's, which has no name for it


class BoundedSemaphore(Semaphore):
    """A semaphore that is not released beyond its start."""

    __slots__ = ()


class Queue(Shape):
    """
    A queue with the methods that end a process's use of it.

    They have nothing to do: what was put is in the queue when ``put`` returns, so nothing is left
    to be written or lost when a producer ends; and other users of the queue are not disturbed.
    """

    __slots__ = ()

    def close(self) -> None:
        """Say that this activity puts nothing more."""

    def join_thread(self) -> None:
        """Return when everything is in the queue: at once."""

    def cancel_join_thread(self) -> None:
        """Do not wait for what is not in the queue yet: there is no such thing."""


class JoinableQueue(Queue):
    """A queue with ``task_done`` and ``join``, as all of the backend's have."""

    __slots__ = ()


class SimpleQueue(Queue):
    """A queue without a limit."""

    __slots__ = ()
