"""Locks, conditions, semaphores, events and barriers as state machines; waiters are served in order."""

import threading
from collections import Counter, deque
from collections.abc import Hashable
from typing import Any, Final

from .machine import WAIT, Machine, Request

__all__ = ["Barrier", "Condition", "Event", "Lock", "RLock", "Semaphore"]

#: The note of a request whose time ended while it was not up to it.
_OVERDUE: Final = object()


class Lock(Machine):
    """Held by one client; anybody may release it."""

    answerless: frozenset[str] = frozenset({"release"})

    def __init__(self) -> None:
        super().__init__()
        self.owner: Hashable = None
        self.count: int = 0
        self.line: deque[Request] = deque()

    def queues(self) -> tuple[deque[Request], ...]:
        return (self.line,)

    def holders(self) -> tuple[Hashable, ...]:
        return (self.owner,) if self.count else ()

    def acquire(self, request: Request, blocking: bool = True) -> Any:
        request.note = (1, True)
        if not self.count:
            self._give(request.client, 1)
            return True
        if not blocking:
            return False
        self.line.append(request)
        return WAIT

    def release(self, request: Request) -> None:
        if not self.count:
            raise RuntimeError("release unlocked lock")
        self._hand_on()

    def locked(self, request: Request) -> bool:
        return self.count > 0

    def held_by(self, client: Hashable) -> bool:
        """Whether *client* may do what needs the lock; nobody knows whose a plain lock is."""
        return self.count > 0

    def let_go(self, client: Hashable) -> int:
        """For a condition: release it whatever the count, which is returned."""
        count = self.count
        self._hand_on()
        return count

    def regain(self, request: Request, count: int, answer: Any) -> None:
        """For a condition: answer *request* with *answer* as soon as it holds the lock *count* times again."""
        if not self.count:
            self._give(request.client, count)
            self.grant(request, answer)
        else:
            request.note = (count, answer)
            self.line.append(request)

    def undo(self, request: Request) -> None:
        if request.note is not None and request.value is True and self.owner == request.client:
            self.count -= 1
            if not self.count:
                self._hand_on()

    def abandon(self, client: Hashable) -> None:
        super().abandon(client)
        if self.count and self.owner == client:
            self._hand_on()

    def _give(self, client: Hashable, count: int) -> None:
        self.owner = client
        self.count = count

    def _hand_on(self) -> None:
        """It is free: to the first in line."""
        self.owner, self.count = None, 0
        if self.line:
            request = self.line.popleft()
            count, answer = request.note
            self._give(request.client, count)
            self.grant(request, answer)


class RLock(Lock):
    """Held by one client, as often as it likes."""

    #: How often its owner holds it.
    count: int

    def acquire(self, request: Request, blocking: bool = True) -> Any:
        if self.held_by(request.client):
            request.note = (1, True)
            self.count += 1
            return True
        return super().acquire(request, blocking)

    def release(self, request: Request) -> None:
        if not self.held_by(request.client):
            raise RuntimeError("cannot release un-acquired lock")
        self.count -= 1
        if not self.count:
            self._hand_on()

    def held_by(self, client: Hashable) -> bool:
        return self.count > 0 and self.owner == client


class Condition(Machine):
    """Waiting for a notification; a notified one is answered when it has the lock again."""

    def __init__(self, lock: Lock) -> None:
        super().__init__()
        self.lock = lock
        self.granted: list[Request] = lock.granted  # it is the lock that answers
        self.line: deque[Request] = deque()

    def queues(self) -> tuple[deque[Request], ...]:
        return (self.line,)

    def wait(self, request: Request) -> Any:
        self._check(request, "wait on")
        request.note = self.lock.let_go(request.client)
        self.line.append(request)
        return WAIT

    def notify(self, request: Request, n: int | None = 1) -> None:
        self._check(request, "notify on")
        for _ in range(len(self.line) if n is None else min(n, len(self.line))):
            waiter = self.line.popleft()
            self.lock.regain(waiter, waiter.note, True)

    def give_up(self, request: Request) -> Any:
        if self.forget(request):
            self.lock.regain(request, request.note, False)
        return WAIT

    def retract(self, request: Request) -> Any:
        # Whoever is interrupted in a wait is inside ``with condition:`` and will release the lock.
        return None if request.note is None else self.give_up(request)

    def abandon(self, client: Hashable) -> None:
        super().abandon(client)
        self.lock.abandon(client)

    def _check(self, request: Request, what: str) -> None:
        if not self.lock.held_by(request.client):
            raise RuntimeError(f"cannot {what} un-acquired lock")


class Semaphore(Machine):
    """A counter that never goes below zero; with *bounded*, nor above its start."""

    answerless: frozenset[str] = frozenset({"release"})

    def __init__(self, value: int = 1, bounded: bool = False) -> None:
        super().__init__()
        if value < 0:
            raise ValueError("semaphore initial value must be >= 0")
        self.value: int = value
        self.start: int = value
        self.bounded = bounded
        self.held: Counter[Hashable] = Counter()
        self.line: deque[Request] = deque()

    def queues(self) -> tuple[deque[Request], ...]:
        return (self.line,)

    def holders(self) -> tuple[Hashable, ...]:
        return tuple(self.held)

    def acquire(self, request: Request, blocking: bool = True) -> Any:
        if self.value and not self.line:
            self.held[request.client] += 1  # first: a Counter runs Python code, where an interrupt may come
            self.value -= 1
            return True
        if not blocking:
            return False
        self.line.append(request)
        return WAIT

    def release(self, request: Request, n: int = 1) -> None:
        if n < 1:
            raise ValueError("n must be one or more")
        if self.bounded and self.value + n > self.start:
            raise ValueError("Semaphore released too many times")
        self._give_back(request.client, n)

    def get_value(self, request: Request) -> int:
        return self.value

    def undo(self, request: Request) -> None:
        if request.value is True:
            self._give_back(request.client, 1)

    def abandon(self, client: Hashable) -> None:
        super().abandon(client)
        held = self.held.pop(client, 0)
        # What it took of the start is given back; what others put in was a signal, and it was received.
        missing = self.start - self.value - sum(self.held.values())
        self._add(max(0, min(held, missing)))

    def _give_back(self, client: Hashable, n: int) -> None:
        if self.held[client] > n:
            self.held[client] -= n
        else:
            del self.held[client]
        self._add(n)

    def _add(self, n: int) -> None:
        self.value += n
        while self.value and self.line:
            request = self.line.popleft()
            self.value -= 1
            self.held[request.client] += 1
            self.grant(request, True)


class Event(Machine):
    """A flag."""

    answerless: frozenset[str] = frozenset({"set"})

    def __init__(self) -> None:
        super().__init__()
        self.flag: bool = False
        self.line: deque[Request] = deque()

    def queues(self) -> tuple[deque[Request], ...]:
        return (self.line,)

    def is_set(self, request: Request) -> bool:
        return self.flag

    def set(self, request: Request) -> None:
        self.flag = True
        while self.line:
            self.grant(self.line.popleft(), True)

    def clear(self, request: Request) -> None:
        self.flag = False

    def wait(self, request: Request) -> Any:
        if self.flag:
            return True
        self.line.append(request)
        return WAIT


class Barrier(Machine):
    """
    A meeting point of *parties* clients.

    The last to come is answered with ``None`` when there is an action: it runs it and then calls
    ``done``, or ``failed``. Who comes meanwhile waits for the next meeting. Everybody is there then,
    so a timeout that ends during the action breaks nothing; that of who came meanwhile counts after it.
    """

    def __init__(self, parties: int, has_action: bool = False) -> None:
        super().__init__()
        if parties < 1:
            raise ValueError(f"parties must be at least 1, got {parties}")
        self.parties = parties
        self.has_action = has_action
        self.broken: bool = False
        self.acting: Hashable = None
        self.line: deque[Request] = deque()
        self.late: deque[Request] = deque()

    def queues(self) -> tuple[deque[Request], ...]:
        return (self.line, self.late)

    def wait(self, request: Request) -> Any:
        if self.broken:
            raise threading.BrokenBarrierError
        if self.acting is not None:
            self.late.append(request)
            return WAIT
        if len(self.line) + 1 < self.parties:
            self.line.append(request)
            return WAIT
        if self.has_action:
            self.acting = request.client
            return None
        self._meet()
        return self.parties - 1

    def done(self, request: Request) -> int:
        """The action was run."""
        if self.acting != request.client:  # it was aborted or reset meanwhile
            raise threading.BrokenBarrierError
        self.acting = None
        self._meet()
        late, self.late = self.late, deque()
        for waiter in late:
            answer = self.wait(waiter)
            if answer is not WAIT:
                self.grant(waiter, answer)
        if self.acting is None and any(waiter.note is _OVERDUE for waiter in self.line):
            self._break()
        return self.parties - 1

    def failed(self, request: Request) -> None:
        """The action was not run, or not to its end."""
        if self.acting == request.client:
            self._break()

    def reset(self, request: Request) -> None:
        self._refuse_all()
        self.broken = False
        self.acting = None

    def abort(self, request: Request) -> None:
        self._break()

    def state(self, request: Request) -> tuple[int, int, bool]:
        """Parties, how many wait, whether it is broken."""
        return self.parties, len(self.line) + (self.acting is not None), self.broken

    def give_up(self, request: Request) -> Any:
        if self.acting is not None:
            request.note = _OVERDUE
            return WAIT
        self.forget(request)
        self._break()
        raise threading.BrokenBarrierError

    def retract(self, request: Request) -> Any:
        if self.forget(request):
            self._break()

    def abandon(self, client: Hashable) -> None:
        waited = any(request.client == client for request in self.waiting())
        super().abandon(client)
        if waited or self.acting == client:
            self._break()

    def _meet(self) -> None:
        for index, request in enumerate(self.line):
            self.grant(request, index)
        self.line.clear()

    def _break(self) -> None:
        self.broken = True
        self.acting = None
        self._refuse_all()

    def _refuse_all(self) -> None:
        for request in (*self.line, *self.late):
            self.refuse(request, threading.BrokenBarrierError())
        self.line.clear()
        self.late.clear()
