"""What comes from outside of a hub's fibers: through descriptors, and from other threads."""

import os
import select
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._hub import Parker

__all__ = ["Outside", "ready_now"]


def ready_now(descriptors: Mapping[int, int]) -> list[tuple[int, int]]:
    """Which of the *descriptors* are ready, with the events, as :meth:`select.poll.poll` gives them."""
    return _poll(descriptors, 0)


def _poll(descriptors: Mapping[int, int], timeout: float | None) -> list[tuple[int, int]]:
    poller = select.poll()
    for descriptor, events in descriptors.items():
        poller.register(descriptor, events)
    # Rounded up: who wakes too early would ask again and again.
    return poller.poll(None if timeout is None else max(0, int(timeout * 1000) + (timeout > 0)))


class Outside:
    """Who waits for something from outside, and a bell that other threads ring."""

    def __init__(self) -> None:
        #: Whether anybody waits for a descriptor or for another thread.
        self.expected: bool = False
        self._watched: dict[Parker, tuple[Mapping[int, int], bool]] = {}
        self._threads: set[Parker] = set()
        self._woken: deque[Parker] = deque()
        self._bell: tuple[int, int] | None = None

    def watch(self, parker: "Parker", descriptors: Mapping[int, int], local: bool) -> None:
        """Release *parker* when one is ready; *local*: only the hub's own fibers can make it ready."""
        self._watched[parker] = (descriptors, local)
        self.expected = True

    def expect(self, parker: "Parker") -> None:
        """Another thread may wake *parker*."""
        if self._bell is None:
            self._bell = os.pipe()
            for end in self._bell:
                os.set_blocking(end, False)
        self._threads.add(parker)
        self.expected = True

    def forget(self, parker: "Parker") -> None:
        """It waits no more."""
        self._watched.pop(parker, None)
        self._threads.discard(parker)
        self.expected = bool(self._watched or self._threads or self._woken)

    def wake(self, parker: "Parker") -> None:
        """In another thread: *parker* was woken."""
        self._woken.append(parker)
        self.expected = True
        if self._bell is not None:
            try:
                os.write(self._bell[1], b"\0")
            except OSError:  # it is full, so it rings; or closed, and nobody listens
                pass

    def look(self) -> None:
        """Release those for whom something has come."""
        while self._woken:
            self._woken.popleft().release()
        for parker, (descriptors, _) in tuple(self._watched.items()):
            if ready_now(descriptors):
                parker.release()

    def may_come(self) -> bool:
        """Whether anything can come that is not the fibers' own doing."""
        return bool(self._threads) or not all(local for _, local in self._watched.values())

    def wait(self, timeout: float | None) -> bool:
        """Wait until something comes, at most *timeout* seconds; False when nothing did."""
        events: dict[int, int] = {}
        for descriptors, _ in self._watched.values():
            for descriptor, wanted in descriptors.items():
                events[descriptor] = events.get(descriptor, 0) | wanted
        if self._bell is not None:
            events[self._bell[0]] = select.POLLIN
        ready = _poll(events, timeout)
        if self._bell is not None and any(descriptor == self._bell[0] for descriptor, _ in ready):
            os.read(self._bell[0], 4096)
        return bool(ready)

    def close(self) -> None:
        """Give back what it holds."""
        bell, self._bell = self._bell, None
        for end in bell or ():
            os.close(end)
