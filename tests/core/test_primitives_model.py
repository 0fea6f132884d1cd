"""
Every primitive against a model in plain Python, driven by hypothesis.

First the bare state machines, with several clients that wait, give up, are interrupted or die at
any moment. Then the same rules without waiting, on what users hold: the hosted faces, and the
native objects of the threading backend.
"""

import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import manyhands
from manyhands import primitives
from manyhands.contract.support import Background, eventually
from manyhands.primitives import WAIT, Request

fault = pytest.mark.fault

CLIENTS = ("a", "b", "c", "d")
clients = st.sampled_from(CLIENTS)
GATE = settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
#: A failure is made small before it is shown, and that takes its time.
pytestmark = pytest.mark.timeout(240, method="thread")


class Model(RuleBasedStateMachine):
    """
    What all have in common: clients that wait, whose answer is there, or who are free to ask.

    A client whose request was answered has not seen the answer yet: it receives it, or is
    interrupted before it does, and then the answer must be taken back.
    """

    machine: Any

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[Hashable, Request] = {}
        self.answered: dict[Hashable, Request] = {}
        #: What the model says must be granted by the step under way, in this order.
        self.expected: list[tuple[str, Any]] = []

    def free(self, client: str) -> bool:
        return client not in self.waiting and client not in self.answered

    def ask(self, client: str, operation: str, *args: Any, machine: Any = None) -> Any:
        """The answer, the class of the error, or WAIT."""
        request = Request(client)
        answer = outcome(lambda: getattr(machine or self.machine, operation)(request, *args))
        if answer is WAIT:
            self.waiting[client] = request
        self.collect()
        return answer

    def end(self, client: str, how: str, machine: Any = None) -> Any:
        """``give_up`` or ``retract`` of the request of *client*."""
        request = self.waiting.get(client) or self.answered[client]
        answer = outcome(lambda: getattr(machine or self.machine, how)(request))
        if answer is not WAIT:
            self.waiting.pop(client, None)
            self.answered.pop(client, None)
        self.collect()
        return answer

    def collect(self) -> None:
        """Whoever was granted something waited for it, and it is what the model says."""
        granted = []
        for request in self.machine.granted:
            assert request.answered
            assert self.waiting.pop(request.client) is request
            self.answered[request.client] = request
            granted.append((request.client, type(request.error) if request.error is not None else request.value))
        self.machine.granted.clear()
        assert granted == self.expected
        self.expected = []

    def receives(self, client: str) -> Any:
        """*client* sees its answer."""
        request = self.answered.pop(client)
        return type(request.error) if request.error is not None else request.value

    @rule(client=clients)
    def receive(self, client: str) -> None:
        if client in self.answered:
            self.received(client, self.receives(client))

    def received(self, client: str, answer: Any) -> None:
        """For a model that must know."""

    @invariant()
    def nobody_waits_twice(self) -> None:
        waiting = [request.client for request in self.machine.waiting()]
        assert len(waiting) == len(set(waiting))


def outcome(call: Callable[[], Any]) -> Any:
    """What it returns, or the class of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error)


class LockModel(Model):
    """Held by one; handed on in the order of waiting; anybody may release it."""

    reentrant: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.machine = primitives.RLock() if self.reentrant else primitives.Lock()
        self.owner: str | None = None
        self.count = 0
        self.line: list[str] = []

    def take(self, client: str) -> None:
        self.owner, self.count = client, 1

    def hand_on(self) -> None:
        self.owner, self.count = None, 0
        if self.line:
            self.take(self.line.pop(0))
            self.expected.append((str(self.owner), True))

    @rule(client=clients, blocking=st.booleans())
    def acquire(self, client: str, blocking: bool) -> None:
        if not self.free(client):
            return
        if self.owner is None:
            self.take(client)
            expected: Any = True
        elif self.reentrant and self.owner == client:
            self.count += 1
            expected = True
        elif blocking:
            self.line.append(client)
            expected = WAIT
        else:
            expected = False
        assert self.ask(client, "acquire", blocking) is expected

    @rule(client=clients)
    def release(self, client: str) -> None:
        if not self.free(client):
            return
        may = self.owner == client if self.reentrant else self.owner is not None
        if may:
            self.count -= 1
            if not self.count:
                self.hand_on()
        assert self.ask(client, "release") is (None if may else RuntimeError)

    @rule(client=clients)
    def give_up(self, client: str) -> None:
        if client in self.waiting:
            self.line.remove(client)
            assert self.end(client, "give_up") is False

    @rule(client=clients)
    def interrupt(self, client: str) -> None:
        if client in self.waiting:
            self.line.remove(client)
        elif client not in self.answered:
            return
        elif self.owner == client:
            self.hand_on()
        assert self.end(client, "retract") is None

    @rule(client=clients)
    def die(self, client: str) -> None:
        if client in self.answered:
            return
        if client in self.waiting:
            self.line.remove(client)
            del self.waiting[client]
        if self.owner == client:
            self.hand_on()
        self.machine.abandon(client)
        self.collect()

    @invariant()
    def it_says_the_same(self) -> None:
        assert self.machine.locked(Request("nobody")) is (self.owner is not None)
        assert self.machine.holders() == (() if self.owner is None else (self.owner,))
        assert [request.client for request in self.machine.waiting()] == self.line
        assert self.owner is not None or not self.line


class RLockModel(LockModel):
    """The same, held as often as its owner likes, and released by nobody else."""

    reentrant = True


class ConditionModel(Model):
    """
    Under a lock of either kind: whoever waits gives the lock away whole, and is answered when it
    holds it again, in the order of notification.
    """

    reentrant: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.lock = primitives.RLock() if self.reentrant else primitives.Lock()
        self.machine = primitives.Condition(self.lock)
        self.owner: str | None = None
        self.count = 0
        #: Who waits for the lock: how often it is to be held, and what is answered then.
        self.line: list[tuple[str, int, bool]] = []
        #: Who waits for a notification, and how often it had the lock.
        self.sleeping: list[tuple[str, int]] = []
        #: Whose last call was a wait.
        self.waiters: set[str] = set()

    def hand_on(self) -> None:
        self.owner, self.count = None, 0
        if self.line:
            self.owner, self.count, answer = self.line.pop(0)
            self.expected.append((self.owner, answer))

    def wake(self, client: str, count: int, answer: bool) -> None:
        if self.owner is None:
            self.owner, self.count = client, count
            self.expected.append((client, answer))
        else:
            self.line.append((client, count, answer))

    def holds(self, client: str) -> bool:
        return self.owner == client if self.reentrant else self.owner is not None

    @rule(client=clients)
    def acquire(self, client: str) -> None:
        if not self.free(client):
            return
        if self.owner is None:
            self.owner, self.count = client, 1
            expected: Any = True
        elif self.reentrant and self.owner == client:
            self.count += 1
            expected = True
        else:
            self.line.append((client, 1, True))
            expected = WAIT
        self.waiters.discard(client)
        assert self.ask(client, "acquire", machine=self.lock) is expected

    @rule(client=clients)
    def release(self, client: str) -> None:
        if not self.free(client):
            return
        may = self.holds(client)
        if may:
            self.count -= 1
            if not self.count:
                self.hand_on()
        assert self.ask(client, "release", machine=self.lock) is (None if may else RuntimeError)

    @rule(client=clients)
    def wait(self, client: str) -> None:
        if not self.free(client):
            return
        may = self.holds(client)
        self.waiters.add(client)
        if may:
            self.sleeping.append((client, self.count))
            self.hand_on()
        assert self.ask(client, "wait") is (WAIT if may else RuntimeError)

    @rule(client=clients, n=st.one_of(st.none(), st.integers(1, 3)))
    def notify(self, client: str, n: int | None) -> None:
        if not self.free(client):
            return
        may = self.holds(client)
        if may:
            for _ in range(len(self.sleeping) if n is None else min(n, len(self.sleeping))):
                sleeper, count = self.sleeping.pop(0)
                self.wake(sleeper, count, True)
        assert self.ask(client, "notify", n) is (None if may else RuntimeError)

    @rule(client=clients, how=st.sampled_from(["give_up", "retract"]))
    def end_the_wait(self, client: str, how: str) -> None:
        """It must have the lock again in every case: it is inside of a ``with``."""
        sleeping = dict(self.sleeping)
        if client not in sleeping:
            return
        self.sleeping.remove((client, sleeping[client]))
        self.wake(client, sleeping[client], False)
        assert self.end(client, how) is WAIT

    @rule(client=clients, how=st.sampled_from(["give_up", "retract"]))
    def end_the_wait_too_late(self, client: str, how: str) -> None:
        """It was notified, and waits for the lock only: it gets both."""
        if client in self.notified():
            assert self.end(client, how) is WAIT

    @rule(client=clients, how=st.sampled_from(["give_up", "retract"]))
    def end_an_acquire(self, client: str, how: str) -> None:
        """Whoever wants the lock without having waited may go."""
        if client in {waiter for waiter, _, _ in self.line} - self.notified():
            self.line = [entry for entry in self.line if entry[0] != client]
            assert self.end(client, how, machine=self.lock) is (False if how == "give_up" else None)

    def notified(self) -> set[str]:
        """Those in line for the lock whose call was a wait."""
        return self.waiters & {client for client, request in self.waiting.items() if request in self.lock.line}

    @rule(client=clients)
    def die(self, client: str) -> None:
        if client in self.answered:
            return
        self.waiting.pop(client, None)
        self.sleeping = [entry for entry in self.sleeping if entry[0] != client]
        self.line = [entry for entry in self.line if entry[0] != client]
        if self.owner == client:
            self.hand_on()
        self.machine.abandon(client)
        self.collect()

    @invariant()
    def everybody_is_where_the_model_has_them(self) -> None:
        assert [request.client for request in self.machine.waiting()] == [client for client, _ in self.sleeping]
        assert [request.client for request in self.lock.waiting()] == [client for client, _, _ in self.line]
        assert self.lock.locked(Request("nobody")) is (self.owner is not None)
        assert self.owner is not None or not self.line


class ConditionUnderRLockModel(ConditionModel):
    """The same under an rlock, which may be held several times."""

    reentrant = True


class SemaphoreModel(Model):
    """Permits are conserved when each client gives back what it took, whoever dies."""

    start: ClassVar[int] = 2
    bounded: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.machine = primitives.Semaphore(self.start, bounded=self.bounded)
        self.held: Counter[str] = Counter()
        self.line: list[str] = []

    @property
    def left(self) -> int:
        return self.start - self.held.total()

    def give_back(self, client: str, n: int) -> None:
        self.held[client] -= n
        while self.left and self.line:
            waiter = self.line.pop(0)
            self.held[waiter] += 1
            self.expected.append((waiter, True))

    @rule(client=clients, blocking=st.booleans())
    def acquire(self, client: str, blocking: bool) -> None:
        if not self.free(client):
            return
        expected: Any
        if self.left:
            self.held[client] += 1
            expected = True
        elif blocking:
            self.line.append(client)
            expected = WAIT
        else:
            expected = False
        assert self.ask(client, "acquire", blocking) is expected

    @rule(client=clients, n=st.integers(1, 2))
    def release(self, client: str, n: int) -> None:
        if self.free(client) and self.held[client] >= n:
            self.give_back(client, n)
            assert self.ask(client, "release", n) is None

    @rule(client=clients, n=st.integers(-1, 0))
    def release_nothing(self, client: str, n: int) -> None:
        if self.free(client):
            assert self.ask(client, "release", n) is ValueError

    @precondition(lambda self: self.bounded)
    @rule(client=clients)
    def release_too_much(self, client: str) -> None:
        if self.free(client):
            assert self.ask(client, "release", self.start - self.left + 1) is ValueError

    @rule(client=clients)
    def give_up(self, client: str) -> None:
        if client in self.waiting:
            self.line.remove(client)
            assert self.end(client, "give_up") is False

    @rule(client=clients)
    def interrupt(self, client: str) -> None:
        if client in self.waiting:
            self.line.remove(client)
        elif client in self.answered:
            self.give_back(client, 1)
        else:
            return
        assert self.end(client, "retract") is None

    @rule(client=clients)
    def die(self, client: str) -> None:
        if client in self.answered:
            return
        if client in self.waiting:
            self.line.remove(client)
            del self.waiting[client]
        self.give_back(client, self.held[client])
        self.machine.abandon(client)
        self.collect()

    @invariant()
    def permits_are_conserved(self) -> None:
        assert self.machine.get_value(Request("nobody")) == self.left
        assert set(self.machine.holders()) == {client for client, held in self.held.items() if held}
        assert [request.client for request in self.machine.waiting()] == self.line
        assert not (self.left and self.line)


class BoundedSemaphoreModel(SemaphoreModel):
    """The same with a bound."""

    bounded = True


class SignallingModel(Model):
    """A semaphore that starts at 0: some wait, others release; each release lets one go."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = primitives.Semaphore(0)
        self.signals = 0
        self.line: list[str] = []

    @rule(client=clients)
    def acquire(self, client: str) -> None:
        if not self.free(client):
            return
        if self.signals:
            self.signals -= 1
            expected: Any = True
        else:
            self.line.append(client)
            expected = WAIT
        assert self.ask(client, "acquire", True) is expected

    @rule(client=clients, n=st.integers(1, 3))
    def release(self, client: str, n: int) -> None:
        if not self.free(client):
            return
        self.signals += n
        while self.signals and self.line:
            self.signals -= 1
            self.expected.append((self.line.pop(0), True))
        assert self.ask(client, "release", n) is None

    @rule(client=clients)
    def die(self, client: str) -> None:
        """A signal that was received is not given back."""
        if client in self.answered:
            return
        if client in self.waiting:
            self.line.remove(client)
            del self.waiting[client]
        self.machine.abandon(client)
        self.collect()

    @invariant()
    def no_signal_is_lost_or_doubled(self) -> None:
        assert self.machine.get_value(Request("nobody")) == self.signals


class EventModel(Model):
    """Set wakes all, in order; a set one keeps nobody."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = primitives.Event()
        self.flag = False
        self.line: list[str] = []

    @rule(client=clients)
    def wait(self, client: str) -> None:
        if not self.free(client):
            return
        if not self.flag:
            self.line.append(client)
        assert self.ask(client, "wait") is (True if self.flag else WAIT)

    @rule(client=clients)
    def set(self, client: str) -> None:
        if not self.free(client):
            return
        self.flag = True
        self.expected = [(waiter, True) for waiter in self.line]
        self.line = []
        assert self.ask(client, "set") is None

    @rule(client=clients)
    def clear(self, client: str) -> None:
        if self.free(client):
            self.flag = False
            assert self.ask(client, "clear") is None

    @rule(client=clients)
    def give_up(self, client: str) -> None:
        if client in self.waiting:
            self.line.remove(client)
            assert self.end(client, "give_up") is False

    @rule(client=clients)
    def interrupt(self, client: str) -> None:
        if client in self.waiting:
            self.line.remove(client)
        elif client not in self.answered:
            return
        assert self.end(client, "retract") is None

    @rule(client=clients)
    def die(self, client: str) -> None:
        if client in self.waiting:
            self.line.remove(client)
            del self.waiting[client]
        self.answered.pop(client, None)
        self.machine.abandon(client)
        self.collect()

    @invariant()
    def it_says_the_same(self) -> None:
        assert self.machine.is_set(Request("nobody")) is self.flag
        assert [request.client for request in self.machine.waiting()] == self.line
        assert not (self.flag and self.line)


class BarrierModel(Model):
    """Whoever is last lets all go, each with a number of its own; whoever leaves breaks it."""

    parties: ClassVar[int] = 3
    has_action: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.machine = primitives.Barrier(self.parties, self.has_action)
        self.line: list[str] = []
        #: Who came while the action was run.
        self.late: list[str] = []
        #: Whose time ended meanwhile.
        self.overdue: set[str] = set()
        #: Whose action it no longer is: the barrier was broken or reset under it.
        self.outdated: str | None = None
        self.acting: str | None = None
        self.broken = False

    def free(self, client: str) -> bool:
        return super().free(client) and client not in (self.acting, self.outdated)

    def meet(self) -> None:
        self.expected += [(client, index) for index, client in enumerate(self.line)]
        self.line = []

    def break_it(self) -> None:
        self.expected += [(client, threading.BrokenBarrierError) for client in (*self.line, *self.late)]
        self.outdated = self.acting or self.outdated
        self.line, self.late, self.acting, self.broken = [], [], None, True
        self.overdue.clear()

    def come(self, client: str) -> Any:
        if self.broken:
            return threading.BrokenBarrierError
        if self.acting is not None:
            self.late.append(client)
            return WAIT
        if len(self.line) + 1 < self.parties:
            self.line.append(client)
            return WAIT
        if self.has_action:
            self.acting = client
            return None
        self.meet()
        return self.parties - 1

    @rule(client=clients)
    def wait(self, client: str) -> None:
        if self.free(client):
            expected = self.come(client)
            assert self.ask(client, "wait") == expected

    @precondition(lambda self: self.acting is not None)
    @rule()
    def the_action_returns(self) -> None:
        actor, self.acting = str(self.acting), None
        self.meet()
        late, self.late = self.late, []
        for client in late:
            answer = self.come(client)
            if answer is not WAIT:
                self.expected.append((client, answer))
        if self.acting is None and self.overdue.intersection(self.line):
            self.break_it()
        self.overdue.intersection_update(self.waiting, self.line + self.late)
        acting, self.acting = self.acting, None  # so that the actor may ask
        answer = self.ask(actor, "done")
        assert answer == self.parties - 1
        if acting is not None and acting in self.answered:
            assert self.receives(acting) is None  # it runs the action of the next meeting
        self.acting = acting

    @precondition(lambda self: self.acting is not None)
    @rule()
    def the_action_fails(self) -> None:
        actor = str(self.acting)
        self.break_it()
        self.outdated = None
        assert self.ask(actor, "failed") is None

    @precondition(lambda self: self.outdated is not None)
    @rule(how=st.sampled_from(["done", "failed"]))
    def the_action_ends_too_late(self, how: str) -> None:
        actor, self.outdated = str(self.outdated), None
        assert self.ask(actor, how) is (threading.BrokenBarrierError if how == "done" else None)

    @rule(client=clients)
    def abort(self, client: str) -> None:
        if self.free(client):
            self.break_it()
            assert self.ask(client, "abort") is None

    @rule(client=clients)
    def reset(self, client: str) -> None:
        if self.free(client):
            self.break_it()
            self.broken = False
            assert self.ask(client, "reset") is None

    @rule(client=clients)
    def give_up(self, client: str) -> None:
        if client not in self.waiting:
            return
        if self.acting is not None:  # everybody is there, or this one is not up yet
            self.overdue.add(client)
            assert self.end(client, "give_up") is WAIT
            return
        self.line.remove(client)
        self.break_it()
        assert self.end(client, "give_up") is threading.BrokenBarrierError

    @rule(client=clients)
    def interrupt(self, client: str) -> None:
        if client in self.waiting:
            for line in (self.line, self.late):
                if client in line:
                    line.remove(client)
            self.break_it()
        elif client not in self.answered:
            return
        assert self.end(client, "retract") is None

    @rule(client=clients)
    def die(self, client: str) -> None:
        if client in self.answered:
            return
        if client in self.waiting or client == self.acting:
            self.waiting.pop(client, None)
            for line in (self.line, self.late):
                if client in line:
                    line.remove(client)
            self.break_it()
        self.machine.abandon(client)
        self.collect()

    @invariant()
    def it_says_the_same(self) -> None:
        there = len(self.line) + (self.acting is not None)
        assert self.machine.state(Request("nobody")) == (self.parties, there, self.broken)
        assert [request.client for request in self.machine.waiting()] == [*self.line, *self.late]
        assert len(self.line) < self.parties


class BarrierWithActionModel(BarrierModel):
    """The same when the last to come runs an action first."""

    parties = 2
    has_action = True


class QueueModel(Model):
    """Nothing is lost or doubled; getters and putters are served in the order in which they came."""

    maxsize: ClassVar[int] = 0
    kind: ClassVar[type[primitives.Queue]] = primitives.Queue

    def __init__(self) -> None:
        super().__init__()
        self.machine = self.kind(self.maxsize)
        self.items: list[int] = []
        self.getters: list[str] = []
        self.putters: list[tuple[str, int]] = []
        self.joiners: list[str] = []
        self.unfinished = 0
        self.shut = False
        self.next_item = 0
        self.taken: list[int] = []
        self.dropped: list[int] = []
        self.put_in: list[int] = []

    # The order.

    def best(self) -> int:
        return 0

    def put_back(self, item: int) -> None:
        self.items.insert(0, item)

    # The model's own steps.

    def full(self) -> bool:
        return 0 < self.maxsize <= len(self.items)

    def add(self, item: int) -> None:
        self.put_in.append(item)
        self.unfinished += 1
        self.items.append(item)
        if self.getters:
            self.give(self.getters.pop(0), self.items.pop(self.best()))

    def give(self, getter: str, item: int) -> None:
        self.expected.append((getter, item))

    def finish(self, n: int) -> None:
        self.unfinished -= n
        if not self.unfinished:
            self.expected += [(joiner, None) for joiner in self.joiners]
            self.joiners = []

    # Rules.

    @rule(client=clients, block=st.booleans(), key=st.integers(0, 9))
    def put(self, client: str, block: bool, key: int) -> None:
        if not self.free(client):
            return
        self.next_item += 1
        item = key * 1000 + self.next_item  # for the order by priority; no two are equal
        expected: Any
        if self.shut:
            expected = manyhands.ShutDown
        elif not self.full():
            self.add(item)
            expected = None
        elif block:
            self.putters.append((client, item))
            expected = WAIT
        else:
            expected = manyhands.Full
        assert self.ask(client, "put", item, block) is expected

    @rule(client=clients, block=st.booleans())
    def get(self, client: str, block: bool) -> None:
        if not self.free(client):
            return
        expected: Any
        if self.items:
            expected = self.items.pop(self.best())
            self.taken.append(expected)
            if self.putters:
                putter, item = self.putters.pop(0)
                self.add(item)
                self.expected.append((putter, None))
        elif self.shut:
            expected = manyhands.ShutDown
        elif block:
            self.getters.append(client)
            expected = WAIT
        else:
            expected = manyhands.Empty
        answer = self.ask(client, "get", block)
        assert answer is expected or answer == expected

    def received(self, client: str, answer: Any) -> None:
        if isinstance(answer, int):
            self.taken.append(answer)

    @rule(client=clients)
    def task_done(self, client: str) -> None:
        if not self.free(client):
            return
        may = self.unfinished > 0
        if may:
            self.finish(1)
        assert self.ask(client, "task_done") is (None if may else ValueError)

    @rule(client=clients)
    def join(self, client: str) -> None:
        if not self.free(client):
            return
        if self.unfinished:
            self.joiners.append(client)
        assert self.ask(client, "join") is (WAIT if self.unfinished else None)

    @rule(client=clients, immediate=st.booleans())
    def shutdown(self, client: str, immediate: bool) -> None:
        if not self.free(client):
            return
        self.shut = True
        if immediate:
            # As in the standard library: what was dropped is dealt with, as far as any is left to be.
            dealt_with = min(len(self.items), self.unfinished)
            self.dropped += self.items
            self.items = []
            self.finish(dealt_with)
        self.expected += [(getter, manyhands.ShutDown) for getter in self.getters]
        self.expected += [(putter, manyhands.ShutDown) for putter, _ in self.putters]
        self.getters, self.putters = [], []
        assert self.ask(client, "shutdown", immediate) is None

    @rule(client=clients)
    def give_up(self, client: str) -> None:
        if client in self.getters:
            self.getters.remove(client)
            assert self.end(client, "give_up") is manyhands.Empty
        elif client in dict(self.putters):
            self.putters = [entry for entry in self.putters if entry[0] != client]
            assert self.end(client, "give_up") is manyhands.Full

    @rule(client=clients)
    def interrupt(self, client: str) -> None:
        if client in self.waiting:
            self.forget(client)
        elif client in self.answered:
            item = self.answered[client].value
            if item is not None:  # it goes to the next, or back to where it was
                if self.getters:
                    self.give(self.getters.pop(0), item)
                else:
                    self.put_back(item)
        else:
            return
        assert self.end(client, "retract") is None

    @rule(client=clients)
    def die(self, client: str) -> None:
        if client in self.answered:
            return
        if client in self.waiting:
            self.forget(client)
            del self.waiting[client]
        self.machine.abandon(client)
        self.collect()

    def forget(self, client: str) -> None:
        self.getters = [getter for getter in self.getters if getter != client]
        self.putters = [entry for entry in self.putters if entry[0] != client]
        self.joiners = [joiner for joiner in self.joiners if joiner != client]

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        under_way = [
            request.value for request in self.answered.values() if request.error is None and request.value is not None
        ]
        assert Counter(self.put_in) == Counter([*self.items, *self.taken, *self.dropped, *under_way])

    @invariant()
    def it_says_the_same(self) -> None:
        nobody = Request("nobody")
        assert self.machine.qsize(nobody) == len(self.items)
        assert self.machine.full(nobody) is self.full()
        lines = [*self.getters, *(putter for putter, _ in self.putters), *self.joiners]
        assert [request.client for request in self.machine.waiting()] == lines
        assert not (self.items and self.getters)
        assert self.full() or not self.putters


class NarrowQueueModel(QueueModel):
    """The same with room for two."""

    maxsize = 2


class LifoQueueModel(QueueModel):
    """Last in, first out, with room for two."""

    maxsize = 2
    kind = primitives.LifoQueue

    def best(self) -> int:
        return len(self.items) - 1

    def put_back(self, item: int) -> None:
        self.items.append(item)


class PriorityQueueModel(QueueModel):
    """Lowest first, with room for two."""

    maxsize = 2
    kind = primitives.PriorityQueue

    def best(self) -> int:
        return self.items.index(min(self.items))


MACHINES = (
    LockModel,
    RLockModel,
    ConditionModel,
    ConditionUnderRLockModel,
    SemaphoreModel,
    BoundedSemaphoreModel,
    SignallingModel,
    EventModel,
    BarrierModel,
    BarrierWithActionModel,
    QueueModel,
    NarrowQueueModel,
    LifoQueueModel,
    PriorityQueueModel,
)


@pytest.mark.parametrize("model", MACHINES, ids=lambda model: model.__name__)
def test_the_bare_machine(model: type[Model]) -> None:
    """The machine answers, grants and refuses as the model says, whatever its clients do."""
    run(model)


def run(model: type[RuleBasedStateMachine]) -> None:
    run_state_machine_as_test(model, settings=GATE)


# What users hold, without waiting.


class FaceModel(RuleBasedStateMachine):
    """A primitive as a backend hands it out, used by one activity that never waits."""

    backend: ClassVar[Any]

    def make(self, name: str, *args: Any) -> Any:
        return getattr(self.backend, name)(*args)


class LockFace(FaceModel):
    """Taken once, released once."""

    kind: ClassVar[str] = "lock"

    def __init__(self) -> None:
        super().__init__()
        self.lock = self.make(self.kind)
        self.count = 0

    @rule(timeout=st.sampled_from([None, 0]))
    def acquire(self, timeout: float | None) -> None:
        expected = self.kind == "rlock" or not self.count
        answer = self.lock.acquire(blocking=False) if timeout is None else self.lock.acquire(timeout=timeout)
        assert answer is expected
        self.count += expected

    @rule()
    def release(self) -> None:
        assert outcome(self.lock.release) is (None if self.count else RuntimeError)
        self.count = max(0, self.count - 1)

    @invariant()
    def locked(self) -> None:
        assert self.lock.locked() is (self.count > 0)

    def teardown(self) -> None:
        for _ in range(self.count):
            self.lock.release()


class RLockFace(LockFace):
    """Taken any number of times."""

    kind = "rlock"


class SemaphoreFace(FaceModel):
    """Counts; the bounded one up to its start."""

    kind: ClassVar[str] = "semaphore"

    def __init__(self) -> None:
        super().__init__()
        self.semaphore = self.make(self.kind, 3)
        self.value = 3

    @rule(timeout=st.sampled_from([None, 0]))
    def acquire(self, timeout: float | None) -> None:
        ask = {"blocking": False} if timeout is None else {"timeout": timeout}
        assert self.semaphore.acquire(**ask) is (self.value > 0)
        self.value = max(0, self.value - 1)

    @rule(n=st.integers(-1, 3))
    def release(self, n: int) -> None:
        may = n >= 1 and (self.kind == "semaphore" or self.value + n <= 3)
        assert outcome(lambda: self.semaphore.release(n)) is (None if may else ValueError)
        self.value += n if may else 0


class BoundedSemaphoreFace(SemaphoreFace):
    """With a bound."""

    kind = "bounded_semaphore"


class EventFace(FaceModel):
    """A flag."""

    def __init__(self) -> None:
        super().__init__()
        self.event = self.make("event")
        self.flag = False

    @rule(flag=st.booleans())
    def change(self, flag: bool) -> None:
        (self.event.set if flag else self.event.clear)()
        self.flag = flag

    @invariant()
    def says_so(self) -> None:
        assert self.event.is_set() is self.flag
        assert self.event.wait(0) is self.flag


class BarrierFace(FaceModel):
    """A barrier of one, which may be broken."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = self.make("barrier", 1)
        self.broken = False

    @rule()
    def wait(self) -> None:
        expected: Any = threading.BrokenBarrierError if self.broken else 0
        assert outcome(lambda: self.barrier.wait(0.01)) == expected

    @rule()
    def abort(self) -> None:
        self.barrier.abort()
        self.broken = True

    @rule()
    def reset(self) -> None:
        self.barrier.reset()
        self.broken = False

    @invariant()
    def says_so(self) -> None:
        assert (self.barrier.parties, self.barrier.n_waiting, self.barrier.broken) == (1, 0, self.broken)


class QueueFace(FaceModel):
    """Items in their order, with a limit, and until it is shut down."""

    kind: ClassVar[str] = "queue"
    maxsize: ClassVar[int] = 3

    def __init__(self) -> None:
        super().__init__()
        self.queue = self.make(self.kind, *([self.maxsize] if self.maxsize else []))
        self.items: list[tuple[int, int]] = []
        self.number = 0
        self.unfinished = 0
        self.shut = False

    def best(self) -> int:
        if self.kind == "lifo_queue":
            return len(self.items) - 1
        return self.items.index(min(self.items)) if self.kind == "priority_queue" else 0

    @rule(key=st.integers(0, 5), how=st.sampled_from(["nowait", "block=False", "timeout=0"]))
    def put(self, key: int, how: str) -> None:
        self.number += 1
        item = (key, self.number)
        put = {
            "nowait": self.queue.put_nowait,
            "block=False": lambda item: self.queue.put(item, block=False),
            "timeout=0": lambda item: self.queue.put(item, timeout=0),
        }[how]
        if self.shut:
            expected: Any = manyhands.ShutDown
        elif self.maxsize and len(self.items) >= self.maxsize:
            expected = manyhands.Full
        else:
            self.items.append(item)
            self.unfinished += 1
            expected = None
        assert outcome(lambda: put(item)) is expected

    @rule(how=st.sampled_from(["nowait", "block=False", "timeout=0"]))
    def get(self, how: str) -> None:
        get = {
            "nowait": self.queue.get_nowait,
            "block=False": lambda: self.queue.get(block=False),
            "timeout=0": lambda: self.queue.get(timeout=0),
        }[how]
        if self.items:
            expected: Any = self.items.pop(self.best())
        else:
            expected = manyhands.ShutDown if self.shut else manyhands.Empty
        assert outcome(get) == expected

    @rule()
    def task_done(self) -> None:
        assert outcome(self.queue.task_done) is (None if self.unfinished else ValueError)
        self.unfinished = max(0, self.unfinished - 1)

    @precondition(lambda self: not self.unfinished)
    @rule()
    def join(self) -> None:
        joining = Background(self.queue.join)
        assert eventually(lambda: not joining.running(), seconds=5), "join waits although everything is dealt with"

    @rule(immediate=st.booleans())
    def shutdown(self, immediate: bool) -> None:
        self.queue.shutdown(immediate)
        self.shut = True
        if immediate:
            self.unfinished = max(0, self.unfinished - len(self.items))
            self.items = []

    @invariant()
    def says_so(self) -> None:
        assert self.queue.qsize() == len(self.items)
        assert self.queue.empty() is (not self.items)
        assert self.queue.full() is bool(self.maxsize and len(self.items) >= self.maxsize)


class LifoQueueFace(QueueFace):
    """Last in, first out."""

    kind = "lifo_queue"


class PriorityQueueFace(QueueFace):
    """Lowest first."""

    kind = "priority_queue"


class SimpleQueueFace(QueueFace):
    """Without a limit."""

    kind = "simple_queue"
    maxsize = 0


FACES = (
    LockFace,
    RLockFace,
    SemaphoreFace,
    BoundedSemaphoreFace,
    EventFace,
    BarrierFace,
    QueueFace,
    LifoQueueFace,
    PriorityQueueFace,
    SimpleQueueFace,
)


class Hosted(manyhands.Backend[manyhands.BackendOptions]):
    """A backend with the core's own primitives, and nothing that could run."""

    name = "hosted"
    contract = 1
    capabilities = manyhands.Capabilities(in_process=True)

    def make_host(self) -> Any:
        return manyhands.LocalHost()

    def make_engine(self, options: Any) -> Any:
        raise NotImplementedError

    def start_activity(self, activity: Any) -> Any:
        raise NotImplementedError


@pytest.fixture(params=["hosted", "threading"])
def faces_of(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A backend whose primitives are hosted, and one whose primitives are native."""
    if request.param == "hosted":
        with Hosted(manyhands.BackendOptions()) as backend:
            yield backend
    elif "threading" not in {info.name for info in manyhands.backends()}:
        pytest.skip("backend 'threading' is not installed")
    else:
        with manyhands.open_backend("threading") as backend:
            yield backend


@pytest.mark.parametrize("model", FACES, ids=lambda model: model.__name__)
def test_what_users_hold(model: type[FaceModel], faces_of: Any) -> None:
    """Hosted or native, it answers as the model says."""
    run(type(model.__name__, (model,), {"backend": faces_of, "__doc__": model.__doc__}))
