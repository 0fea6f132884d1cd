"""The engine: a worker is a fiber that runs one task after the other."""

import heapq
import itertools
from functools import partial
from typing import Any

from manyhands import ExecutorOptions, InitializerError, Runnable, Worker, get_logger

from ._hub import Hub

__all__ = ["DummyEngine"]

log = get_logger("manyhands.dummy")

#: Failures of the initializer in a row after which the executor is broken.
_MOST_START_FAILURES = 3


class DummyEngine:
    """Runs tasks in the calling thread (see :class:`manyhands.Engine`)."""

    def __init__(self, hub: Hub, options: ExecutorOptions) -> None:
        self._hub = hub
        self._options = options
        self._size = options.max_workers or 1
        self._prefix = options.worker_name_prefix or "dummy"
        self._numbers = itertools.count()
        self._ages = itertools.count()
        #: Tasks that wait, the highest priority first, and among equals the oldest.
        self._waiting: list[tuple[int, int, Runnable]] = []
        self._workers: dict[Worker, int] = {}
        self._free: list[Worker] = []
        self._closers: list[Any] = []
        self._failures = 0
        self._broken: InitializerError | None = None
        self._ended = False
        self._cancelling = False

    # The engine's face.

    def start(self, task: Runnable) -> None:
        if self._broken is not None:
            task.withdraw()
            raise _again(self._broken)
        if self._cancelling:
            task.cancel()
            return
        heapq.heappush(self._waiting, (-task.options.priority, next(self._ages), task))
        self._grow()

    def stop(self, task: Runnable, *, kill: bool) -> bool:
        """A running task is stopped by nobody: it would have to be the one that runs."""
        return False

    def resize(self, n: int) -> None:
        self._size = n
        self._grow()
        while self._free and len(self._workers) > n:
            self._leave(self._free.pop())

    def workers(self) -> tuple[Worker, ...]:
        return tuple(self._workers)

    def drain(self) -> None:
        """Let everything run that can; for callers that are about to block the whole thread."""
        self._hub.drain()

    def close(self, *, cancel: bool, deadline: float | None) -> bool:
        self._ended = True
        if cancel:
            self._cancelling = True
            for _, _, task in self._take_all():
                task.cancel()
        while self._free:
            self._leave(self._free.pop())
        until = None if deadline is None else self._hub.clock.now() + deadline
        while self._workers:
            left = None if until is None else until - self._hub.clock.now()
            if left is not None and left <= 0:
                return False
            parker = self._hub.parker()
            self._closers.append(parker)
            parker.wait(left)
        return True

    # Workers.

    def _grow(self) -> None:
        """Have a worker for each task that waits, as far as the size permits."""
        while self._waiting and (self._free or len(self._workers) < self._size):
            if self._free:
                worker = self._free.pop()
            else:
                worker = Worker(f"{self._prefix}_{next(self._numbers)}")
                self._workers[worker] = 0
            self._hub.run(partial(self._work, worker), worker.name)

    def _work(self, worker: Worker) -> None:
        worker.settle()
        if worker.state == "starting":
            if not self._initialize(worker):
                return
            worker.announce()
        most = self._options.max_tasks_per_worker
        while self._waiting and len(self._workers) <= self._size:
            task = heapq.heappop(self._waiting)[-1]
            self._hub.current.name = f"task {task.id} ({task.name})"
            task.run(worker)
            del task
            self._workers[worker] += 1
            if most is not None and self._workers[worker] >= most:
                self._leave(worker)
                self._grow()
                return
        if self._ended or len(self._workers) > self._size:
            self._leave(worker)
        else:
            self._free.append(worker)

    def _leave(self, worker: Worker) -> None:
        del self._workers[worker]
        worker.farewell(0)
        while not self._workers and self._closers:
            self._closers.pop().wake()

    def _initialize(self, worker: Worker) -> bool:
        try:
            if self._options.initializer is not None:
                self._options.initializer(*self._options.initargs)
        except BaseException as error:
            self._initializer_failed(worker, error)
            return False
        self._failures = 0
        return True

    def _initializer_failed(self, worker: Worker, error: BaseException) -> None:
        self._failures += 1
        log.warning("worker.initializer_failed", worker=worker.name, error=repr(error), failures=self._failures)
        if self._failures >= _MOST_START_FAILURES:
            self._broken = InitializerError(
                f"the initializer failed in {self._failures} workers in a row, last with {error!r}"
            )
            self._broken.__cause__ = error
            for _, _, task in self._take_all():
                if task.claim():
                    task.fail(_again(self._broken))
        self._leave(worker)
        self._grow()

    def _take_all(self) -> list[tuple[int, int, Runnable]]:
        taken, self._waiting = self._waiting, []
        return taken


def _again(error: InitializerError) -> InitializerError:
    """A fresh exception with the same message and cause, for another raise."""
    fresh = InitializerError(*error.args)
    fresh.__cause__ = error.__cause__
    return fresh
