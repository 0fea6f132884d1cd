"""
The same program on every backend: what comes out on one may come out on the others, to the types of the errors.

Programs are made so that they always end, and so that their outcome does not depend on who is first: what is
compared is the same on every schedule. Each has a few *lanes*, one per worker. A lane takes locks in one order
only; what a queue or a semaphore hands out is fed by the lane before or by the main program; all lanes meet at
each barrier, in the same order; and a wait for an event has somebody who sets it and waits for nothing.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import manyhands
from manyhands import primitives
from manyhands.contract.support import DEADLOCK_S

from .linear import answer

pytestmark = pytest.mark.timeout(240, method="thread")

LOCKS = 3
KINDS_OF_QUEUE = ("queue", "lifo_queue", "priority_queue", "simple_queue")


@attrs.frozen
class Step:
    """What a lane does, as a name with numbers."""

    what: str
    n: int = 0

    def __repr__(self) -> str:
        return f"{self.what} {self.n}"


@attrs.frozen
class Plan:
    """A program: for each phase what each lane does, and what it shares."""

    phases: tuple[tuple[tuple[Step, ...], ...], ...]
    kind_of_queue: str
    maxsize: int
    workers_more: int


#: Steps that anybody may take at any time; what they answer is the same in any order.
ALONE = (
    "add",  # under a lock
    "add under two",  # in their order
    "again",  # an rlock twice
    "submit",  # and wait for it
    "submit and raise",
    "submit and cancel",  # either way it ends
    "map",
    "map and raise",
    "semaphore",
    "bad semaphore",
    "release nothing",
    "not the owner",
    "too late",  # a timeout of 0
    "empty",
    "full",
    "shut",
    "done too often",
    "not notified",
    "wait all",
    "timer",
    "pool",
    "manager",
    "exception",
    "callback",
)
steps = st.builds(Step, st.sampled_from(ALONE), st.integers(0, 5))
lanes = st.lists(steps, max_size=4).map(tuple)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    width = draw(st.integers(1, 3))
    phases = draw(st.lists(st.tuples(*[lanes] * width), min_size=1, max_size=3))
    kind = draw(st.sampled_from(KINDS_OF_QUEUE))
    maxsize = 0 if kind == "simple_queue" else draw(st.integers(0, 2))
    return Plan(tuple(phases), kind, maxsize, draw(st.integers(0, 2)))


class Run:
    """One run of a plan on a backend."""

    def __init__(self, plan: Plan, backend: Any) -> None:
        self.plan = plan
        self.backend = backend
        self.width = len(plan.phases[0])
        self.locks = [backend.lock() for _ in range(LOCKS)]
        self.totals = [0] * LOCKS
        self.meeting = backend.barrier(self.width, self.met)
        self.meetings = 0
        self.queue = getattr(backend, plan.kind_of_queue)(*([plan.maxsize] if plan.maxsize else []))
        self.semaphore = backend.semaphore(2)
        self.ready = [backend.event() for _ in plan.phases]
        self.manager = backend.manager()
        self.shared = self.manager.dict()
        self.called: Counter[Any] = Counter()
        self.guard = backend.lock()

    def met(self) -> None:
        self.meetings += 1

    def outcome(self) -> Any:
        """Everything that can be seen, in a form that does not depend on who was first."""
        with self.backend.executor(self.width + self.plan.workers_more) as self.executor:
            futures = [self.executor.submit(self.lane, number) for number in range(self.width)]
            for event in self.ready:
                event.set()
            lanes = [future.result(DEADLOCK_S) for future in futures]
        taken = Counter(item for _, items in lanes for item in items)
        stats = self.executor.stats()
        assert (stats.pending, stats.running) == (0, 0)
        return {
            "answers": [answers for answers, _ in lanes],
            "taken": taken,
            "totals": self.totals,
            "meetings": self.meetings,
            "called": self.called,
            "left": self.queue.qsize(),
            "joined": answer(self.queue.join),
            "semaphore": [self.semaphore.acquire(False) for _ in range(3)],
            "shared": sorted(self.shared.items()),
            "failed": stats.failed,  # not how many were done: into how many tasks a map goes is up to the clock
        }

    def lane(self, number: int) -> tuple[list[Any], list[int]]:
        answers: list[Any] = []
        items: list[int] = []
        for phase, of_lanes in enumerate(self.plan.phases):
            assert self.ready[phase].wait(DEADLOCK_S)
            # Even lanes put, odd ones take; the last one, if it has no partner, does both.
            if number % 2 == 0:
                self.queue.put(10 * phase + number)
            answers += [self.step(step, number) for step in of_lanes[number]]
            if number % 2 or number + 1 == self.width:
                items.append(self.take())
            self.meeting.wait(DEADLOCK_S)
        return answers, items

    def take(self) -> int:
        item: int = self.queue.get(timeout=DEADLOCK_S)
        self.queue.task_done()
        return item

    def step(self, step: Step, lane: int) -> Any:
        does: Callable[[int, int], Any] = getattr(self, f"do_{step.what.replace(' ', '_')}")
        return step.what, answer(lambda: does(step.n, lane))

    # The steps.

    def do_add(self, n: int, lane: int) -> None:
        with self.locks[n % LOCKS]:
            self.totals[n % LOCKS] += n

    def do_add_under_two(self, n: int, lane: int) -> None:
        first = n % (LOCKS - 1)
        with self.locks[first], self.locks[first + 1]:
            self.totals[first], self.totals[first + 1] = self.totals[first] + 1, self.totals[first + 1] + n

    def do_again(self, n: int, lane: int) -> Any:
        lock = self.backend.rlock()
        with lock, lock:
            return lock.locked()

    def do_submit(self, n: int, lane: int) -> Any:
        return self.executor.submit(pow, n, 2).result(DEADLOCK_S)

    def do_submit_and_raise(self, n: int, lane: int) -> Any:
        return self.executor.submit(divmod, n, 0).result(DEADLOCK_S)

    def do_submit_and_cancel(self, n: int, lane: int) -> Any:
        future = self.executor.submit(pow, n, 2)
        cancelled = future.cancel()
        got = answer(lambda: future.result(DEADLOCK_S))
        return got == ("CancelledError" if cancelled else n * n), cancelled is future.cancelled(), future.done()

    def do_map(self, n: int, lane: int) -> Any:
        return list(self.executor.map(abs, range(-n, n)))

    def do_map_and_raise(self, n: int, lane: int) -> Any:
        return list(self.executor.map(divmod, range(3), [1, 0, 1]))

    def do_semaphore(self, n: int, lane: int) -> Any:
        with self.semaphore:
            return "inside"

    def do_bad_semaphore(self, n: int, lane: int) -> Any:
        return self.backend.bounded_semaphore(n).release()

    def do_release_nothing(self, n: int, lane: int) -> Any:
        return (self.backend.lock() if n % 2 else self.backend.rlock()).release()

    def do_not_the_owner(self, n: int, lane: int) -> Any:
        condition = self.backend.condition()
        return condition.notify() if n % 2 else condition.wait(0)

    def do_too_late(self, n: int, lane: int) -> Any:
        lock, event, semaphore = self.backend.lock(), self.backend.event(), self.backend.semaphore(0)
        lock.acquire()
        return lock.acquire(timeout=0), event.wait(0), semaphore.acquire(timeout=0), lock.acquire(False)

    def do_empty(self, n: int, lane: int) -> Any:
        queue = getattr(self.backend, KINDS_OF_QUEUE[n % 4])()
        return answer(queue.get_nowait), answer(lambda: queue.get(timeout=0))

    def do_full(self, n: int, lane: int) -> Any:
        queue = getattr(self.backend, KINDS_OF_QUEUE[n % 3])(1)
        queue.put(n)
        return answer(lambda: queue.put_nowait(1)), answer(lambda: queue.put(1, timeout=0)), queue.get()

    def do_shut(self, n: int, lane: int) -> Any:
        queue = getattr(self.backend, KINDS_OF_QUEUE[n % 4])()
        queue.put(1)
        queue.shutdown(n % 2 == 1)
        return answer(lambda: queue.put(1)), answer(queue.get), answer(queue.get)

    def do_done_too_often(self, n: int, lane: int) -> Any:
        return self.backend.queue().task_done()

    def do_not_notified(self, n: int, lane: int) -> Any:
        condition = self.backend.condition()
        with condition:
            return condition.wait(0), condition.wait_for(lambda: n, 0)

    def do_wait_all(self, n: int, lane: int) -> Any:
        futures = [self.executor.submit(pow, number, 2) for number in range(n)]
        done, left = manyhands.wait(futures, DEADLOCK_S)
        return sorted(future.result() for future in done), len(left), len(list(manyhands.as_completed(futures)))

    def do_timer(self, n: int, lane: int) -> Any:
        called: list[int] = []
        timer = self.backend.timer(0 if n % 2 else 1000, called.append, (n,))
        timer.start()
        if n % 2 == 0:
            timer.cancel()
        timer.join()
        return called

    def do_pool(self, n: int, lane: int) -> Any:
        with self.backend.pool(2) as pool:
            return pool.map(abs, range(-n, 0)), pool.apply(pow, (n, 2))

    def do_manager(self, n: int, lane: int) -> Any:
        self.shared[lane, n] = n
        return self.shared.get("not there"), self.shared[lane, n + 100]

    def do_exception(self, n: int, lane: int) -> Any:
        future = self.executor.submit(int, "x")
        return type(future.exception(DEADLOCK_S)).__name__, answer(future.result)

    def do_callback(self, n: int, lane: int) -> Any:
        future = self.executor.submit(pow, n, 2)

        def count(future: Any) -> None:
            with self.guard:
                self.called[future.result()] += 1

        future.add_done_callback(count)
        return future.result(DEADLOCK_S)


def backends() -> Iterator[tuple[str, dict[str, Any]]]:
    yield "threading", {}
    yield "minimal", {}
    yield "dummy", {}
    yield "dummy", {"virtual_time": True}
    for seed in (0, 1, 2):
        yield "dummy", {"seed": seed, "virtual_time": seed != 1}


def run(plan: Plan, name: str, options: dict[str, Any]) -> Any:
    with manyhands.open_backend(name, **options) as backend:
        return Run(plan, backend).outcome()


def compare(plan: Plan) -> None:
    first: Any = None
    for name, options in backends():
        outcome = run(plan, name, options)
        if first is None:
            first = outcome
        assert outcome == first, f"{name} {options} differs from threading"


HOW = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@given(plans())
@settings(HOW, max_examples=40)
def test_all_backends_do_the_same(plan: Plan) -> None:
    """Results, errors, what is left in queues and locks, and how often what was called."""
    compare(plan)


def test_a_difference_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hosted queue that raises the wrong error differs from a native one."""

    def give_up(self: Any, request: Any) -> Any:
        self.forget(request)
        raise manyhands.Full

    plan = Plan((((Step("empty"),),),), "queue", 0, 0)
    compare(plan)
    monkeypatch.setattr(primitives.Queue, "give_up", give_up)

    with pytest.raises(AssertionError, match=r"minimal \{\} differs from threading"):
        compare(plan)


@pytest.mark.soak
@given(plans(), st.integers())
@settings(HOW, max_examples=2000)
@pytest.mark.timeout(1200, method="thread")
def test_all_backends_do_the_same_thoroughly(plan: Plan, seed: int) -> None:
    """Far more programs, and each under one more schedule."""
    compare(plan)
    seed = random.Random(seed).randrange(10**6)
    assert run(plan, "dummy", {"seed": seed, "virtual_time": True}) == run(plan, "minimal", {})
