"""The four queues: one method set, on every backend, and legal arguments of tasks."""

import itertools
import queue
import time
from collections import Counter
from typing import Any, Final

import attrs
import pytest

import manyhands
from manyhands import Empty, Executor, Full, ShutDown

from .support import DEADLOCK_S, Beside, eventually

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault
bad_input: Final = pytest.mark.bad_input

KINDS = ("queue", "lifo_queue", "priority_queue", "simple_queue")
BOUNDED = KINDS[:3]


@pytest.fixture(params=KINDS)
def any_queue(request: pytest.FixtureRequest, backend: Any) -> Any:
    """One of each kind, without a limit."""
    return getattr(backend, request.param)()


@pytest.fixture(params=BOUNDED)
def full_queue(request: pytest.FixtureRequest, backend: Any) -> Any:
    """One of each kind that has a limit, with both places taken by 1 and 2."""
    made = getattr(backend, request.param)(2)
    made.put(1)
    made.put(2)
    return made


def produce(out: Any, numbers: list[int]) -> int:
    for number in numbers:
        out.put(number)
    return len(numbers)


def consume(source: Any) -> list[int]:
    """Take items until the queue is shut down."""
    taken = []
    try:
        while True:
            taken.append(source.get(timeout=DEADLOCK_S))
            source.task_done()
    except ShutDown:
        return taken


def double(source: Any, out: Any) -> int:
    item = source.get(timeout=DEADLOCK_S)
    out.put(2 * item)
    return int(item)


def put_into_all(where: dict[str, Any]) -> str:
    where["list"][0].put("list")
    where["tuple"][0]["deep"].put("tuple")
    where["object"].queue.put("object")
    return "done"


@attrs.define
class Parcel:
    """A user's object that carries a queue."""

    queue: Any


def get_or_name_the_error(source: Any, started: Any, **how: Any) -> Any:
    started.release()
    try:
        return source.get(**how)
    except (Empty, ShutDown) as error:
        return type(error).__name__


def put_or_name_the_error(target: Any, item: Any, started: Any, **how: Any) -> Any:
    started.release()
    try:
        target.put(item, **how)
        return "put"
    except (Full, ShutDown) as error:
        return type(error).__name__


@pytest.mark.contract("manyhands.Queue")
class TestOrder:
    @covers("queue")
    def test_first_in_first_out(self, backend: Any) -> None:
        """queue and simple_queue."""
        for made in (backend.queue(), backend.simple_queue()):
            produce(made, [3, 1, 2])
            assert [made.get() for _ in range(3)] == [3, 1, 2]

    @covers("queue")
    def test_last_in_first_out(self, backend: Any) -> None:
        """lifo_queue."""
        made = backend.lifo_queue()
        produce(made, [3, 1, 2])

        assert [made.get() for _ in range(3)] == [2, 1, 3]

    @covers("queue")
    def test_lowest_first(self, backend: Any) -> None:
        """priority_queue."""
        made = backend.priority_queue()
        produce(made, [3, 1, 2, 1])

        assert [made.get() for _ in range(4)] == [1, 1, 2, 3]

    @fault(104)
    def test_an_item_that_cannot_be_ordered_is_refused(self, backend: Any) -> None:
        """The error comes to the one who put it, and the queue works on."""
        made = backend.priority_queue()
        made.put(1)
        with pytest.raises(TypeError):
            made.put("text")
        made.put(0)

        assert [made.get(timeout=DEADLOCK_S), made.get(timeout=DEADLOCK_S)] == [0, 1]


@pytest.mark.contract("manyhands.Queue.qsize")
class TestAsking:
    def test_size_empty_and_full(self, any_queue: Any) -> None:
        """They follow what is put and taken."""
        assert (any_queue.qsize(), any_queue.empty(), any_queue.full()) == (0, True, False)
        any_queue.put(1)
        any_queue.put(2)
        assert (any_queue.qsize(), any_queue.empty(), any_queue.full()) == (2, False, False)
        any_queue.get()
        assert any_queue.qsize() == 1

    def test_a_limit_makes_it_full(self, full_queue: Any) -> None:
        """``full`` and ``Full``."""
        assert full_queue.full()
        with pytest.raises(Full):
            full_queue.put_nowait(3)
        with pytest.raises(Full):
            full_queue.put(3, block=False)
        full_queue.get()
        assert not full_queue.full()
        full_queue.put_nowait(3)

    def test_the_limit_is_known(self, backend: Any) -> None:
        """As ``maxsize``; 0 and less are none."""
        assert backend.queue(3).maxsize == 3
        unlimited = backend.queue(-1)
        produce(unlimited, list(range(100)))
        assert not unlimited.full()

    def test_an_empty_one_has_nothing(self, any_queue: Any) -> None:
        """``Empty`` from every form that does not wait."""
        with pytest.raises(Empty):
            any_queue.get_nowait()
        with pytest.raises(Empty):
            any_queue.get(block=False)
        with pytest.raises(Empty):
            any_queue.get(False)
        with pytest.raises(Empty):
            any_queue.get(timeout=0)

    def test_nothing_to_put_is_an_item_too(self, any_queue: Any) -> None:
        """None, and all that is false."""
        for item in (None, False, 0, "", ()):
            any_queue.put(item)
            got = any_queue.get(timeout=DEADLOCK_S)
            assert (got, type(got)) == (item, type(item))

    def test_the_exceptions_are_the_standard_librarys(self) -> None:
        """Where it has them."""
        assert manyhands.Empty is queue.Empty
        assert manyhands.Full is queue.Full
        if hasattr(queue, "ShutDown"):
            assert manyhands.ShutDown is queue.ShutDown


@pytest.mark.contract("manyhands.Queue.get")
class TestWaiting:
    def test_get_waits_for_an_item(self, executor: Executor, backend: Any, any_queue: Any) -> None:
        """A task that waits gets what is put later."""
        started = backend.semaphore(0)
        future = executor.submit(get_or_name_the_error, any_queue, started, timeout=DEADLOCK_S)
        assert started.acquire(timeout=DEADLOCK_S)
        any_queue.put("late")

        assert future.result(DEADLOCK_S) == "late"

    def test_put_waits_for_room(self, executor: Executor, backend: Any, full_queue: Any) -> None:
        """A task that waits puts as soon as something is taken."""
        started = backend.semaphore(0)
        future = executor.submit(put_or_name_the_error, full_queue, 3, started, timeout=DEADLOCK_S)
        assert started.acquire(timeout=DEADLOCK_S)
        first = full_queue.get(timeout=DEADLOCK_S)

        assert future.result(DEADLOCK_S) == "put"
        assert sorted([first, full_queue.get(), full_queue.get()]) == [1, 2, 3]

    def test_get_gives_up_after_the_timeout(self, any_queue: Any) -> None:
        """With ``Empty``, not before the time is over."""
        began = time.monotonic()
        with pytest.raises(Empty):
            any_queue.get(timeout=0.05)

        assert time.monotonic() - began >= 0.049
        any_queue.put(1)
        assert any_queue.get() == 1

    def test_put_gives_up_after_the_timeout(self, full_queue: Any) -> None:
        """With ``Full``; what was not put is not there later."""
        began = time.monotonic()
        with pytest.raises(Full):
            full_queue.put(3, timeout=0.05)

        assert time.monotonic() - began >= 0.049
        assert sorted([full_queue.get(), full_queue.get()]) == [1, 2]
        with pytest.raises(Empty):
            full_queue.get_nowait()

    @bad_input(35)
    def test_a_negative_timeout_is_an_error(self, any_queue: Any, full_queue: Any) -> None:
        """ValueError as in the standard library."""
        with pytest.raises(ValueError, match="non-negative"):
            any_queue.get(timeout=-1)
        with pytest.raises(ValueError, match="non-negative"):
            full_queue.put(1, timeout=-1)

    def test_a_timeout_means_nothing_without_waiting(self, any_queue: Any) -> None:
        """As in the standard library ``block=False`` wins."""
        with pytest.raises(Empty):
            any_queue.get(False, 5)

    @bad_input(35)
    @pytest.mark.parametrize("kind", BOUNDED)
    @pytest.mark.parametrize("size", [1.5, "3", None])
    def test_a_limit_must_be_an_integer(self, backend: Any, kind: str, size: Any) -> None:
        """TypeError when it is made."""
        with pytest.raises(TypeError, match="maxsize must be an integer"):
            getattr(backend, kind)(size)


@pytest.mark.contract("manyhands.Queue.join")
class TestTaskDone:
    def test_join_waits_until_all_is_dealt_with(
        self, executor: Executor, backend: Any, any_queue: Any, beside: Beside
    ) -> None:
        """Not until all was taken."""
        produce(any_queue, [1, 2, 3])
        joined = beside(any_queue.join)
        for _ in range(3):
            assert joined.running()
            any_queue.get()
            any_queue.task_done()

        assert joined.outcome() is None

    def test_join_of_one_that_was_never_used_returns(self, any_queue: Any) -> None:
        """And of one where all is done."""
        any_queue.join()
        any_queue.put(1)
        any_queue.get()
        any_queue.task_done()
        any_queue.join()

    def test_too_often_is_an_error(self, any_queue: Any) -> None:
        """ValueError, and it can still be joined."""
        any_queue.put(1)
        any_queue.get()
        any_queue.task_done()
        with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
            any_queue.task_done()
        any_queue.join()

    def test_workers_that_tell_and_a_caller_that_joins(self, executor: Executor, any_queue: Any) -> None:
        """The caller waits until the tasks have dealt with everything."""
        produce(any_queue, list(range(100)))
        futures = [executor.submit(consume, any_queue) for _ in range(2)]
        any_queue.join()
        any_queue.shutdown()

        assert sorted(itertools.chain(*(future.result(DEADLOCK_S) for future in futures))) == list(range(100))


@pytest.mark.contract("manyhands.Queue.shutdown")
class TestShutdown:
    @covers("queue")
    def test_nothing_more_can_be_put(self, any_queue: Any) -> None:
        """What is in it can still be taken, then ``ShutDown`` comes from every form of get."""
        any_queue.put(1)
        any_queue.shutdown()
        with pytest.raises(ShutDown):
            any_queue.put(2)
        with pytest.raises(ShutDown):
            any_queue.put_nowait(2)

        assert any_queue.get(timeout=DEADLOCK_S) == 1
        for get in (any_queue.get, any_queue.get_nowait, lambda: any_queue.get(timeout=1)):
            with pytest.raises(ShutDown):
                get()

    @covers("queue")
    def test_immediate_drops_what_is_in_it(self, any_queue: Any) -> None:
        """``get`` raises at once, and ``join`` does not wait for what was dropped."""
        produce(any_queue, [1, 2, 3])
        any_queue.shutdown(immediate=True)
        with pytest.raises(ShutDown):
            any_queue.get()
        assert any_queue.qsize() == 0
        any_queue.join()

    def test_join_waits_for_what_was_taken_before(self, any_queue: Any, beside: Beside, backend: Any) -> None:
        """Dropping deals only with what was still in it."""
        produce(any_queue, [1, 2, 3])
        any_queue.get()
        any_queue.shutdown(immediate=True)
        joined = beside(any_queue.join)
        assert not eventually(lambda: not joined.running(), seconds=0.05, on=backend)
        any_queue.task_done()

        assert joined.outcome() is None

    def test_a_full_one_still_refuses(self, full_queue: Any) -> None:
        """With ShutDown, not with Full."""
        full_queue.shutdown()
        with pytest.raises(ShutDown):
            full_queue.put_nowait(3)
        assert sorted([full_queue.get(), full_queue.get()]) == [1, 2]

    @pytest.mark.parametrize("immediate", [False, True])
    def test_who_waits_for_an_item_wakes(
        self, executor: Executor, backend: Any, any_queue: Any, immediate: bool
    ) -> None:
        """All of them."""
        started = backend.semaphore(0)
        futures = [executor.submit(get_or_name_the_error, any_queue, started) for _ in range(2)]
        for _ in futures:
            assert started.acquire(timeout=DEADLOCK_S)
        any_queue.shutdown(immediate)

        assert [future.result(DEADLOCK_S) for future in futures] == ["ShutDown"] * 2

    def test_who_waits_for_room_wakes(self, executor: Executor, backend: Any, full_queue: Any) -> None:
        """All of them, and none of their items is put."""
        started = backend.semaphore(0)
        futures = [executor.submit(put_or_name_the_error, full_queue, 3, started) for _ in range(2)]
        for _ in futures:
            assert started.acquire(timeout=DEADLOCK_S)
        full_queue.shutdown()

        assert [future.result(DEADLOCK_S) for future in futures] == ["ShutDown"] * 2
        assert sorted([full_queue.get(), full_queue.get()]) == [1, 2]

    def test_it_may_be_shut_down_again(self, any_queue: Any) -> None:
        """Gently and then at once."""
        any_queue.put(1)
        any_queue.shutdown()
        any_queue.shutdown()
        any_queue.shutdown(immediate=True)
        any_queue.shutdown()
        with pytest.raises(ShutDown):
            any_queue.get()


@pytest.mark.contract("manyhands.Queue")
class TestAsArguments:
    @covers("exchanging-objects-between-processes", "pipes-and-queues", "all-start-methods")
    def test_they_are_ordinary_arguments(self, executor: Executor, backend: Any, any_queue: Any) -> None:
        """Both ends may be in tasks."""
        out = backend.queue()
        any_queue.put(21)

        assert executor.submit(double, any_queue, out=out).result(DEADLOCK_S) == 21
        assert out.get(timeout=DEADLOCK_S) == 42

    def test_nested_anywhere(self, executor: Executor, any_queue: Any) -> None:
        """In lists, dicts, tuples and objects of the user."""
        where = {"list": [any_queue], "tuple": ({"deep": any_queue},), "object": Parcel(any_queue)}

        assert executor.submit(put_into_all, where).result(DEADLOCK_S) == "done"
        assert sorted(any_queue.get(timeout=DEADLOCK_S) for _ in range(3)) == ["list", "object", "tuple"]

    def test_they_come_back_as_the_same_object(self, executor: Executor, any_queue: Any) -> None:
        """In the process that made them."""
        assert executor.submit(itself, any_queue).result(DEADLOCK_S) is any_queue

    @covers("all-start-methods")
    def test_through_a_queue(self, executor: Executor, backend: Any, any_queue: Any) -> None:
        """A queue may be an item of another."""
        letters = backend.queue()
        letters.put(any_queue)

        assert executor.submit(answer_where_told, letters).result(DEADLOCK_S) == "answered"
        assert any_queue.get(timeout=DEADLOCK_S) == "answer"

    def test_as_initargs(self, backend: Any, any_queue: Any) -> None:
        """An initializer may use them."""
        with backend.executor(max_workers=1, initializer=any_queue.put, initargs=("from the initializer",)) as executor:
            executor.submit(pow, 2, 2).result(DEADLOCK_S)

        assert any_queue.get(timeout=DEADLOCK_S) == "from the initializer"

    def test_in_an_activity(self, backend: Any, any_queue: Any) -> None:
        """As in a task."""
        activity = backend.Activity(target=produce, args=(any_queue, [1, 2, 3]))
        activity.start()
        activity.join(DEADLOCK_S)

        assert sorted(any_queue.get(timeout=DEADLOCK_S) for _ in range(3)) == [1, 2, 3]

    def test_many_producers_many_consumers(self, backend: Any, any_queue: Any) -> None:
        """Every item arrives, once."""
        with backend.executor(max_workers=6) as executor:
            consumers = [executor.submit(consume, any_queue) for _ in range(3)]
            producers = [executor.submit(produce, any_queue, list(range(n, 600, 3))) for n in range(3)]
            manyhands.wait(producers, DEADLOCK_S)
            any_queue.join()
            any_queue.shutdown()
            taken = Counter(itertools.chain(*(consumer.result(DEADLOCK_S) for consumer in consumers)))

        assert taken == Counter(range(600))

    def test_a_limit_holds_between_tasks(self, backend: Any) -> None:
        """Producers and consumers through two places."""
        narrow = backend.queue(2)
        with backend.executor(max_workers=4) as executor:
            consumers = [executor.submit(consume, narrow) for _ in range(2)]
            producers = [executor.submit(produce, narrow, list(range(n, 400, 2))) for n in range(2)]
            manyhands.wait(producers, DEADLOCK_S)
            narrow.shutdown()
            taken = Counter(itertools.chain(*(consumer.result(DEADLOCK_S) for consumer in consumers)))

        assert taken == Counter(range(400))

    @covers("examples")
    def test_workers_fed_by_a_queue(self, backend: Any) -> None:
        """Activities that take jobs from one queue and leave results in another, until they are told to stop."""
        jobs, results = backend.queue(), backend.queue()
        crew = [backend.Activity(target=square_until_stopped, args=(jobs, results)) for _ in range(2)]
        for member in crew:
            member.start()
        for number in range(50):
            jobs.put(number)
        for _ in crew:
            jobs.put("stop")
        got = dict(results.get(timeout=DEADLOCK_S) for _ in range(50))
        for member in crew:
            member.join(DEADLOCK_S)
            assert not member.is_alive()

        assert got == {number: number * number for number in range(50)}


def itself(value: Any) -> Any:
    return value


def answer_where_told(letters: Any) -> str:
    letters.get(timeout=DEADLOCK_S).put("answer")
    return "answered"


def square_until_stopped(jobs: Any, results: Any) -> None:
    for job in iter(lambda: jobs.get(timeout=DEADLOCK_S), "stop"):
        results.put((job, job * job))


@pytest.mark.contract("manyhands.Host.call")
class TestHosted:
    """Primitives that live in their backend's host, and end with it."""

    @pytest.fixture(params=KINDS)
    def hosted(self, request: pytest.FixtureRequest, backend: Any) -> Any:
        made = getattr(backend, request.param)()
        if not hasattr(made, "_host"):
            pytest.skip("it is native here, and stays valid after close")
        return made

    def test_close_wakes_who_waits(self, backend: Any, hosted: Any, beside: Beside) -> None:
        """With an ExecutorClosedError that says where."""
        waiter = beside(hosted.get)
        assert eventually(lambda: backend._host._waiting, on=backend)
        backend.close()

        with pytest.raises(manyhands.ExecutorClosedError, match=r"was closed \(closed at .*test_queues.py"):
            raise waiter.outcome()

    def test_afterwards_every_call_refuses(self, backend: Any, hosted: Any) -> None:
        """Asking as well as changing."""
        backend.close()

        for call in (hosted.qsize, hosted.empty, hosted.full, hosted.get_nowait, hosted.task_done, hosted.shutdown):
            with pytest.raises(manyhands.ExecutorClosedError):
                call()
        with pytest.raises(manyhands.ExecutorClosedError):
            hosted.put(1)

    def test_it_cannot_be_pickled(self, hosted: Any) -> None:
        """Outside of a transfer; the message says so."""
        import pickle

        with pytest.raises(manyhands.SerializationError, match="can only be passed to tasks of that backend"):
            pickle.dumps(hosted)

    def test_its_repr_names_the_backend(self, backend: Any, hosted: Any) -> None:
        """For logs."""
        assert backend.name in repr(hosted)
