"""
The hub: who runs in the one thread there is, and who runs next.

Everything that runs is a fiber: the main program, the tasks and the activities. A fiber that blocks
picks the next one that can run and switches to it; there is no loop in between. When none can run,
time passes until the next timeout, or something comes from outside: from a descriptor, or from
another thread that completes a future of its own. When neither can be, nothing can ever happen:
that is a deadlock, and everybody who waits is told.
"""

import heapq
import itertools
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from greenlet import getcurrent, greenlet

from manyhands import ActivityState, DeadlockError, ExecutorClosedError, UnsupportedError, activity_slot

from ._clocks import Clock
from ._loops import Pump
from ._outside import Outside, ready_now
from ._places import place, purpose
from ._watchdog import forget, watch

__all__ = ["Fiber", "Hub", "Order", "Parker"]


#: How often a fiber is let go on when the hub closes, before it is ended where it stands.
_LAST_STEPS: Final = 100


class Order(Protocol):
    """Who goes first, where several could."""

    def choose(self, fibers: "deque[Fiber]") -> "Fiber":
        """Take one of the *fibers* that can run."""
        ...


class Fiber:
    """Something that runs, until it blocks."""

    __slots__ = ("daemon", "error", "greenlet", "job", "loop", "parker", "state", "switch", "title")

    def __init__(self, title: str, body: Any) -> None:
        self.greenlet: Any = body
        self.switch: Callable[[], object] = body.switch
        self.begin(None, title, ActivityState())

    def begin(self, job: Callable[[], None] | None, title: str, state: ActivityState, *, daemon: bool = False) -> None:
        """Become another activity, that runs *job*."""
        #: What the core keeps per activity.
        self.state: ActivityState = state
        self.job: Callable[[], None] | None = job
        self.title: str = title
        #: Whether it only serves others.
        self.daemon: bool = daemon
        #: What it is blocked in.
        self.parker: Parker | None = None
        #: To be raised where it is blocked.
        self.error: BaseException | None = None
        #: The asyncio loop that runs in it.
        self.loop: Any = None

    @property
    def name(self) -> str:
        """What errors and traces call it."""
        worker = self.state.worker
        task = None if worker is None else worker.task
        return self.title if task is None else f"task {task.id} ({task.name})"

    def __repr__(self) -> str:
        return self.name


class Parker:
    """Blocks a fiber until another one wakes it."""

    __slots__ = ("_hub", "_woken", "fiber")

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        #: The one that is blocked in this.
        self.fiber: Fiber | None = None
        self._woken = False

    def wait(self, timeout: float | None, *, outside: bool = False) -> bool:
        """
        Block until woken, at most *timeout* seconds; False when time ran out.

        Args:
            outside: Another thread may be the one that wakes it.
        """
        hub = self._hub
        fiber = hub.caller()
        # No time to wait is a point where others may go on, and on virtual time the least step of it.
        at_once = timeout is not None and timeout <= 0 and hub.order is None and hub.clock.runs
        if not (self._woken or at_once):
            self.fiber = fiber
            if outside:
                hub.outside.expect(self)
            try:
                hub.block(fiber, self, timeout)
            finally:
                self.fiber = None
                if outside:
                    hub.outside.forget(self)
        return self._woken

    def wake(self) -> None:
        """Let it go on; once is enough. The one call that may come from another thread."""
        self._woken = True
        if threading.get_ident() == self._hub.thread:
            self.release()
        else:
            self._hub.outside.wake(self)

    def release(self) -> None:
        """Its fiber can run again, if one is blocked in this."""
        fiber, self.fiber = self.fiber, None
        if fiber is not None:
            self._hub.ready.append(fiber)
            self._hub.pump.attend()


class Hub:
    """The fibers of one thread, which is the one that makes it."""

    def __init__(self, clock: Clock, order: Order | None = None, *, watched: bool = True) -> None:
        """*watched*: fibers that block the thread are reported."""
        self.clock: Final = clock
        self.thread: Final = threading.get_ident()
        self.main: Final = Fiber("the main program", getcurrent())
        self.current: Fiber = self.main
        #: Those that can run; the first one does, unless the order says otherwise.
        self.ready: Final[deque[Fiber]] = deque()
        self.timeouts: Final[list[tuple[float, int, Parker]]] = []
        self.outside: Final = Outside()
        self.pump: Final = Pump(self)
        #: Whose turn it is, as the core sees it.
        self.slot: Final = activity_slot()
        self.main.state = self.slot["activity"]
        self.order = order
        #: Where it is recorded who ran, and where it was interrupted; None: nowhere.
        self.steps: list[tuple[str, str]] | None = None
        #: Those whose workers are fibers.
        self.engines: weakref.WeakSet[Any] = weakref.WeakSet()
        self._fibers: list[Fiber] = []
        self._free: list[Fiber] = []
        self._numbers = itertools.count()
        self._closing = False
        self._pid = os.getpid()
        #: Whether it waits until somebody can run.
        self.idle: bool = False
        #: The files that are worth to be recorded also where they are ours.
        self.files: frozenset[str] = frozenset()
        #: How many operations the one that runs is in that nobody else may see half done.
        self.undivided: int = 0
        if watched:
            watch(self)

    def caller(self) -> Fiber:
        """The fiber that calls; UnsupportedError in another thread."""
        fiber = self.current
        if getcurrent() is not fiber.greenlet:
            if threading.get_ident() != self.thread:
                raise UnsupportedError(
                    "dummy", "use from a second thread: all that it runs shares the thread that opened it"
                )
            fiber = self.current = self._find_caller()
        return fiber

    def _find_caller(self) -> Fiber:
        calling = getcurrent()
        for fiber in (self.main, *self._fibers):  # a signal handler comes in between a switch and what follows it
            if fiber.greenlet is calling:
                return fiber
        # One that is none of ours, such as a task of another dummy backend, stands for the main program.
        self.main.greenlet, self.main.switch, self.main.state = calling, calling.switch, self.slot["activity"]
        return self.main

    # For those that run.

    def parker(self) -> Parker:
        """What blocks a fiber."""
        return Parker(self)

    def sleep(self, seconds: float) -> None:
        """Block the calling fiber so long; others go on in any case."""
        self.caller()
        if seconds > 0:
            Parker(self).wait(seconds)
        else:
            self.give_way()

    def run(self, job: Callable[[], None], title: str, *, daemon: bool = False) -> None:
        """
        Start *job* in a fiber of its own.

        Without an order it runs at once, until it first blocks; *job* never raises.
        """
        self.caller()
        fiber = self._free.pop() if self._free else self._new_fiber()
        fiber.begin(job, title, ActivityState(), daemon=daemon)
        self.enter(fiber)

    def has_job(self, job: Callable[[], None]) -> bool:
        """Whether *job* runs, or is to run."""
        return any(fiber.job is job for fiber in self._fibers)

    def enter(self, fiber: Fiber) -> None:
        """Have *fiber*, which is free, go on before the caller does, where no order says otherwise."""
        try:
            if self.order is None:
                self.ready.appendleft(self.current)
                self._switch(fiber)
            else:
                self.ready.append(fiber)
                self.pump.attend()
                self.pause()
        except KeyboardInterrupt:
            self.resume(self.caller())
            self.recover()
            raise

    def leave(self) -> None:
        """Let others run until somebody has the caller, who is free from here on, go on."""
        self._go_on()

    def pause(self) -> None:
        """A point where another fiber may go on, if there is an order that says so."""
        if self.order is not None:
            self.give_way()

    def give_way(self) -> None:
        """Let another one go on."""
        self._go_on(again=True)

    def drain(self) -> None:
        """Let the others run until none of them can."""
        self.caller()
        self._look()
        while self.ready:
            self.give_way()

    def block(self, fiber: Fiber, parker: Parker, timeout: float | None) -> None:
        """Let others run until *parker* is released, at the latest after *timeout* seconds."""
        if timeout is not None:
            heapq.heappush(self.timeouts, (self.clock.now() + timeout, next(self._numbers), parker))
        fiber.parker = parker
        self.pump.attend()
        try:
            self._go_on()
            while parker.fiber is fiber:  # an interrupt had it go on too early
                self._go_on()
        finally:
            fiber.parker = None

    def wait_ready(
        self, descriptors: Mapping[int, int], timeout: float | None, *, local: bool
    ) -> list[tuple[int, int]]:
        """See :meth:`manyhands.Backend.wait_ready`."""
        self.caller()
        self.pause()
        ready = ready_now(descriptors)
        if not ready and (timeout is None or timeout > 0):
            parker = Parker(self)
            self.outside.watch(parker, descriptors, local)
            try:
                parker.wait(timeout)
            finally:
                self.outside.forget(parker)
            ready = ready_now(descriptors)
        return ready

    def close(self) -> None:
        """End every fiber; those that are blocked get an ExecutorClosedError."""
        if self._pid != os.getpid():
            return  # a forked child has copies of them: what they would still do is the parent's to do
        forget(self)
        if self.current is not self.main:  # a callback closes the backend: they end when somebody waits
            self._tell_closed()
            return
        self.drain()
        self._closing = True
        self._tell_closed()
        self.ready.clear()
        for fiber in tuple(self._fibers):
            for _ in range(_LAST_STEPS):  # it may block again while it ends
                if not fiber.greenlet.dead:
                    self._switch(fiber)
            while not fiber.greenlet.dead:  # it has nobody to tell it: an executor that could not be closed
                fiber.greenlet.throw()
                self.resume(self.main)
        self._fibers.clear()
        self._free.clear()
        self.timeouts.clear()
        self.outside.close()

    def _tell_closed(self) -> None:
        for fiber in self._fibers:
            if fiber.parker is not None and fiber is not self.current:
                fiber.error = ExecutorClosedError("the dummy backend was closed")
                fiber.parker.release()

    # Switching.

    def _new_fiber(self) -> Fiber:
        fiber = Fiber("", greenlet(lambda: self._life(fiber), self.main.greenlet))
        self._fibers.append(fiber)
        return fiber

    def _revive(self, fiber: Fiber) -> None:
        """An interrupt was quicker than its first step, and so ended it."""
        fiber.greenlet = greenlet(lambda: self._life(fiber), self.main.greenlet)
        fiber.switch = fiber.greenlet.switch

    def _life(self, fiber: Fiber) -> None:
        """A fiber runs one job after the other: to make one costs more than to run a short job."""
        self.current = fiber
        self.slot["activity"] = fiber.state
        while not (self._closing and fiber.job is None):
            try:
                if fiber.job is not None:  # else somebody had it go on by mistake
                    fiber.job()
                    fiber.job = None
                    self._free.append(fiber)
                self._switch(self._next())
            except KeyboardInterrupt as error:  # between two jobs, or at the edge of one
                self.interrupt_main(error)

    def _switch(self, fiber: Fiber) -> None:
        me = self.current
        if fiber is not me:
            try:
                if self.steps is not None:
                    self._record(me)
                self.pump.leave(me, fiber)
                fiber.switch()
                # Who goes on says so: until then, whoever comes in between finds the one that has run.
                self.current = me
                self.slot["activity"] = me.state
            except BaseException:  # an interrupt
                self.resume(me)
                raise
            self.pump.come_back(me)
        if me.error is not None:
            self.raise_error(me)

    def resume(self, fiber: Fiber) -> None:
        """*fiber*, which runs, is the current one, whatever was begun."""
        self.current = fiber
        self.slot["activity"] = fiber.state
        while fiber in self.ready:
            self.ready.remove(fiber)

    def _go_on(self, *, again: bool = False) -> None:
        """Let the next one run; the caller, who may have a turn *again*, goes on too early after an interrupt."""
        try:
            if again:
                self.ready.append(self.current)
            self._switch(self._next())
        except KeyboardInterrupt as error:
            self.resume(self.caller())
            if self.current is self.main:
                self.recover()
                raise
            self.interrupt_main(error)

    def interrupt_main(self, error: KeyboardInterrupt) -> None:
        """Ctrl-C is for the main program: raise *error* there when it goes on, and have it go on."""
        self.caller()  # so that it is known who runs
        self.main.error = error.with_traceback(None)
        if self.main.parker is not None:
            self.main.parker.release()
        self.recover()

    def recover(self) -> None:
        """After an interrupt in the middle of a switch: who was to run is to run still."""
        resting = {fiber for engine in tuple(self.engines) for fiber in engine.recover()}
        for fiber in (self.main, *self._fibers):
            if fiber is not self.main and fiber.greenlet.dead and not self._closing:
                self._revive(fiber)
            begun = fiber is self.main or fiber.job is not None
            blocked = fiber.parker is not None and fiber.parker.fiber is fiber
            if begun and not blocked and fiber is not self.current and fiber not in resting and fiber not in self.ready:
                self.ready.append(fiber)

    def raise_error(self, fiber: Fiber) -> None:
        """Raise what *fiber*, which goes on, was told meanwhile."""
        error, fiber.error = fiber.error, None
        assert error is not None
        raise error

    def _record(self, me: Fiber) -> None:
        self.undivided += 1  # names are made by code that may be explored, too
        where = place(me, self.files) if me.job or me is self.main else "its end"
        if self.steps is not None:
            self.steps.append((me.name, where))
        self.undivided -= 1

    def _next(self) -> Fiber:
        """The one that runs next; lets time pass where nobody can run."""
        self._look()
        while not self.ready:
            if self._closing:
                return self.main
            try:
                self.idle = True
                self._idle()
            except KeyboardInterrupt as error:
                # Whoever blocked last happens to do the waiting.
                if self.caller() is self.main:
                    raise
                self.interrupt_main(error)
            finally:
                self.idle = False
        return self.ready.popleft() if self.order is None else self.order.choose(self.ready)

    def _look(self) -> None:
        """Release those for whom something has come."""
        if self.timeouts and self.clock.runs:
            self.release_late()
        if self.outside.expected:
            self.outside.look()

    def _idle(self) -> None:
        """Nobody can run: wait until somebody can."""
        timeouts = self.timeouts
        while timeouts and timeouts[0][2].fiber is None:
            heapq.heappop(timeouts)
        when = timeouts[0][0] if timeouts else None
        if self.outside.may_come():
            # Then even virtual time takes its time: what comes from outside does not hurry.
            if not self.outside.wait(None if when is None else when - self.clock.now()) and when is not None:
                self.clock.wait_until(when)
            self.outside.look()
        elif when is not None:
            self.clock.wait_until(when)
        else:
            self._tell_deadlock()
            return
        if when is not None:
            self.release_late()

    def release_late(self) -> None:
        """Release those whose time has run out."""
        now = self.clock.now()
        while self.timeouts and self.timeouts[0][0] <= now:
            heapq.heappop(self.timeouts)[2].release()

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
