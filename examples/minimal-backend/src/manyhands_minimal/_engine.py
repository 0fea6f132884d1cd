"""The engine: a few threads around one heap of tasks."""

import heapq
import itertools
import queue
import threading
import time

from manyhands import (
    ExecutorClosedError,
    ExecutorOptions,
    InitializerError,
    ResourceError,
    Runnable,
    Worker,
    get_logger,
)

__all__ = ["MinimalEngine"]

log = get_logger("manyhands.minimal")

#: How often in a row the initializer may fail before there is no hope.
_MOST_FAILURES = 3
#: How long a thread may take to come to life, in seconds.
_START_S = 5.0


class MinimalEngine:
    """Runs tasks in daemon threads of this process (see :class:`manyhands.Engine`)."""

    def __init__(self, options: ExecutorOptions) -> None:
        self._options = options
        self._size = options.max_workers or 1
        # A signal handler or finalizer may submit while its thread is in here: so the lock is reentrant, and
        # threads are woken by a queue, whose ``put`` may come in between anything, and not by a condition.
        self._lock = threading.RLock()
        #: At least one token for each task that waits; whoever gets one looks for something to do.
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        #: Tasks that wait, the highest priority first, and among equals the oldest.
        self._waiting: list[tuple[int, int, Runnable]] = []
        self._numbers = itertools.count()
        self._threads: dict[Worker, threading.Thread] = {}
        #: Those that have left and may be about to start another one.
        self._leaving: set[threading.Thread] = set()
        #: How many of the threads run no task.
        self._free = 0
        self._closed = False
        self._cancelled = False
        self._failures = 0
        self._last_failure: BaseException | None = None

    # What the executor calls.

    def start(self, task: Runnable) -> None:
        with self._lock:
            if self._failures >= _MOST_FAILURES:
                task.withdraw()
                raise self._initializer_error()
            if self._cancelled:
                task.cancel()
                return
            if self._closed and not self._threads:
                task.withdraw()
                raise ExecutorClosedError
            self._tokens.put(None)  # first: an interrupt right after it leaves a token too many, not too few
            heapq.heappush(self._waiting, (-task.options.priority, next(self._numbers), task))
        try:
            self._grow()
        except (RuntimeError, MemoryError) as error:
            if not self._threads and task.withdraw():
                raise ResourceError(f"no thread can be started to run task {task.id}: {error}") from error

    def stop(self, task: Runnable, *, kill: bool) -> bool:
        return False  # nothing ends a thread from outside

    def resize(self, n: int) -> None:
        with self._lock:
            self._size = n
            for _ in self._threads:
                self._tokens.put(None)
        self._grow()

    def workers(self) -> tuple[Worker, ...]:
        with self._lock:
            return tuple(self._threads)

    def close(self, *, cancel: bool, deadline: float | None) -> bool:
        with self._lock:
            self._closed = True
            self._cancelled = self._cancelled or cancel
            dropped = self._take_all() if cancel else []
            self._tokens.put(None)
        for task in dropped:
            task.cancel()
        until = None if deadline is None else time.monotonic() + deadline
        while threads := self._others():  # one that leaves may start another one
            for thread in threads:
                begun = time.monotonic() + _START_S if until is None else until
                while thread.ident is None and time.monotonic() < begun:
                    time.sleep(0.001)  # it is just being started
                if thread.is_alive():
                    thread.join(None if until is None else max(0.0, until - time.monotonic()))
            if until is not None and time.monotonic() >= until:
                break
        return not self._threads

    def _others(self) -> list[threading.Thread]:
        """The threads without the caller, which may be one of them: a callback may close its own executor."""
        with self._lock:
            threads = (*self._threads.values(), *self._leaving)
        return [thread for thread in threads if thread is not threading.current_thread()]

    # A thread's life.

    def _work(self, worker: Worker) -> None:
        with self._lock:
            if worker not in self._threads:
                return  # its starter was interrupted and gave up on it
        worker.settle()
        if self._initialize(worker):
            worker.announce()
            most = self._options.max_tasks_per_worker
            for _ in range(most) if most else itertools.repeat(None):
                task = self._take()
                if task is None:
                    break
                task.run(worker)
                del task  # while this thread waits for the next one
                with self._lock:
                    self._free += 1
        with self._lock:
            thread = self._threads.pop(worker)
            self._leaving.add(thread)
            self._free -= 1
            self._tokens.put(None)  # the one that it has taken was perhaps for another
        worker.farewell()
        self._grow()  # whoever saw this thread as free may count on it
        self._leaving.discard(thread)

    def _initialize(self, worker: Worker) -> bool:
        try:
            if self._options.initializer is not None:
                self._options.initializer(*self._options.initargs)
        except BaseException as error:
            log.warning("worker.initializer_failed", worker=worker.name, error=repr(error))
            with self._lock:
                self._failures += 1
                self._last_failure = error
                hopeless = self._take_all() if self._failures >= _MOST_FAILURES else []
            for task in hopeless:
                if task.claim():
                    task.fail(self._initializer_error())
            return False
        self._failures = 0
        return True

    def _take(self) -> Runnable | None:
        """Wait for a task; None when this thread is to end."""
        while True:
            try:
                self._tokens.get(timeout=self._options.idle_timeout)
            except queue.Empty:
                return None
            with self._lock:
                if len(self._threads) > self._size:
                    return None
                if self._waiting:
                    self._free -= 1
                    return heapq.heappop(self._waiting)[-1]
                if self._closed:
                    return None

    def _grow(self) -> None:
        """
        Have a thread for each task that waits, as far as the size permits.

        Not under the lock: a new thread may run finalizers before its starter goes on, and these may submit.
        """
        while len(self._waiting) > self._free and len(self._threads) < self._size:
            worker = Worker(f"{self._options.worker_name_prefix or 'minimal'}_{next(self._numbers)}")
            thread = threading.Thread(target=self._work, args=(worker,), name=worker.name, daemon=True)
            try:
                with self._lock:
                    if len(self._threads) >= self._size:
                        return
                    self._threads[worker] = thread
                    self._free += 1
                thread.start()
            except BaseException:  # also an interrupt
                with self._lock:
                    if thread.ident is None and self._threads.pop(worker, None) is not None:
                        self._free -= 1
                raise

    # Under the lock.

    def _take_all(self) -> list[Runnable]:
        tasks = [entry[-1] for entry in self._waiting]
        self._waiting.clear()
        return tasks

    def _initializer_error(self) -> InitializerError:
        error = InitializerError(
            f"the initializer failed {self._failures} times in a row, last with {self._last_failure!r}"
        )
        error.__cause__ = self._last_failure
        return error
