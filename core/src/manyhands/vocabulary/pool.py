"""Pool: the interface of :class:`multiprocessing.pool.Pool` over an executor."""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from .._parking import ThreadParker, wait_limit
from ..errors import SerializationError
from ..executor.executor import check_callable
from ..options import shorten
from .timing import start_helper

if TYPE_CHECKING:
    from ..backend import Backend
    from ..protocols import Event

__all__ = ["AsyncResult", "Pool"]

#: Tasks of one call that are in the executor, per worker; also what ``map`` divides its input by.
_PER_WORKER: Final = 4


class Pool:
    """
    A pool of workers with the methods of :class:`multiprocessing.pool.Pool`; made by ``backend.pool``.

    Unlike there, nothing is left unanswered: what ``terminate`` drops fails with CancelledError.
    A pool cannot be passed to tasks; pass an executor.
    """

    def __init__(
        self,
        backend: "Backend[Any]",
        processes: int | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        maxtasksperchild: int | None = None,
    ) -> None:
        _check_count("processes", processes)
        _check_count("maxtasksperchild", maxtasksperchild)
        if isinstance(initargs, str | bytes):
            raise TypeError(f"initargs must be a sequence of arguments, got {shorten(initargs)}")
        given = {"max_workers": processes, "max_tasks_per_worker": maxtasksperchild}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        self._backend = backend
        self._executor = backend.executor(
            initializer=initializer, initargs=tuple(initargs), max_pending=None, **options
        )
        self._state = "running"
        self._mutex = threading.RLock()
        #: Those whose input is not yet read to its end.
        self._feeds: set[ResultIterator] = set()

    # Calls.

    def apply(self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: dict[str, Any] | None = None) -> Any:
        """The result of one call, made by a worker."""
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self,
        func: Callable[..., Any],
        args: Iterable[Any] = (),
        kwds: dict[str, Any] | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> "AsyncResult":
        """As :meth:`apply`, without waiting; a callback has returned before the result is ready."""
        self._check_call(func)
        result = AsyncResult(self, callback, error_callback)
        with self._mutex:  # ``close`` comes before it, or after it
            self._check_running()
            task = self._executor.submit(func, *args, **(kwds or {}))
        task.add_done_callback(result._arrived)
        return result

    def map(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        """The results of *func* over *iterable*, in order."""
        return self.map_async(func, iterable, chunksize).get()  # type: ignore[no-any-return]

    def map_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> "AsyncResult":
        """As :meth:`map`, without waiting; it is ready when every call is done, and fails with the first error."""
        return self._map_async(False, func, iterable, chunksize, callback, error_callback)

    def starmap(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None
    ) -> list[Any]:
        """As :meth:`map`, with each item being the arguments of one call."""
        return self.starmap_async(func, iterable, chunksize).get()  # type: ignore[no-any-return]

    def starmap_async(
        self,
        func: Callable[..., Any],
        iterable: Iterable[Iterable[Any]],
        chunksize: int | None = None,
        callback: Callable[[Any], object] | None = None,
        error_callback: Callable[[BaseException], object] | None = None,
    ) -> "AsyncResult":
        """As :meth:`map_async`, with each item being the arguments of one call."""
        return self._map_async(True, func, iterable, chunksize, callback, error_callback)

    def imap(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1) -> "ResultIterator":
        """
        The results of *func* over *iterable*, in order, as an iterator that also has ``next(timeout)``.

        The input is read beside the caller, a little ahead of the workers, whether or not anybody
        takes the results: it may be endless, the results that nobody took are kept.
        """
        return self._imap(func, iterable, chunksize, ordered=True)

    def imap_unordered(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1) -> "ResultIterator":
        """As :meth:`imap`, with the results as they come."""
        return self._imap(func, iterable, chunksize, ordered=False)

    # The end.

    def close(self) -> None:
        """Accept nothing more; what was accepted is finished, then the workers end."""
        with self._mutex:
            if self._state == "running":
                self._state = "closed"
            self._end_if_fed()

    def terminate(self) -> None:
        """Drop what has not started, ask what runs to stop, end within the grace of the backend plus 2 s."""
        with self._mutex:
            self._state = "terminated"
            feeds = tuple(self._feeds)
        for results in feeds:
            results._drop()
        self._executor.terminate_workers()

    def join(self) -> None:
        """Wait for the workers to end; ValueError before ``close`` or ``terminate``."""
        if self._state == "running":
            raise ValueError("the pool is still running: close or terminate it before join")
        for results in tuple(self._feeds):
            results.fed.wait()
        if self._state == "closed":  # ``terminate`` has waited already, as long as it should
            self._executor.shutdown(wait=True)

    def __enter__(self) -> Self:
        self._check_running()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.terminate()

    def __reduce__(self) -> Any:
        raise SerializationError("a pool can only be used by who made it; pass an executor to tasks")

    def __repr__(self) -> str:
        return f"<Pool of {self._backend.name}, {self._executor._pool.size} workers, {self._state}>"

    # Inside.

    def _check_call(self, func: Callable[..., Any]) -> None:
        self._check_running()
        check_callable(func)

    def _check_running(self) -> None:
        if self._state != "running":
            raise ValueError("Pool not running")

    def _map_async(
        self,
        star: bool,
        func: Callable[..., Any],
        iterable: Iterable[Any],
        chunksize: int | None,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> "AsyncResult":
        self._check_call(func)
        _check_count("chunksize", chunksize)
        items = list(iterable)
        size = chunksize or max(1, -(-len(items) // (self._executor._pool.size * _PER_WORKER)))
        chunks = list(_chunks(items, size)) or [[]]  # nothing to do is done by a worker, too: so there is one way
        result = MapResult(self, callback, error_callback, len(chunks))
        with self._mutex:  # all of it is accepted, or nothing
            self._check_running()
            tasks = [self._executor.submit(_run_chunk, func, star, chunk) for chunk in chunks]
        for number, task in enumerate(tasks):
            task.add_done_callback(partial(result._part_arrived, number))
        return result

    def _imap(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int, *, ordered: bool
    ) -> "ResultIterator":
        self._check_call(func)
        _check_count("chunksize", chunksize)
        chunks = _chunks(iterable, chunksize or 1)
        results = ResultIterator(self, ordered)
        with self._mutex:
            self._check_running()
            self._feeds.add(results)
        try:
            start_helper(self._backend, partial(self._feed, results, func, chunks), "manyhands-imap")
        except BaseException:
            self._feeds.discard(results)
            raise
        return results

    def _feed(self, results: "ResultIterator", func: Callable[..., Any], chunks: Iterator[list[Any]]) -> None:
        try:
            results._feed(lambda chunk: self._executor.submit(_run_chunk, func, False, chunk), chunks)
        finally:
            with self._mutex:
                self._feeds.discard(results)
                self._end_if_fed()
            results.fed.set()

    def _end_if_fed(self) -> None:
        if self._state == "closed" and not self._feeds:
            self._executor.shutdown(wait=False)


class AsyncResult:
    """The result of an asynchronous call of a pool."""

    def __init__(
        self,
        pool: Pool,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
    ) -> None:
        self._lending = pool._executor._pool.lending
        self._done = False
        self._set = pool._backend.event()
        self._callback = callback
        self._error_callback = error_callback
        self._value: Any = None
        self._error: BaseException | None = None
        self._trace: TracebackType | None = None

    def ready(self) -> bool:
        """Whether the call is done."""
        return self._done

    def successful(self) -> bool:
        """Whether it returned; ValueError when it is not done."""
        if not self.ready():
            raise ValueError(f"{self!r} is not ready")
        return self._error is None

    def wait(self, timeout: float | None = None) -> None:
        """Return when it is done, or after *timeout* seconds."""
        if not self._done:  # what is there stays, also when the backend is closed and its events with it
            with self._lending():
                self._set.wait(wait_limit(timeout))

    def get(self, timeout: float | None = None) -> Any:
        """The result, or the call's exception raised; multiprocessing.TimeoutError after *timeout* seconds."""
        self.wait(timeout)
        if not self._done:
            raise _timeout_error()
        if self._error is not None:
            raise self._error.with_traceback(self._trace)
        return self._value

    def _arrived(self, task: "Future[Any]") -> None:
        error = _error_of(task)
        self._finish(task.result() if error is None else None, error)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        """A callback that raises is logged by the future that called this; the result is ready all the same."""
        self._value, self._error = value, error
        self._trace = None if error is None else error.__traceback__
        callback, self._callback = self._callback if error is None else self._error_callback, None
        self._error_callback = None
        try:
            if callback is not None:
                callback(value if error is None else error)
        finally:
            self._done = True
            self._set.set()


class MapResult(AsyncResult):
    """The result of ``map_async``: complete when all of its parts are."""

    def __init__(
        self,
        pool: Pool,
        callback: Callable[[Any], object] | None,
        error_callback: Callable[[BaseException], object] | None,
        parts: int,
    ) -> None:
        super().__init__(pool, callback, error_callback)
        self._parts: list[list[Any]] = [[]] * parts
        self._left = parts
        self._first_error: BaseException | None = None
        self._mutex = threading.Lock()

    def _part_arrived(self, number: int, task: "Future[Any]") -> None:
        error = _error_of(task)
        with self._mutex:
            self._left -= 1
            last = not self._left
            if error is None:
                self._parts[number] = task.result()
            elif self._first_error is None:
                self._first_error = error
        if last:
            parts, self._parts = self._parts, []
            self._finish(list(itertools.chain.from_iterable(parts)), self._first_error)


class ResultIterator:
    """The results of ``imap`` as they come; for one thread at a time."""

    def __init__(self, pool: Pool, ordered: bool) -> None:
        self._lending = pool._executor._pool.lending
        self._changed = pool._backend.condition()
        self._room = pool._backend.semaphore(pool._executor._pool.size * _PER_WORKER)
        self._shares_thread: bool = pool._backend.parker_type is not ThreadParker
        self._sleep = pool._backend.sleep
        self._ordered = ordered
        self._ready: deque[tuple[Any, BaseException | None]] = deque()
        #: Those that came before their turn.
        self._early: dict[int, list[tuple[Any, BaseException | None]]] = {}
        self._arrived = 0
        self._expected: int | None = None
        self._dropped = False
        #: Set when the input is read, or nobody wants more of it.
        self.fed: Event = pool._backend.event()

    def __iter__(self) -> "ResultIterator":
        return self

    def __next__(self) -> Any:
        return self.next()

    def next(self, timeout: float | None = None) -> Any:
        """The next result, or its exception raised; multiprocessing.TimeoutError after *timeout* seconds."""
        while True:
            ended = self._ended()  # first: what came last is in ``_ready`` then
            if self._ready:
                break
            if ended:
                raise StopIteration
            with self._lending(), self._changed:
                if not self._changed.wait_for(lambda: self._ready or self._ended(), wait_limit(timeout)):
                    raise _timeout_error()
        value, error = self._ready.popleft()
        if isinstance(error, StopIteration):  # it would look like the end
            raise RuntimeError("the call raised StopIteration") from error
        if error is not None:
            raise error
        return value

    def _ended(self) -> bool:
        return self._dropped or self._arrived == self._expected

    def _feed(self, submit: Callable[[list[Any]], "Future[Any]"], chunks: Iterator[list[Any]]) -> None:
        number = 0
        try:
            for chunk in chunks:
                self._room.acquire()
                submit(chunk).add_done_callback(partial(self._chunk_arrived, number))
                number += 1
                if self._shares_thread:  # it would read on and on while tasks that never block make room
                    self._sleep(0)
        except BaseException as error:  # the input raised it, or the backend was closed: it comes in its place
            self._put(number, [(None, error)])
            number += 1
        with self._changed:
            self._expected = number
            self._changed.notify_all()

    def _chunk_arrived(self, number: int, task: "Future[Any]") -> None:
        error = _error_of(task)
        self._put(number, [(value, None) for value in task.result()] if error is None else [(None, error)])
        self._room.release()

    def _put(self, number: int, outcomes: list[tuple[Any, BaseException | None]]) -> None:
        with self._changed:
            if self._dropped:
                return
            self._early[number if self._ordered else self._arrived] = outcomes
            while (batch := self._early.pop(self._arrived, None)) is not None:
                self._ready.extend(batch)
                self._arrived += 1
            self._changed.notify_all()

    def _drop(self) -> None:
        """The pool was terminated: who waits is told, and the input is read no further."""
        with self._changed:
            self._ready.append((None, CancelledError("the pool was terminated")))
            self._dropped = True
            self._changed.notify_all()
        self._room.release()
        self.fed.set()


def _run_chunk(func: Callable[..., Any], star: bool, chunk: list[Any]) -> list[Any]:
    return [func(*item) for item in chunk] if star else [func(item) for item in chunk]


def _chunks(iterable: Iterable[Any], size: int) -> Iterator[list[Any]]:
    items = iter(iterable)  # here, so that what is not iterable fails in the call
    return iter(lambda: list(itertools.islice(items, size)), [])


def _error_of(task: "Future[Any]") -> BaseException | None:
    return CancelledError() if task.cancelled() else task.exception()


def _check_count(name: str, value: object) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} must be an integer of at least 1, got {shorten(value)}")


def _timeout_error() -> Exception:
    import multiprocessing

    return multiprocessing.TimeoutError("the result was not there in time")
