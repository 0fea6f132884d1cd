"""Backend: the whole vocabulary, derived from the few things that a plugin gives."""

import atexit
import os
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, ParamSpec, Self, TypeVar

from .. import hooks, primitives
from .._log import get_logger
from .._parking import ThreadParker
from ..errors import ExecutorClosedError, UnsupportedError
from ..executor import Executor, caller
from ..future import Future
from ..options import BackendOptions, Capabilities, ExecutorOptions, cpu_count, nearest
from ..protocols import ActivityHandle, Barrier, Condition, Engine, Event, Host, Lock, Queue, Semaphore
from .activity import Activity as ActivityType, Timer as TimerType

if TYPE_CHECKING:
    import sched

    from ..vocabulary.channels import Connection, Listener
    from ..vocabulary.manager import Manager
    from ..vocabulary.pool import Pool
    from ..vocabulary.state import ShareableList, SharedMemory
    from ..vocabulary.timing import Clock

__all__ = ["Backend"]

OptionsT = TypeVar("OptionsT", bound=BackendOptions)
P = ParamSpec("P")
T = TypeVar("T")
log: Final = get_logger("manyhands.backend")

#: "Not given": the backend's options decide.
UNSET: Final[Any] = type("Unset", (), {"__repr__": lambda self: "<from the backend's options>"})()

#: The standard library's names of what is called otherwise here.
_RENAMED: Final = {
    "thread_name_prefix": "worker_name_prefix",
    "max_tasks_per_child": "max_tasks_per_worker",
    "maxtasksperchild": "max_tasks_per_worker",
    "mp_context": "the backend's option start_method",
    "processes": "max_workers",
}


class Backend(ABC, Generic[OptionsT]):
    """
    One way to run things concurrently, and everything that goes with it.

    A plugin subclasses it, fills in the four class attributes and the three abstract methods, and
    names the class in the entry-point group ``manyhands.backends``; all else derives. It may
    replace a primitive by a native one that keeps the same contract.

    May be used from any thread. ``with`` closes it.
    """

    #: What config calls it: ``[a-z][a-z0-9]*(_[a-z0-9]+)*``.
    name: ClassVar[str]
    #: The contract it was written for, literally; compared with ``manyhands.CONTRACT``.
    contract: ClassVar[int]
    #: What it can do; all else raises UnsupportedError.
    capabilities: ClassVar[Capabilities]
    #: The class of its options.
    options_type: ClassVar[type[BackendOptions]] = BackendOptions

    # What a plugin gives.

    @abstractmethod
    def make_engine(self, options: ExecutorOptions) -> Engine:
        """A new engine for one executor; ``options.max_workers`` is set."""

    @abstractmethod
    def make_host(self) -> Host:
        """Where the primitives live; called once."""

    @abstractmethod
    def start_activity(self, activity: ActivityType) -> ActivityHandle:
        """Have ``activity.main(handle)`` run beside the caller; returns the handle when it has started."""

    def monotonic(self) -> float:
        """The clock of every timeout and timer, in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Pause the calling activity."""
        time.sleep(seconds)

    @property
    def parker_type(self) -> Callable[[], Any]:
        """Makes what blocks a calling activity until another one wakes it: ``wait(timeout) -> bool``, ``wake()``."""
        return ThreadParker

    def default_workers(self) -> int:
        """How many workers an executor has when nobody says: the standard library's numbers."""
        return min(32, cpu_count() + 4) if self.capabilities.in_process else cpu_count()

    # Life.

    def __init__(self, options: OptionsT) -> None:
        self.options = options
        self._closed: ExecutorClosedError | None = None
        self._executors: weakref.WeakSet[Executor] = weakref.WeakSet()
        self._activities: weakref.WeakSet[ActivityType] = weakref.WeakSet()
        self._made = 0
        self._timers: Clock | None = None
        self._mutex = threading.RLock()
        self._host = self.make_host()
        _open.add(self)
        hooks.call("manyhands_backend_opened", backend=self)

    def close(self, *, cancel: bool = False) -> None:
        """
        End everything that was made with it: executors, activities, timers, then the host.

        Accepted work is finished and activities that are no daemons are waited for. May be called
        again. Afterwards creating and submitting raise ExecutorClosedError, and so do hosted
        primitives, also those that somebody waits for; native objects stay valid.

        Args:
            cancel: Cancel what has not started, ask what runs to stop, and return in the grace of
                each executor plus 2 s.
        """
        with self._mutex:
            if self._closed is not None:
                return
            self._closed = ExecutorClosedError(f"backend {self.name!r} was closed", closed_at=caller())
        try:
            self._close_parts(cancel)
        finally:
            self._host.close(self._closed)
            for resource in tuple(self.__dict__.get("_resources", ())):
                resource.close()
        _open.discard(self)
        hooks.call("manyhands_backend_closed", backend=self)

    def _close_parts(self, cancel: bool) -> None:
        for executor in tuple(self._executors):
            if cancel:
                executor.terminate_workers()
            else:
                executor.shutdown(wait=True)
        if self._timers is not None:
            self._timers.close()
        if not cancel:
            for activity in tuple(self._activities):
                if not activity.daemon and activity.is_alive():
                    activity.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(cancel=kind is not None and issubclass(kind, (KeyboardInterrupt, SystemExit)))

    def check_open(self) -> None:
        """Raise ExecutorClosedError when it was closed; for whatever makes something new."""
        if self._closed is not None:
            raise self._closed.copy()

    def __reduce__(self) -> Any:
        from ..errors import SerializationError

        raise SerializationError(f"backend {self.name!r} can only be passed to its own tasks, not pickled")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {'open' if self._closed is None else 'closed'}>"

    # Tasks.

    def executor(
        self,
        max_workers: int | None = UNSET,
        *,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        worker_name_prefix: str = UNSET,
        max_tasks_per_worker: int | None = UNSET,
        max_worker_memory: int | None = UNSET,
        idle_timeout: float | None = UNSET,
        start_timeout: float | None = UNSET,
        max_pending: int | None = UNSET,
        grace: float = UNSET,
        exit_policy: str = UNSET,
        **unknown: Any,
    ) -> Executor:
        """
        A new executor with workers of its own; what is not given comes from the backend's options.

        Args:
            max_workers: Most workers; None takes the backend's default.
            initializer: Called with *initargs* in each worker before its first task.
            worker_name_prefix: Start of the workers' names.
            max_tasks_per_worker: A worker is replaced after that many tasks.
            max_worker_memory: A worker is replaced when it uses more than that many bytes.
            idle_timeout: Seconds without work after which a worker ends; None keeps it.
            start_timeout: Seconds that a worker may take to come to life.
            max_pending: Most accepted tasks that are not done; ``submit`` blocks beyond.
            grace: Seconds that a running task gets when it is asked to stop.
            exit_policy: ``finish`` or ``cancel`` accepted work at a normal interpreter exit.

        Raises:
            ConfigError: a value is out of bounds.
            TypeError: an argument is unknown, or the initializer cannot be called.
            UnsupportedError: the backend cannot do it.
            ExecutorClosedError: the backend was closed.
        """
        if unknown:
            raise TypeError(_unknown_argument(next(iter(unknown))))
        self.check_open()
        given = {
            "max_workers": max_workers,
            "worker_name_prefix": worker_name_prefix,
            "max_tasks_per_worker": max_tasks_per_worker,
            "max_worker_memory": max_worker_memory,
            "idle_timeout": idle_timeout,
            "start_timeout": start_timeout,
            "max_pending": max_pending,
            "grace": grace,
            "exit_policy": exit_policy,
        }
        values: dict[str, Any] = {
            name: getattr(self.options, name) if value is UNSET else value for name, value in given.items()
        }
        if values["max_workers"] is None:
            values["max_workers"] = self.default_workers()
        options = ExecutorOptions(**values, initializer=initializer, initargs=initargs)
        if options.max_worker_memory is not None and self.capabilities.in_process:
            raise UnsupportedError(
                self.name, "max_worker_memory: its workers share one process", capability="isolation"
            )
        with self._mutex:
            self._made += 1
            executor = Executor(self, self.make_engine(options), options, name=f"{self.name}-{self._made}")
            self._executors.add(executor)
        return executor

    def pool(
        self,
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
    ) -> "Pool":
        """The :class:`multiprocessing.pool.Pool` API over an executor of this backend."""
        from ..vocabulary.pool import Pool

        return Pool(self, processes, initializer, initargs, maxtasksperchild)

    # Locks and sync.

    def lock(self) -> Lock:
        """A lock; anybody may release it."""
        return primitives.HostedLock(self._hosted(), primitives.Lock(), self.name)

    def rlock(self) -> Lock:
        """A reentrant lock; only its owner may release it."""
        return primitives.HostedRLock(self._hosted(), primitives.RLock(), self.name)

    def condition(self, lock: Lock | None = None) -> Condition:
        """A condition under *lock*, or under an rlock of its own."""
        return primitives.HostedCondition(self._hosted(), self.rlock() if lock is None else lock, self.name)

    def semaphore(self, value: int = 1) -> Semaphore:
        """A semaphore; ValueError when *value* is negative."""
        return primitives.HostedSemaphore(self._hosted(), primitives.Semaphore(value), self.name)

    def bounded_semaphore(self, value: int = 1) -> Semaphore:
        """A semaphore that cannot be released beyond *value*."""
        return primitives.HostedSemaphore(self._hosted(), primitives.Semaphore(value, bounded=True), self.name)

    def event(self) -> Event:
        """A flag, not set."""
        return primitives.HostedEvent(self._hosted(), primitives.Event(), self.name)

    def barrier(
        self, parties: int, action: Callable[[], object] | None = None, timeout: float | None = None
    ) -> Barrier:
        """A barrier; *action* is run by one of the *parties*, *timeout* (seconds) is the default of ``wait``."""
        return primitives.HostedBarrier(self._hosted(), parties, action, timeout, self.name)

    #: Data of which each activity has its own; may be subclassed, ``__init__`` runs once in each.
    local: ClassVar[type] = threading.local

    # Queues.

    def queue(self, maxsize: int = 0) -> Queue[Any]:
        """First in, first out."""
        return self._hosted_queue(primitives.Queue(_size(maxsize)))

    def lifo_queue(self, maxsize: int = 0) -> Queue[Any]:
        """Last in, first out."""
        return self._hosted_queue(primitives.LifoQueue(_size(maxsize)))

    def priority_queue(self, maxsize: int = 0) -> Queue[Any]:
        """Lowest first."""
        return self._hosted_queue(primitives.PriorityQueue(_size(maxsize)))

    def simple_queue(self) -> Queue[Any]:
        """First in, first out, without a limit."""
        return self._hosted_queue(primitives.Queue())

    def _hosted(self) -> Host:
        self.check_open()
        return self._host

    def _hosted_queue(self, machine: primitives.Queue) -> Queue[Any]:
        return primitives.HostedQueue(self._hosted(), machine, self.name)

    # Activities and time.

    @cached_property
    def Activity(self) -> type[ActivityType]:
        """The class of its Thread- and Process-shaped objects."""
        return type("Activity", (ActivityType,), {"_backend": self, "__doc__": ActivityType.__doc__})

    @cached_property
    def timer(self) -> type[TimerType]:
        """``timer(interval, function, args=None, kwargs=None)``: calls it after *interval* seconds."""
        return type("Timer", (TimerType, self.Activity), {"__doc__": TimerType.__doc__})

    def _start_activity(self, activity: ActivityType) -> ActivityHandle:
        self.check_open()
        self._activities.add(activity)
        return self.start_activity(activity)

    def scheduler(
        self, timefunc: Callable[[], float] | None = None, delayfunc: Callable[[float], object] | None = None
    ) -> "sched.scheduler":
        """A :class:`sched.scheduler` on this backend's clock."""
        import sched

        self.check_open()
        return sched.scheduler(timefunc or self.monotonic, delayfunc or self.sleep)

    def after(self, delay: float, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call *fn* after *delay* seconds; its future, which can be cancelled before."""
        return self._clock.after(delay, fn, args, kwargs)

    def every(self, period: float, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> Future[None]:
        """
        Call *fn* each *period* seconds until the future is cancelled or a call raises.

        A call that takes longer than the period is not overtaken: the next one follows it at once.
        """
        return self._clock.every(period, fn, args, kwargs)

    @property
    def _clock(self) -> "Clock":
        from ..vocabulary.timing import Clock

        with self._mutex:
            self.check_open()
            if self._timers is None:
                self._timers = Clock(self)
            return self._timers

    # State.

    def value(self, typecode_or_type: Any, *args: Any, lock: Any = True) -> Any:
        """A ctypes object as :func:`multiprocessing.Value` gives it; *lock* is True, False or a lock."""
        from ..vocabulary import state

        return state.value(self, typecode_or_type, args, lock)

    def array(self, typecode_or_type: Any, size_or_initializer: Any, *, lock: Any = True) -> Any:
        """A ctypes array as :func:`multiprocessing.Array` gives it; *lock* is True, False or a lock."""
        from ..vocabulary import state

        return state.array(self, typecode_or_type, size_or_initializer, lock)

    def shared_memory(self, size: int, *, name: str | None = None) -> "SharedMemory":
        """
        *size* bytes that tasks share, shaped like :class:`multiprocessing.shared_memory.SharedMemory`.

        Args:
            name: Only for processes that are not ours: they attach by it. It is unlinked when the
                memory or the backend is closed.
        """
        from ..vocabulary import state

        return state.shared_memory(self, size, name)

    def shareable_list(self, sequence: Iterable[Any] = ()) -> "ShareableList":
        """A list of fixed length in shared memory (:class:`multiprocessing.shared_memory.ShareableList`)."""
        from ..vocabulary import state

        return state.shareable_list(self, sequence)

    def shared_array(self, shape: Any, dtype: Any = float) -> Any:
        """A numpy array in shared memory, filled with zeros; needs numpy."""
        from ..vocabulary import state

        return state.shared_array(self, shape, dtype)

    def share(self, obj: T) -> T:
        """An equal object (an array: a read-only view) that reaches any number of tasks without another copy."""
        from ..vocabulary import state

        self.check_open()
        return state.share(self, obj)

    def manager(self) -> "Manager":
        """Shared dicts, lists and other objects, as :func:`multiprocessing.Manager` gives them."""
        from ..vocabulary.manager import Manager

        self.check_open()
        return Manager(self)

    # Channels.

    def pipe(self, duplex: bool = True) -> "tuple[Connection, Connection]":
        """Two connected ends (:func:`multiprocessing.Pipe`); not *duplex*: the first only receives."""
        from ..vocabulary import channels

        self.check_open()
        return channels.pipe(duplex, backend=self)

    def listener(
        self, address: Any = None, family: str | None = None, backlog: int = 1, authkey: bytes | None = None
    ) -> "Listener":
        """A :class:`multiprocessing.connection.Listener`; *authkey* of None means the process's key."""
        from ..vocabulary import channels

        self.check_open()
        return channels.listener(address, family, backlog, authkey, backend=self)

    def client(self, address: Any, family: str | None = None, authkey: bytes | None = None) -> "Connection":
        """A :func:`multiprocessing.connection.Client`; *authkey* of None means the process's key."""
        from ..vocabulary import channels

        self.check_open()
        return channels.client(address, family, authkey, backend=self)

    # Old code.

    def as_module(self, name: str) -> ModuleType:
        """
        A module-shaped object with the names of the standard library's module *name*, on this backend.

        Raises:
            UnsupportedError: there is none for that module.
        """
        from importlib import import_module

        module: ModuleType = import_module("manyhands.std").as_module(self, name)
        return module


def _size(maxsize: object) -> int:
    if not isinstance(maxsize, int):
        raise TypeError(f"maxsize must be an integer, got {maxsize!r}")
    return maxsize


def _unknown_argument(name: str) -> str:
    if name in _RENAMED:
        return f"executor() has no argument {name!r}; here it is called {_RENAMED[name]}"
    import inspect

    known = [parameter for parameter in inspect.signature(Backend.executor).parameters if parameter != "self"]
    return f"executor() has no argument {name!r}{nearest(name, known)}"


#: Those that are open, to be closed at the interpreter's exit and disowned in a forked child.
_open: "weakref.WeakSet[Backend[Any]]" = weakref.WeakSet()


def _close_all() -> None:
    """At a normal exit accepted work is finished, or cancelled where that is the policy."""
    for backend in tuple(_open):
        for executor in tuple(backend._executors):
            if executor._pool.options.exit_policy == "cancel":
                executor.terminate_workers()
        backend.close()


def _disown_all() -> None:
    for backend in tuple(_open):
        error = ExecutorClosedError(
            f"backend {backend.name!r} was inherited through fork: open a new one in this process"
        )
        backend._closed = error
        backend._host.inherit(error)
    _open.clear()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_disown_all)
