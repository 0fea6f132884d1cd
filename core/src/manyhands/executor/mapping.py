"""
How ``map`` hands out its items.

``map_tasks`` makes a task of each item. ``map_chunks``, the default, adapts: a few *runners*,
tasks of the pool like any other, take chunks of what is left, run them at the speed of a C loop
and queue up again, so that other tasks get their turn. A chunk is as long as the measured time of
a call says. Since an item that another worker could start must not wait in somebody's chunk, a
runner that finds nothing left takes half of what another runner has not begun. How far that one
is can be seen by its results: it may be in the middle of one more call, no further.
"""

import contextvars
import itertools
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from concurrent.futures._base import FINISHED
from typing import TYPE_CHECKING, Any, Final

import attrs

from .._parking import Mailbox
from ..future import Future
from .task import NO_KWARGS, make_task, without_this_frame

if TYPE_CHECKING:
    from .executor import Executor, Pool
    from .task import Task

__all__ = ["MapCall", "map_chunks", "map_tasks"]

#: How long a chunk should take, in seconds: long enough to forget its cost, short enough to share.
_CHUNK_S: Final = 0.003
#: Results of a longer chunk stay until all of them were taken; they cost little, letting go of each does not.
_LONG: Final = 64
#: A chunk is at most this many times as long as the one before.
_GROWTH: Final = 16


@attrs.frozen(kw_only=True)
class MapCall:
    """One call of ``executor.map`` or of one of its sisters."""

    executor: "Executor"
    fn: Callable[..., Any]
    #: Each item is all arguments, instead of one.
    star: bool
    ordered: bool
    #: When the last result must be there, on the backend's monotonic clock.
    deadline: float | None
    chunksize: int | None
    buffersize: int | None
    return_exceptions: bool

    def remaining(self) -> float | None:
        """Seconds until the deadline."""
        return None if self.deadline is None else self.deadline - self.executor.backend.monotonic()


class _Source:
    """The input; an error of its iterator is kept until the results before it were taken."""

    def __init__(self, items: Iterable[Any], window: int | None) -> None:
        self._items = items if window is None else iter(items)
        self._window = window
        self.error: BaseException | None = None
        self.ended = False

    def take(self, outstanding: int) -> list[Any]:
        """What fits into the window beside *outstanding* items, once half of it is free."""
        if self.ended:
            return []
        if self._window is None:
            self.ended = True
            items, self._items = self._items, ()
            return list(items)
        room = self._window - outstanding
        if outstanding > self._window // 2:
            return []
        taken: list[Any] = []
        try:
            taken.extend(itertools.islice(self._items, room))
        except Exception as error:
            self.error = error
        self.ended = self.error is not None or len(taken) < room
        return taken


# One task per item.


def map_tasks(call: MapCall, items: Iterable[Any]) -> Iterator[Any]:
    """A task per item: options, observers and retries are per task."""
    source = _Source(items, call.buffersize)
    results = _task_results if call.ordered else _unordered_task_results
    return results(call, source, deque(_start_tasks(call, source.take(0))))


def _start_tasks(call: MapCall, items: list[Any]) -> "list[Task[Any]]":
    executor, fn, star, options = call.executor, call.fn, call.star, call.executor._options
    kind, next_id, context = executor._task_type, executor._pool.next_id, options.context
    tasks = []
    for item in items:
        args = item if star else (item,)
        own = contextvars.copy_context() if context else None
        tasks.append(make_task(kind, executor, next_id(), fn, args, NO_KWARGS, own, options))
    for task in tasks:
        executor._start(task)
    return tasks


def _task_results(call: MapCall, source: _Source, tasks: "deque[Task[Any]]") -> Iterator[Any]:
    unlimited = call.deadline is None and not call.return_exceptions
    try:
        while tasks:
            yield tasks.popleft().result() if unlimited else _outcome(tasks.popleft(), call)
            if not source.ended:
                tasks.extend(_start_tasks(call, source.take(len(tasks))))
        if source.error is not None:
            raise source.error
    finally:
        for task in tasks:
            task.cancel()


def _unordered_task_results(call: MapCall, source: _Source, tasks: "deque[Task[Any]]") -> Iterator[Any]:
    waiting = set(tasks)
    completed = Mailbox(call.executor._pool.parker_type)
    for task in tasks:
        task.add_done_callback(completed.put)
    tasks.clear()
    try:
        while waiting:
            with call.executor._pool.lending():
                task = completed.get(call.remaining())
            waiting.discard(task)
            yield _outcome(task, call)
            for fresh in _start_tasks(call, source.take(len(waiting))):
                waiting.add(fresh)
                fresh.add_done_callback(completed.put)
        if source.error is not None:
            raise source.error
    finally:
        for task in waiting:
            task.cancel()


def _outcome(task: "Task[Any]", call: MapCall) -> Any:
    if not call.return_exceptions:
        return task.result(call.remaining())
    error = task.exception(call.remaining())
    return task.result() if error is None else error


# Chunks.


class _Results(list[Any]):
    """The results of one chunk, in the order of its items."""

    __slots__ = ("failed",)

    def __init__(self) -> None:
        #: Whether there is a _Failure among them.
        self.failed = False


class _Failure:
    """An exception in its place among the results."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = without_this_frame(error)


class _Node(Future["_Results | None"]):
    """A place in the chain of results; the last one is open, or holds None: that was all."""

    __slots__ = ("_pool", "next")

    def __init__(self, pool: "Pool") -> None:
        super().__init__()
        self._pool = pool
        self.next: _Node | None = None

    def _parker_type(self) -> Callable[[], Any]:
        return self._pool.parker_type

    def _wait(self, timeout: float | None) -> None:
        with self._pool.lending():
            super()._wait(timeout)


class _Chunk:
    """Consecutive items; their runner works from the left, thieves take from the right."""

    __slots__ = ("items", "node", "results")

    def __init__(self, items: list[Any], node: _Node) -> None:
        self.items = items
        self.node = node
        self.results = _Results()

    def left(self) -> int:
        """How many items have certainly not begun."""
        return max(0, len(self.items) - len(self.results) - 1)

    def split(self) -> list[Any]:
        """Take away the right half, rounded up, of what has not begun; one thief at a time."""
        cut = len(self.items) - (self.left() + 1) // 2
        taken = self.items[cut:]
        del self.items[cut:]
        # Up to then its runner went on, and may have begun some of them. From here on it cannot: what is
        # certainly not begun is taken, and the rest given back.
        begun = max(0, len(self.results) + 1 - cut)
        self.items += taken[:begun]
        return taken[begun:]


class _Runner:
    """A task that runs one chunk; it is done with when that task is."""

    def __init__(self, job: "_Job") -> None:
        self.job = job
        self.chunk: _Chunk | None = None
        self.task: Task[Any] = job.executor._make_task(self.run, (), job.context.copy())

    def run(self) -> None:
        self.chunk = self.job.take()
        if self.chunk is not None:
            self.job.work(self.chunk)
            self.chunk = None

    def done(self, _: object) -> None:
        self.job.runner_done(self)


class _Job:
    """What is left to hand out, who works on what, and the chain of results."""

    def __init__(self, call: MapCall) -> None:
        self.executor = call.executor
        self._pool = call.executor._pool
        self._fn = call.fn
        self._apply: Callable[..., Iterator[Any]] = itertools.starmap if call.star else map
        self._ordered = call.ordered
        self._fixed = call.chunksize
        self._monotonic: Callable[[], float] = call.executor.backend.monotonic
        #: The caller's context; later runners are made by workers.
        self.context = contextvars.copy_context()
        self._lock = threading.RLock()  # reentrant: a collected consumer may call ``stop`` from inside
        #: Lists of items with the place of the first one that is left.
        self._left: deque[tuple[list[Any], int]] = deque()
        self._count_left = 0
        self._unfinished = 0
        self._ended = False
        #: Whether nobody wants more results.
        self._stopped = False
        self._size = 1
        self._chunks: list[_Chunk] = []
        self._runners: set[_Runner] = set()
        #: Where the consumer is; not where it began, or the chain would keep all results.
        self.head: _Node | None = _Node(self._pool)
        self._tail = self.head
        self._pool.jobs.add(self)

    # For the consumer.

    def feed(self, items: list[Any], *, last: bool) -> None:
        """More to do; *last* says that there will be no more."""
        with self._lock:
            if items:
                self._left.append((items, 0))
                self._count_left += len(items)
                self._unfinished += len(items)
            self._ended = last
        self._start_runners(self.executor._start)
        self._end_if_done()

    def grow(self) -> None:
        """The executor has more workers now."""
        self._start_runners(self.executor._start)

    def stop(self) -> None:
        """Nobody wants more results: start nothing more."""
        with self._lock:
            self._stopped = True
            self._left.clear()
            self._count_left = 0
            for chunk in self._chunks:
                chunk.items.clear()
            runners = tuple(self._runners)
        for runner in runners:
            runner.task.cancel()

    # For the runners.

    def _start_runners(self, start: Callable[["Task[Any]"], None]) -> None:
        """Have as many runners as there are workers that could be busy."""
        while True:
            with self._lock:
                startable = self._count_left + sum(1 + chunk.left() for chunk in self._chunks)
                if self._stopped or len(self._runners) >= min(self._pool.size, startable):
                    return
                runner = _Runner(self)
                self._runners.add(runner)
            try:
                start(runner.task)
            except Exception as error:  # the executor cannot run anything any more
                self._runners.discard(runner)
                self._fail(runner, error)
                return
            runner.task.add_done_callback(runner.done)

    def runner_done(self, runner: _Runner) -> None:
        with self._lock:
            self._runners.discard(runner)
        if runner.task.cancelled():  # by ``stop``, or the executor was shut down without mercy
            self._fail(runner, CancelledError())
        elif (error := runner.task.exception()) is not None:  # Ctrl-C, where everything shares one thread
            self._give_up(error)
        else:
            self._start_runners(self._pool.engine.start)

    def _fail(self, runner: _Runner, error: BaseException) -> None:
        """Nobody will deliver the runner's chunk, and after the last runner nothing at all."""
        if runner.chunk is not None:
            runner.chunk.node._settle(FINISHED, None, error)
        if not self._runners:
            self._tail._settle(FINISHED, None, error)

    def _give_up(self, error: BaseException) -> None:
        """A runner was interrupted, and what it had taken may be anywhere: no result is waited for any more."""
        self.stop()
        node = self.head
        while node is not None:
            node._settle(FINISHED, None, error)
            node = node.next

    def take(self) -> _Chunk | None:
        """The next chunk of what is left, else half of what another runner has not begun."""
        with self._lock:
            if self._count_left:
                node = self._place() if self._ordered else _Node(self._pool)
                chunk = _Chunk(self._cut(), node)
            else:
                victim = max(self._chunks, key=_Chunk.left, default=None)
                stolen = [] if victim is None else victim.split()
                if victim is None or not stolen:
                    return None
                chunk = _Chunk(stolen, _Node(self._pool))
                chunk.node.next, victim.node.next = victim.node.next, chunk.node
            self._chunks.append(chunk)
            return chunk

    def _cut(self) -> list[Any]:
        """The items of the next chunk."""
        items, at = self._left.popleft()
        fair = self._count_left // self._pool.size
        size = min(len(items) - at, self._fixed or max(1, min(self._size, fair)))
        if at + size < len(items):
            self._left.appendleft((items, at + size))
        self._count_left -= size
        return items[at : at + size]

    def _place(self) -> _Node:
        """The next place in the order of results."""
        node = self._tail
        self._tail = node.next = _Node(self._pool)
        return node

    def work(self, chunk: _Chunk) -> None:
        """Run the chunk and put its results where they belong."""
        began = self._monotonic()
        results = self._call_each(chunk)
        took = self._monotonic() - began
        with self._lock:
            self._chunks.remove(chunk)
            if took > 0:
                self._size = max(1, min(self._size * _GROWTH, int(len(results) * _CHUNK_S / took)))
            self._unfinished -= len(results)
            node = chunk.node if self._ordered else self._place()
        node._settle(FINISHED, results, None)  # False when the executor has given up on this runner
        del chunk, results, node  # tracebacks among the results know this frame, too
        self._end_if_done()

    def _call_each(self, chunk: _Chunk) -> _Results:
        results, items, failure = chunk.results, chunk.items, None
        each: Any = None
        try:
            while True:
                each = iter(items)
                each.__setstate__(len(results))
                try:
                    results.extend(self._apply(self._fn, each))
                except BaseException as error:
                    failure = _Failure(error)
                else:
                    with self._lock:  # no thief is in the middle of giving something back
                        if len(results) >= len(items):
                            return results
                    if _at_end(each):
                        continue  # something was given back
                    failure = _Failure(StopIteration())  # from the function: it ends the loop, its value is lost
                results.append(failure)
                results.failed = True
        finally:
            # Tracebacks among the results know this frame: else it would keep them.
            del chunk, results, items, each, failure

    def _end_if_done(self) -> None:
        with self._lock:
            done, tail = self._ended and not self._unfinished, self._tail
        if done:
            tail._settle(FINISHED, None, None)


def _at_end(iterator: Iterator[Any]) -> bool:
    """Whether the *iterator* of a list has come to its end, and so let go of the list."""
    return len(iterator.__reduce__()) < 3


def map_chunks(call: MapCall, items: Iterable[Any]) -> Iterator[Any]:
    """Chunks that adapt, or of a fixed ``chunksize``."""
    job = _Job(call)
    source = _Source(items, call.buffersize)
    first = source.take(0)
    job.feed(first, last=source.ended)
    return _Chain.of(_result_lists(call, job, source, len(first)))


class _Chain(itertools.chain[Any]):
    """The results of all lists, at the speed of C; can be closed like a generator."""

    _lists: Generator[Iterable[Any], None, None]

    @classmethod
    def of(cls, lists: Generator[Iterable[Any], None, None]) -> "_Chain":
        chain: _Chain = cls.from_iterable(lists)  # type: ignore[assignment]
        chain._lists = lists
        return chain

    def close(self) -> None:
        """Stop the map, as letting go of the iterator does."""
        self._lists.close()


def _result_lists(call: MapCall, job: _Job, source: _Source, outstanding: int) -> Generator[Iterable[Any], None, None]:
    try:
        while (node := job.head) is not None and (results := node.result(call.remaining())) is not None:
            outstanding -= len(results)
            if results.failed:
                yield from _with_failures(results, call.return_exceptions)
            elif len(results) > _LONG:
                yield results
            else:
                results.reverse()
                yield map(list.pop, itertools.repeat(results, len(results)))
            del results
            if not source.ended:
                fresh = source.take(outstanding)
                outstanding += len(fresh)
                job.feed(fresh, last=source.ended)
            job.head = node.next
        if source.error is not None:
            raise source.error
    finally:
        job.stop()


def _with_failures(results: list[Any], return_exceptions: bool) -> Iterator[list[Any]]:
    """The results up to the first exception, and that raised; or all, with the exceptions as values."""
    if return_exceptions:
        yield [result.error if type(result) is _Failure else result for result in results]
        return
    first = next(index for index, result in enumerate(results) if type(result) is _Failure)
    error = results[first].error
    yield results[:first]
    try:
        raise error
    finally:
        del results, error  # the traceback now holds this frame
