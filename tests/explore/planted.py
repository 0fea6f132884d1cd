"""Defects of the kind that exploring is for, each as the function that has it."""

from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, PENDING
from typing import Any

from manyhands import future
from manyhands.primitives import WAIT

__all__: list[str] = []


def follow_looks_first(self: Any, watcher: Any) -> None:
    """Whoever finishes between the look and the store tells nobody."""
    if self._phase == PENDING:
        self._followed().watchers.append(watcher)
    else:
        watcher(self)


def callback_looks_first(self: Any, fn: Any) -> None:
    """The same for the user's callbacks."""
    if self._phase == PENDING:
        self._followed().callbacks.append(fn)
    else:
        fn(self)


def followed_without_lock(self: Any) -> Any:
    """Two make one each, and what was left in the first is lost."""
    if self._followers is None:
        self._followers = future._Followers()
    return self._followers


def cancel_without_lock(self: Any, phase: str) -> bool:
    """Somebody may start or settle between the look and the store."""
    if self._started or self._phase != PENDING:
        return False
    self._phase = phase
    self._announce()
    return True


def settle_without_lock(self: Any, phase: str, result: Any, error: Any) -> bool:
    """Two results, and the second one wins."""
    if self._phase != PENDING:
        return False
    self._result = result if error is None else error.__traceback__
    self._exception = error
    self._phase = phase
    self._announce()
    return True


def settle_phase_first(self: Any, phase: str, result: Any, error: Any) -> bool:
    """It is final before its result is there."""
    with future._guard:
        if self._phase != PENDING:
            return False
        self._phase = phase
        self._result = result if error is None else error.__traceback__
        self._exception = error
    self._announce()
    return True


def announce_without_taking(self: Any) -> None:
    """Two who announce both call the same watcher."""
    followers = self._followers
    if followers is None:
        return
    for watcher in tuple(followers.watchers):
        watcher(self)
    followers.watchers.clear()
    if followers.callbacks:
        future._call_back(self)


def start_looks_first(self: Any) -> bool:
    """Both of two who start it may."""
    if not self._started and self._phase == PENDING:
        self._started = True
        return True
    if self._phase == CANCELLED:
        self._phase = CANCELLED_AND_NOTIFIED
        return False
    raise RuntimeError


def mailbox_looks_first(self: Any, timeout: float | None = None) -> Any:
    """An item that comes before the parker is there wakes nobody."""
    if not self._items:
        parker = self._parker = self._make_parker()
        parker.wait(timeout)
        self._parker = None
    return self._items.popleft()


def hand_on_to_nobody(self: Any) -> None:
    """A lock that is released wakes nobody."""
    self.owner, self.count = None, 0


def hand_on_and_stay_free(self: Any) -> None:
    """Who waited gets it, and whoever comes meanwhile, too."""
    self.owner, self.count = None, 0
    if self.line:
        self.grant(self.line.popleft(), True)


def wake_one_only(self: Any, n: int) -> None:
    """A semaphore released by two lets one in."""
    self.value += n
    if self.value and self.line:
        self.value -= 1
        self.grant(self.line.popleft(), True)


def add_without_grant(self: Any, item: Any) -> None:
    """An item is put, and who waits for one sleeps on."""
    self.push(item)
    self.unfinished += 1


def settle_in_any_case(self: Any, machine: Any, request: Any, end: Any) -> Any:
    """Who times out does not look whether the answer has come meanwhile."""
    with self._mutex:
        answer = None
        try:
            answer = end(request)
        finally:
            if answer is not WAIT:
                self._waiting.pop(request, None)
            self._wake(machine)
        return answer


def done_in_any_case(self: Any, request: Any) -> int:
    """The end of an action does not look whether it still counts."""
    self.acting = None
    self._meet()
    return int(self.parties - 1)


def notify_without_lock(self: Any, request: Any, n: int | None = 1) -> None:
    """The notified go on without having the lock again."""
    self._check(request, "notify on")
    for _ in range(len(self.line) if n is None else min(n, len(self.line))):
        self.grant(self.line.popleft(), True)
