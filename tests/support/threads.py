"""Threads of the operating system in the test's own process, beside whatever the backend makes."""

import threading
from collections.abc import Callable
from typing import Any

from .waiting import DEADLOCK_S

__all__ = ["Background", "in_threads"]


class Background:
    """One call in a thread of its own; its outcome is the value, or the exception."""

    def __init__(self, fn: Callable[..., Any], *args: Any) -> None:
        self._fn = fn
        self._args = args
        self._outcome: Any = None
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._fn(*self._args)
        except BaseException as error:
            self._outcome = error

    def running(self) -> bool:
        """Whether it has not returned."""
        return self._thread.is_alive()

    def outcome(self) -> Any:
        """What it returned or raised; fails when it does not end."""
        self._thread.join(DEADLOCK_S)
        assert not self._thread.is_alive(), f"{self._fn!r} has not returned"
        return self._outcome


def in_threads(n: int, fn: Callable[[int], Any]) -> list[Any]:
    """The outcomes of ``fn(0)`` to ``fn(n - 1)``, each in a thread, all let go at the same time."""
    start = threading.Barrier(n)

    def run(index: int) -> Any:
        start.wait(DEADLOCK_S)
        return fn(index)

    return [call.outcome() for call in [Background(run, index) for index in range(n)]]
