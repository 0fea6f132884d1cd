"""
The hub: who runs in the one thread there is, and who runs next.

Everything that runs is a fiber: the main program, the tasks and the activities. A fiber that blocks
picks the next one that can run and switches to it; there is no loop in between. When none can run,
time passes until the next timeout; when there is none, nothing can ever happen: that is a deadlock,
and the main program is told.
"""

import heapq
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from greenlet import getcurrent, greenlet

from manyhands import ActivityState, DeadlockError, ExecutorClosedError, UnsupportedError, activity_slot

from ._places import place, purpose

__all__ = ["Clock", "Fiber", "Hub", "Order", "RealClock", "VirtualClock"]


class Clock(Protocol):
    """What timeouts are counted on."""

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


class Order(Protocol):
    """Who goes first, where several could."""

    def choose(self, fibers: "deque[Fiber]") -> "Fiber":
        """Take one of the *fibers* that can run."""
        ...


class Fiber:
    """Something that runs, until it blocks."""

    __slots__ = ("_name", "daemon", "error", "greenlet", "job", "parker", "state")

    def __init__(self, name: str) -> None:
        self._name = name
        #: Whether it only serves others.
        self.daemon = False
        self.greenlet: Any = None
        self.job: Callable[[], None] | None = None
        #: What it is blocked in.
        self.parker: Parker | None = None
        #: To be raised where it is blocked.
        self.error: BaseException | None = None
        #: What the core keeps per activity.
        self.state = ActivityState()

    @property
    def name(self) -> str:
        """What errors and traces call it."""
        worker = self.state.worker
        task = None if worker is None else worker.task
        return self._name if task is None else f"task {task.id} ({task.name})"

    def __repr__(self) -> str:
        return self.name


class Parker:
    """Blocks a fiber until another one wakes it."""

    __slots__ = ("_fiber", "_hub", "_woken")

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._fiber: Fiber | None = None
        self._woken = False

    def wait(self, timeout: float | None) -> bool:
        """Block until woken, at most *timeout* seconds; False when time ran out."""
        hub = self._hub
        hub.check_thread()
        if not self._woken and (timeout is None or timeout > 0 or hub.order is not None):
            self._fiber = hub.current
            try:
                hub.block(self, timeout)
            finally:
                self._fiber = None
        return self._woken

    def wake(self) -> None:
        """Let it go on; once is enough."""
        self._woken = True
        self.release()

    def release(self) -> None:
        """Its fiber can run again, if one is blocked in this."""
        fiber, self._fiber = self._fiber, None
        if fiber is not None:
            self._hub.ready.append(fiber)


class Hub:
    """The fibers of one thread, which is the one that makes it."""

    def __init__(self, clock: Clock, order: Order | None = None) -> None:
        self.clock = clock
        self.order = order
        self.main = Fiber("the main program")
        self.main.greenlet = getcurrent()
        self.current = self.main
        #: Those that can run; the first one does, unless the order says otherwise.
        self.ready: deque[Fiber] = deque()
        self._thread = threading.get_ident()
        self._fibers: list[Fiber] = []
        self._free: list[Fiber] = []
        self._timeouts: list[tuple[float, int, Parker]] = []
        self._numbers = itertools.count()
        self._closing = False
        self._slot = activity_slot()
        self.main.state = self._slot["activity"]
        #: Where it is recorded who ran, and where it was interrupted; None: nowhere.
        self.steps: list[tuple[str, str]] | None = None
        #: The files that are worth to be recorded also where they are ours.
        self.files: frozenset[str] = frozenset()
        #: How many operations the one that runs is in that nobody else may see half done.
        self.undivided = 0

    def check_thread(self) -> None:
        """UnsupportedError where another thread calls."""
        if threading.get_ident() != self._thread:
            raise UnsupportedError(
                "dummy", "use from a second thread: everything that it runs shares the thread that opened it"
            )

    def parker(self) -> Parker:
        """What blocks a fiber."""
        return Parker(self)

    def sleep(self, seconds: float) -> None:
        """Block the calling fiber so long."""
        Parker(self).wait(seconds)

    def run(self, job: Callable[[], None], name: str, *, daemon: bool = False) -> None:
        """
        Start *job* in a fiber of its own.

        Without an order it runs at once, until it first blocks; *job* never raises.
        """
        self.check_thread()
        fiber = self._free.pop() if self._free else self._new_fiber()
        fiber.job, fiber._name, fiber.daemon, fiber.state = job, name, daemon, ActivityState()
        self.enter(fiber)

    def enter(self, fiber: Fiber) -> None:
        """Have *fiber*, which is free, go on before the caller does, where no order says otherwise."""
        if self.order is None:
            self.ready.appendleft(self.current)
            self._switch(fiber)
        else:
            self.ready.append(fiber)
            self.pause()

    def leave(self) -> None:
        """Let others run until somebody has the caller, who is free from here on, go on."""
        self._switch(self._next())

    def pause(self) -> None:
        """A point where another fiber may go on."""
        if self.order is not None:
            self.ready.append(self.current)
            self._switch(self._next())

    def drain(self) -> None:
        """Let the others run until none of them can."""
        self.check_thread()
        while self.ready:
            self.ready.append(self.current)
            self._switch(self.ready.popleft() if self.order is None else self._next())

    def block(self, parker: Parker, timeout: float | None) -> None:
        """Let others run until *parker* is released, at the latest after *timeout* seconds."""
        fiber = self.current
        if timeout is not None:
            heapq.heappush(self._timeouts, (self.clock.now() + timeout, next(self._numbers), parker))
        fiber.parker = parker
        try:
            self._switch(self._next())
        finally:
            fiber.parker = None

    def close(self) -> None:
        """End every fiber; those that are blocked get an ExecutorClosedError."""
        self.drain()
        self._closing = True
        for fiber in tuple(self._fibers):
            if fiber.parker is not None:
                fiber.error = ExecutorClosedError("the dummy backend was closed")
            while not fiber.greenlet.dead:  # it may block again while it ends
                self._switch(fiber)
                self.current = self.main
        self._fibers.clear()
        self._free.clear()
        self._timeouts.clear()

    # Switching.

    def _new_fiber(self) -> Fiber:
        fiber = Fiber("")
        fiber.greenlet = greenlet(self._life, self.main.greenlet)
        self._fibers.append(fiber)
        return fiber

    def _life(self) -> None:
        """A fiber runs one job after the other: to make one costs more than to run a short job."""
        fiber = self.current
        while fiber.job is not None:
            fiber.job()
            fiber.job = None
            self._free.append(fiber)
            self._switch(self._next())

    def _switch(self, fiber: Fiber) -> None:
        me = self.current
        if fiber is not me:
            self.current = fiber
            self._slot["activity"] = fiber.state
            if self.steps is not None:
                self._record(me)
            fiber.greenlet.switch()
        if me.error is not None:
            error, me.error = me.error, None
            raise error

    def _record(self, me: Fiber) -> None:
        self.undivided += 1  # names are made by code that may be explored, too
        where = place(me, self.files) if me.job or me is self.main else "its end"
        if self.steps is not None:
            self.steps.append((me.name, where))
        self.undivided -= 1

    def _next(self) -> Fiber:
        """The one that runs next; lets time pass where nobody can run."""
        if self._timeouts and self.clock.runs:
            self._release_late(self.clock.now())
        while not self.ready:
            if self._closing:
                return self.main
            while self._timeouts and self._timeouts[0][2]._fiber is None:
                heapq.heappop(self._timeouts)
            if not self._timeouts:
                self._tell_deadlock()
                break
            when = self._timeouts[0][0]
            self.clock.wait_until(when)
            self._release_late(max(when, self.clock.now()))
        return self.ready.popleft() if self.order is None else self.order.choose(self.ready)

    def _release_late(self, now: float) -> None:
        while self._timeouts and self._timeouts[0][0] <= now:
            heapq.heappop(self._timeouts)[2].release()

    # Deadlocks.

    def _tell_deadlock(self) -> None:
        """Everybody who is blocked gets the error, the main program first; what is there to serve may stay."""
        blocked = [fiber for fiber in (self.main, *self._fibers) if fiber.parker is not None and not fiber.daemon]
        self.undivided += 1
        graph = {f"{fiber.name}, at {place(fiber)}": purpose(fiber) for fiber in blocked}
        self.undivided -= 1
        for fiber in blocked:
            fiber.error = DeadlockError("nothing can ever run again: everybody waits", graph=graph)
            if fiber.parker is not None:
                fiber.parker.release()
