"""Calls that are due later: what ``backend.after`` and ``backend.every`` stand on."""

import contextvars
import heapq
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures._base import CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .. import future as _future
from .._log import get_logger
from .._parking import Mailbox, wait_limit
from ..executor import Executor, Task
from ..executor.executor import check_callable
from ..future import Future
from ..options import shorten

if TYPE_CHECKING:
    from ..backend import Backend

__all__ = ["Clock", "start_helper"]

log: Final = get_logger("manyhands.timing")

#: Most calls that run at the same time; a slow one delays nobody as long as there are fewer.
_WORKERS: Final = 4
#: From that many entries on, those that were cancelled are swept out now and then.
_SWEEP: Final = 64
#: How long ``close`` waits for the helper, in seconds.
_FAREWELL_S: Final = 1.0


class Clock:
    """
    The timed calls of one backend.

    What waits is an ordinary future; cancelling it takes no locks, so it may be done in signal
    handlers and finalizers, and the entry goes when its time comes or when the entries are swept.
    An activity of the backend, the helper, keeps the entries and waits for the next one on the
    backend's own clock. Others only leave theirs in its mailbox: an interrupt leaves nothing locked.
    """

    def __init__(self, backend: "Backend[Any]") -> None:
        self._backend = backend
        self.parker_type: Callable[[], Any] = backend.parker_type
        self._executor: Executor = backend.executor(_WORKERS, worker_name_prefix="manyhands-timer", max_pending=None)
        self._arrived = Mailbox(backend.parker_type)
        self._entries: list[tuple[float, int, Entry]] = []
        self._numbers = itertools.count()  # first come, first served among those due together
        self._sweep_at = _SWEEP
        self._helper: Any = None
        #: Whoever takes it out is the helper: one that was started twice, after an interrupt, goes again.
        self._role: deque[None] = deque([None])
        self._closed = False

    def after(self, delay: float, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[Any]:
        """
        Call *fn* after *delay* seconds.

        Raises:
            TypeError: *delay* is no number, or *fn* is not callable or is a coroutine function.
            ValueError: *delay* is negative or nan.
            ExecutorClosedError: the backend was closed.
        """
        due = self._backend.monotonic() + _seconds("delay", delay)
        check_callable(fn)
        self._start()
        task = self.make_task(fn, args, kwargs)
        self._accept(due, task)
        return task

    def every(
        self, period: float, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Future[None]:
        """Call *fn* each *period* seconds, first after one period; ValueError for 0, else as :meth:`after`."""
        seconds = _seconds("period", period)
        if seconds == 0:
            raise ValueError("period must be more than 0 seconds, got 0")
        check_callable(fn)
        self._start()
        series = Series(self, seconds, fn, args, kwargs)
        self._accept(series.due, series)
        return series

    def close(self) -> None:
        """Cancel what waits and end the helper; may be called again."""
        self._closed = True
        self._arrived.put(None)
        if self._helper is not None:
            with suppress(RuntimeError):  # it is the helper itself that closes the backend
                self._helper.join(_FAREWELL_S)
        while self._arrived:
            self._keep(self._arrived.get())
        for _, _, entry in tuple(self._entries):
            entry.cancel()

    # For the entries.

    def make_task(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task[Any]:
        """A task of the executor that is not started."""
        task = self._executor._make_task(fn, args)
        task.kwargs = kwargs
        return task

    def add(self, due: float, entry: "Entry") -> bool:
        """Have *entry* handed over at *due*; False when it is too late for anything."""
        if not self._closed:
            self._arrived.put((due, next(self._numbers), entry))
        return not self._closed

    def monotonic(self) -> float:
        """Now."""
        return self._backend.monotonic()

    # The helper.

    def _start(self) -> None:
        """On first use: the helper."""
        self._backend.check_open()
        if self._helper is None:
            self._helper = start_helper(self._backend, self._serve, "manyhands-clock")

    def _accept(self, due: float, entry: "Entry") -> None:
        if not self.add(due, entry):
            entry.cancel()
            self._backend.check_open()

    def _serve(self) -> None:
        try:
            self._role.pop()
        except IndexError:
            return
        while (entry := self._next()) is not None:
            task = entry.begin() if isinstance(entry, Series) else entry
            if task is not None:
                self._hand_over(task)
            entry = task = None  # nothing is kept alive while waiting

    def _next(self) -> "Entry | None":
        """Wait for the next entry that is due; None at the end."""
        while not self._closed:
            left = self._left()
            if left is not None and left <= 0 and not self._arrived:
                return heapq.heappop(self._entries)[2]
            with suppress(TimeoutError):
                self._keep(self._arrived.get(wait_limit(left)))
        return None

    def _keep(self, item: "tuple[float, int, Entry] | None") -> None:
        """Put *item* among the entries, and sweep out the cancelled ones now and then."""
        if item is None:  # only to wake the helper
            return
        if len(self._entries) >= self._sweep_at:
            self._entries = [entry for entry in self._entries if entry[2]._phase == PENDING]
            heapq.heapify(self._entries)
            self._sweep_at = max(_SWEEP, 2 * len(self._entries))
        heapq.heappush(self._entries, item)

    def _left(self) -> float | None:
        """Seconds until the first entry is due; None when there is none."""
        while self._entries and self._entries[0][2]._phase != PENDING:
            heapq.heappop(self._entries)
        return self._entries[0][0] - self._backend.monotonic() if self._entries else None

    def _hand_over(self, task: Task[Any]) -> None:
        executor = task._executor
        try:
            if executor._pool.closed is None:
                executor._start(task)
        except Exception as error:  # the engine refused it
            log.warning("timer.not_started", task=task.id, reason=repr(error))
            task.cancel()
        if executor._pool.closed is not None:  # nobody will take it
            task.cancel()


class Series(Future[None]):
    """The future of a call that is repeated: one task after the other, until one fails or it is cancelled."""

    __slots__ = ("_call", "_clock", "_context", "_period", "_task", "due")

    def __init__(
        self, clock: Clock, period: float, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        super().__init__()
        self._clock = clock
        self._period = period
        self._call: tuple[Any, ...] | None = (fn, args, kwargs)
        self._context: contextvars.Context | None = contextvars.copy_context()
        self._task: Task[Any] | None = None
        #: When the next call is due, on the backend's clock.
        self.due: float = clock.monotonic() + period

    def _parker_type(self) -> Callable[[], Any]:
        return self._clock.parker_type

    def _monotonic(self) -> Callable[[], float]:
        return self._clock.monotonic

    def begin(self) -> Task[Any] | None:
        """The task of the next call; None when it was cancelled meanwhile."""
        call, context = self._call, self._context
        if call is None or context is None:
            return None
        task = self._clock.make_task(*call)
        task.context = context.copy()
        with _future._guard:  # so either this sees the cancellation, or ``cancel`` sees the task
            if self._phase == PENDING:
                self._task = task
        if self._task is not task:
            task.cancel()
            return None
        task.add_done_callback(self._call_ended)
        return task

    def _call_ended(self, task: Future[Any]) -> None:
        self._task = None
        if self._phase != PENDING:
            return
        if task.cancelled():
            self.cancel()
            return
        error = task.exception()
        if error is not None:
            self._settle(FINISHED, None, error)
            self._call = self._context = None
            return
        # On the beat; who misses it is late once, not for ever.
        self.due = max(self.due + self._period, self._clock.monotonic())
        if not self._clock.add(self.due, self):
            self.cancel()

    def cancel(self, *, running: bool = False) -> bool:
        """Start no further call; with *running* also stop the call that runs, where the backend can."""
        if not self._cancel(CANCELLED_AND_NOTIFIED):
            return self.cancelled()
        self._call = self._context = None
        task = self._task
        if task is not None:
            task.cancel(running=running)
        return True


#: What waits for its time.
Entry: TypeAlias = Task[Any] | Series


def start_helper(backend: "Backend[Any]", target: Callable[[], object], name: str) -> Any:
    """
    Run *target* beside the caller in this process; returns something to ``join``.

    An activity where activities share the process, so that the backend decides when it runs.
    """
    kind: Any = backend.Activity if backend.capabilities.in_process else threading.Thread
    helper = kind(target=target, name=name, daemon=True)
    helper.start()
    return helper


def _seconds(name: str, value: Any) -> float:
    """*value* as a number of seconds; what no clock can count is for ever."""
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(f"{name} must be a number of seconds, got {shorten(value)}")
    if not value >= 0:
        raise ValueError(f"{name} must be 0 seconds or more, got {shorten(value)}")
    return math.inf if value >= threading.TIMEOUT_MAX else float(value)
