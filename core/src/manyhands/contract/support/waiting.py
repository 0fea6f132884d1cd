"""Waiting in tests: never for a time, always for something, with a limit that only a deadlock reaches."""

import time
from collections.abc import Callable
from typing import Any

__all__ = ["DEADLOCK_S", "eventually"]

#: Seconds that a wait in a test may last before the test fails; below the hang guard's limit.
DEADLOCK_S = 20


def eventually(condition: Callable[[], object], *, seconds: float = DEADLOCK_S, on: Any = time) -> bool:
    """
    Whether *condition* comes true within *seconds*.

    For what has no event to wait for: a worker that ends, a count that settles. A backend waits in
    its own way *on* its own clock: where there is only one thread, somebody else runs meanwhile.
    """
    end = on.monotonic() + seconds
    pause = 0.001
    while not condition():
        if on.monotonic() >= end:
            return False
        on.sleep(pause)
        pause = min(2 * pause, 0.05)
    return True
