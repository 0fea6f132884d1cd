"""Cancelling: what has not started never does, what runs is asked, and nobody is lied to."""

import random
import threading
import time
from typing import Any, Final

import pytest

import manyhands
from manyhands import CancelledError, Executor, Future, current_backend, current_task

from .support import DEADLOCK_S, Beside, eventually, occupied

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault


def record(ran: Any, number: int) -> int:
    ran.put(number)
    return number


def hold(started: Any, release: Any) -> str:
    started.set()
    assert release.wait(DEADLOCK_S)
    return "finished"


def return_when_asked(started: Any) -> str:
    started.set()
    task = current_task()
    assert task is not None
    return "asked" if eventually(lambda: task.cancel_requested, on=current_backend()) else "never asked"


def spin(started: Any) -> None:
    """Runs for ever and looks at nothing."""
    started.set()
    while True:
        pass


@pytest.mark.contract("manyhands.Future.cancel")
class TestBeforeTheStart:
    @covers("future-objects")
    def test_it_is_cancelled(self, executor: Executor) -> None:
        """``cancel`` is True, now and again; ``result`` and ``exception`` raise CancelledError."""
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            assert future.cancel()
            assert future.cancel()
            assert future.cancel(running=True)
            assert (future.cancelled(), future.done(), future.running()) == (True, True, False)
            for ask in (future.result, future.exception):
                with pytest.raises(CancelledError):
                    ask()

    def test_it_never_runs(self, backend: Any) -> None:
        """Nor do those around it suffer."""
        ran = backend.queue()
        with backend.executor(max_workers=2) as executor:
            with occupied(executor):
                futures = [executor.submit(record, ran, number) for number in range(100)]
                for future in futures[::2]:
                    assert future.cancel()
            executor.submit(pow, 2, 2).result(DEADLOCK_S)

        assert sorted(ran.get_nowait() for _ in range(ran.qsize())) == list(range(1, 100, 2))

    @pytest.mark.parametrize("how", ["result", "exception"])
    @capability("not deterministic")
    def test_who_waits_for_it_wakes(self, executor: Executor, how: str, beside: Beside) -> None:
        """At once, although all workers are busy."""
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            waiter = beside(getattr(future, how), DEADLOCK_S)
            assert future.cancel()

            assert isinstance(waiter.outcome(), CancelledError)

    def test_a_thousand_cancelled_ones_are_skipped(self, executor: Executor) -> None:
        """The next task does not wait for them."""
        with occupied(executor):
            for future in [executor.submit(time.sleep, 1000) for _ in range(1000)]:
                assert future.cancel()
            last = executor.submit(pow, 2, 2)

        assert last.result(DEADLOCK_S) == 4

    def test_a_retry_that_waits_can_be_cancelled(self, backend: Any) -> None:
        """Between two attempts it has not started."""
        started, release, attempts = backend.event(), backend.event(), backend.queue()
        with backend.executor(max_workers=1) as executor:
            future = executor.with_options(retries=1000).submit(hold_then_fail, started, release, attempts)
            assert started.wait(DEADLOCK_S)
            blocker_started, blocker_release = backend.event(), backend.event()
            blocker = executor.submit(hold, blocker_started, blocker_release)
            release.set()
            assert blocker_started.wait(DEADLOCK_S)
            assert future.cancel()
            blocker_release.set()
            blocker.result(DEADLOCK_S)

        assert attempts.qsize() == 1
        assert future.cancelled()


def hold_then_fail(started: Any, release: Any, attempts: Any) -> None:
    attempts.put(None)
    hold(started, release)
    raise OSError("try again")


@pytest.mark.contract("manyhands.Future.cancel")
class TestAfterTheStart:
    @covers("future-objects")
    def test_a_running_task_is_not_cancelled_by_default(self, executor: Executor) -> None:
        """``cancel`` keeps its meaning: False, and nobody is asked."""
        with occupied(executor) as (future, _):
            assert not future.cancel()
            assert future.running()
            assert not future.cancel_requested

        assert future.result(DEADLOCK_S) is True

    def test_a_done_one_is_not_cancelled(self, executor: Executor) -> None:
        """In neither way; its result stays."""
        future = executor.submit(pow, 2, 2)
        future.result(DEADLOCK_S)

        assert not future.cancel()
        assert not future.cancel(running=True)
        assert future.result() == 4

    @fault(64)
    def test_a_running_task_that_listens_ends_early(self, executor: Executor, backend: Any) -> None:
        """``cancel(running=True)`` is seen as ``current_task().cancel_requested``; True only if it was stopped."""
        started = backend.event()
        future = executor.submit(return_when_asked, started)
        assert started.wait(DEADLOCK_S)
        stopped = future.cancel(running=True)

        if stopped:
            assert future.cancelled()
        else:
            assert future.result(DEADLOCK_S) == "asked"

    @fault(64)
    @capability("not cancel_running")
    def test_what_cannot_be_stopped_is_not_said_to_be(self, backend: Any) -> None:
        """False at once and never a lie: the task finishes, and its future has the result."""
        started, release = backend.event(), backend.event()
        with backend.executor(max_workers=1, grace=DEADLOCK_S) as executor:
            future = executor.submit(hold, started, release)
            assert started.wait(DEADLOCK_S)
            began = time.monotonic()
            assert future.cancel(running=True) is False
            assert time.monotonic() - began < DEADLOCK_S / 2
            assert future.running()
            release.set()

            assert future.result(DEADLOCK_S) == "finished"

    @fault(64)
    @capability("cancel_running")
    def test_what_does_not_listen_is_stopped(self, backend: Any) -> None:
        """After the grace; the future is cancelled, and the executor works on at full size."""
        started = backend.event()
        with backend.executor(max_workers=2, grace=0.1) as executor:
            future = executor.submit(spin, started)
            assert started.wait(DEADLOCK_S)

            assert future.cancel(running=True) is True
            assert future.cancelled()
            with pytest.raises(CancelledError):
                future.result()
            with occupied(executor, 2):
                pass

    @fault(64)
    @capability("cancel_running")
    def test_stopping_one_harms_no_other(self, backend: Any) -> None:
        """What runs beside it and what waits behind it is done."""
        started = backend.event()
        with backend.executor(max_workers=2, grace=0.1) as executor, occupied(executor, 1) as (beside,):
            future = executor.submit(spin, started)
            assert started.wait(DEADLOCK_S)
            behind = [executor.submit(pow, 2, n) for n in range(20)]
            future.cancel(running=True)

            assert [other.result(DEADLOCK_S) for other in behind] == [2**n for n in range(20)]
        assert beside.result(DEADLOCK_S) is True

    def test_a_task_that_was_asked_is_not_tried_again(self, backend: Any) -> None:
        """Retries end with the request."""
        started, attempts = backend.event(), backend.queue()
        with backend.executor(max_workers=1) as executor:
            future = executor.with_options(retries=5).submit(fail_when_asked, started, attempts)
            assert started.wait(DEADLOCK_S)
            stopped = future.cancel(running=True)
            if not stopped:
                assert isinstance(future.exception(DEADLOCK_S), OSError)

        assert attempts.qsize() == 1

    def test_the_request_is_for_one_task_only(self, backend: Any) -> None:
        """The next one in the same worker is not asked."""
        started = backend.event()
        with backend.executor(max_workers=1) as executor:
            future = executor.submit(return_when_asked, started)
            assert started.wait(DEADLOCK_S)
            future.cancel(running=True)

            assert executor.submit(is_asked).result(DEADLOCK_S) is False

    @capability("in_process")
    def test_a_task_may_cancel_itself(self, backend: Any) -> None:
        """It is asked, as by anybody else, and does not wait for itself."""
        with backend.executor(max_workers=1, grace=0.1) as executor:
            holder: Any = backend.simple_queue()
            future = executor.submit(cancel_what_comes, holder)
            holder.put(future)

            assert future.result(DEADLOCK_S) == (False, True)


def fail_when_asked(started: Any, attempts: Any) -> None:
    attempts.put(None)
    return_when_asked(started)
    raise OSError("was asked")


def is_asked() -> bool:
    task = current_task()
    assert task is not None
    return task.cancel_requested


def cancel_what_comes(holder: Any) -> tuple[bool, bool]:
    return holder.get(timeout=DEADLOCK_S).cancel(running=True), is_asked()


def submit_until_closed(executor: Executor, most: int) -> list[Any]:
    futures = []
    try:
        for _ in range(most):
            futures.append(executor.submit(pow, 2, 2))
    except manyhands.ExecutorClosedError:
        pass
    return futures


@pytest.mark.contract("manyhands.Engine")
class TestRaces:
    @fault(63)
    @capability("not deterministic")
    def test_cancel_against_start_and_finish(self, backend: Any) -> None:
        """Two thousand tasks are cancelled while they run through: cancelled and never ran, or done and ran once."""
        ran = backend.queue()
        with backend.executor(max_workers=2) as executor:
            for _ in range(20):
                futures = [executor.submit(record, ran, number) for number in range(100)]
                cancelled = {number for number in reversed(range(100)) if futures[number].cancel()}
                manyhands.wait(futures, DEADLOCK_S)
                seen = sorted(ran.get_nowait() for _ in range(ran.qsize()))

                assert seen == [number for number in range(100) if number not in cancelled]
                assert {number for number in range(100) if futures[number].cancelled()} == cancelled

    @fault(63)
    @capability("not deterministic")
    def test_many_cancel_the_same(self, executor: Executor, beside: Beside) -> None:
        """All get the same answer."""
        for _ in range(50):
            future = executor.submit(pow, 2, 2)

            def cancel(_: int, future: Future[int] = future) -> bool:
                return future.cancel()

            answers = beside.together(4, cancel)
            manyhands.wait([future], DEADLOCK_S)

            assert future.cancelled() == any(answers)
            if not future.cancelled():
                assert future.result() == 4

    @fault(63)
    @capability("not deterministic")
    def test_cancel_against_shutdown(self, backend: Any) -> None:
        """Every accepted future reaches one final state, whoever comes first."""
        generator = random.Random(5)
        for _ in range(20):
            executor = backend.executor(max_workers=2)
            futures = [executor.submit(pow, 2, 2) for _ in range(50)]
            canceller = threading.Thread(target=lambda futures=futures: [future.cancel() for future in futures[::3]])
            canceller.start()
            executor.shutdown(cancel_futures=generator.random() < 0.5)
            canceller.join(DEADLOCK_S)

            assert all(future.done() for future in futures)

    @fault(63)
    @capability("not deterministic")
    def test_submit_against_shutdown(self, backend: Any, beside: Beside) -> None:
        """A submit is either refused or its future is done; nothing stays in between."""
        for _ in range(30):
            executor = backend.executor(max_workers=2)
            producers = [beside(submit_until_closed, executor, 2000) for _ in range(3)]

            def under_way(executor: Any = executor) -> object:
                return executor.stats().done > 20

            assert eventually(under_way, on=backend)
            executor.shutdown()
            for producer in producers:
                futures = producer.outcome()
                assert manyhands.wait(futures, DEADLOCK_S).not_done == set()
                assert {future.result() for future in futures if not future.cancelled()} <= {4}
