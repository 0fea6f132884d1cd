"""
What a backend gives, and what the primitives it hands out look like.

These docstrings are the contract: they hold on every backend. Names, arguments and errors are the
standard library's wherever it has them. Durations are seconds on the backend's monotonic clock.
"""

from collections.abc import Callable, Hashable, Sequence
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from .options import TaskOptions

__all__ = [
    "ActivityHandle",
    "Barrier",
    "Condition",
    "Engine",
    "Event",
    "Host",
    "Lock",
    "Queue",
    "Runnable",
    "Semaphore",
    "WorkerInfo",
]

T = TypeVar("T")


class Lock(Protocol):
    """
    Mutual exclusion between activities (a task, a thread, a process); may be passed to tasks.

    A lock from ``backend.lock()`` may be released by anybody; one from ``backend.rlock()`` only by
    its owner, which may take it again and must release it as often. ``with`` takes and releases.
    A caller may not assume in which order waiters get it.
    """

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """
        Take the lock.

        Args:
            blocking: Wait for it; False asks once.
            timeout: Seconds to wait at most; -1 waits without limit.

        Returns:
            Whether it was taken.

        Raises:
            ValueError: a *timeout* with ``blocking=False``, or a negative one other than -1.
            OverflowError: a *timeout* beyond ``threading.TIMEOUT_MAX``, as in the standard library.
            ExecutorClosedError: the primitive is hosted and its backend was closed, also while waiting.
        """
        ...

    def release(self) -> None:
        """Give it back; RuntimeError when it is not held (or, for an rlock, held by another)."""
        ...

    def locked(self) -> bool:
        """Whether anybody holds it at this moment."""
        ...

    def __enter__(self) -> bool: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Condition(Protocol):
    """
    Wait until something holds, under a lock; ``with`` takes and releases that lock.

    Every method but ``acquire`` needs the lock: RuntimeError without it.
    """

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the condition's lock, as :meth:`Lock.acquire`."""
        ...

    def release(self) -> None:
        """Release the condition's lock."""
        ...

    def locked(self) -> bool:
        """Whether anybody holds the condition's lock at this moment."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Release the lock, wait for a notification, take the lock again; False after *timeout* seconds."""
        ...

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until *predicate* is true, at most *timeout* seconds; returns its last value."""
        ...

    def notify(self, n: int = 1) -> None:
        """Wake at most *n* waiters."""
        ...

    def notify_all(self) -> None:
        """Wake every waiter."""
        ...

    def __enter__(self) -> bool: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Semaphore(Protocol):
    """A counter that never goes below zero; ``with`` takes one and gives it back."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take one, waiting at most *timeout* seconds; ValueError for a *timeout* with ``blocking=False``."""
        ...

    def release(self, n: int = 1) -> None:
        """Give *n* back, waking as many; ValueError for ``n < 1``, and for a bounded one beyond its start."""
        ...

    def __enter__(self) -> bool: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Event(Protocol):
    """A flag that activities wait for."""

    def is_set(self) -> bool:
        """Whether it is set."""
        ...

    def set(self) -> None:
        """Set it and wake every waiter; may be called from signal handlers and finalizers."""
        ...

    def clear(self) -> None:
        """Unset it."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most *timeout* seconds; returns whether it is."""
        ...


class Barrier(Protocol):
    """A meeting point of ``parties`` activities."""

    @property
    def parties(self) -> int:
        """How many must come."""
        ...

    @property
    def n_waiting(self) -> int:
        """How many are there."""
        ...

    @property
    def broken(self) -> bool:
        """Whether it is broken: somebody's wait timed out or failed, or ``abort`` was called."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait for the others; one of them runs the barrier's action first, exactly once.

        Returns:
            A different number from 0 to ``parties - 1`` for each.

        Raises:
            threading.BrokenBarrierError: it is broken, or became so meanwhile.
        """
        ...

    def reset(self) -> None:
        """Make it new; those that wait get BrokenBarrierError."""
        ...

    def abort(self) -> None:
        """Break it."""
        ...


class Queue(Protocol[T]):
    """
    Items from producers to consumers; one method set for all four kinds, on every Python.

    ``queue()`` is first in first out, ``lifo_queue()`` last in first out, ``priority_queue()``
    lowest first; all take ``maxsize`` (0: no limit). ``simple_queue()`` has no limit, and its
    ``put`` may be called from signal handlers and finalizers.
    """

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """Add *item*, waiting at most *timeout* seconds for room; ``Full``, ``ShutDown``, ValueError (timeout < 0)."""
        ...

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """Take an item, waiting at most *timeout* seconds; ``Empty``, ``ShutDown``, ValueError (timeout < 0)."""
        ...

    def put_nowait(self, item: T) -> None:
        """``put`` without waiting."""
        ...

    def get_nowait(self) -> T:
        """``get`` without waiting."""
        ...

    def qsize(self) -> int:
        """How many items are in it; others may change that at any time."""
        ...

    def empty(self) -> bool:
        """Whether it is empty; others may change that at any time."""
        ...

    def full(self) -> bool:
        """Whether it is full; others may change that at any time."""
        ...

    def task_done(self) -> None:
        """Tell that an item that was taken is dealt with; ValueError when called more often than items were put."""
        ...

    def join(self) -> None:
        """Wait until every item that was put is dealt with."""
        ...

    def shutdown(self, immediate: bool = False) -> None:
        """Refuse further ``put``; ``get`` raises ``ShutDown`` when it is empty, or at once with *immediate*."""
        ...


class WorkerInfo(Protocol):
    """One worker as ``executor.stats()`` and observers see it."""

    @property
    def name(self) -> str:
        """Its name, unique in its executor."""
        ...

    @property
    def pid(self) -> int:
        """The process it runs in."""
        ...

    @property
    def state(self) -> str:
        """``starting``, ``idle``, ``busy``, ``unresponsive`` or ``lost``."""
        ...


class Runnable(Protocol):
    """
    A task as an engine sees it.

    The engine calls ``claim`` once before it runs it, and then ``finish`` or ``fail`` once. An
    engine whose workers share this process calls ``run``, which does all three.
    """

    @property
    def id(self) -> int:
        """Its number, unique in its executor and in the order of submission."""
        ...

    @property
    def name(self) -> str:
        """What logs and errors call it."""
        ...

    @property
    def fn(self) -> Callable[..., Any]:
        """What to call."""
        ...

    @property
    def args(self) -> tuple[Any, ...]:
        """Its positional arguments."""
        ...

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its keyword arguments."""
        ...

    @property
    def context(self) -> Any:
        """The ``contextvars.Context`` to run it in; None runs it in the worker's own."""
        ...

    @property
    def options(self) -> TaskOptions:
        """Its options."""
        ...

    @property
    def attempt(self) -> int:
        """1 at first, one more for each retry."""
        ...

    def claim(self, worker: Any = None) -> bool:
        """Tell that it starts now, in *worker*; False when it was cancelled meanwhile: then drop it."""
        ...

    def finish(self, value: Any) -> None:
        """Deliver its result; late or second deliveries are dropped and logged."""
        ...

    def fail(self, error: BaseException) -> None:
        """Deliver its exception, or put it back into the engine when it has retries left."""
        ...

    def run(self, worker: Any = None) -> None:
        """Claim it, call it in this activity, deliver what came of it; never raises."""
        ...

    def cancel(self) -> bool:
        """For an engine that drops it: its future is cancelled; False when it has started."""
        ...

    def withdraw(self) -> bool:
        """For an engine that refuses it: ``start`` then raises; False when it has started."""
        ...


class Engine(Protocol):
    """
    Runs tasks for one executor. Everything may be called from any thread.

    It owes each task that it took exactly one ``claim``, and one ``finish`` or ``fail`` for each
    ``claim`` that returned True.
    """

    def start(self, task: Runnable) -> None:
        """
        Take *task* and return at once; it runs as soon as a worker is free.

        Takes no lock that a signal handler or finalizer could meet. A task that comes after
        ``close`` (a race with it) is either run or refused with ExecutorClosedError.

        Raises:
            ResourceError: there is no worker and none can be started; the task is not kept.
            SerializationError: the task cannot cross to a worker; the task is not kept.
        """
        ...

    def stop(self, task: Runnable, *, kill: bool) -> bool:
        """End the running *task* (asked, or killed at once); False when this engine cannot or it is too late."""
        ...

    def resize(self, n: int) -> None:
        """Have at most *n* workers from now on; surplus ones end after their task."""
        ...

    def workers(self) -> Sequence[WorkerInfo]:
        """The workers that live now."""
        ...

    def close(self, *, cancel: bool, deadline: float | None) -> bool:
        """
        Take no more tasks, finish those taken, end the workers; may be called again.

        Args:
            cancel: Cancel the tasks that have not started.
            deadline: How many seconds to wait for the workers to end; None waits as long as the
                work takes, 0 does not wait: the work goes on and the workers end after it.

        Returns:
            Whether all workers have ended.
        """
        ...


class Host(Protocol):
    """
    Where primitives live, and how their waiters block and are woken.

    In one process, :class:`manyhands.LocalHost` is one, and takes what differs as arguments. A
    host elsewhere answers the same calls over its channel.
    """

    def adopt(self, machine: Any) -> Any:
        """Take over a state machine of :mod:`manyhands.primitives`; returns the reference that ``call`` takes."""
        ...

    def call(self, machine: Any, operation: str, args: tuple[Any, ...] = (), timeout: float | None = None) -> Any:
        """
        Ask *machine* for *operation* on behalf of the calling activity; blocks it until the answer.

        Args:
            machine: What ``adopt`` returned.
            operation: The name of one of its operations.
            args: Its arguments.
            timeout: Seconds to wait at most; None waits without limit. What a timeout means is
                the machine's to say.

        Raises:
            ExecutorClosedError: the backend was closed, also while waiting.
            DeadlockError: nobody could ever answer (only backends that can know).
        """
        ...

    def abandon(self, client: Hashable) -> None:
        """*client* is dead: hand on what it held, forget what it waited for."""
        ...

    def monotonic(self) -> float:
        """The clock that waits are counted on, in seconds."""
        ...

    def close(self, error: Any) -> None:
        """Every call, waiting or to come, raises a copy of *error*, an ExecutorClosedError."""
        ...

    def inherit(self, error: Any) -> None:
        """In a forked child, without waiting for anything: every call to come raises a copy of *error*."""
        ...


@runtime_checkable
class ActivityHandle(Protocol):
    """A started activity."""

    @property
    def ident(self) -> int | None:
        """The thread identifier it runs under; None where there is none."""
        ...

    @property
    def native_id(self) -> int | None:
        """The kernel's number for that thread."""
        ...

    @property
    def pid(self) -> int:
        """The process it runs in."""
        ...

    @property
    def exitcode(self) -> int | None:
        """None while it runs, then 0, 1 for an uncaught error, or ``-signal``."""
        ...

    def is_alive(self) -> bool:
        """Whether it runs."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, at most *timeout* seconds."""
        ...

    def stop(self, *, kill: bool) -> None:
        """Terminate it, or kill it at once; UnsupportedError where that cannot be done."""
        ...
