"""What timeouts are counted on."""

import math
import time
from typing import Protocol

__all__ = ["Clock", "RealClock", "VirtualClock"]


class Clock(Protocol):
    """A clock that a hub waits on when none of its fibers can run."""

    #: Whether time passes while fibers run.
    runs: bool

    def now(self) -> float:
        """Seconds."""
        ...

    def wait_until(self, when: float) -> None:
        """Let time pass."""
        ...


class RealClock:
    """The interpreter's monotonic clock."""

    runs = True

    def now(self) -> float:
        return time.monotonic()

    def wait_until(self, when: float) -> None:
        seconds = when - time.monotonic()
        if seconds > 0:
            time.sleep(seconds)


class VirtualClock:
    """A clock that stands still while anybody can run, and then jumps."""

    runs = False

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def wait_until(self, when: float) -> None:
        # Never without any progress: there are loops that wait until the clock is beyond their deadline.
        self._now = when if when > self._now else math.nextafter(self._now, math.inf)
