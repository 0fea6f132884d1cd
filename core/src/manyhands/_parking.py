"""How a call blocks until another one wakes it."""

import math
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Mailbox", "ParkedEvent", "ThreadParker", "poll_ready", "wait_limit"]


def wait_limit(timeout: float | None) -> float | None:
    """A *timeout* in seconds as the platform can wait for it: None for no limit, never an OverflowError."""
    if timeout is None or timeout >= threading.TIMEOUT_MAX:
        return None
    if timeout != timeout:
        raise ValueError("timeout must be a number of seconds, got nan")
    return timeout


def poll_ready(descriptors: Mapping[int, int], timeout: float | None) -> list[tuple[int, int]]:
    """
    Block the calling thread until one of *descriptors* is ready, at most *timeout* seconds.

    Args:
        descriptors: File descriptors, with the events of :mod:`select` that each is watched for.

    Returns:
        Those that are ready, with their events, as :meth:`select.poll.poll` gives them.
    """
    import select

    poller = select.poll()
    for descriptor, events in descriptors.items():
        poller.register(descriptor, events)
    # Rounded up: who came back too early would ask again and again.
    return poller.poll(None if timeout is None else max(0, math.ceil(timeout * 1000)))


class ThreadParker:
    """Blocks a thread until another wakes it."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wait(self, timeout: float | None, *, outside: bool = False) -> bool:
        """
        Block until woken, at most *timeout* seconds; False when time ran out.

        Args:
            outside: Whoever wakes it may be none of the backend's own; for backends that tell deadlocks.
        """
        limit = wait_limit(timeout)
        return self._lock.acquire(timeout=-1 if limit is None else max(0.0, limit))

    def wake(self) -> None:
        """Let it go on; more than once is harmless."""
        try:
            self._lock.release()
        except RuntimeError:  # it is awake
            pass


class Mailbox:
    """
    What many put and one gets, in order. ``put`` never blocks, and may come in between anything.

    Who puts leaves the item and then looks for a parker; who gets leaves a parker and then looks for
    an item: so one of the two sees the other. A ``put`` that is interrupted in between leaves the
    parker where it is, for the next one.
    """

    def __init__(self, make_parker: Callable[[], Any] = ThreadParker, *, outside: bool = False) -> None:
        self._make_parker = make_parker
        self._outside = outside
        self._items: deque[Any] = deque()
        self._parker: Any = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Any) -> None:
        """Leave *item*."""
        self._items.append(item)
        parker = self._parker
        if parker is not None:
            parker.wake()

    def get(self, timeout: float | None = None) -> Any:
        """The oldest item; blocks, at most *timeout* seconds, then TimeoutError."""
        while not self._items:
            parker = self._parker = self._make_parker()
            try:
                if not self._items and not parker.wait(timeout, outside=self._outside) and not self._items:
                    raise TimeoutError
            finally:
                self._parker = None
        return self._items.popleft()


class ParkedEvent:
    """The event that a waiter of the standard library waits on, blocking it as its backend does."""

    def __init__(self, make_parker: Callable[[], Any], *, outside: bool) -> None:
        self._make_parker = make_parker
        self._outside = outside
        self._parker: Any = None
        self._flag = False

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._flag

    def set(self) -> None:
        """Set it and wake the one that waits."""
        self._flag = True
        parker = self._parker
        if parker is not None:
            parker.wake()

    def clear(self) -> None:
        """Unset it."""
        self._flag = False
        self._parker = None

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, at most *timeout* seconds; returns whether it is."""
        parker = self._parker = self._make_parker()
        if not self._flag:
            parker.wait(wait_limit(timeout), outside=self._outside)
        return self._flag
