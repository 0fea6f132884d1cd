"""
Future: a :class:`concurrent.futures.Future` that weighs a fifth of it and takes no lock on its way.

The standard library's future has a condition from birth and locks it for each step. Here:

- ``_phase`` is PENDING until the one store that makes it final; ``_started`` says whether it runs.
- Who wants to know of the end leaves something in the *followers*, which come to life then. Who
  finishes stores the phase and then looks for followers; who follows leaves what it has and then
  looks at the phase. So at least one of the two sees the other, and each thing left is taken out
  of its deque, an atomic step, by exactly one of them.
- The standard library's ``wait`` and ``as_completed`` read ``_state`` under ``_condition`` and leave
  their waiters there. So as long as these are not told, ``_state`` hides the end from them.
- Who cancels raises a flag and then looks whether it has started; who starts says so and then
  looks for the flag. Only if there is one do they meet at ``_guard``.

``_guard`` is an RLock, and what is done under it is a test and a store with no call between them:
a signal handler or finalizer that comes in between finds a consistent future. A thread that waits
here holds nothing, so an interrupt at any point leaves nothing locked.
"""

import concurrent.futures
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import CancelledError, InvalidStateError
from concurrent.futures._base import (
    CANCELLED,
    CANCELLED_AND_NOTIFIED,
    FINISHED,
    LOGGER,
    PENDING,
    RUNNING,
)
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ._here import here
from ._parking import ParkedEvent, ThreadParker, wait_limit
from .errors import SerializationError

__all__ = ["Future"]

T = TypeVar("T")

_CANCELLED: Final = frozenset((CANCELLED, CANCELLED_AND_NOTIFIED))
_guard = threading.RLock()


def _renew_guard() -> None:
    """In a forked child the thread that held the guard may be gone."""
    global _guard
    _guard = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_guard)


class _Followers:
    """Those who want to know of a future's end."""

    __slots__ = ("callbacks", "condition", "told", "waiters", "watchers")

    def __init__(self) -> None:
        #: Called at once, in the finishing thread: ours, short, and never raise.
        self.watchers: deque[Callable[[Any], object]] = deque()
        #: The user's, called one after the other.
        self.callbacks: deque[Callable[[Any], object]] = deque()
        #: The standard library's, who wait under the condition, and whether they know of the end.
        self.condition: threading.Condition | None = None
        self.waiters: list[Any] = []
        self.told = False


class _Waiters(list[Any]):
    """Those waiters of the standard library that block as their backend does."""

    def __init__(self, parker_type: Callable[[], Any]) -> None:
        super().__init__()
        self._parker_type = parker_type

    def append(self, waiter: Any) -> None:
        if not isinstance(waiter.event, ParkedEvent):
            # The caller holds the condition of each of these futures, so none of them ends meanwhile.
            futures = sys._getframe(1).f_locals.get("fs")
            outside = futures is None or not all(isinstance(future, Future) for future in futures)
            waiter.event = ParkedEvent(self._parker_type, outside=outside)
        super().append(waiter)


class _Slotted(type):
    """
    Makes classes without ``__static_attributes__``.

    From 3.14 on CPython reserves room in each instance for the names listed there, though all of
    ours are slots: half as much memory again for a future.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> "_Slotted":
        namespace.pop("__static_attributes__", None)
        return super().__new__(cls, name, bases, namespace, **options)


class Future(concurrent.futures.Future[T], metaclass=_Slotted):
    """
    The result of a task that may not be there yet; the :class:`concurrent.futures.Future` API.

    What is more: it can be awaited in asyncio, ``cancel(running=True)`` also stops a running task
    where the backend can, ``result`` raises the same exception any number of times without
    growing its traceback, and callbacks never nest: one that completes another future does not
    call that future's callbacks but leaves them to run right after it, in the same thread, so
    that chains of any length need no stack.
    """

    __slots__ = ("_cancelling", "_exception", "_followers", "_phase", "_result", "_started")

    def __init__(self) -> None:
        self._phase: str = PENDING
        self._started = False
        self._cancelling = False
        #: Where there is an exception, the traceback that it was delivered with.
        self._result: Any = None
        self._exception: BaseException | None = None
        self._followers: _Followers | None = None

    # What the standard library's module functions use.

    if not TYPE_CHECKING:  # there these are attributes

        @property
        def _condition(self) -> threading.Condition:
            followers = self._followed()
            if followers.condition is None:
                fresh = threading.Condition()
                with _guard:
                    if followers.condition is None:
                        followers.condition = fresh
                if self._phase != PENDING:
                    self._announce()
            return followers.condition

        @property
        def _waiters(self) -> list[Any]:
            followers, parker_type = self._followed(), self._parker_type()
            if parker_type is not ThreadParker and not isinstance(followers.waiters, _Waiters):
                followers.waiters = _Waiters(parker_type)
            return followers.waiters

        @property
        def _state(self) -> str:
            phase, followers = self._phase, self._followers
            untold = followers is not None and followers.condition is not None and not followers.told
            if phase == PENDING or untold:
                return RUNNING if self._started else PENDING
            return phase

    def _followed(self) -> _Followers:
        followers = self._followers
        if followers is None:
            fresh = _Followers()
            with _guard:
                if self._followers is None:
                    self._followers = fresh
                followers = self._followers
        return followers

    def _follow(self, watcher: Callable[[Any], object]) -> None:
        """Have *watcher* called at the end, or now; for callers that never raise and never block."""
        self._followed().watchers.append(watcher)
        if self._phase != PENDING:
            self._announce()

    def _unfollow(self, watcher: Callable[[Any], object]) -> None:
        """Forget *watcher*."""
        try:
            self._followed().watchers.remove(watcher)
        except ValueError:  # it was called
            pass

    # Asking.

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self._phase in _CANCELLED

    def running(self) -> bool:
        """Whether its task runs at this moment."""
        return self._started and self._phase == PENDING

    def done(self) -> bool:
        """Whether it was cancelled or is finished."""
        return self._phase != PENDING

    def result(self, timeout: float | None = None) -> T:
        """
        The task's result, or its exception raised.

        Args:
            timeout: Seconds to wait; None and inf wait without limit. Only the waiting stops.

        Raises:
            TimeoutError: it was not done in time; the task goes on.
            CancelledError: it was cancelled.
            ValueError: *timeout* is nan.
        """
        if self._phase != FINISHED:
            self._wait(timeout)
        if self._exception is None:
            return self._result  # type: ignore[no-any-return]
        try:
            # From the traceback as it was delivered: else each call would add its own frames.
            raise self._exception.with_traceback(self._result)
        finally:
            self = None  # type: ignore[assignment]  # the traceback now holds this frame

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """The task's exception, None if it returned; waits and raises as :meth:`result`."""
        if self._phase != FINISHED:
            self._wait(timeout)
        return self._exception

    def _wait(self, timeout: float | None) -> None:
        """Return when it is finished; CancelledError, TimeoutError."""
        limit = wait_limit(timeout)
        if self._phase == PENDING:
            parker = self._parker_type()()

            def wake(_: object) -> None:
                parker.wake()

            try:
                self._follow(wake)
                parker.wait(limit)
            finally:
                self._unfollow(wake)
        if self._phase == FINISHED:
            return
        if self._phase == PENDING:
            raise TimeoutError
        raise CancelledError

    def _parker_type(self) -> Callable[[], Any]:
        """Makes what blocks whoever waits for it."""
        return ThreadParker

    def _monotonic(self) -> Callable[[], float]:
        """The clock that waiting for it is counted on, in seconds; it does not hold the future."""
        return time.monotonic

    def __await__(self) -> Generator[Any, None, T]:
        """Await it in asyncio; cancelling the awaiting coroutine cancels it."""
        import asyncio

        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loop = waiter.get_loop()

        def wake() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def on_done(_: Any) -> None:
            try:
                loop.call_soon_threadsafe(wake)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

        if self._phase == PENDING:
            self.add_done_callback(on_done)
            try:
                yield from waiter
            except asyncio.CancelledError:
                self.cancel()
                raise
        try:
            return self.result(0)
        except StopIteration as error:
            # It would end the coroutine that awaits as if it had returned (PEP 479).
            raise RuntimeError("the task raised StopIteration") from error
        except CancelledError:
            raise asyncio.CancelledError from None

    # Callbacks.

    def add_done_callback(self, fn: Callable[["Future[T]"], object]) -> None:
        """
        Call *fn* with this future when it is done, at once if it is; in the thread that delivers.

        What *fn* raises is logged to ``concurrent.futures`` and harms nobody.

        Raises:
            TypeError: *fn* is not callable.
        """
        if not callable(fn):
            raise TypeError(f"add_done_callback needs a callable, got {fn!r}")
        self._followed().callbacks.append(fn)
        if self._phase != PENDING:
            _call_back(self)

    # Completing.

    def cancel(self, *, running: bool = False) -> bool:
        """
        Cancel it if it has not started.

        Args:
            running: Also stop it when it runs, where the backend can; blocks for at most the grace.

        Returns:
            True only if its task never ran, or was confirmed to have been stopped.
        """
        return self._cancel(CANCELLED) or self.cancelled()

    def _cancel(self, phase: str) -> bool:
        """Go to the cancelled *phase* unless it has started."""
        with _guard:
            if self._phase != PENDING:
                return False  # and the flag of whoever cancelled it stays, for a start that is under way
            self._cancelling = True
            if self._started:
                self._cancelling = False
                return False
            self._phase = phase
        self._announce()
        return True

    def _may_start(self) -> bool:
        """Say that it starts; False when it was cancelled before."""
        if self._phase != PENDING:
            return False
        self._started = True
        if self._cancelling:
            with _guard:  # whoever cancels has decided then
                return self._phase == PENDING
        return True

    def set_running_or_notify_cancel(self) -> bool:
        """For executors: True when the task may start, False when it was cancelled meanwhile."""
        with _guard:  # of those who try at the same time one may
            starts = not self._started and self._phase == PENDING
            self._started |= starts
        if starts:
            return True
        if self._phase == CANCELLED:
            with self._condition:
                if self._phase == CANCELLED:
                    self._phase = CANCELLED_AND_NOTIFIED
                    _tell(self._waiters, self)
                    return False
        LOGGER.critical("Future %s in unexpected state: %s", id(self), self._state)
        raise RuntimeError("Future in unexpected state")

    def set_result(self, result: T) -> None:
        """For executors: deliver the result; InvalidStateError when it is done."""
        if not self._settle(FINISHED, result, None):
            raise InvalidStateError(f"{self._state}: {self!r}")

    def set_exception(self, exception: BaseException | None) -> None:
        """For executors: deliver an exception; InvalidStateError when it is done."""
        if not self._settle(FINISHED, None, exception):
            raise InvalidStateError(f"{self._state}: {self!r}")

    def _settle(self, phase: str, result: Any, error: BaseException | None) -> bool:
        """Go to the final *phase* and tell everybody; False when it has one."""
        with _guard:
            if self._phase != PENDING:
                return False
            self._result = result if error is None else error.__traceback__
            self._exception = error
            self._phase = phase
        self._announce()
        return True

    def _announce(self) -> None:
        """Tell the followers that the phase is final; whoever else tells them at the same time."""
        followers = self._followers
        if followers is None:
            return
        while followers.watchers:
            try:
                watcher = followers.watchers.popleft()
            except IndexError:
                break
            watcher(self)
        condition = followers.condition
        if condition is not None:
            with condition:
                if not followers.told:
                    followers.told = True
                    if self._phase != CANCELLED:
                        _tell(followers.waiters, self)
                    condition.notify_all()
        if followers.callbacks:
            _call_back(self)

    def __reduce__(self) -> Any:
        raise SerializationError("a future cannot be passed on; pass its result, or the executor")

    def __repr__(self) -> str:
        state = self._state.lower().replace("_and_notified", "")
        outcome = ""
        if self._phase == FINISHED:
            error = self._exception
            outcome = (
                f" raised {type(error).__name__}" if error is not None else f" returned {type(self._result).__name__}"
            )
        return f"<{type(self).__name__} at {id(self):#x} state={state}{outcome}>"


def _tell(waiters: list[Any], future: Future[Any]) -> None:
    """Tell the standard library's ``wait`` and ``as_completed``."""
    for waiter in waiters:
        if future._phase == CANCELLED_AND_NOTIFIED:
            waiter.add_cancelled(future)
        elif future._exception is not None:
            waiter.add_exception(future)
        else:
            waiter.add_result(future)


def _call_back(future: Future[Any]) -> None:
    """Call the callbacks of *future*, or leave that to the loop below if this activity is in it."""
    activity = here.activity
    if activity.deliveries is not None:
        activity.deliveries.append(future)
        return
    queue = activity.deliveries = deque([future])
    try:
        while queue:
            future = queue.popleft()
            callbacks = future._followed().callbacks
            while callbacks:
                try:
                    callback = callbacks.popleft()
                except IndexError:  # another thread calls them, too
                    break
                try:
                    callback(future)
                except BaseException:  # a callback is a guest in this thread; the standard library logs the same
                    LOGGER.exception("exception calling callback for %r", future)
    finally:
        activity.deliveries = None
