"""Models of the primitives in plain Python: what one operation after the other does."""

import threading
from queue import Empty, Full
from typing import Any

import manyhands

from .linear import Blocked, Op, Then

__all__ = ["BarrierModel", "ConditionModel", "EventModel", "LockModel", "QueueModel", "RLockModel", "SemaphoreModel"]

#: The main program, which makes the objects.
MAIN = -1


class LockModel:
    """Anybody may release it."""

    def __init__(self, held: bool = False) -> None:
        self.count = int(held)
        self.owner = MAIN

    def acquire(self, who: int, blocking: bool = True) -> bool:
        if self.count:
            if blocking:
                raise Blocked
            return False
        self.count, self.owner = 1, who
        return True

    def release(self, who: int) -> None:
        if not self.count:
            raise RuntimeError
        self.count -= 1

    def locked(self, who: int) -> bool:
        return self.count > 0

    def expire(self, who: int, op: Op, under_way: Then | None) -> Any:
        return False

    def final(self) -> Any:
        return self.count > 0


class RLockModel(LockModel):
    """Only its owner may, and may have it again."""

    def acquire(self, who: int, blocking: bool = True) -> bool:
        if self.count and self.owner == who:
            self.count += 1
            return True
        return super().acquire(who, blocking)

    def release(self, who: int) -> None:
        if self.owner != who:
            raise RuntimeError
        super().release(who)


class ConditionModel(RLockModel):
    """With an rlock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[int] = []
        self.held: dict[int, int] = {}

    def wait(self, who: int) -> Then:
        self._check(who)
        self.held[who], self.count = self.count, 0
        self.waiting.append(who)
        return Then("regain", (True,))

    def regain(self, who: int, told: bool) -> bool:
        if who in self.waiting or self.count:
            raise Blocked
        self.count, self.owner = self.held.pop(who), who
        return told

    def notify(self, who: int, n: int = 1) -> None:
        self._check(who)
        del self.waiting[:n]

    def notify_all(self, who: int) -> None:
        self.notify(who, len(self.waiting))

    def expire(self, who: int, op: Op, under_way: Then | None) -> Any:
        if op.name == "acquire":
            return super().expire(who, op, under_way)
        if who not in self.waiting:
            raise Blocked
        self.waiting.remove(who)
        return Then("regain", (False,))

    def _check(self, who: int) -> None:
        if not self.count or self.owner != who:
            raise RuntimeError


class SemaphoreModel:
    """A count, with a bound or without."""

    def __init__(self, value: int, bound: int | None = None) -> None:
        self.value = value
        self.bound = bound

    def acquire(self, who: int, blocking: bool = True) -> bool:
        if not self.value:
            if blocking:
                raise Blocked
            return False
        self.value -= 1
        return True

    def release(self, who: int, n: int = 1) -> None:
        if self.bound is not None and self.value + n > self.bound:
            raise ValueError
        self.value += n

    def expire(self, who: int, op: Op, under_way: Then | None) -> Any:
        return False

    def final(self) -> Any:
        return self.value


class EventModel:
    """A flag."""

    def __init__(self) -> None:
        self.flag = False

    def set(self, who: int) -> None:
        self.flag = True

    def clear(self, who: int) -> None:
        self.flag = False

    def is_set(self, who: int) -> bool:
        return self.flag

    def wait(self, who: int) -> bool:
        if not self.flag:
            raise Blocked
        return True

    def expire(self, who: int, op: Op, under_way: Then | None) -> Any:
        return False

    def final(self) -> Any:
        return self.flag


class BarrierModel:
    """A meeting point; the last to come runs the action, and who comes meanwhile waits for its end."""

    def __init__(self, parties: int, has_action: bool = False) -> None:
        self.parties = parties
        self.has_action = has_action
        self.actions = 0
        self.acting: int | None = None
        self.broken = False
        self.line: list[int] = []
        self.answers: dict[int, int | None] = {}

    def wait(self, who: int) -> Any:
        if self.broken:
            raise threading.BrokenBarrierError
        if self.acting is not None:
            raise Blocked
        if len(self.line) + 1 < self.parties:
            self.line.append(who)
            return Then("leave")
        if self.has_action:
            self.acting = who
            self.actions += 1
            return Then("done")
        return self._meet()

    def done(self, who: int) -> int:
        if self.acting != who:
            raise threading.BrokenBarrierError
        self.acting = None
        return self._meet()

    def leave(self, who: int) -> int:
        if who not in self.answers:
            raise Blocked
        answer = self.answers.pop(who)
        if answer is None:
            raise threading.BrokenBarrierError
        return answer

    def abort(self, who: int) -> None:
        self.broken = True
        self._refuse()

    def reset(self, who: int) -> None:
        self.broken = False
        self._refuse()

    def n_waiting(self, who: int) -> int:
        return len(self.line) + (self.acting is not None)

    def expire(self, who: int, op: Op, under_way: Then | None) -> Any:
        if who not in self.line or self.acting is not None:
            raise Blocked
        self.abort(who)
        return self.leave(who)

    def final(self) -> Any:
        return self.broken, self.actions

    def _meet(self) -> int:
        self.answers.update({waiter: place for place, waiter in enumerate(self.line)})
        self.line.clear()
        return self.parties - 1

    def _refuse(self) -> None:
        self.acting = None
        self.answers.update(dict.fromkeys(self.line))
        self.line.clear()


class QueueModel:
    """A queue; *kind* says which item is the next."""

    def __init__(self, kind: str, maxsize: int, items: tuple[int, ...] = ()) -> None:
        self.kind = kind
        self.maxsize = maxsize
        self.items = list(items)
        self.unfinished = len(items)
        self.shut = False

    def put(self, who: int, item: int, block: bool = True) -> None:
        if self.shut:
            raise manyhands.ShutDown
        if self.full(who):
            raise Blocked if block else Full
        self.items.append(item)
        self.unfinished += 1

    def get(self, who: int, block: bool = True) -> int:
        if not self.items:
            if self.shut:
                raise manyhands.ShutDown
            raise Blocked if block else Empty
        best = {"lifo_queue": len(self.items) - 1, "priority_queue": self.items.index(min(self.items))}
        return self.items.pop(best.get(self.kind, 0))

    def task_done(self, who: int) -> None:
        if not self.unfinished:
            raise ValueError
        self.unfinished -= 1

    def join(self, who: int) -> None:
        if self.unfinished:
            raise Blocked

    def shutdown(self, who: int, immediate: bool = False) -> None:
        self.shut = True
        if immediate:
            self.unfinished -= min(len(self.items), self.unfinished)
            self.items.clear()

    def qsize(self, who: int) -> int:
        return len(self.items)

    def full(self, who: int) -> bool:
        return 0 < self.maxsize <= len(self.items)

    def expire(self, who: int, op: Op, under_way: Then | None) -> Any:
        raise Empty if op.name == "get" else Full

    def final(self) -> Any:
        left = []
        while self.items:
            left.append(self.get(MAIN))
        return tuple(left), self.unfinished
