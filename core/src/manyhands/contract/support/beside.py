"""Calls that run beside the test."""

import threading
from collections.abc import Callable
from typing import Any

from .waiting import DEADLOCK_S

__all__ = ["Background", "Beside", "in_threads"]


class Background:
    """One call beside the test; its outcome is the value, or the exception."""

    def __init__(self, fn: Callable[..., Any], *args: Any, thread: Callable[..., Any] = threading.Thread) -> None:
        self._fn = fn
        self._args = args
        self._outcome: Any = None
        self._thread = thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._fn(*self._args)
        except BaseException as error:
            self._outcome = error

    def running(self) -> bool:
        """Whether it has not returned."""
        running: bool = self._thread.is_alive()
        return running

    def outcome(self) -> Any:
        """What it returned or raised; fails when it does not end."""
        self._thread.join(DEADLOCK_S)
        assert not self._thread.is_alive(), f"{self._fn!r} has not returned"
        return self._outcome


class Beside:
    """
    Runs calls beside the test, where they share its objects.

    That is an activity of the backend if it offers ``in_process``: a fiber where there is only one
    thread. Else it is a thread of the test's own process.
    """

    def __init__(self, backend: Any) -> None:
        here = backend.capabilities.in_process
        self._thread: Callable[..., Any] = backend.Activity if here else threading.Thread
        self._barrier: Callable[[int], Any] = backend.barrier if here else threading.Barrier

    def __call__(self, fn: Callable[..., Any], *args: Any) -> Background:
        """Begin ``fn(*args)``."""
        return Background(fn, *args, thread=self._thread)

    def together(self, n: int, fn: Callable[[int], Any]) -> list[Any]:
        """The outcomes of ``fn(0)`` to ``fn(n - 1)``, each beside the test, all let go at the same time."""
        start = self._barrier(n)

        def run(index: int) -> Any:
            start.wait(DEADLOCK_S)
            return fn(index)

        return [call.outcome() for call in [self(run, index) for index in range(n)]]


def in_threads(n: int, fn: Callable[[int], Any]) -> list[Any]:
    """The outcomes of ``fn(0)`` to ``fn(n - 1)``, each in a thread, all let go at the same time."""
    start = threading.Barrier(n)

    def run(index: int) -> Any:
        start.wait(DEADLOCK_S)
        return fn(index)

    return [call.outcome() for call in [Background(run, index) for index in range(n)]]
