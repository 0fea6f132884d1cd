"""
The standard library's primitives where they fit the contract, and what is missing in some Pythons.

``locked`` of an RLock and of a condition came with 3.14, ``Queue.shutdown`` with 3.13;
``SimpleQueue`` has only half of the methods of a queue; and the flag of :class:`threading.Event` is
set under a lock, which a signal handler must not wait for.
"""

import heapq
import queue
import threading
import time
from collections import deque
from typing import Any

from manyhands import Empty, Full, ShutDown

__all__ = ["Condition", "Event", "LifoQueue", "PriorityQueue", "Queue", "RLock", "SimpleQueue"]


if hasattr(threading.RLock(), "locked"):
    RLock: Any = threading.RLock
else:

    class RLock(type(threading.RLock())):  # type: ignore[no-redef,misc]
        """:class:`threading.RLock` with ``locked``."""

        def locked(self) -> bool:
            if self._is_owned():
                return True
            if self.acquire(blocking=False):
                self.release()
                return False
            return True


if hasattr(threading.Condition, "locked"):
    Condition: Any = threading.Condition
else:

    class Condition(threading.Condition):  # type: ignore[no-redef]
        """:class:`threading.Condition` with ``locked``."""

        def locked(self) -> bool:
            return bool(self._lock.locked())  # type: ignore[attr-defined]


class Event:
    """
    :class:`threading.Event`, with a ``set`` that takes no lock.

    A waiter leaves a locked lock of its own in ``waiters`` and then looks at the flag; who sets the
    flag does so first and then releases all that were left. So one of the two sees the other.
    """

    __slots__ = ("__weakref__", "_flag", "_waiters")

    def __init__(self) -> None:
        self._flag = False
        self._waiters: deque[threading.Lock] = deque()

    def is_set(self) -> bool:
        return self._flag

    def set(self) -> None:
        self._flag = True
        while self._waiters:
            try:
                waiter = self._waiters.popleft()
            except IndexError:  # another thread sets it, too
                return
            waiter.release()

    def clear(self) -> None:
        self._flag = False

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None and timeout != timeout:
            raise ValueError("timeout must be a number of seconds, got nan")
        if self._flag:
            return True
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        try:
            if self._flag:
                return True
            if timeout is None:
                return waiter.acquire()
            # As in the standard library, a time that is over asks once.
            return waiter.acquire(timeout=timeout) if timeout > 0 else waiter.acquire(blocking=False)
        finally:
            try:
                self._waiters.remove(waiter)
            except ValueError:  # it was taken out to be released
                pass

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.Event at {id(self):#x}: {'set' if self._flag else 'unset'}>"


if hasattr(queue.Queue, "shutdown"):
    Queue, LifoQueue, _PriorityQueue = queue.Queue, queue.LifoQueue, queue.PriorityQueue
else:

    class _WithShutdown(queue.Queue):  # type: ignore[type-arg]
        """What :class:`queue.Queue` has from 3.13 on: ``shutdown``, and ``ShutDown`` from who meets it."""

        def __init__(self, maxsize: int = 0) -> None:
            super().__init__(maxsize)
            self.is_shutdown = False

        def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
            with self.mutex:  # and not the condition, which an interrupt could leave held
                if self.maxsize > 0 and not self._wait(self.not_full, self._has_room, block, timeout):
                    raise Full
                if self.is_shutdown:
                    raise ShutDown
                self._put(item)
                self.unfinished_tasks += 1
                self.not_empty.notify()

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            with self.mutex:
                if not self._wait(self.not_empty, self._qsize, block, timeout):
                    raise Empty
                if self.is_shutdown and not self._qsize():
                    raise ShutDown
                item = self._get()
                self.not_full.notify()
                return item

        def shutdown(self, immediate: bool = False) -> None:
            """Refuse further ``put``; ``get`` raises ``ShutDown`` when it is empty, or at once with *immediate*."""
            with self.mutex:
                self.is_shutdown = True
                if immediate:
                    while self._qsize():
                        self._get()
                        if self.unfinished_tasks > 0:
                            self.unfinished_tasks -= 1
                    self.all_tasks_done.notify_all()
                self.not_empty.notify_all()
                self.not_full.notify_all()

        def _has_room(self) -> bool:
            return self._qsize() < self.maxsize

        def _wait(self, changed: threading.Condition, ready: Any, block: bool, timeout: float | None) -> bool:
            """Until *ready* or shut down; False when it was neither in time."""
            if block and timeout is not None and timeout < 0:
                raise ValueError("'timeout' must be a non-negative number")
            end = None if timeout is None else time.monotonic() + timeout
            while not ready() and not self.is_shutdown:
                left = None if end is None else end - time.monotonic()
                if not block or (left is not None and left <= 0):
                    return False
                changed.wait(left)
            return True

    class Queue(_WithShutdown):  # type: ignore[no-redef]
        """:class:`queue.Queue`."""

    class LifoQueue(_WithShutdown, queue.LifoQueue):  # type: ignore[no-redef,type-arg]
        """:class:`queue.LifoQueue`."""

    class _PriorityQueue(_WithShutdown, queue.PriorityQueue):  # type: ignore[no-redef,type-arg]
        """:class:`queue.PriorityQueue`."""


class PriorityQueue(_PriorityQueue):  # type: ignore[valid-type,misc]
    """:class:`queue.PriorityQueue`, which does not keep an item that it refuses because it has no order."""

    def _put(self, item: Any) -> None:
        try:
            super()._put(item)
        except BaseException:  # heappush has put it in before it compared
            del self.queue[next(index for index, other in enumerate(self.queue) if other is item)]
            heapq.heapify(self.queue)
            raise


#: The last item of a queue that was shut down: who gets it puts it back for the next.
_SHUT: Any = type("Shut", (), {})()


class SimpleQueue:
    """
    :class:`queue.SimpleQueue` with the methods of a queue.

    ``put`` takes no lock: it may be called from signal handlers and finalizers, also while the same
    thread is in another method.
    """

    __slots__ = ("__weakref__", "_all_done", "_items", "_shut", "_unfinished")

    maxsize = 0

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()
        #: One entry for each item that is not dealt with.
        self._unfinished: deque[None] = deque()
        self._all_done = Event()
        self._all_done.set()
        self._shut = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        if self._shut:
            raise ShutDown
        self._unfinished.append(None)
        self._items.put(item)

    def put_nowait(self, item: Any) -> None:
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        item = self._items.get(block, timeout)
        if item is not _SHUT:
            return item
        try:
            item = self._items.get_nowait()  # of a put that was under way at the shutdown
        except Empty:
            pass
        self._items.put(_SHUT)
        if item is _SHUT:
            raise ShutDown
        return item

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def qsize(self) -> int:
        return max(0, self._items.qsize() - 1) if self._shut else self._items.qsize()

    def empty(self) -> bool:
        return self.qsize() == 0

    def full(self) -> bool:
        return False

    def task_done(self) -> None:
        if not self._deal_with_one():
            raise ValueError("task_done() called too many times")

    def join(self) -> None:
        while self._unfinished:
            self._all_done.clear()
            if self._unfinished:
                self._all_done.wait()

    def shutdown(self, immediate: bool = False) -> None:
        mark, self._shut = not self._shut, True
        while immediate:
            try:
                item = self._items.get_nowait()
            except Empty:
                break
            if item is _SHUT:
                mark = True
            else:
                self._deal_with_one()
        if mark:  # one too many does no harm: whoever gets two puts back one
            self._items.put(_SHUT)

    def _deal_with_one(self) -> bool:
        try:
            self._unfinished.pop()
        except IndexError:
            return False
        if not self._unfinished:
            self._all_done.set()
        return True
