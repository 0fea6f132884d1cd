"""A future alone, its model, and what tasks do to it."""

import concurrent.futures
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, InvalidStateError, _base
from types import ModuleType
from typing import Any

import manyhands
from manyhands import _parking, future
from manyhands.executor import waiting

from .linear import Blocked, Op, Then

__all__ = ["MODULES", "PHRASES", "FutureModel", "Watched", "in_state"]

#: Where a future is made, and what waits for it.
MODULES: tuple[ModuleType, ...] = (future, _parking, waiting, _base)


class Watched:
    """A future as the tasks of a program see it, with answers that can be compared."""

    def __init__(self) -> None:
        self.future: manyhands.Future[Any] = manyhands.Future()
        self.called: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.future, name)

    def exception(self, timeout: float) -> str:
        return type(self.future.exception(timeout)).__name__

    def fail(self) -> None:
        self.future.set_exception(KeyError())

    def call_back(self, name: str) -> None:
        self.future.add_done_callback(lambda _: self.called.append(name))

    def follow(self, name: str) -> None:
        self.future._follow(lambda _: self.called.append(name))

    def wait(self, timeout: float) -> int:
        return len(manyhands.wait([self.future], timeout).done)

    def standard_wait(self, timeout: float) -> int:
        return len(concurrent.futures.wait([self.future], timeout).done)

    def as_completed(self, timeout: float) -> int:
        return len(list(manyhands.as_completed([self.future], timeout)))

    def standard_as_completed(self, timeout: float) -> int:
        return len(list(concurrent.futures.as_completed([self.future], timeout)))

    def end(self) -> Any:
        """What can be seen at the end: once it is final, everybody was told exactly once."""
        watched = self.future._followers
        left = watched is not None and bool(watched.watchers or watched.callbacks)
        assert not (self.future.done() and left), "somebody was not told"
        state = (self.future.running(), self.future.done(), self.future.cancelled())
        return state, tuple(sorted(self.called))


class FutureModel:
    """What the standard library says of its future."""

    def __init__(self, started: bool = False) -> None:
        self.started = started
        self.phase = "pending"
        self.callbacks: list[str] = []
        self.called: list[str] = []

    def set_running_or_notify_cancel(self, who: int) -> bool:
        if self.phase == "pending" and not self.started:
            self.started = True
            return True
        if self.phase == "cancelled":
            self.phase = "notified"
            return False
        raise RuntimeError

    def cancel(self, who: int) -> bool:
        if self.phase == "pending" and not self.started:
            self._end("cancelled")
        return self.cancelled(who)

    def set_result(self, who: int, value: Any) -> None:
        if self.phase != "pending":
            raise InvalidStateError
        self._end(value)

    def fail(self, who: int) -> None:
        self.set_result(who, "KeyError")

    def running(self, who: int) -> bool:
        return self.started and self.phase == "pending"

    def done(self, who: int) -> bool:
        return self.phase != "pending"

    def cancelled(self, who: int) -> bool:
        return self.phase in ("cancelled", "notified")

    def result(self, who: int) -> Any:
        if self.exception(who) == "KeyError":
            raise KeyError
        return self.phase

    def exception(self, who: int) -> str:
        if not self.done(who):
            raise Blocked
        if self.cancelled(who):
            raise CancelledError
        return "KeyError" if self.phase == "KeyError" else "NoneType"

    def call_back(self, who: int, name: str) -> None:
        self.callbacks.append(name)
        if self.done(who):
            self._call()

    follow = call_back

    def wait(self, who: int) -> int:
        if not self.done(who):
            raise Blocked
        return 1

    as_completed = wait

    def standard_wait(self, who: int) -> int:
        if self.phase in ("pending", "cancelled"):
            raise Blocked
        return 1

    standard_as_completed = standard_wait

    def expire(self, who: int, op: Op, under_way: Then | None) -> Any:
        if op.name in ("wait", "standard_wait"):
            return 0
        raise TimeoutError

    def final(self) -> Any:
        return (self.running(-1), self.done(-1), self.cancelled(-1)), tuple(sorted(self.called))

    def _end(self, phase: str) -> None:
        self.phase = phase
        self._call()

    def _call(self) -> None:
        self.called += self.callbacks
        self.callbacks = []


def in_state(started: bool, followed: bool) -> Callable[[Any], Watched]:
    """Makes a future that runs or not, with the standard library's condition or without."""

    def make(_: Any) -> Watched:
        watched = Watched()
        if started:
            watched.future.set_running_or_notify_cancel()
        if followed:
            assert watched.future._condition is not None
        return watched

    return make


def _timed(name: str) -> Op:
    return Op(name, (), 1.0)


START = Op("set_running_or_notify_cancel")
PHRASES: tuple[Sequence[Op], ...] = (
    (_timed("result"),),
    (_timed("exception"),),
    (_timed("wait"),),
    (_timed("standard_wait"),),
    (_timed("as_completed"),),
    (_timed("standard_as_completed"),),
    (Op("cancel"),),
    (START,),
    (Op("set_result", ("value",)),),
    (Op("fail"),),
    (Op("call_back", ("a",)),),
    (Op("follow", ("b",)),),
    (Op("running"), Op("done"), Op("cancelled")),
    (START, Op("set_result", ("worked",))),
    (Op("cancel"), START),
)
