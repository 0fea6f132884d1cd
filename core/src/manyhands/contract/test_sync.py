"""Locks, conditions, semaphores, events and barriers: as in the standard library, and legal arguments of tasks."""

import threading
import time
from typing import Any, Final

import attrs
import pytest

import manyhands
from manyhands import BrokenBarrierError, Executor

from .support import DEADLOCK_S, Beside, eventually

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault
bad_input: Final = pytest.mark.bad_input

LOCKS = ("lock", "rlock")
WITH = ("lock", "rlock", "condition", "semaphore", "bounded_semaphore")


@pytest.fixture(params=LOCKS)
def any_lock(request: pytest.FixtureRequest, backend: Any) -> Any:
    """A lock or an rlock."""
    return getattr(backend, request.param)()


@attrs.define
class Account:
    """A user's object that carries a lock."""

    lock: Any


def hold_lock(lock: Any, started: Any, release: Any) -> str:
    with lock:
        started.set()
        assert release.wait(DEADLOCK_S)
    return "released"


def try_lock(lock: Any, **how: Any) -> bool:
    """Whether it is to be had; leaves it as it was."""
    taken = lock.acquire(**how)
    if taken:
        lock.release()
    return bool(taken)


def release_lock(lock: Any) -> str:
    try:
        lock.release()
        return "released"
    except RuntimeError:
        return "RuntimeError"


def add_slowly(lock: Any, cell: Any, times: int) -> None:
    """Take the number out of *cell* and put the next one back: wrong unless nobody else is inside."""
    for _ in range(times):
        with lock:
            number = cell.get_nowait()
            cell.put(number + 1)


@pytest.mark.contract("manyhands.Lock")
class TestLocks:
    @covers("lock-objects", "rlock-objects", "synchronization-between-processes")
    def test_only_one_is_inside(self, backend: Any, any_lock: Any) -> None:
        """Four tasks count to 400 without losing one."""
        cell = backend.queue()
        cell.put(0)
        with backend.executor(max_workers=4) as executor:
            manyhands.wait([executor.submit(add_slowly, any_lock, cell, 100) for _ in range(4)], DEADLOCK_S)

        assert cell.get_nowait() == 400

    @covers("lock-objects", "rlock-objects")
    def test_it_is_held_and_given_back(self, executor: Executor, backend: Any, any_lock: Any) -> None:
        """``locked`` says so to everybody, and nobody else gets it meanwhile."""
        started, release = backend.event(), backend.event()
        assert not any_lock.locked()
        future = executor.submit(hold_lock, any_lock, started, release)
        assert started.wait(DEADLOCK_S)

        assert any_lock.locked()
        assert any_lock.acquire(blocking=False) is False
        assert any_lock.acquire(timeout=0.02) is False
        assert any_lock.acquire(timeout=0) is False
        release.set()
        assert any_lock.acquire(timeout=DEADLOCK_S) is True
        assert future.result(DEADLOCK_S) == "released"
        any_lock.release()
        assert not any_lock.locked()

    @covers("lock-objects", "rlock-objects")
    def test_a_timeout_is_waited_for(self, executor: Executor, backend: Any, any_lock: Any) -> None:
        """Not less than asked for."""
        started, release = backend.event(), backend.event()
        executor.submit(hold_lock, any_lock, started, release)
        assert started.wait(DEADLOCK_S)
        began = time.monotonic()
        assert not any_lock.acquire(timeout=0.05)
        took = time.monotonic() - began
        release.set()

        assert took >= 0.049

    @covers("lock-objects")
    def test_anybody_may_release_a_lock(self, executor: Executor, backend: Any) -> None:
        """It has no owner."""
        lock = backend.lock()
        lock.acquire()

        assert executor.submit(release_lock, lock).result(DEADLOCK_S) == "released"
        assert not lock.locked()

    @fault(104)
    @covers("rlock-objects")
    def test_only_its_owner_may_release_an_rlock(self, executor: Executor, backend: Any) -> None:
        """RuntimeError for others; it stays held."""
        lock = backend.rlock()
        lock.acquire()

        assert executor.submit(release_lock, lock).result(DEADLOCK_S) == "RuntimeError"
        assert lock.locked()
        lock.release()

    @covers("rlock-objects")
    def test_its_owner_may_take_an_rlock_again(self, executor: Executor, backend: Any) -> None:
        """And must release it as often."""
        lock = backend.rlock()
        for _ in range(3):
            assert lock.acquire()
        for _ in range(3):
            assert executor.submit(try_lock, lock, blocking=False).result(DEADLOCK_S) is False
            lock.release()

        assert executor.submit(try_lock, lock, blocking=False).result(DEADLOCK_S) is True

    @covers("lock-objects")
    def test_its_owner_cannot_take_a_lock_again(self, backend: Any) -> None:
        """A second time is refused, or waits for ever."""
        lock = backend.lock()
        lock.acquire()

        assert lock.acquire(blocking=False) is False
        assert lock.acquire(timeout=0.01) is False

    @fault(104)
    def test_releasing_what_is_not_held_is_an_error(self, any_lock: Any) -> None:
        """RuntimeError, also the second time."""
        with pytest.raises(RuntimeError):
            any_lock.release()
        any_lock.acquire()
        any_lock.release()
        with pytest.raises(RuntimeError):
            any_lock.release()

    @bad_input(35)
    def test_bad_timeouts(self, any_lock: Any) -> None:
        """The standard library's errors."""
        with pytest.raises(ValueError, match="can't specify a timeout for a non-blocking call"):
            any_lock.acquire(False, 1)
        with pytest.raises(ValueError):
            any_lock.acquire(timeout=-2)
        with pytest.raises(OverflowError):
            any_lock.acquire(timeout=threading.TIMEOUT_MAX * 2)
        assert any_lock.acquire(timeout=-1)

    @covers("using-locks-conditions-and-semaphores-in-the-with-statement")
    @pytest.mark.parametrize("make", WITH)
    def test_with_takes_and_releases(self, executor: Executor, backend: Any, make: str) -> None:
        """Also after an error."""
        made = getattr(backend, make)()
        with pytest.raises(KeyError), made as entered:  # noqa: PT012
            assert entered is True
            assert executor.submit(try_lock, made, blocking=False).result(DEADLOCK_S) is False
            raise KeyError
        assert executor.submit(try_lock, made, blocking=False).result(DEADLOCK_S) is True

    def test_waiters_get_it_one_after_the_other(self, backend: Any, any_lock: Any) -> None:
        """Ten wait, ten get it."""
        with backend.executor(max_workers=10) as executor:
            any_lock.acquire()
            futures = [executor.submit(try_lock, any_lock, timeout=DEADLOCK_S) for _ in range(10)]
            assert eventually(lambda: executor.stats().running == 10, on=backend)
            any_lock.release()

            assert [future.result(DEADLOCK_S) for future in futures] == [True] * 10


@pytest.mark.contract("manyhands.Lock")
class TestAsArguments:
    def test_nested_anywhere(self, executor: Executor, backend: Any) -> None:
        """In lists, dicts, tuples and objects of the user it is the same lock."""
        lock = backend.lock()
        where = {"list": [lock], "tuple": ({"deep": lock},), "object": Account(lock)}
        with lock:
            assert executor.submit(which_are_free, where).result(DEADLOCK_S) == []
        assert executor.submit(which_are_free, where).result(DEADLOCK_S) == ["list", "tuple", "object"]

    @pytest.mark.parametrize("make", [*WITH, "event"])
    def test_they_come_back_as_the_same_object(self, executor: Executor, backend: Any, make: str) -> None:
        """In the process that made them."""
        made = getattr(backend, make)()

        assert executor.submit(itself, [made]).result(DEADLOCK_S)[0] is made

    @pytest.mark.parametrize("make", [*WITH, "event"])
    def test_they_are_equal_only_to_themselves(self, backend: Any, make: str) -> None:
        """And can be keys."""
        one, other = getattr(backend, make)(), getattr(backend, make)()

        assert one == one
        assert one != other
        assert len({one: 1, other: 2}) == 2

    def test_of_an_activity(self, backend: Any) -> None:
        """As of a task."""
        event = backend.event()
        activity = backend.Activity(target=event.set)
        activity.start()

        assert event.wait(DEADLOCK_S)
        activity.join(DEADLOCK_S)


def itself(value: Any) -> Any:
    return value


def which_are_free(where: dict[str, Any]) -> list[str]:
    locks = {"list": where["list"][0], "tuple": where["tuple"][0]["deep"], "object": where["object"].lock}
    return [name for name, lock in locks.items() if try_lock(lock, blocking=False)]


def wait_on(condition: Any, waiting: Any, timeout: float = DEADLOCK_S) -> bool:
    with condition:
        waiting.release()
        return bool(condition.wait(timeout))


def notify_on(condition: Any, n: int) -> None:
    with condition:
        condition.notify(n)


def wait_for_item(condition: Any, items: Any, waiting: Any) -> Any:
    with condition:
        waiting.release()
        assert condition.wait_for(items.qsize, DEADLOCK_S)
        return items.get_nowait()


@pytest.fixture(params=["its own", "lock", "rlock"])
def condition(request: pytest.FixtureRequest, backend: Any) -> Any:
    """A condition under a lock of its own, or under one that it was given."""
    if request.param == "its own":
        return backend.condition()
    return backend.condition(getattr(backend, request.param)())


@pytest.mark.contract("manyhands.Condition")
class TestCondition:
    @covers("condition-objects")
    def test_notify_wakes_so_many(self, backend: Any, condition: Any) -> None:
        """And not more; ``notify_all`` wakes the rest."""
        waiting = backend.semaphore(0)
        with backend.executor(max_workers=5) as executor:
            futures = [executor.submit(wait_on, condition, waiting) for _ in range(5)]
            for _ in futures:
                assert waiting.acquire(timeout=DEADLOCK_S)
            with condition:  # all five are in wait now
                condition.notify(2)
            assert eventually(lambda: sum(future.done() for future in futures) == 2, on=backend)
            with condition:
                condition.notify()
            assert eventually(lambda: sum(future.done() for future in futures) == 3, on=backend)
            assert not eventually(lambda: sum(future.done() for future in futures) != 3, seconds=0.05, on=backend)
            with condition:
                condition.notify_all()

            assert [future.result(DEADLOCK_S) for future in futures] == [True] * 5

    @covers("condition-objects")
    def test_notify_without_waiters_is_forgotten(self, condition: Any) -> None:
        """The next wait does not see it."""
        with condition:
            condition.notify(5)
            condition.notify_all()
            assert condition.wait(0.02) is False

    @covers("condition-objects")
    def test_wait_gives_the_lock_away_and_takes_it_again(
        self, executor: Executor, backend: Any, condition: Any
    ) -> None:
        """Others may be inside meanwhile; after it the waiter holds it."""
        waiting = backend.semaphore(0)
        future = executor.submit(wait_on, condition, waiting)
        assert waiting.acquire(timeout=DEADLOCK_S)
        with condition:
            condition.notify()
            assert not eventually(future.done, seconds=0.05, on=backend)

        assert future.result(DEADLOCK_S) is True

    @covers("condition-objects")
    def test_a_wait_that_times_out_has_the_lock_again(self, executor: Executor, condition: Any) -> None:
        """It returns False, not before its time."""
        began = time.monotonic()
        with condition:
            assert condition.wait(0.05) is False
            assert time.monotonic() - began >= 0.049
            assert executor.submit(try_lock, condition, blocking=False).result(DEADLOCK_S) is False
        assert executor.submit(try_lock, condition, blocking=False).result(DEADLOCK_S) is True

    @covers("condition-objects")
    def test_wait_for(self, executor: Executor, backend: Any, condition: Any) -> None:
        """Looks at the predicate each time it is woken, and returns its last value."""
        items, waiting = backend.queue(), backend.semaphore(0)
        future = executor.submit(wait_for_item, condition, items, waiting)
        assert waiting.acquire(timeout=DEADLOCK_S)
        notify_on(condition, 1)
        assert not eventually(future.done, seconds=0.02, on=backend)
        items.put("item")
        notify_on(condition, 1)

        assert future.result(DEADLOCK_S) == "item"

    def test_wait_for_gives_up(self, condition: Any) -> None:
        """With the predicate's last value; what holds already is not waited for."""
        with condition:
            assert condition.wait_for(lambda: [], 0.02) == []
            assert condition.wait_for(lambda: "holds") == "holds"

    @covers("condition-objects")
    @fault(104)
    def test_without_the_lock_everything_is_an_error(self, condition: Any) -> None:
        """RuntimeError from ``wait``, ``notify``, ``notify_all`` and ``release``."""
        for call in (condition.wait, condition.notify, condition.notify_all, condition.release):
            with pytest.raises(RuntimeError):
                call()

    @covers("condition-objects")
    def test_two_conditions_may_share_a_lock(self, executor: Executor, backend: Any) -> None:
        """Each has its own waiters."""
        lock = backend.lock()
        one, other, waiting = backend.condition(lock), backend.condition(lock), backend.semaphore(0)
        futures = [executor.submit(wait_on, condition, waiting) for condition in (one, other)]
        for _ in futures:
            assert waiting.acquire(timeout=DEADLOCK_S)
        with lock:
            other.notify_all()
        assert futures[1].result(DEADLOCK_S) is True
        assert not futures[0].done()
        with lock:
            one.notify_all()

        assert futures[0].result(DEADLOCK_S) is True

    def test_an_rlock_that_is_held_twice_is_given_away_whole(self, executor: Executor, backend: Any) -> None:
        """And had back as often."""
        lock = backend.rlock()
        condition = backend.condition(lock)
        with lock, lock:
            future = executor.submit(notify_on, condition, 1)
            assert condition.wait(DEADLOCK_S) is True
            future.result(DEADLOCK_S)
            assert executor.submit(try_lock, lock, blocking=False).result(DEADLOCK_S) is False
        assert executor.submit(try_lock, lock, blocking=False).result(DEADLOCK_S) is True

    @covers("examples")
    def test_producer_and_consumer(self, backend: Any) -> None:
        """The classical use: consumers wait for items, producers tell that there is one."""
        items, condition, waiting = backend.queue(), backend.condition(), backend.semaphore(0)
        with backend.executor(max_workers=4) as executor:
            consumers = [executor.submit(wait_for_item, condition, items, waiting) for _ in range(3)]
            for number in range(3):
                executor.submit(put_and_notify, condition, items, number).result(DEADLOCK_S)

            assert sorted(consumer.result(DEADLOCK_S) for consumer in consumers) == [0, 1, 2]


def put_and_notify(condition: Any, items: Any, item: Any) -> None:
    with condition:
        items.put(item)
        condition.notify()


def count_inside(semaphore: Any, inside: Any, most: Any) -> None:
    with semaphore:
        inside.put(None)
        most.put(inside.qsize())
        inside.get()


def take(semaphore: Any) -> bool:
    return bool(semaphore.acquire(timeout=DEADLOCK_S))


@pytest.mark.contract("manyhands.Semaphore")
class TestSemaphore:
    @covers("semaphore-objects")
    @pytest.mark.parametrize("make", ["semaphore", "bounded_semaphore"])
    def test_so_many_are_inside(self, backend: Any, make: str) -> None:
        """Never more than its value."""
        semaphore, inside, most = getattr(backend, make)(2), backend.queue(), backend.queue()
        with backend.executor(max_workers=5) as executor:
            manyhands.wait([executor.submit(count_inside, semaphore, inside, most) for _ in range(60)], DEADLOCK_S)

        assert max(most.get_nowait() for _ in range(most.qsize())) <= 2
        assert most.empty()

    @covers("semaphore-objects")
    @pytest.mark.parametrize("make", ["semaphore", "bounded_semaphore"])
    def test_it_counts(self, backend: Any, make: str) -> None:
        """Down to zero and not below."""
        semaphore = getattr(backend, make)(2)
        assert semaphore.acquire()
        assert semaphore.acquire(blocking=False)
        assert semaphore.acquire(blocking=False) is False
        assert semaphore.acquire(timeout=0.02) is False
        assert semaphore.acquire(True, 0) is False
        semaphore.release()
        assert semaphore.acquire(timeout=0)

    @covers("semaphore-objects")
    def test_release_of_several_is_exact(self, backend: Any) -> None:
        """Three are let go, the fourth waits on."""
        semaphore = backend.semaphore(0)
        with backend.executor(max_workers=4) as executor:
            futures = [executor.submit(take, semaphore) for _ in range(4)]
            semaphore.release(3)
            assert eventually(lambda: sum(future.done() for future in futures) == 3, on=backend)
            assert not eventually(lambda: sum(future.done() for future in futures) != 3, seconds=0.05, on=backend)
            semaphore.release()

            assert [future.result(DEADLOCK_S) for future in futures] == [True] * 4

    @covers("semaphore-objects")
    @fault(104)
    def test_a_bounded_one_cannot_be_released_too_often(self, backend: Any) -> None:
        """ValueError, and its value stays."""
        semaphore = backend.bounded_semaphore(2)
        with pytest.raises(ValueError, match="released too many times"):
            semaphore.release()
        semaphore.acquire()
        with pytest.raises(ValueError, match="released too many times"):
            semaphore.release(2)
        semaphore.release()
        assert [semaphore.acquire(blocking=False) for _ in range(3)] == [True, True, False]

    def test_an_unbounded_one_can_be_released_beyond_its_start(self, backend: Any) -> None:
        """That is how it signals."""
        semaphore = backend.semaphore(0)
        semaphore.release(2)

        assert [semaphore.acquire(blocking=False) for _ in range(3)] == [True, True, False]

    @bad_input(35)
    @pytest.mark.parametrize("make", ["semaphore", "bounded_semaphore"])
    def test_bad_numbers(self, backend: Any, make: str) -> None:
        """The standard library's errors."""
        with pytest.raises(ValueError, match="semaphore initial value must be >= 0"):
            getattr(backend, make)(-1)
        semaphore = getattr(backend, make)()
        for n in (0, -1):
            with pytest.raises(ValueError, match="n must be one or more"):
                semaphore.release(n)
        with pytest.raises(ValueError, match="can't specify timeout for non-blocking acquire"):
            semaphore.acquire(blocking=False, timeout=1)

    @covers("semaphore-example", "examples")
    def test_a_pool_of_connections(self, backend: Any) -> None:
        """The documentation's example: a bounded semaphore guards a server that bears few connections."""
        maxconnections = 3
        pool_sema = backend.bounded_semaphore(value=maxconnections)
        server = backend.queue(maxsize=maxconnections)  # bears that many: one more is an error
        with backend.executor(max_workers=8) as executor:
            replies = [executor.submit(use_connection, pool_sema, server, number) for number in range(50)]

            assert [reply.result(DEADLOCK_S) for reply in replies] == list(range(50))
        assert server.empty()


def use_connection(pool_sema: Any, server: Any, query: int) -> int:
    with pool_sema:
        server.put_nowait(query)
        try:
            return query
        finally:
            server.get_nowait()


def wait_for_event(event: Any, started: Any) -> bool:
    started.release()
    return bool(event.wait(DEADLOCK_S))


@pytest.mark.contract("manyhands.Event")
class TestEvent:
    @covers("event-objects")
    def test_set_wakes_everybody(self, backend: Any) -> None:
        """And whoever comes later does not wait."""
        event, started = backend.event(), backend.semaphore(0)
        with backend.executor(max_workers=5) as executor:
            futures = [executor.submit(wait_for_event, event, started) for _ in range(5)]
            for _ in futures:
                assert started.acquire(timeout=DEADLOCK_S)
            assert not event.is_set()
            event.set()

            assert [future.result(DEADLOCK_S) for future in futures] == [True] * 5
        assert event.wait() is True
        assert event.is_set()

    @covers("event-objects")
    def test_clear_makes_it_new(self, backend: Any) -> None:
        """It can be waited for again."""
        event = backend.event()
        event.set()
        event.set()
        event.clear()

        assert not event.is_set()
        assert event.wait(0.02) is False

    @covers("event-objects")
    def test_a_timeout_is_waited_for(self, backend: Any) -> None:
        """Not less than asked for; none, and less than none, ask once."""
        event = backend.event()
        began = time.monotonic()
        assert event.wait(0.05) is False
        assert time.monotonic() - began >= 0.049
        assert event.wait(0) is False
        assert event.wait(-1) is False

    @capability("not deterministic")
    def test_it_may_be_set_while_others_wait_set_and_clear(self, backend: Any, beside: Beside) -> None:
        """No wait is lost: whoever waits is let go by the last ``set`` at the latest."""
        event = backend.event()

        def churn(index: int) -> bool:
            for _ in range(200):
                if index == 0:
                    event.clear()
                event.set()
                event.wait(0.0001 if index == 1 else DEADLOCK_S)
            return True

        def keep_setting(_: int) -> bool:
            for _ in range(400):
                event.set()
            return True

        setters = beside(lambda: beside.together(4, churn))
        while setters.running():
            keep_setting(0)

        assert setters.outcome() == [True] * 4


def meet(barrier: Any, **how: Any) -> Any:
    try:
        return barrier.wait(**how)
    except BrokenBarrierError:
        return "broken"


def fail() -> None:
    raise ValueError("the action failed")


@pytest.mark.contract("manyhands.Barrier")
class TestBarrier:
    @covers("barrier-objects")
    def test_all_meet_and_each_has_a_number(self, backend: Any) -> None:
        """From 0 to one less than the parties; it can be used again and again."""
        barrier = backend.barrier(3)
        with backend.executor(max_workers=3) as executor:
            for _ in range(20):
                futures = [executor.submit(meet, barrier, timeout=DEADLOCK_S) for _ in range(3)]
                assert sorted(future.result(DEADLOCK_S) for future in futures) == [0, 1, 2]

    @covers("barrier-objects")
    def test_it_says_who_is_there(self, executor: Executor, backend: Any) -> None:
        """``parties``, ``n_waiting`` and ``broken``."""
        barrier = backend.barrier(2)
        assert (barrier.parties, barrier.n_waiting, barrier.broken) == (2, 0, False)
        future = executor.submit(meet, barrier)
        assert eventually(lambda: barrier.n_waiting == 1, on=backend)
        barrier.wait(DEADLOCK_S)
        future.result(DEADLOCK_S)

        assert eventually(lambda: barrier.n_waiting == 0, on=backend)

    @covers("barrier-objects")
    def test_a_party_of_one_does_not_wait(self, backend: Any) -> None:
        """It meets itself."""
        assert backend.barrier(1).wait() == 0

    @covers("barrier-objects")
    def test_the_action_runs_once_before_anybody_goes_on(self, backend: Any) -> None:
        """At each meeting."""
        meetings = backend.queue()
        barrier = backend.barrier(3, action=lambda: meetings.put(None))
        with backend.executor(max_workers=3) as executor:
            for number in range(1, 6):
                futures = [executor.submit(meet_and_count, barrier, meetings) for _ in range(3)]
                assert [future.result(DEADLOCK_S) for future in futures] == [number] * 3

    @covers("barrier-objects")
    def test_an_action_that_fails_breaks_it(self, executor: Executor, backend: Any) -> None:
        """Its error goes to one, BrokenBarrierError to the others."""
        barrier = backend.barrier(2, action=fail)
        futures = [executor.submit(barrier.wait, DEADLOCK_S) for _ in range(2)]
        errors = sorted(type(future.exception(DEADLOCK_S)).__name__ for future in futures)

        assert errors == ["BrokenBarrierError", "ValueError"]
        assert barrier.broken

    @covers("barrier-objects")
    def test_a_timeout_breaks_it_for_all(self, executor: Executor, backend: Any) -> None:
        """Now and until it is reset."""
        barrier = backend.barrier(3)
        future = executor.submit(meet, barrier, timeout=DEADLOCK_S)
        assert eventually(lambda: barrier.n_waiting == 1, on=backend)
        with pytest.raises(BrokenBarrierError):
            barrier.wait(0.02)

        assert future.result(DEADLOCK_S) == "broken"
        assert barrier.broken
        with pytest.raises(BrokenBarrierError):
            barrier.wait(DEADLOCK_S)
        barrier.reset()
        assert not barrier.broken

    @covers("barrier-objects")
    def test_its_own_timeout_is_the_default(self, backend: Any) -> None:
        """A ``wait`` may have another."""
        barrier = backend.barrier(2, timeout=0.02)
        with pytest.raises(BrokenBarrierError):
            barrier.wait()

    @covers("barrier-objects")
    def test_abort_breaks_it(self, executor: Executor, backend: Any) -> None:
        """Who waits gets BrokenBarrierError, and so does who comes."""
        barrier = backend.barrier(2)
        future = executor.submit(meet, barrier)
        assert eventually(lambda: barrier.n_waiting == 1, on=backend)
        barrier.abort()

        assert future.result(DEADLOCK_S) == "broken"
        assert barrier.broken
        with pytest.raises(BrokenBarrierError):
            barrier.wait(DEADLOCK_S)

    @covers("barrier-objects")
    def test_reset_sends_away_who_waits(self, executor: Executor, backend: Any) -> None:
        """With BrokenBarrierError; it is as new for the next."""
        barrier = backend.barrier(2)
        future = executor.submit(meet, barrier)
        assert eventually(lambda: barrier.n_waiting == 1, on=backend)
        barrier.reset()

        assert future.result(DEADLOCK_S) == "broken"
        assert not barrier.broken
        futures = [executor.submit(meet, barrier, timeout=DEADLOCK_S) for _ in range(2)]
        assert sorted(future.result(DEADLOCK_S) for future in futures) == [0, 1]

    @bad_input(35)
    def test_without_parties_it_cannot_be(self, backend: Any) -> None:
        """ValueError."""
        with pytest.raises(ValueError):
            backend.barrier(0)

    def test_the_error_is_the_standard_librarys(self) -> None:
        """``threading.BrokenBarrierError``."""
        assert manyhands.BrokenBarrierError is threading.BrokenBarrierError


def meet_and_count(barrier: Any, meetings: Any) -> int:
    barrier.wait(DEADLOCK_S)
    return int(meetings.qsize())


@pytest.mark.contract("manyhands.Host.call")
class TestHosted:
    """Primitives that live in their backend's host, and end with it."""

    @pytest.fixture
    def hosted(self, backend: Any) -> Any:
        if not hasattr(backend.event(), "_host"):
            pytest.skip("primitives are native here, and stay valid after close")
        return backend

    @pytest.mark.parametrize("wait", ["lock", "rlock", "semaphore", "event", "condition", "barrier"])
    def test_close_wakes_who_waits(self, hosted: Any, wait: str, beside: Beside) -> None:
        """With an ExecutorClosedError that says where."""
        if wait == "barrier":
            call = hosted.barrier(2).wait
        elif wait == "event":
            call = hosted.event().wait
        elif wait == "condition":
            call = wait_in(hosted.condition())
        else:
            made = hosted.semaphore(0) if wait == "semaphore" else getattr(hosted, wait)()
            if wait != "semaphore":
                made.acquire()
            call = made.acquire
        waiter = beside(call)
        assert eventually(lambda: hosted._host._waiting, on=hosted)
        hosted.close()

        with pytest.raises(manyhands.ExecutorClosedError, match=r"was closed \(closed at .*test_sync.py"):
            raise waiter.outcome()

    def test_afterwards_every_call_refuses(self, hosted: Any) -> None:
        """Asking as well as changing."""
        lock, event, barrier = hosted.lock(), hosted.event(), hosted.barrier(2)
        hosted.close()

        for call in (lock.acquire, lock.release, lock.locked, event.set, event.is_set, barrier.abort, barrier.wait):
            with pytest.raises(manyhands.ExecutorClosedError):
                call()

    def test_a_condition_needs_a_lock_of_its_backend(self, hosted: Any) -> None:
        """TypeError names the backend."""
        with pytest.raises(TypeError, match=f"a condition of backend '{hosted.name}' needs one of its locks"):
            hosted.condition(threading.Lock())

    @pytest.mark.parametrize("make", [*WITH, "event"])
    def test_it_cannot_be_pickled(self, hosted: Any, make: str) -> None:
        """Outside of a transfer."""
        import pickle

        with pytest.raises(manyhands.SerializationError, match="can only be passed to tasks of that backend"):
            pickle.dumps(getattr(hosted, make)())

    def test_an_interrupted_wait_leaves_its_line(self, hosted: Any, beside: Beside) -> None:
        """Whoever was behind gets the lock; nobody is served who has gone."""
        lock = hosted.lock()
        lock.acquire()
        with pytest.raises(KeyboardInterrupt):
            interrupted_wait(hosted, lock)
        waiter = beside(lock.acquire, True, DEADLOCK_S)
        assert eventually(lambda: hosted._host._waiting, on=hosted)
        lock.release()

        assert waiter.outcome() is True


def wait_in(condition: Any) -> Any:
    def call() -> Any:
        condition.acquire()
        condition.wait()

    return call


def interrupted_wait(backend: Any, lock: Any) -> None:
    """A wait that is left by an exception, as a signal handler in the main thread would raise it."""
    host = backend._host
    parker = host._parker

    class Interrupted:
        def wait(self, timeout: float | None) -> bool:
            host._parker = parker
            raise KeyboardInterrupt

        def wake(self) -> None: ...

    host._parker = Interrupted
    lock.acquire()
