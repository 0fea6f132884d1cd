"""The hosted primitives as users hold them: the standard library's methods, arguments and errors."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from ..errors import SerializationError
from ..protocols import Host
from . import queues, sync
from .machine import Machine

__all__ = [
    "HostedBarrier",
    "HostedCondition",
    "HostedEvent",
    "HostedLock",
    "HostedQueue",
    "HostedRLock",
    "HostedSemaphore",
    "Primitive",
]

T = TypeVar("T")


class Primitive:
    """A state machine at its host."""

    __slots__ = ("__weakref__", "_backend_name", "_host", "_ref")
    travels_by_reference = True

    def __init__(self, host: Host, machine: Machine, backend_name: str) -> None:
        self._host = host
        self._ref = host.adopt(machine)
        self._backend_name = backend_name

    def _call(self, operation: str, *args: Any, timeout: float | None = None) -> Any:
        return self._host.call(self._ref, operation, args, timeout)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Primitive):
            return NotImplemented
        return self._host is other._host and self._ref is other._ref

    def __hash__(self) -> int:
        return hash((id(self._host), id(self._ref)))

    def __reduce__(self) -> Any:
        kind = type(self).__name__.removeprefix("Hosted").lower()
        raise SerializationError(
            f"a {kind} of backend {self._backend_name!r} can only be passed to tasks of that backend, not pickled"
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._backend_name} at {id(self):#x}>"


class _With:
    """``with`` takes and releases."""

    __slots__ = ()

    def __enter__(self: Any) -> bool:
        held: bool = self.acquire()
        return held

    def __exit__(
        self: Any, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class HostedLock(_With, Primitive):
    """See :class:`manyhands.protocols.Lock`."""

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if not blocking and timeout != -1:
            raise ValueError("can't specify a timeout for a non-blocking call")
        if timeout < 0 and timeout != -1:
            raise ValueError("timeout value must be a non-negative number")
        if timeout > threading.TIMEOUT_MAX:
            raise OverflowError("timeout value is too large")
        # No call comes after it: after one the interpreter looks for signals, and the lock would stay held.
        held: bool = self._call("acquire", blocking, timeout=None if timeout == -1 else timeout)
        return held

    def release(self) -> None:
        self._call("release")

    def locked(self) -> bool:
        return bool(self._call("locked"))


class HostedRLock(HostedLock):
    """See :class:`manyhands.protocols.Lock`."""

    __slots__ = ()


class HostedCondition(_With, Primitive):
    """See :class:`manyhands.protocols.Condition`."""

    __slots__ = ("_lock", "acquire", "locked", "release")

    def __init__(self, host: Host, lock: Any, backend_name: str) -> None:
        if not isinstance(lock, HostedLock) or lock._host is not host:
            raise TypeError(f"a condition of backend {backend_name!r} needs one of its locks, got {lock!r}")
        super().__init__(host, sync.Condition(lock._ref), backend_name)
        self._lock = lock
        self.acquire: Callable[..., bool] = lock.acquire
        self.release: Callable[[], None] = lock.release
        self.locked: Callable[[], bool] = lock.locked

    def wait(self, timeout: float | None = None) -> bool:
        return bool(self._call("wait", timeout=timeout))

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        end = None if timeout is None else self._host.monotonic() + timeout
        while not (value := predicate()):
            left = None if end is None else end - self._host.monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left)
        return value

    def notify(self, n: int = 1) -> None:
        self._call("notify", n)

    def notify_all(self) -> None:
        self._call("notify", None)


class HostedSemaphore(_With, Primitive):
    """See :class:`manyhands.protocols.Semaphore`."""

    __slots__ = ()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        if not blocking and timeout is not None:
            raise ValueError("can't specify timeout for non-blocking acquire")
        held: bool = self._call("acquire", blocking, timeout=timeout)
        return held

    def release(self, n: int = 1) -> None:
        self._call("release", n)


class HostedEvent(Primitive):
    """See :class:`manyhands.protocols.Event`."""

    __slots__ = ()

    def is_set(self) -> bool:
        return bool(self._call("is_set"))

    def set(self) -> None:
        self._call("set")

    def clear(self) -> None:
        self._call("clear")

    def wait(self, timeout: float | None = None) -> bool:
        return bool(self._call("wait", timeout=timeout))


class HostedBarrier(Primitive):
    """See :class:`manyhands.protocols.Barrier`."""

    __slots__ = ("_action", "_timeout")

    def __init__(
        self, host: Host, parties: int, action: Callable[[], object] | None, timeout: float | None, backend_name: str
    ) -> None:
        super().__init__(host, sync.Barrier(parties, action is not None), backend_name)
        self._action = action
        self._timeout = timeout

    def wait(self, timeout: float | None = None) -> int:
        answer = self._call("wait", timeout=self._timeout if timeout is None else timeout)
        if answer is not None:
            return int(answer)
        try:
            assert self._action is not None
            self._action()
        except BaseException:
            self._call("failed")
            raise
        return int(self._call("done"))

    def reset(self) -> None:
        self._call("reset")

    def abort(self) -> None:
        self._call("abort")

    @property
    def parties(self) -> int:
        return int(self._call("state")[0])

    @property
    def n_waiting(self) -> int:
        return int(self._call("state")[1])

    @property
    def broken(self) -> bool:
        return bool(self._call("state")[2])


class HostedQueue(Primitive, Generic[T]):
    """See :class:`manyhands.protocols.Queue`."""

    __slots__ = ("_maxsize",)

    def __init__(self, host: Host, machine: queues.Queue, backend_name: str) -> None:
        self._maxsize = machine.maxsize
        super().__init__(host, machine, backend_name)

    @property
    def maxsize(self) -> int:
        """How many items it takes; 0 or less is no limit."""
        return self._maxsize

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        self._call("put", item, block, timeout=_checked(timeout, block))

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        return self._call("get", block, timeout=_checked(timeout, block))  # type: ignore[no-any-return]

    def put_nowait(self, item: T) -> None:
        self._call("put", item, False)

    def get_nowait(self) -> T:
        return self._call("get", False)  # type: ignore[no-any-return]

    def qsize(self) -> int:
        return int(self._call("qsize"))

    def empty(self) -> bool:
        return not self._call("qsize")

    def full(self) -> bool:
        return bool(self._call("full"))

    def task_done(self) -> None:
        self._call("task_done")

    def join(self) -> None:
        self._call("join")

    def shutdown(self, immediate: bool = False) -> None:
        self._call("shutdown", immediate)


def _checked(timeout: float | None, block: bool) -> float | None:
    if not block:
        return None
    if timeout is not None and timeout < 0:
        raise ValueError("'timeout' must be a non-negative number")
    return timeout
