"""Executor: submit, map, options, backpressure and statistics, over an engine."""

import concurrent.futures
import contextvars
import functools
import itertools
import os
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures._base import PENDING
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FunctionType, TracebackType
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import attrs

from .. import hooks
from .._log import get_logger
from .._parking import ThreadParker, wait_limit
from ..errors import DeadlockError, ExecutorClosedError, ResourceError, UnsupportedError
from ..future import Future
from ..options import Capabilities, ExecutorOptions, TaskOptions, merge, shorten
from ..protocols import Engine, WorkerInfo
from .mapping import MapCall, map_chunks, map_tasks
from .task import NO_KWARGS, ObservedTask, Task, make_task
from .worker import current_task

__all__ = ["Executor", "ExecutorStats"]

P = ParamSpec("P")
T = TypeVar("T")
log: Final = get_logger("manyhands.executor")

_DEFAULTS: Final = TaskOptions()
#: Most tasks of one executor that wait for tasks of the same executor at the same time.
_MOST_LENT: Final = 1000
#: How often it is looked whether the work is done, where a loop of asyncio shares its thread with it, in seconds.
_LOOK_S: Final = 0.001
#: ``inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR``, without importing inspect.
_ASYNCHRONOUS: Final = 0x280


@attrs.frozen(kw_only=True)
class ExecutorStats:
    """What an executor has to do and has done."""

    #: Tasks that were accepted and have not started.
    pending: int
    #: Tasks that run now.
    running: int
    #: Tasks that returned.
    done: int
    #: Tasks that raised.
    failed: int
    #: Tasks that were cancelled.
    cancelled: int
    #: The workers that live now.
    workers: tuple[WorkerInfo, ...]


class Gate:
    """Backpressure: at most *limit* tasks are inside."""

    def __init__(self, limit: int, parker_type: Callable[[], Any]) -> None:
        self._limit = limit
        self._parker_type = parker_type
        # The tasks themselves, not their number: to leave twice, or without having entered, is harmless,
        # so an interrupt at any point loses no room.
        self._inside: set[Task[Any]] = set()
        self._waiting: deque[Any] = deque()
        self._lock = threading.RLock()
        self._closed: ExecutorClosedError | None = None

    def admit(self, task: "Task[Any]", start: Callable[["Task[Any]"], None]) -> None:
        """
        Wait for room and *start* it; ExecutorClosedError when it is closed, also while waiting.

        A task of the same executor does not wait: it would keep others from making room.
        """
        at_once = current_task_of(task._executor._pool) is not None
        task._follow(self._leave)
        try:
            while not self._enter(task, at_once):
                self._wait()
            self._wake()  # there may be room for one more
            start(task)
        except BaseException:
            task.withdraw()
            self._wake()
            raise

    def _enter(self, task: "Task[Any]", at_once: bool) -> bool:
        with self._lock:
            if self._closed is not None:
                raise self._closed.copy()
            if not at_once and len(self._inside) >= self._limit:
                return False
            self._inside.add(task)
            return True

    def _wait(self) -> None:
        """Until somebody has left."""
        parker = self._parker_type()
        try:
            with self._lock:
                self._sweep()
                if self._closed is None and len(self._inside) >= self._limit:
                    self._waiting.append(parker)
                else:
                    return
            parker.wait(None)
        finally:
            if parker in self._waiting:
                self._waiting.remove(parker)

    def _sweep(self) -> None:
        """Where workers are interrupted, too, one may have ended without leaving."""
        # Not a comprehension in the block that calls this: an interrupt in one left the lock held (CPython 3.13).
        for task in tuple(self._inside):
            if task._phase != PENDING:
                self._inside.discard(task)

    def _wake(self) -> None:
        """
        If there is room, the first who waits may look for it.

        It takes itself out of the line and wakes the next one: so whoever is interrupted leaves
        nobody behind who was taken out and not woken.
        """
        with self._lock:
            if self._waiting and len(self._inside) < self._limit:
                self._waiting[0].wake()

    def _leave(self, task: "Task[Any]") -> None:
        try:
            with self._lock:
                self._inside.discard(task)
        finally:
            self._wake()

    def close(self, error: ExecutorClosedError) -> None:
        """Nobody gets in any more."""
        with self._lock:
            self._closed = error
            for parker in self._waiting:
                parker.wake()


_NOTHING_LENT: Final = nullcontext()

#: Those that live, to be told of a fork.
_pools: "weakref.WeakSet[Pool]" = weakref.WeakSet()


class Pool:
    """What an executor and its views share: the engine, the counts and whether it is open."""

    def __init__(self, engine: Engine, options: ExecutorOptions, parker_type: Callable[[], Any]) -> None:
        self.engine = engine
        #: Makes what blocks a caller that waits.
        self.parker_type = parker_type
        self.start: Final = engine.start
        self.options = options
        self.size: int = options.max_workers or 1
        self.gate: Gate | None = Gate(options.max_pending, parker_type) if options.max_pending else None
        self.closed: ExecutorClosedError | None = None
        self.inherited = False
        self._lent: list[Task[Any]] = []
        #: Maps under way, which have as many tasks in the engine as there are workers.
        self.jobs: weakref.WeakSet[Any] = weakref.WeakSet()
        self._resizing = threading.RLock()
        # ``next`` on a counter is a single atomic step.
        submitted, done, failed, cancelled = self._counters = [itertools.count(1) for _ in range(4)]
        self.next_id: Callable[[], int] = submitted.__next__
        self.done: Callable[[], int] = done.__next__
        self.failed: Callable[[], int] = failed.__next__
        self.cancelled: Callable[[], int] = cancelled.__next__
        self._asked = 0  # how often the counters were read: that counts, too
        _pools.add(self)

    def stats(self) -> ExecutorStats:
        workers = tuple(self.engine.workers())
        with self._resizing:
            submitted, done, failed, cancelled = (next(counter) - 1 - self._asked for counter in self._counters)
            self._asked += 1
        running = sum(1 for worker in workers if worker.state == "busy")
        pending = max(0, submitted - running - done - failed - cancelled)
        return ExecutorStats(
            pending=pending, running=running, done=done, failed=failed, cancelled=cancelled, workers=workers
        )

    def resize(self, n: int) -> None:
        with self._resizing:
            self.size = n
            self.engine.resize(n + len(self._lent))
        for job in tuple(self.jobs):
            job.grow()

    def lending(self) -> AbstractContextManager[object]:
        """
        Around a wait for a task of this pool.

        A task of the same pool that waits lends its place to somebody else meanwhile; else a pool
        full of such tasks would stand still.
        """
        task = current_task_of(self)
        return _NOTHING_LENT if task is None else self._lending(task)

    @contextmanager
    def _lending(self, task: "Task[Any]") -> Iterator[None]:
        self._lend(task)
        try:
            yield
        finally:
            self._take_back(task)

    def lend_till_done(self) -> None:
        """As ``lending``, where nobody tells when the wait is over: as long as the waiting task runs."""
        task = current_task_of(self)
        if task is not None and task not in self._lent:
            self._lend(task)
            task.add_done_callback(self._take_back)

    def _lend(self, task: "Task[Any]") -> None:
        with self._resizing:
            if len(self._lent) >= _MOST_LENT:
                waiting = {f"task {t.id} ({t.name})": "a task of its own executor" for t in self._lent[-10:]}
                raise DeadlockError(f"{_MOST_LENT} tasks wait for tasks of their own executor", graph=waiting)
            self._lent.append(task)
            self.engine.resize(self.size + len(self._lent))

    def _take_back(self, task: "Future[Any]") -> None:
        with self._resizing:
            self._lent.remove(task)  # type: ignore[arg-type]
            self.engine.resize(self.size + len(self._lent))

    def shut(self, reason: str, at: str) -> None:
        """Accept nothing more."""
        if self.closed is None:
            self.closed = ExecutorClosedError(reason, closed_at=at)
        if self.gate is not None:
            self.gate.close(self.closed)


def _close_inherited() -> None:
    """In a forked child the workers are not there."""
    for pool in tuple(_pools):
        pool.closed = ExecutorClosedError("the executor was inherited through fork: make a new one in this process")
        pool.inherited = True
        pool.gate = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_inherited)


class Executor(concurrent.futures.Executor):
    """
    Runs calls on the workers of a backend; made by ``backend.executor(...)`` or ``open_executor``.

    A :class:`concurrent.futures.Executor`: submit, map and shutdown behave as there unless a
    docstring says more. May be used from any thread; passed to a task it is the same executor.
    """

    travels_by_reference = True

    def __init__(self, backend: Any, engine: Engine, options: ExecutorOptions, *, name: str = "executor") -> None:
        self.backend = backend
        self.capabilities: Capabilities = backend.capabilities
        self.name = name
        self._pool = Pool(engine, options, backend.parker_type)
        self._options = _DEFAULTS
        self._owns_backend = False
        self._task_type: type[Task[Any]] = ObservedTask if hooks.observed() else Task
        # Dropped with work pending, it finishes that work and goes.
        self._dropped = weakref.finalize(self, engine.close, cancel=False, deadline=0)
        self._dropped.atexit = False

    @property
    def _max_workers(self) -> int:
        """Not ours to name: dask and others ask the standard library's executors for it, to know how much to submit."""
        return self._pool.size

    # Submitting.

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """
        Have ``fn(*args, **kwargs)`` called by a worker.

        Raises:
            TypeError: *fn* is not callable, or is a coroutine function.
            ExecutorClosedError: the executor was shut down.
            ExecutorBrokenError: it cannot have workers any more.
            ResourceError: there is no worker and the machine has none to give.
            SerializationError: the call cannot cross to a worker (only where workers are elsewhere).
        """
        if type(fn) is not FunctionType or fn.__code__.co_flags & _ASYNCHRONOUS:
            check_callable(fn)
        pool = self._pool
        if pool.closed is not None:
            raise pool.closed.copy()
        options = self._options
        task = make_task(
            self._task_type,
            self,
            pool.next_id(),
            fn,
            args,
            kwargs or NO_KWARGS,
            copy_context() if options.context else None,
            options,
        )
        if pool.gate is not None:
            pool.gate.admit(task, self._start)
            return task
        # ``_start`` in place: this is the hot path.
        try:
            pool.start(task)
        except ResourceError as error:
            _tell_exit(error)
            raise
        if pool.closed is not None and task.withdraw():
            raise pool.closed.copy()
        return task

    def _make_task(
        self, fn: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context | None = None
    ) -> "Task[Any]":
        """A task without keywords, not yet started, in *context* or a copy of the caller's."""
        options = self._options
        if context is None and options.context:
            context = copy_context()
        return make_task(self._task_type, self, self._pool.next_id(), fn, args, NO_KWARGS, context, options)

    def _start(self, task: "Task[Any]") -> None:
        """Hand it to the engine; ExecutorClosedError when nobody will take it any more."""
        pool = self._pool
        try:
            pool.start(task)
        except ResourceError as error:
            _tell_exit(error)
            raise
        if pool.closed is not None and task.withdraw():
            raise pool.closed.copy()

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        return_exceptions: bool = False,
    ) -> Iterator[T]:
        """
        The results of ``fn`` over the *iterables*, in their order.

        Without *buffersize* the input is taken at once and every call is made even if nobody looks
        at the results. With it, the input is read in the consumer's thread, never more than that
        many items ahead of the results that were taken, so it may be endless.

        Args:
            timeout: Seconds from now until the last result must be there; else TimeoutError.
            chunksize: Items per hand-over to a worker; None adapts to the measured time of a call,
                starts at 1, and never keeps an item from a worker that is free.
            buffersize: Most items taken whose results were not.
            return_exceptions: Yield exceptions instead of raising the first one.

        Raises:
            TypeError: there is no iterable, or a size is not an integer.
            ValueError: a size is less than 1.
        """
        if not iterables:
            raise TypeError("map needs at least one iterable")
        items = iterables[0] if len(iterables) == 1 else zip(*iterables, strict=False)
        return self._map(fn, items, len(iterables) > 1, timeout, chunksize, buffersize, return_exceptions, True)

    def starmap(
        self,
        fn: Callable[..., T],
        iterable: Iterable[Iterable[Any]],
        *,
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        return_exceptions: bool = False,
    ) -> Iterator[T]:
        """As :meth:`map`, with each item of *iterable* being the arguments of one call."""
        return self._map(fn, iterable, True, timeout, chunksize, buffersize, return_exceptions, True)

    def map_unordered(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int | None = None,
        buffersize: int | None = None,
        return_exceptions: bool = False,
    ) -> Iterator[T]:
        """As :meth:`map`, with the results as they come."""
        if not iterables:
            raise TypeError("map_unordered needs at least one iterable")
        items = iterables[0] if len(iterables) == 1 else zip(*iterables, strict=False)
        return self._map(fn, items, len(iterables) > 1, timeout, chunksize, buffersize, return_exceptions, False)

    def _map(
        self,
        fn: Callable[..., T],
        items: Iterable[Any],
        star: bool,
        timeout: float | None,
        chunksize: int | None,
        buffersize: int | None,
        return_exceptions: bool,
        ordered: bool,
    ) -> Iterator[T]:
        check_callable(fn)
        _check_size("chunksize", chunksize)
        _check_size("buffersize", buffersize)
        if self._pool.closed is not None:
            raise self._pool.closed.copy()
        limit = wait_limit(timeout)
        call = MapCall(
            executor=self,
            fn=fn,
            star=star,
            ordered=ordered,
            deadline=None if limit is None else self.backend.monotonic() + limit,
            chunksize=chunksize,
            buffersize=buffersize,
            return_exceptions=return_exceptions,
        )
        # Options and observers are per task: then each item is one. And a chunk is shared with its worker.
        shared = getattr(self._pool.engine, "shares_memory", True)
        one_each = chunksize == 1 or self._options is not _DEFAULTS or self._task_type is not Task or not shared
        return map_tasks(call, items) if one_each else map_chunks(call, items)

    def with_options(self, **options: Any) -> "ExecutorView":
        """
        A view of this executor whose tasks have other options.

        Args:
            options: ``timeout`` (seconds from the start of a task; the work is stopped),
                ``retries``, ``retry_on``, ``priority`` (higher first), ``name``, ``grace``
                (seconds), ``context``; see :class:`TaskOptions`.

        Raises:
            ConfigError: an option is unknown or out of bounds.
            UnsupportedError: the backend cannot stop a running task, and *timeout* asks for it.
        """
        merged = merge(self._options, options)
        if merged.timeout is not None and not self.capabilities.task_timeout:
            raise UnsupportedError(self.backend.name, "a timeout for running tasks", capability="task_timeout")
        return ExecutorView(self, merged)

    # Looking after it.

    def resize(self, n: int) -> None:
        """Have at most *n* workers from now on; surplus ones end after their task."""
        attrs.evolve(self._pool.options, max_workers=n)  # checks it
        if n is None:
            raise TypeError("resize needs a number of workers, got None")
        self._pool.resize(n)

    def stats(self) -> ExecutorStats:
        """The counts at this moment."""
        return self._pool.stats()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """
        Accept nothing more; what was accepted is finished.

        Args:
            wait: Return when all is done and the workers have ended.
            cancel_futures: Cancel what has not started.
        """
        self._close("the executor was shut down", cancel=cancel_futures, deadline=None if wait else 0)

    def terminate_workers(self) -> None:
        """Cancel what has not started, ask what runs to stop, and end in grace + 2 s whatever happens."""
        self._abort(self._pool.options.grace)

    def kill_workers(self) -> None:
        """As :meth:`terminate_workers`, without the grace."""
        self._abort(0)

    def _abort(self, grace: float) -> None:
        self._close("the executor was terminated", cancel=True, deadline=0)
        for task in self._running():
            task.cancel_requested = True
        self._close("the executor was terminated", cancel=True, deadline=grace if self._running() else 0)
        for task in self._running():
            name, worker = task.name, task._worker
            if task.abandon():
                log.warning("worker.abandoned", worker=worker.name, task=task.id, name=name, grace_s=grace)
        if self._owns_backend:
            self.backend.close(cancel=True)

    def _running(self) -> "list[Task[Any]]":
        tasks = (getattr(worker, "task", None) for worker in self._pool.engine.workers())
        return [task for task in tasks if task is not None]

    def _close(self, reason: str, *, cancel: bool, deadline: float | None) -> None:
        self._dropped.detach()
        if self._pool.inherited:
            return
        self._pool.shut(reason, caller())
        here = current_task_of(self._pool)
        if here is not None and deadline is None:
            raise DeadlockError(f"task {here.id} ({here.name}) cannot wait for the end of the executor it runs in")
        # The backend of its own goes with the last worker: work that still runs may use it.
        if self._pool.engine.close(cancel=cancel, deadline=deadline) and self._owns_backend:
            self._owns_backend = False  # closing it comes back here
            self.backend.close(cancel=cancel)

    def __enter__(self) -> "Executor":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and issubclass(kind, (KeyboardInterrupt, SystemExit)):
            self.terminate_workers()
            return
        try:
            self.shutdown(wait=True)
        except (KeyboardInterrupt, SystemExit):  # while waiting: the same
            self.terminate_workers()
            raise

    def _has_work(self) -> bool:
        stats = self.stats()
        return bool(stats.pending or stats.running)

    async def __aenter__(self) -> "Executor":
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import asyncio

        if self._pool.parker_type is ThreadParker:
            await asyncio.to_thread(self.__exit__, kind, error, trace)
            return
        # Loop and tasks share this thread, so the loop must go on until they are done.
        while (kind is None or issubclass(kind, Exception)) and self._has_work():
            await asyncio.sleep(_LOOK_S)
        self.__exit__(kind, error, trace)

    def __repr__(self) -> str:
        state = "open" if self._pool.closed is None else "closed"
        return f"<Executor {self.name} of {self.backend.name}, {self._pool.size} workers, {state}>"


class ExecutorView(Executor):
    """An executor seen through other task options; it belongs to the one it was made from."""

    def __init__(self, executor: Executor, options: TaskOptions) -> None:
        self.backend: Any = executor.backend
        self.capabilities: Capabilities = executor.capabilities
        self.name: str = executor.name
        self._pool = executor._pool
        self._options = options
        self._task_type = executor._task_type
        self._of = executor  # keeps it from being dropped

    def _close(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("this is a view made by with_options; shut down the executor it was made from")

    def __enter__(self) -> NoReturn:
        self._close()


copy_context: Final = contextvars.copy_context


def current_task_of(pool: Pool) -> "Task[Any] | None":
    """The task of *pool* that this code runs in."""
    task = current_task()
    return task if task is not None and task._executor._pool is pool else None


def caller() -> str:
    """``file:line`` of the first frame outside of manyhands."""
    frame: Any = sys._getframe(1)
    while frame is not None and _is_ours(str(frame.f_globals.get("__name__", ""))):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_ours(module: str) -> bool:
    """The contract suite is not: it stands where a user's program does."""
    return module.startswith("manyhands") and not module.startswith("manyhands.contract.")


def _tell_exit(error: ResourceError) -> None:
    """CPython, from 3.12 on, starts no more threads once it shuts down: then that is what happened."""
    if "interpreter shutdown" in str(error):
        raise ExecutorClosedError("the interpreter is shutting down, nothing new can be started") from error


def check_callable(fn: Any) -> None:
    if not callable(fn):
        raise TypeError(f"the first argument must be callable, got {shorten(fn)}")
    inner = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    code = getattr(getattr(inner, "__func__", inner), "__code__", None)
    if code is not None and code.co_flags & _ASYNCHRONOUS:
        raise TypeError(
            f"{code.co_qualname} is a coroutine function: its calls run in an event loop, pass a plain function"
        )


def _check_size(name: str, value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer or None, got {shorten(value)}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
