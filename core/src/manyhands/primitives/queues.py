"""The four queues as one state machine with three orders."""

import heapq
import queue
from collections import deque
from typing import Any, Final

from .machine import WAIT, Machine, Request

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "ShutDown"]

#: The note of a request that waits for an item.
_GETTING: Final = object()

Empty = queue.Empty
Full = queue.Full

if hasattr(queue, "ShutDown"):
    ShutDown: type[Exception] = queue.ShutDown
else:

    class _ShutDown(Exception):
        """The queue was shut down (:class:`queue.ShutDown` where Python has it, from 3.13)."""

    _ShutDown.__name__ = _ShutDown.__qualname__ = "ShutDown"
    ShutDown = _ShutDown


class Queue(Machine):
    """First in, first out; *maxsize* of 0 or less means no limit."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__()
        self.maxsize = maxsize
        if maxsize <= 0:
            self.answerless: frozenset[str] = frozenset({"put"})
        self.items: Any = self.container()
        self.unfinished: int = 0
        self.shut: bool = False
        self.getters: deque[Request] = deque()
        self.putters: deque[Request] = deque()
        self.joiners: deque[Request] = deque()

    # What the orders change.

    def container(self) -> Any:
        return deque()

    def push(self, item: Any) -> None:
        self.items.append(item)

    def pop(self) -> Any:
        return self.items.popleft()

    def push_back(self, item: Any) -> None:
        """Undo ``pop``."""
        self.items.appendleft(item)

    # Operations.

    def queues(self) -> tuple[deque[Request], ...]:
        return (self.getters, self.putters, self.joiners)

    def put(self, request: Request, item: Any, block: bool = True) -> Any:
        if self.shut:
            raise ShutDown
        if 0 < self.maxsize <= len(self.items):
            if not block:
                raise Full
            request.note = item
            self.putters.append(request)
            return WAIT
        self._add(item)
        return None

    def get(self, request: Request, block: bool = True) -> Any:
        request.note = _GETTING
        if self.items:
            item = self.pop()
            self._admit()
            return item
        if self.shut:
            raise ShutDown
        if not block:
            raise Empty
        self.getters.append(request)
        return WAIT

    def task_done(self, request: Request) -> None:
        if not self.unfinished:
            raise ValueError("task_done() called too many times")
        self._finish(1)

    def join(self, request: Request) -> Any:
        if not self.unfinished:
            return None
        self.joiners.append(request)
        return WAIT

    def shutdown(self, request: Request, immediate: bool = False) -> None:
        self.shut = True
        if immediate:
            dropped = len(self.items)
            self.items = self.container()
            self._finish(min(dropped, self.unfinished))
        for line in (self.getters, self.putters):
            while line:
                self.refuse(line.popleft(), ShutDown())

    def qsize(self, request: Request) -> int:
        return len(self.items)

    def full(self, request: Request) -> bool:
        return 0 < self.maxsize <= len(self.items)

    # Waits that end otherwise.

    def give_up(self, request: Request) -> Any:
        error = Empty if request in self.getters else Full
        self.forget(request)
        raise error

    def undo(self, request: Request) -> None:
        if request.note is not _GETTING or request.error is not None:
            return
        if self.getters:
            self.grant(self.getters.popleft(), request.value)
        else:
            self.push_back(request.value)

    def _add(self, item: Any) -> None:
        self.push(item)
        self.unfinished += 1
        if self.getters:
            self.grant(self.getters.popleft(), self.pop())

    def _admit(self) -> None:
        """There is room for one."""
        if self.putters:
            putter = self.putters.popleft()
            try:
                self._add(putter.note)
            except Exception as error:  # an item that cannot be ordered is its putter's fault
                self.refuse(putter, error)
            else:
                self.grant(putter)

    def _finish(self, n: int) -> None:
        self.unfinished -= n
        if not self.unfinished:
            while self.joiners:
                self.grant(self.joiners.popleft())


class LifoQueue(Queue):
    """Last in, first out."""

    def container(self) -> Any:
        return []

    def pop(self) -> Any:
        return self.items.pop()

    def push_back(self, item: Any) -> None:
        self.items.append(item)


class PriorityQueue(Queue):
    """Lowest first."""

    def container(self) -> Any:
        return []

    def push(self, item: Any) -> None:
        try:
            heapq.heappush(self.items, item)
        except BaseException:  # it cannot be ordered, but heappush has left it in
            del self.items[next(index for index, other in enumerate(self.items) if other is item)]
            heapq.heapify(self.items)
            raise

    def pop(self) -> Any:
        return heapq.heappop(self.items)

    def push_back(self, item: Any) -> None:
        heapq.heappush(self.items, item)
