"""
The engine: a pool of threads that grows when nobody is idle.

What a submitter needs to know is kept in containers whose single operations are atomic: ``ready``
holds the tasks; ``idle`` one token for each thread that waits for a task and that nobody counts on
yet; ``threads`` the threads there are. Whoever submits puts the task first and then takes a token of
``idle``, else starts a thread if there is room for one; a thread that leaves takes itself out of
``threads`` first and then looks at ``ready`` once more. So a task never waits while a thread could be
had, and submitting to a pool of full size takes no lock. How many there are and may be is written
down nowhere else, so an interrupt at any point can lose no place.
"""

import functools
import heapq
import itertools
import queue
import threading
import time
from collections import deque
from typing import Any, Final

from manyhands import ExecutorOptions, InitializerError, ResourceError, Runnable, Worker, get_logger

log = get_logger("manyhands.threading")


class _Signal:
    """Something in ``ready`` that is not a task."""


#: The best of the prioritized tasks may run.
_PRIORITIZED: Final = _Signal()
#: Look whether there are too many threads.
_LOOK: Final = _Signal()
#: No more tasks come; stays the last thing in the queue.
_END: Final = _Signal()

#: Failures of the initializer in a row after which the executor is broken.
_MOST_START_FAILURES: Final = 3


class ThreadingEngine:
    """Runs tasks in daemon threads of this process (see :class:`manyhands.Engine`)."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._options = options
        self._prefix = options.worker_name_prefix or "manyhands"
        self._size: int = options.max_workers or 1
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._idle: deque[None] = deque()
        # Reentrant: a signal handler may submit while its thread is in here. Never taken by
        # ``start`` on a pool of full size.
        self._mutex = threading.RLock()
        self._threads: dict[Worker, threading.Thread] = {}
        #: Those that have left and are about to start another one.
        self._leaving: set[threading.Thread] = set()
        #: One token for each thread that is to be started, with the task it is for.
        self._wanted: deque[Runnable | None] = deque()
        self._starting = threading.RLock()
        self._numbers = itertools.count()
        self._start_failures = 0
        self._broken: InitializerError | None = None
        self._ended = False
        self._cancelling = False
        self._prioritized = _Prioritized()

    # The engine's face.

    def start(self, task: Runnable) -> None:
        if self._broken is not None:
            task.withdraw()
            raise _again(self._broken)
        if self._cancelling:
            task.cancel()
            return
        if task.options.priority or self._prioritized.used:
            self._prioritized.add(task)
            self._ready.put(_PRIORITIZED)
        else:
            self._ready.put(task)
        if self._idle:
            try:
                self._idle.pop()
                return
            except IndexError:  # somebody else was faster
                pass
        if len(self._threads) < self._size:
            self._grow(task)

    def stop(self, task: Runnable, *, kill: bool) -> bool:
        """Nothing stops a thread from outside."""
        return False

    def resize(self, n: int) -> None:
        self._size = n
        threads = len(self._threads)
        for _ in range(threads - n):
            self._ready.put(_LOOK)
        for _ in range(min(n - threads, self._ready.qsize())):
            self._grow(None)

    def workers(self) -> tuple[Worker, ...]:
        return tuple(self._threads)

    def close(self, *, cancel: bool, deadline: float | None) -> bool:
        if cancel:
            self._cancelling = True
            self._drop_tasks(lambda task: task.cancel())
        with self._mutex:  # a second end in the queue would never let the threads go
            if not self._ended:
                self._ended = True
                self._ready.put(_END)
        if deadline == 0:
            return not self._threads
        until = None if deadline is None else time.monotonic() + deadline
        while threads := self._others():
            for thread in threads:
                if thread.is_alive():
                    thread.join(None if until is None else max(0.0, until - time.monotonic()))
            if until is not None and time.monotonic() >= until:
                break
            if not any(thread.is_alive() for thread in threads):
                with self._starting:  # somebody else is just starting them
                    pass
                self._start_wanted(None)
                if not any(thread.is_alive() for thread in self._others()):
                    break  # it is this thread that does, and this is a signal handler in between
        return not self._threads

    def _others(self) -> list[threading.Thread]:
        """The threads without the caller, which may be one of them: a callback may close the executor."""
        with self._mutex:
            threads = (*self._threads.values(), *self._leaving)
        return [thread for thread in threads if thread is not threading.current_thread()]

    # Growing.

    def _grow(self, task: Runnable | None) -> bool:
        """
        Start a thread if one may be started; *task* is refused if nobody is there to run it.

        Returns:
            False if one was to be started and could not be.

        A new thread may run finalizers before its starter goes on, and these may submit. So nobody
        waits here for another one who starts a thread: that one starts what is wanted meanwhile, too.
        """
        self._wanted.append(task)
        return self._start_wanted(task)

    def _start_wanted(self, task: Runnable | None) -> bool:
        could = True
        while self._wanted and self._starting.acquire(blocking=False):
            try:
                could &= self._start_thread(self._wanted.popleft(), task)
            except IndexError:  # somebody else was faster
                pass
            finally:
                self._starting.release()
        return could

    def _start_thread(self, wanted_for: Runnable | None, mine: Runnable | None) -> bool:
        worker = Worker(f"{self._prefix}_{next(self._numbers)}")
        thread = threading.Thread(target=self._work, args=(worker,), name=worker.name, daemon=True)
        try:
            with self._mutex:
                if len(self._threads) >= self._size:
                    return True
                self._threads[worker] = thread
            thread.start()
        except BaseException as error:
            with self._mutex:
                if thread.ident is None:
                    self._threads.pop(worker, None)
            if not isinstance(error, RuntimeError | MemoryError):
                raise  # an interrupt
            log.warning("worker.not_started", worker=worker.name, reason=str(error))
            if not self._threads and wanted_for is not None:
                _refuse(wanted_for, error, at_once=wanted_for is mine)
            return False
        return True

    # The life of a thread.

    def _work(self, worker: Worker) -> None:
        with self._mutex:
            if worker not in self._threads:
                return  # its starter was interrupted and gave up on it
        worker.settle()
        if not self._initialize(worker):
            return
        worker.announce()
        ready, idle, threads = self._ready, self._idle, self._threads
        idle_timeout, most = self._options.idle_timeout, self._options.max_tasks_per_worker
        get = ready.get if idle_timeout is None else functools.partial(ready.get, timeout=idle_timeout)
        done = 0
        while True:
            parked = ready.empty()
            if parked:
                idle.append(None)
            try:
                item = get()
            except queue.Empty:
                if (not parked or self._uncount()) and self._leave(worker):
                    return
                continue
            if type(item) is _Signal:
                if item is _END:
                    if self._end(worker):
                        return
                    continue
                if item is _LOOK:
                    # No submitter took a token for it: this thread takes its own back, or if somebody
                    # counts on it already, stays for the task that is coming.
                    if (not parked or self._uncount()) and self._retire(worker):
                        return
                    continue
                item = self._prioritized.best()
                if item is None:
                    continue
            elif self._prioritized.used:
                item = self._prioritized.exchange(item) or item
            item.run(worker)
            item = None
            if most is not None:
                done += 1
                if done >= most and self._leave(worker, replace=True):
                    return
            if len(threads) > self._size and self._retire(worker):
                return

    def _initialize(self, worker: Worker) -> bool:
        if self._options.initializer is None:
            return True
        try:
            self._options.initializer(*self._options.initargs)
        except BaseException as error:
            return not self._initializer_failed(worker, error) and self._initialize(worker)
        self._start_failures = 0
        return True

    def _initializer_failed(self, worker: Worker, error: BaseException) -> bool:
        """Whether *worker* leaves; else it is to try again."""
        with self._mutex:
            self._start_failures += 1
            failures = self._start_failures
            if failures >= _MOST_START_FAILURES and self._broken is None:
                self._broken = InitializerError(
                    f"the initializer failed in {failures} workers in a row, last with {error!r}"
                )
                self._broken.__cause__ = error
        # Not under the lock: what handles it may wait for another thread of ours.
        log.warning("worker.initializer_failed", worker=worker.name, error=repr(error), failures=failures)
        if self._broken is None:
            return self._leave(worker, replace=True)
        self._gone(worker)
        broken = self._broken
        self._drop_tasks(lambda task: task.claim() and task.fail(_again(broken)))
        return True

    def _uncount(self) -> bool:
        """Take back this thread's token of ``idle``; False when a submitter counts on the thread."""
        try:
            self._idle.pop()
        except IndexError:
            return False
        return True

    def _end(self, worker: Worker) -> bool:
        """Leave because no more tasks come, except those that were tried again after the end."""
        self._ready.put(_END)
        if self._ready.qsize() > 1:
            return False
        self._gone(worker)
        return True

    def _retire(self, worker: Worker) -> bool:
        """Leave for good if there are too many threads."""
        with self._mutex:
            if len(self._threads) <= self._size:
                return False
            self._gone(worker)
            return True

    def _leave(self, worker: Worker, *, replace: bool = False) -> bool:
        """
        Leave, so that another thread may be started later.

        A submitter that saw neither an idle thread nor room for one counts on this one: so its place
        is given up first, and then, if there is work, somebody takes it again: this thread (the
        answer is False), or with *replace* a new one, if one can be started at all.
        """
        with self._mutex:
            thread = self._threads.pop(worker)
            needed = not self._ready.empty()
            if needed and not replace:
                self._threads[worker] = thread
                return False
            if needed:
                self._leaving.add(thread)
        if needed:
            could = self._grow(None)
            with self._mutex:
                self._leaving.discard(thread)
                if not could and not self._threads:  # CPython 3.12 starts none once its end has begun
                    self._threads[worker] = thread
                    return False
        self._gone(worker)
        return True

    def _gone(self, worker: Worker) -> None:
        with self._mutex:
            self._threads.pop(worker, None)
        worker.farewell(0)

    def _drop_tasks(self, drop: Any) -> None:
        """Take every task that waits, and do to it what *drop* does."""
        kept = []
        while True:
            try:
                item = self._ready.get_nowait()
            except queue.Empty:
                break
            if item is _END:
                kept.append(item)
            elif type(item) is not _Signal:
                drop(item)
        for task in self._prioritized.clear():
            drop(task)
        for item in kept:
            self._ready.put(item)


class _Prioritized:
    """Tasks by priority, then age. Submitters only append; the workers sort."""

    def __init__(self) -> None:
        self.used = False
        self._arrived: deque[Runnable] = deque()
        self._heap: list[tuple[int, int, Runnable]] = []
        self._ages = itertools.count()
        self._mutex = threading.Lock()

    def add(self, task: Runnable) -> None:
        self._arrived.append(task)
        self.used = True

    def best(self) -> Runnable | None:
        """The one that is to run next; None when they were cleared meanwhile."""
        with self._mutex:
            while self._arrived:
                self._push(self._arrived.popleft())
            return heapq.heappop(self._heap)[2] if self._heap else None

    def exchange(self, task: Runnable) -> Runnable | None:
        """Add *task*, which came before the first one with a priority, and take the best."""
        with self._mutex:
            self._push(task)
        return self.best()

    def clear(self) -> list[Runnable]:
        with self._mutex:
            tasks = [entry[2] for entry in self._heap] + list(self._arrived)
            self._heap.clear()
            self._arrived.clear()
            return tasks

    def _push(self, task: Runnable) -> None:
        heapq.heappush(self._heap, (-task.options.priority, next(self._ages), task))


def _refuse(task: Runnable, error: BaseException, *, at_once: bool) -> None:
    """Nobody is there to run *task*: tell its submitter *at_once*, or through its future."""
    refusal = ResourceError(f"no thread can be started to run task {task.id} ({task.name}): {error}")
    refusal.__cause__ = error
    if at_once:
        if task.withdraw():
            raise refusal
    elif task.claim():
        task.fail(refusal)


def _again(error: InitializerError) -> InitializerError:
    """A fresh exception with the same message and cause, for another raise."""
    fresh = InitializerError(*error.args)
    fresh.__cause__ = error.__cause__
    return fresh
