"""Waiting in tests: never for a time, always for something, with a limit that only a deadlock reaches."""

import time
from collections.abc import Callable

__all__ = ["DEADLOCK_S", "eventually"]

#: Seconds that a wait in a test may last before the test fails; below the hang guard's limit.
DEADLOCK_S = 20


def eventually(condition: Callable[[], object], *, seconds: float = DEADLOCK_S) -> bool:
    """
    Whether *condition* comes true within *seconds*.

    For what has no event to wait for: a worker that ends, a count that settles.
    """
    end = time.monotonic() + seconds
    pause = 0.001
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True
