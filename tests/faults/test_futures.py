"""Races, strange exceptions, waits and flow."""

import threading
import time
import weakref
from functools import partial
from typing import Any

import pytest

import manyhands
from manyhands import ExecutorClosedError
from manyhands.contract.support import DEADLOCK_S, eventually, in_threads

from .helpers import all_end, solves_control_tasks

fault = pytest.mark.fault
capability = pytest.mark.capability
slow = pytest.mark.slow


def cancel_each(ways: tuple[list[Any], list[Any]], which: int) -> list[bool]:
    return [future.cancel() for future in ways[which]]


class TestRaces:
    @fault(63)
    @capability("not deterministic")
    @pytest.mark.parametrize("races", [2_000, pytest.param(100_000, marks=[slow, pytest.mark.timeout(300)])])
    def test_cancel_against_the_life_of_a_task(self, backend: Any, races: int) -> None:
        """Exactly one outcome; True means that it never ran, False that it did, and its waiters hear the same."""
        ran: set[int] = set()
        told: list[int] = []
        wrong = []
        with backend.executor(max_workers=2) as executor:
            for first in range(0, races, 100):
                futures = []
                for number in range(first, first + 100):
                    future = executor.submit(ran.add, number)
                    future.add_done_callback(lambda _, number=number: told.append(number))
                    futures.append((number, future))
                forth = [future for _, future in futures]
                answers = in_threads(2, partial(cancel_each, (forth[::-1], forth)))
                manyhands.wait(forth, DEADLOCK_S)
                both = zip(futures, zip(answers[0][::-1], answers[1], strict=True), strict=True)
                for (number, future), verdicts in both:
                    cancelled = future.cancelled()
                    if cancelled is (number in ran) or (any(verdicts) and not cancelled):
                        wrong.append((number, verdicts, cancelled))
            assert solves_control_tasks(executor)

        assert wrong == []
        assert sorted(told) == list(range(races))

    @fault(63)
    @pytest.mark.parametrize("seeds", [300, pytest.param(3000, marks=[slow, pytest.mark.timeout(600)])])
    def test_under_every_schedule_that_is_tried(self, seeds: int) -> None:
        """Other activities go on at any bytecode of the future: cancel, start, finish and a waiter agree."""
        dummy = pytest.importorskip("manyhands_dummy", reason="the dummy backend is not installed")
        from manyhands import future as future_module
        from manyhands.executor import task as task_module

        def program(backend: Any) -> None:
            ran: list[int] = []
            verdicts: list[bool] = []
            told: list[Any] = []
            seen: list[Any] = []
            executor = backend.executor(max_workers=1)
            future = executor.submit(ran.append, 1)

            def wait() -> None:
                try:
                    seen.append(future.result())
                except manyhands.CancelledError:
                    seen.append("cancelled")

            others = [
                backend.Activity(target=lambda: verdicts.append(future.cancel())),
                backend.Activity(target=lambda: verdicts.append(future.cancel())),
                backend.Activity(target=lambda: future.add_done_callback(told.append)),
                backend.Activity(target=wait),
            ]
            for other in others:
                other.start()
            for other in others:
                other.join()
            executor.shutdown()
            assert future.done()
            assert future.cancelled() is not bool(ran), (future, ran)
            assert any(verdicts) <= future.cancelled()
            assert told == [future]
            assert seen == (["cancelled"] if future.cancelled() else [None])

        failure = dummy.explore(program, seeds, switch_in=[future_module, task_module])

        assert failure is None, str(failure)


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class TestStrangeExceptions:
    @fault(30)
    def test_a_cycle_of_contexts_arrives(self, backend: Any) -> None:
        """Nobody follows it for ever: delivered, logged by a callback, and forgotten."""
        first, second = ValueError("first"), KeyError("second")
        first.__context__, second.__context__ = second, first

        def work() -> None:
            raise first

        with backend.executor() as executor:
            future = executor.submit(work)
            assert future.exception(DEADLOCK_S) is first
            assert repr(future)
            assert solves_control_tasks(executor)
        first.__context__ = None

    @fault(30)
    def test_a_message_of_ten_megabytes_arrives(self, backend: Any) -> None:
        """What we say about it stays short."""
        text = "x" * 10_000_000

        def work() -> None:
            raise ValueError(text)

        with backend.executor() as executor:
            future = executor.submit(work)
            error = future.exception(DEADLOCK_S)

        assert isinstance(error, ValueError)
        assert len(str(error)) == len(text)
        assert len(repr(future)) < 65536

    @fault(5)
    def test_what_is_no_error_harms_no_worker(self, backend: Any) -> None:
        """Each of them on its own future; the same workers do what comes afterwards."""
        import asyncio

        kinds = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Rude]

        def work(kind: type[BaseException]) -> None:
            raise kind

        with backend.executor(max_workers=2) as executor:
            assert solves_control_tasks(executor)
            workers = {worker.name for worker in executor.stats().workers}
            futures = [executor.submit(work, kind) for kind in kinds]
            assert [type(future.exception(DEADLOCK_S)) for future in futures] == kinds
            assert solves_control_tasks(executor)

            assert {worker.name for worker in executor.stats().workers} >= workers

    @fault(69)
    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt, Rude])
    def test_a_callback_that_raises_harms_nobody(
        self, backend: Any, caplog: pytest.LogCaptureFixture, error: type[BaseException]
    ) -> None:
        """The callbacks after it are called, the executor works on, and the log has one record of it."""
        called: list[str] = []
        started, release = backend.event(), backend.event()

        def hold() -> None:
            started.set()
            release.wait(DEADLOCK_S)

        def raising(_: Any) -> None:
            called.append("first")
            raise error

        with backend.executor(max_workers=1) as executor:
            future = executor.submit(hold)
            assert started.wait(DEADLOCK_S)
            future.add_done_callback(raising)
            future.add_done_callback(lambda _: called.append("second"))
            release.set()
            future.result(DEADLOCK_S)
            assert solves_control_tasks(executor)

        assert called == ["first", "second"]
        assert len([record for record in caplog.records if record.name == "concurrent.futures"]) == 1


class TestFlow:
    @fault(64)
    @capability("not cancel_running")
    def test_cancel_of_a_running_task_tells_the_truth(self, backend: Any) -> None:
        """False, also when it is asked to stop; the task ends as it likes, and once."""
        started, release = backend.event(), backend.event()

        def hold() -> str:
            started.set()
            release.wait(DEADLOCK_S)
            return "finished"

        with backend.executor(max_workers=1) as executor:
            future = executor.submit(hold)
            assert started.wait(DEADLOCK_S)
            assert future.cancel() is False
            assert future.cancel(running=True) is False
            release.set()

            assert future.result(DEADLOCK_S) == "finished"

    @fault(66)
    def test_a_wait_that_runs_out_leaves_the_task_alone(self, backend: Any) -> None:
        """TimeoutError any number of times, of every way to wait; later the value."""
        release = backend.event()
        with backend.executor(max_workers=1) as executor:
            future = executor.submit(release.wait, DEADLOCK_S)
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    future.result(0.01)
                with pytest.raises(TimeoutError):
                    future.exception(0)
                with pytest.raises(TimeoutError):
                    list(manyhands.as_completed([future], 0.01))
                assert manyhands.wait([future], 0.01).not_done == {future}
            release.set()

            assert future.result(DEADLOCK_S) is True

    @fault(71)
    def test_every_worker_waits_for_a_task_of_its_own_executor(self, backend: Any) -> None:
        """A tree of tasks five levels deep on one worker: each waits for two others."""

        def tree(depth: int) -> int:
            if not depth:
                return 1
            return sum(future.result(DEADLOCK_S) for future in [executor.submit(tree, depth - 1) for _ in range(2)])

        with backend.executor(max_workers=1) as executor:
            assert executor.submit(tree, 5).result(DEADLOCK_S) == 32
            assert solves_control_tasks(executor)

    @fault(73)
    def test_closing_does_not_wait_for_a_blocked_input(self, backend: Any) -> None:
        """The iterator of a lazy map blocks its consumer and nobody else."""
        reached, release = backend.event(), backend.event()
        ended = backend.simple_queue()

        def items() -> Any:
            yield from (-1, -2)
            reached.set()
            release.wait(DEADLOCK_S)
            yield -3

        executor = backend.executor(max_workers=2)

        def consume() -> None:
            try:
                ended.put(list(executor.map(abs, items(), buffersize=1)))
            except ExecutorClosedError:
                ended.put("closed")

        consumer = backend.Activity(target=consume)
        consumer.start()
        assert reached.wait(DEADLOCK_S)
        began = time.monotonic()
        executor.shutdown()
        took = time.monotonic() - began
        release.set()

        assert all_end([consumer])
        assert took < 2
        assert ended.get(timeout=1) in ("closed", [1, 2, 3])

    @fault(74)
    def test_producers_wait_for_room_and_wake_at_the_end(self, backend: Any) -> None:
        """Twenty producers of one executor with room for three: whoever is inside is done, the others are refused."""
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1, max_pending=3)
        outcomes = backend.simple_queue()

        def hold() -> None:
            started.set()
            release.wait(DEADLOCK_S)

        def produce() -> None:
            try:
                outcomes.put(executor.submit(pow, 2, 2))
            except ExecutorClosedError:
                outcomes.put("closed")

        executor.submit(hold)
        assert started.wait(DEADLOCK_S)
        producers = [backend.Activity(target=produce) for _ in range(20)]
        for producer in producers:
            producer.start()
        accepted = [outcomes.get(timeout=DEADLOCK_S) for _ in range(2)]
        executor.shutdown(wait=False)
        release.set()

        assert all_end(producers)
        assert [future.result(DEADLOCK_S) for future in accepted] == [4, 4]
        assert [outcomes.get(timeout=1) for _ in range(18)] == ["closed"] * 18

    @fault(74)
    def test_room_goes_from_hand_to_hand(self, backend: Any) -> None:
        """A cancelled task makes room, and so does each that is done: ten producers get all of theirs through."""
        total = backend.simple_queue()
        with backend.executor(max_workers=2, max_pending=2) as executor:

            def produce() -> None:
                for n in range(20):
                    future = executor.submit(pow, 2, 2)
                    if n % 3 == 0:
                        future.cancel()
                    total.put(future)

            producers = [backend.Activity(target=produce) for _ in range(10)]
            for producer in producers:
                producer.start()

            assert all_end(producers)
        futures = [total.get(timeout=1) for _ in range(200)]
        assert all(future.cancelled() or future.result(0) == 4 for future in futures)

    @fault(65)
    @capability("not task_timeout")
    def test_a_timeout_of_a_task_is_refused_before_anything_runs(self, backend: Any) -> None:
        """Also through a view of a view; no task is made."""
        with backend.executor() as executor:
            with pytest.raises(manyhands.UnsupportedError, match="task_timeout"):
                executor.with_options(retries=1).with_options(timeout=0.2)

            assert executor.stats().done == 0

    @fault(70)
    def test_a_callback_that_submits_ten_thousand_deep(self, backend: Any) -> None:
        """Each callback submits the next task: no recursion, whoever delivers."""
        depth = 10_000
        done = backend.event()
        with backend.executor(max_workers=2) as executor:

            def go_on(future: Any) -> None:
                if future.result() == depth:
                    done.set()
                else:
                    executor.submit(lambda n: n + 1, future.result()).add_done_callback(go_on)

            executor.submit(lambda: 0).add_done_callback(go_on)

            assert done.wait(DEADLOCK_S)

    @fault(76)
    def test_futures_of_two_backends_in_one_wait(self, backend: Any, backend_name: str) -> None:
        """Each once, in ``wait`` and in ``as_completed``, with a duplicate among them."""
        with manyhands.open_executor(backend_name, max_workers=1) as other, backend.executor() as executor:
            futures = [executor.submit(pow, 2, 2), other.submit(pow, 2, 3)]
            done = manyhands.wait([*futures, *futures], DEADLOCK_S).done
            ended = list(manyhands.as_completed([*futures, futures[0]], DEADLOCK_S))

        assert done == set(futures)
        assert sorted(future.result() for future in ended) == [4, 8]

    @fault(31)
    def test_a_stop_iteration_ends_no_generator(self, backend: Any) -> None:
        """From ``result`` and from every kind of map it comes out as an error, not as the end."""

        def stop(_: Any = None) -> None:
            raise StopIteration("of the task")

        with backend.executor() as executor:
            with pytest.raises(StopIteration):
                executor.submit(stop).result(DEADLOCK_S)
            for way in ({}, {"chunksize": 1}, {"buffersize": 2}):
                with pytest.raises((StopIteration, RuntimeError)):
                    list(map(next, [executor.map(stop, [1, 2], **way)]))
            assert solves_control_tasks(executor)


class Big:
    """Something that can be referred to weakly."""


@fault(75)
def test_nothing_is_kept_alive_by_a_timer_or_a_callback(backend: Any) -> None:
    """Arguments, results and callbacks go when they were used."""
    gone: list[Any] = []

    def watched() -> Any:
        thing = Big()
        gone.append(weakref.ref(thing))
        return thing

    with backend.executor(max_workers=1) as executor:
        future = executor.submit(lambda _: watched(), watched())
        future.add_done_callback(partial(lambda _thing, _future: None, watched()))
        future.result(DEADLOCK_S)
        del future
        backend.after(0, lambda _: None, watched()).result(DEADLOCK_S)
        executor.submit(pow, 2, 2).result(DEADLOCK_S)
        backend.after(0, pow, 2, 2).result(DEADLOCK_S)

        assert eventually(lambda: not [ref for ref in gone if ref() is not None], seconds=2)


@fault(105)
@capability("not deterministic")
def test_turns_that_are_as_short_as_can_be(backend: Any) -> None:
    """Threads that take turns every microsecond: the same results."""
    import sys

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with backend.executor(max_workers=4) as executor:
            queue, lock, total = backend.queue(5), backend.lock(), [0]

            def add(n: int) -> None:
                with lock:
                    total[0] += n
                queue.put(n, timeout=DEADLOCK_S)

            futures = [executor.submit(add, n) for n in range(300)]
            items = [queue.get(timeout=DEADLOCK_S) for _ in futures]
            assert list(executor.map(abs, range(-300, 0))) == list(range(300, 0, -1))
    finally:
        sys.setswitchinterval(before)

    assert sorted(items) == list(range(300))
    assert total == [sum(range(300))]
    assert threading.active_count() < 50
