"""The engine: a worker is a fiber that runs one task after the other."""

import heapq
import itertools
import math
from sys import modules
from typing import Any

from greenlet import getcurrent

from manyhands import ExecutorOptions, InitializerError, Runnable, Worker, get_logger

from ._hub import Fiber, Hub, Parker

__all__ = ["DummyEngine"]

log = get_logger("manyhands.dummy")

#: Failures of the initializer in a row after which the executor is broken.
_MOST_START_FAILURES = 3
#: So many tasks in a row that never block may run before timeouts are looked at.
_QUICK = 100


class FiberWorker(Worker):
    """A worker with the fiber that it is."""

    __slots__ = ("fiber", "given", "parker")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.fiber: Any = None
        #: The task that it runs or is to run; None while it rests.
        self.given: Runnable | None = None
        #: What it rests in, where it does not rest for ever.
        self.parker: Parker | None = None


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
        self._workers: dict[FiberWorker, None] = {}
        #: Those without a task; while there is one, no task waits.
        self._free: list[FiberWorker] = []
        self._closers: list[Any] = []
        self._failures = 0
        self._broken: InitializerError | None = None
        self._ended = False
        #: Whether there are workers that are to leave.
        self._unsettled = False
        self._cancelling = False
        #: Whether a worker that rests does so until it is needed.
        self._simple = options.idle_timeout is None
        hub.engines.add(self)

    # The engine's face.

    def start(self, task: Runnable) -> None:
        hub = self._hub
        if self._free and self._simple and hub.order is None and "asyncio" not in modules:
            # ``Hub.enter`` in place: with the inner loop of ``_work`` this is all that a short task takes.
            me = hub.current
            if getcurrent() is not me.greenlet:
                me = hub.caller()
            try:
                try:
                    worker = self._free.pop()
                except IndexError:  # a signal handler in between had something for it
                    self._start(task)
                    return
                worker.given = task
                hub.ready.appendleft(me)
                worker.fiber.switch()
                hub.current = me
                hub.slot["activity"] = me.state
            except BaseException:  # an interrupt: the task runs when somebody waits
                hub.resume(me)
                hub.recover()
                raise
            if me.error is not None:
                hub.raise_error(me)
        else:
            self._start(task)

    def _start(self, task: Runnable) -> None:
        self._hub.caller()
        if self._broken is not None:
            task.withdraw()
            raise _again(self._broken)
        if self._cancelling:
            task.cancel()
            return
        if not self._enter_free(task):
            heapq.heappush(self._waiting, (-task.options.priority, next(self._ages), task))
            self._grow()

    def stop(self, task: Runnable, *, kill: bool) -> bool:
        """A running task is stopped by nobody: it would have to be the one that runs."""
        return False

    def resize(self, n: int) -> None:
        self._hub.caller()
        self._size = n
        self._settle()
        self._grow()
        while self._free and len(self._workers) > n:
            self._enter_free()

    def workers(self) -> "tuple[FiberWorker, ...]":
        return tuple(self._workers)

    def close(self, *, cancel: bool, deadline: float | None) -> bool:
        self._hub.caller()
        self._ended = self._unsettled = True
        self.recover()
        if cancel:
            self._cancelling = True
            for _, _, task in self._take_all():
                task.cancel()
        while self._free:
            self._enter_free()
        until = None if deadline is None else self._hub.clock.now() + deadline
        # One of them may be the caller: a callback may close the executor.
        while any(worker.fiber is not self._hub.current for worker in self._workers):
            left = None if until is None else until - self._hub.clock.now()
            if left is not None and left <= 0:
                break
            parker = self._hub.parker()
            self._closers.append(parker)
            parker.wait(left)
        return not self._workers

    # Workers.

    def _settle(self) -> None:
        self._unsettled = self._ended or len(self._workers) > self._size

    def _grow(self) -> None:
        """Have a worker for each task that waits, as far as the size permits."""
        while self._waiting and (self._free or len(self._workers) < self._size):
            if self._free:
                self._enter_free()
            else:
                self._hire()

    def _hire(self) -> None:
        worker = FiberWorker(f"{self._prefix}_{next(self._numbers)}")
        self._workers[worker] = None

        # No ``partial``: a call through C costs each switch as much again, for the stack that it takes.
        def job() -> None:
            self._work(worker)

        try:
            self._hub.run(job, worker.name)
        except BaseException:  # an interrupt
            if not self._hub.has_job(job):
                self._workers.pop(worker, None)
            self._hub.recover()
            raise

    def _work(self, worker: FiberWorker) -> None:
        worker.fiber = self._hub.current
        worker.settle()
        if not self._initialize(worker):
            return
        worker.announce()
        while True:
            try:
                self._serve(worker)
            except KeyboardInterrupt as error:  # beside the task's own code: it is not for the worker
                self._fail_given(worker, error)
                self._hub.interrupt_main(error)
            else:
                return

    def _serve(self, worker: FiberWorker) -> None:
        """Run tasks until it is time to leave."""
        hub = self._hub
        left = self._options.max_tasks_per_worker or math.inf
        me, ready, slot = worker.fiber, hub.ready, hub.slot
        while left and (task := self._take(worker)) is not None:
            worker.given = task
            task.run(worker)
            task = worker.given = None
            left -= 1
            if self._simple and hub.order is None and left > _QUICK:
                for _ in range(_QUICK):
                    # ``_take`` in place, for one who has nothing to do but to wait for the next task.
                    if self._waiting or self._unsettled or not ready:
                        break
                    self._free.append(worker)
                    ready.popleft().switch()
                    hub.current = me
                    slot["activity"] = me.state
                    task = worker.given
                    if task is None:
                        break
                    task.run(worker)
                    task = worker.given = None
                    left -= 1
        self._leave(worker)
        self._grow()

    def _fail_given(self, worker: FiberWorker, error: KeyboardInterrupt) -> None:
        """The task that *worker* was about to run, or had just run, ends in any case."""
        task, worker.given = worker.given, None
        if task is not None:
            if task not in worker.tasks:
                task.claim(worker)
            task.fail(error.with_traceback(None))

    def recover(self) -> "list[Fiber]":
        """After an interrupt: who has nothing to do is free; returns their fibers."""
        hub = self._hub
        self._free[:] = [
            worker
            for worker in self._workers
            if worker.given is None
            and worker.state != "starting"
            and worker.fiber is not hub.current
            and worker.fiber not in hub.ready
        ]
        return [worker.fiber for worker in self._free]

    def _take(self, worker: FiberWorker) -> Runnable | None:
        """The next task; None when the worker is to end."""
        while True:
            if worker.given is not None:
                return worker.given
            if len(self._workers) > self._size:
                return None
            if self._waiting:
                return heapq.heappop(self._waiting)[-1]
            if self._ended:
                return None
            if worker not in self._free:
                self._free.append(worker)
            if not self._rest(worker):
                return None

    def _rest(self, worker: FiberWorker) -> bool:
        """Wait for a task; False when none came in time."""
        timeout = self._options.idle_timeout
        if timeout is None:
            self._hub.leave()
            return True
        worker.parker = parker = self._hub.parker()
        parker.wait(timeout)
        worker.parker = None
        if worker not in self._free:  # somebody has something for it
            return True
        self._free.remove(worker)
        return False

    def _enter_free(self, task: Runnable | None = None) -> bool:
        """Have one that is free go on, with *task* if there is one; False when nobody is free."""
        try:
            worker = self._free.pop()
        except IndexError:
            return False
        worker.given = task
        if worker.parker is not None:
            worker.parker.fiber = None
        self._hub.enter(worker.fiber)
        return True

    def _leave(self, worker: FiberWorker) -> None:
        self._workers.pop(worker, None)
        self._settle()
        worker.farewell(0)
        while self._closers:
            self._closers.pop().wake()

    def _initialize(self, worker: FiberWorker) -> bool:
        try:
            if self._options.initializer is not None:
                self._options.initializer(*self._options.initargs)
        except BaseException as error:
            self._initializer_failed(worker, error)
            return False
        self._failures = 0
        return True

    def _initializer_failed(self, worker: FiberWorker, error: BaseException) -> None:
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
