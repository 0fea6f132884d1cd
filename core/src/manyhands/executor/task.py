"""Task: the future that an executor hands out, and at the same time what its engine runs."""

import contextvars
import os
import time
from collections.abc import Callable
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .. import hooks
from .._log import get_logger
from .._parking import ThreadParker
from ..errors import ExecutorClosedError
from ..future import Future
from ..options import TaskOptions
from .worker import Worker, current_worker

if TYPE_CHECKING:
    from .executor import Executor

__all__ = ["Task", "make_task"]

T = TypeVar("T")
log: Final = get_logger("manyhands.executor")

#: Most tasks have none: they share this one, which nobody changes.
NO_KWARGS: Final[dict[str, Any]] = {}


def _no_yield() -> None:
    """Where there is no ``sched_yield``."""


_new: Final = object.__new__
#: How often a waiter offers its processor to others before it blocks: about half of what it takes to be woken.
_YIELDS: Final = 50
_yield: Final = getattr(os, "sched_yield", _no_yield)


class Task(Future[T]):
    """
    A call on its way through an engine (see :class:`manyhands.protocols.Runnable`).

    The right to make a running task final belongs to whoever takes it out of its worker's
    ``tasks``, a single atomic step: that is the worker itself, or somebody who has given up on it.
    Its function and arguments are dropped when it is done.
    """

    __slots__ = (
        "_executor",
        "_worker",
        "args",
        "context",
        "fn",
        "id",
        "kwargs",
        "options",
    )

    _worker: Any  # who runs it, from its start on
    # Few tasks change these: no slots for them.
    #: Which one this is, from 1 on.
    attempt: int = 1
    #: Whether somebody asked the running task to stop.
    cancel_requested: bool = False

    # What ``make_task`` gives it.
    _executor: "Executor"
    id: int
    fn: Callable[..., T]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    context: contextvars.Context | None
    options: TaskOptions

    @property
    def name(self) -> str:
        """What logs and errors call it."""
        if self.options.name is not None:
            return self.options.name
        if self.fn is _done:
            return f"#{self.id}"
        return getattr(self.fn, "__qualname__", None) or repr(self.fn)

    # For the engine.

    def run(self, worker: Worker | None = None) -> None:
        """Claim it, call it here, deliver what came of it; never raises."""
        # ``claim``, ``finish`` and all below them in place: for a short task these are most of it.
        if self._phase is not PENDING:
            return
        self._started = True
        if self._cancelling and not self._may_start():
            return
        if worker is None:
            worker = current_worker()
        self._worker = worker
        worker.tasks.append(self)
        try:
            # An empty ``**kwargs`` is not for nothing: the call would make a dict of its own.
            if self.context is not None:
                if self.kwargs is NO_KWARGS:
                    value = self.context.run(self.fn, *self.args)
                else:
                    value = self.context.run(self.fn, *self.args, **self.kwargs)
            elif self.kwargs is NO_KWARGS:
                value = self.fn(*self.args)
            else:
                value = self.fn(*self.args, **self.kwargs)
        except BaseException as error:
            self.fail(without_this_frame(error))
            # The traceback's frames know this one: else it would keep the task, and so itself.
            del self
            return
        try:
            worker.tasks.remove(self)
        except ValueError:
            log.debug("task.delivered_late", task=self.id)
            return
        self._result = value
        self._executor._pool.done()
        self._phase = FINISHED
        if self._followers is not None:
            self._announce()
        self.fn = _done
        self.args = ()
        self.kwargs = NO_KWARGS
        self.context = None

    def claim(self, worker: Any = None) -> bool:
        """Tell that it starts now; False when it was cancelled meanwhile."""
        if not self._may_start():
            return False
        if worker is None:
            worker = Worker()
        self._worker = worker
        worker.tasks.append(self)
        return True

    def finish(self, value: T) -> None:
        """Deliver the result."""
        if not self._take():
            log.debug("task.delivered_late", task=self.id)
            return
        self._result = value
        self._close(None)

    def fail(self, error: BaseException) -> None:
        """Deliver the exception, or try again; once it is final, make sure that everybody was told."""
        if not self._take():
            log.debug("task.delivered_late", task=self.id)
            if self._phase is not PENDING:
                self._announce()
            return
        if self._may_retry(error) and self._retry():
            return
        self._close(error)

    def _take(self) -> bool:
        """Take the running task from its worker, and with it the right to say how it ends."""
        try:
            self._worker.tasks.remove(self)
        except ValueError:
            return False
        return True

    def _close(self, error: BaseException | None, phase: str = FINISHED) -> None:
        """Make it final; the caller has the right to."""
        pool = self._executor._pool
        if error is None:
            pool.done() if phase is FINISHED else pool.cancelled()
        else:
            pool.failed()
            self._exception = error
            self._result = error.__traceback__
        self._phase = phase
        if self._followers is not None:
            self._announce()
        self._drop_call()

    def _drop_call(self) -> None:
        """Function and arguments live no longer than the task needs them."""
        self.fn = _done
        self.args = ()
        self.kwargs = NO_KWARGS
        self.context = None

    def _may_retry(self, error: BaseException) -> bool:
        options = self.options
        return self.attempt <= options.retries and isinstance(error, options.retry_on) and not self.cancel_requested

    def _retry(self) -> bool:
        """Put it back; False when the engine takes no more."""
        self.attempt += 1
        self._started = False
        try:
            self._executor._pool.engine.start(self)
        except Exception as error:
            log.debug("task.not_retried", task=self.id, reason=repr(error))
            return not self._may_start()  # False only if it was cancelled in between
        return True

    def withdraw(self) -> bool:
        """Take it back from the engine before it starts, as if it had never been submitted."""
        return self._cancel(CANCELLED_AND_NOTIFIED)

    def abandon(self) -> bool:
        """Give up on it while it runs; what it delivers later is dropped."""
        if not self._take():
            return False
        self._close(None, CANCELLED_AND_NOTIFIED)
        return True

    # For the caller.

    def cancel(self, *, running: bool = False) -> bool:
        """See :meth:`Future.cancel`. Waiters are told at once, not when a worker meets it."""
        if self._cancel(CANCELLED_AND_NOTIFIED) or self.cancelled():
            return True
        if not running or self._phase is not PENDING:
            return False
        self.cancel_requested = True
        try:
            return self._executor._pool.engine.stop(self, kill=False)
        except Exception as error:  # cancel never raises
            log.warning("task.not_stopped", task=self.id, reason=repr(error))
            return False

    def _cancel(self, phase: str) -> bool:
        if not super()._cancel(phase):
            return False
        self._executor._pool.cancelled()
        self._drop_call()
        return True

    def _settle(self, phase: str, result: Any, error: BaseException | None) -> bool:
        """``set_result`` and ``set_exception`` by somebody who is not its engine."""
        if self._started and not self._take():
            return False
        return super()._settle(phase, result, error)

    def _parker_type(self) -> Callable[[], Any]:
        parker_type: Callable[[], Any] = self._executor._pool.parker_type
        return parker_type

    def _monotonic(self) -> Callable[[], float]:
        return self._executor.backend.monotonic  # type: ignore[no-any-return]

    def done(self) -> bool:
        """Whether it was cancelled or is finished."""
        if self._phase is PENDING and self._executor._pool.parker_type is not ThreadParker:
            # Who asks again and again would keep the one thread that there is from running it.
            self._executor.backend.sleep(0)
        return self._phase is not PENDING

    def _wait(self, timeout: float | None) -> None:
        pool = self._executor._pool
        if pool.parker_type is ThreadParker and (timeout is None or timeout > 0):
            for _ in range(_YIELDS):
                if self._phase is not PENDING:
                    break
                _yield()
        with pool.lending():
            super()._wait(timeout)

    if not TYPE_CHECKING:  # there it is an attribute

        @property
        def _condition(self) -> Any:
            # Asked for by ``wait`` and ``as_completed``: the caller is about to block.
            if self._phase is PENDING:
                self._executor._pool.lend_till_done()
            return super()._condition

    def __repr__(self) -> str:
        return super().__repr__().replace("Task", f"Task {self.id}", 1)


def without_this_frame(error: BaseException) -> BaseException:
    """*error*, which the caller caught, with a traceback that starts in the user's code (and makes no cycle)."""
    return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


def _done(*_args: Any, **_kwargs: Any) -> Any:
    raise ExecutorClosedError("the task is done")


class ObservedTask(Task[T]):
    """A task of an executor that was made while somebody observed."""

    __slots__ = ("_began",)

    def run(self, worker: Worker | None = None) -> None:
        if not self.claim(current_worker() if worker is None else worker):
            return
        try:
            if self.context is None:
                value = self.fn(*self.args, **self.kwargs)
            else:
                value = self.context.run(self.fn, *self.args, **self.kwargs)
        except BaseException as error:
            self.fail(without_this_frame(error))
            del self
        else:
            self.finish(value)

    def announce_submission(self) -> None:
        self._began = 0.0
        hooks.call("manyhands_task_submitted", executor=self._executor, task=self)

    def claim(self, worker: Any = None) -> bool:
        if not super().claim(worker):
            return False
        self._began = time.perf_counter()
        hooks.call("manyhands_task_started", task=self, worker=worker)
        return True

    def _close(self, error: BaseException | None, phase: str = FINISHED) -> None:
        outcome = "cancelled" if phase != FINISHED else "done" if error is None else "failed"
        took = time.perf_counter() - self._began
        hooks.call("manyhands_task_finished", task=self, worker=self._worker, outcome=outcome, duration_s=took)
        super()._close(error, phase)

    def _cancel(self, phase: str) -> bool:
        if not super()._cancel(phase):
            return False
        hooks.call("manyhands_task_finished", task=self, worker=None, outcome="cancelled", duration_s=0.0)
        return True


def make_task(
    kind: type[Task[T]],
    executor: "Executor",
    task_id: int,
    fn: Callable[..., T],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: contextvars.Context | None,
    options: TaskOptions,
) -> Task[T]:
    """A task that was not started. No ``__init__``, but a function: the interpreter calls it twice as fast."""
    task = _new(kind)
    task._phase = PENDING
    task._started = task._cancelling = False
    task._result = task._exception = task._followers = None
    task._executor = executor
    task.id = task_id
    task.fn = fn
    task.args = args
    task.kwargs = kwargs
    task.context = context
    task.options = options
    if kind is ObservedTask:
        task.announce_submission()  # type: ignore[attr-defined]
    return task
