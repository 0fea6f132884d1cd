"""Future alone, without any executor: states, who waits, what is delivered, and races."""

import asyncio
import concurrent.futures
import itertools
import logging
import pickle
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from manyhands import (
    CancelledError,
    Future,
    InvalidStateError,
    SerializationError,
    as_completed,
    wait,
)
from manyhands.contract.support import DEADLOCK_S, Background, eventually, in_threads

fault = pytest.mark.fault
bad_input = pytest.mark.bad_input
covers = pytest.mark.covers

#: How often a race is run; each round has two threads that meet at a barrier.
RACES = 10_000


def running() -> "Future[Any]":
    future: Future[Any] = Future()
    assert future.set_running_or_notify_cancel()
    return future


def finished(value: Any = None) -> "Future[Any]":
    future = running()
    future.set_result(value)
    return future


def failed(error: BaseException) -> "Future[Any]":
    future = running()
    future.set_exception(error)
    return future


def cancelled(*, notified: bool = False) -> "Future[Any]":
    future: Future[Any] = Future()
    assert future.cancel()
    if notified:
        assert not future.set_running_or_notify_cancel()
    return future


#: One of each kind, as (name, maker, pending, running, done, cancelled).
KINDS: dict[str, tuple[Callable[[], "Future[Any]"], tuple[bool, bool, bool]]] = {
    "pending": (Future, (False, False, False)),
    "running": (running, (True, False, False)),
    "finished": (finished, (False, True, False)),
    "failed": (lambda: failed(ValueError()), (False, True, False)),
    "cancelled": (cancelled, (False, True, True)),
    "cancelled and notified": (lambda: cancelled(notified=True), (False, True, True)),
}
DONE = ("finished", "failed", "cancelled", "cancelled and notified")


class TestStates:
    @covers("future-objects")
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("watched", [False, True])
    def test_what_it_says_of_itself(self, kind: str, watched: bool) -> None:
        """``running``, ``done`` and ``cancelled``, whether somebody has looked at its condition or not."""
        make, expected = KINDS[kind]
        future = make()
        if watched:
            assert future._condition is not None

        assert (future.running(), future.done(), future.cancelled()) == expected

    @pytest.mark.parametrize("kind", KINDS)
    def test_its_state_is_the_standard_librarys(self, kind: str) -> None:
        """What ``wait`` and ``asyncio`` read from a standard future they read from ours."""
        theirs: concurrent.futures.Future[Any] = concurrent.futures.Future()
        ours = KINDS[kind][0]()
        if kind == "pending":
            pass
        elif kind.startswith("cancelled"):
            theirs.cancel()
            if kind.endswith("notified"):
                theirs.set_running_or_notify_cancel()
        else:
            theirs.set_running_or_notify_cancel()
            if kind == "finished":
                theirs.set_result(None)
            elif kind == "failed":
                theirs.set_exception(ValueError())

        assert ours._state == theirs._state

    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            ("pending", "state=pending"),
            ("running", "state=running"),
            ("finished", "state=finished returned NoneType"),
            ("failed", "state=finished raised ValueError"),
            ("cancelled", "state=cancelled"),
            ("cancelled and notified", "state=cancelled"),
        ],
    )
    def test_its_repr(self, kind: str, words: str) -> None:
        """The state, and the type of what came out."""
        assert f"{words}>" in repr(KINDS[kind][0]())

    def test_it_is_a_standard_future(self) -> None:
        """By ``isinstance``."""
        assert isinstance(Future(), concurrent.futures.Future)

    def test_it_cannot_be_pickled(self) -> None:
        """The error says what to pass on instead."""
        with pytest.raises(SerializationError, match="a future cannot be passed on; pass its result, or the executor"):
            pickle.dumps(Future())


class TestResult:
    @pytest.mark.parametrize("kind", ["pending", "running"])
    @pytest.mark.parametrize("ask", ["result", "exception"])
    def test_what_is_not_done_times_out(self, kind: str, ask: str) -> None:
        """TimeoutError after the time, with 0 and less at once."""
        future = KINDS[kind][0]()
        for timeout in (0.01, 0, -1):
            with pytest.raises(TimeoutError):
                getattr(future, ask)(timeout)
            with pytest.raises(concurrent.futures.TimeoutError):
                getattr(future, ask)(timeout=timeout)

    def test_a_result(self) -> None:
        """Any value, also one that is false, and as often as one likes."""
        values: tuple[object, ...] = (None, 0, False, "", [], ValueError("a value"))
        for value in values:
            future = finished(value)
            assert future.result() is value
            assert future.result(0) is value
            assert future.exception(0) is None

    def test_an_exception(self) -> None:
        """Raised by ``result``, returned by ``exception``: the very object."""
        error = ValueError("it")
        future = failed(error)

        assert future.exception() is error
        for _ in range(2):
            with pytest.raises(ValueError, match="it") as caught:
                future.result()
            assert caught.value is error

    @pytest.mark.parametrize("notified", [False, True])
    def test_a_cancelled_one(self, notified: bool) -> None:
        """CancelledError from both."""
        future = cancelled(notified=notified)
        for ask in (future.result, future.exception):
            with pytest.raises(CancelledError):
                ask(0)

    @fault(75)
    def test_the_traceback_does_not_grow(self) -> None:
        """Each ``result`` starts from what was delivered."""
        try:
            raise KeyError("original")
        except KeyError as error:
            future = failed(error)
        lengths = set()
        for _ in range(50):
            with pytest.raises(KeyError) as caught:
                future.result()
            lengths.add(len(traceback.extract_tb(caught.value.__traceback__)))

        assert len(lengths) == 1

    @bad_input(12)
    def test_odd_timeouts(self) -> None:
        """inf and beyond the platform's range are no limit; nan is an error."""
        assert finished(1).result(float("inf")) == 1
        waiting = running()
        waiter = Background(waiting.result, 1e300)
        waiting.set_result(2)
        assert waiter.outcome() == 2
        with pytest.raises(ValueError, match="timeout must be a number of seconds, got nan"):
            running().result(float("nan"))

    @pytest.mark.parametrize("ask", ["result", "exception"])
    @pytest.mark.parametrize("end", ["set_result", "set_exception", "cancel"])
    def test_who_waits_wakes(self, ask: str, end: str) -> None:
        """However it ends."""
        future: Future[Any] = Future()
        error = ValueError()
        waiters = [Background(getattr(future, ask), DEADLOCK_S) for _ in range(3)]
        if end == "cancel":
            future.cancel()
            expected: Any = CancelledError
        elif end == "set_result":
            future.set_result(7)
            expected = 7 if ask == "result" else None
        else:
            future.set_exception(error)
            expected = error

        for waiter in waiters:
            outcome = waiter.outcome()
            assert outcome is expected or outcome == expected or isinstance(outcome, CancelledError)

    def test_a_wait_that_gave_up_leaves_nothing(self) -> None:
        """A hundred that timed out do not make the end slower, and are not woken."""
        future = running()
        for _ in range(100):
            with pytest.raises(TimeoutError):
                future.result(0)
        future.set_result(1)

        assert future.result() == 1


class TestSetting:
    @bad_input(34)
    @pytest.mark.parametrize("kind", DONE)
    def test_a_done_one_cannot_be_set(self, kind: str) -> None:
        """InvalidStateError, and it stays what it was."""
        future = KINDS[kind][0]()
        before = repr(future)
        setter: Callable[[], None]
        for setter in (lambda: future.set_result(1), lambda: future.set_exception(KeyError())):
            with pytest.raises(InvalidStateError):
                setter()

        assert repr(future) == before

    def test_a_pending_one_can(self) -> None:
        """As in the standard library."""
        future: Future[int] = Future()
        future.set_result(1)
        assert future.result(0) == 1

    @pytest.mark.parametrize(("kind", "may_start"), [("pending", True), ("cancelled", False)])
    def test_starting(self, kind: str, may_start: bool) -> None:
        """``set_running_or_notify_cancel`` tells whether the task may run."""
        assert KINDS[kind][0]().set_running_or_notify_cancel() is may_start

    @pytest.mark.parametrize("kind", ["running", "finished", "failed", "cancelled and notified"])
    def test_starting_twice_is_an_error(self, kind: str, caplog: pytest.LogCaptureFixture) -> None:
        """RuntimeError, logged as the standard library does."""
        with pytest.raises(RuntimeError, match="Future in unexpected state"):
            KINDS[kind][0]().set_running_or_notify_cancel()
        assert [record.levelno for record in caplog.records] == [logging.CRITICAL]

    @pytest.mark.parametrize(
        ("kind", "answer"),
        [
            ("pending", True),
            ("running", False),
            ("finished", False),
            ("cancelled", True),
            ("cancelled and notified", True),
        ],
    )
    def test_cancelling(self, kind: str, answer: bool) -> None:
        """True if it never runs; the same with ``running=True`` where nobody can stop it."""
        assert KINDS[kind][0]().cancel() is answer
        assert KINDS[kind][0]().cancel(running=True) is answer


class TestCallbacks:
    @pytest.mark.parametrize("end", ["set_result", "set_exception", "cancel"])
    def test_they_are_called_once_in_order(self, end: str) -> None:
        """With the future, in the thread that ends it."""
        future: Future[Any] = Future()
        calls: list[Any] = []
        for number in range(5):

            def note(done: Future[Any], number: int = number) -> None:
                calls.append((number, done, threading.get_ident()))

            future.add_done_callback(note)
        if end == "cancel":
            future.cancel()
            future.cancel()
        elif end == "set_result":
            future.set_result(1)
        else:
            future.set_exception(ValueError())

        assert calls == [(number, future, threading.get_ident()) for number in range(5)]

    @pytest.mark.parametrize("kind", DONE)
    def test_on_a_done_one_at_once(self, kind: str) -> None:
        """In the caller's thread."""
        calls: list[Any] = []
        future = KINDS[kind][0]()
        future.add_done_callback(calls.append)

        assert calls == [future]

    @bad_input(33)
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_not_callable_is_refused(self, kind: str) -> None:
        """TypeError at the call."""
        with pytest.raises(TypeError, match="add_done_callback needs a callable, got None"):
            KINDS[kind][0]().add_done_callback(None)  # type: ignore[arg-type]

    @fault(69)
    @pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
    def test_what_one_raises_is_logged(self, error: BaseException, caplog: pytest.LogCaptureFixture) -> None:
        """The others are called, and ``set_result`` returns."""
        future: Future[Any] = Future()
        calls: list[Any] = []

        def bad(_: Any) -> None:
            raise error

        future.add_done_callback(bad)
        future.add_done_callback(calls.append)
        future.set_result(1)

        assert calls == [future]
        (record,) = caplog.records
        assert (record.name, record.exc_info[1]) == ("concurrent.futures", error)  # type: ignore[index]

    @fault(70)
    def test_a_chain_needs_no_stack(self) -> None:
        """A hundred thousand futures, each completing the next."""
        links: list[Future[int]] = [Future() for _ in range(100_000)]
        for this, following in itertools.pairwise(links):

            def complete(done: Future[int], following: Future[int] = following) -> None:
                following.set_result(done.result() + 1)

            this.add_done_callback(complete)
        links[0].set_result(0)

        assert links[-1].result(0) == 99_999

    def test_they_do_not_nest(self) -> None:
        """One that ends another future goes on to its own end before that one's callbacks are called."""
        outer: Future[Any] = Future()
        inner: Future[Any] = Future()
        order: list[str] = []
        inner.add_done_callback(lambda _: order.append("of the inner"))

        def first(_: Any) -> None:
            order.append("first begins")
            inner.set_result(1)
            assert inner.done()
            order.append("first ends")

        outer.add_done_callback(first)
        outer.add_done_callback(lambda _: order.append("second"))
        outer.set_result(1)

        assert order == ["first begins", "first ends", "second", "of the inner"]

    def test_one_that_is_added_by_another_is_called(self) -> None:
        """Also while the callbacks are being called."""
        future: Future[Any] = Future()
        calls: list[str] = []
        future.add_done_callback(lambda done: done.add_done_callback(lambda _: calls.append("added late")))
        future.add_done_callback(lambda _: calls.append("second"))
        future.set_result(1)

        assert sorted(calls) == ["added late", "second"]

    def test_after_an_error_in_one_the_thread_delivers_on(self) -> None:
        """A callback that raises leaves nothing behind that keeps later ones from being called."""
        for _ in range(3):
            future: Future[Any] = Future()
            calls: list[Any] = []
            future.add_done_callback(lambda _: 1 / 0)
            future.set_result(1)
            future.add_done_callback(calls.append)
            assert calls == [future]


class TestWatched:
    """The standard library's own ``wait`` and ``as_completed`` install waiters under the future's condition."""

    @pytest.mark.parametrize("functions", [concurrent.futures, sys.modules[__name__]], ids=["theirs", "ours"])
    @pytest.mark.parametrize("end", ["set_result", "set_exception", "cancel"])
    def test_wait_sees_the_end(self, functions: Any, end: str) -> None:
        """However it ends, also a cancellation that nobody has been notified of where the library would see it."""
        futures: list[Future[Any]] = [Future() for _ in range(3)]
        waiter = Background(lambda: functions.wait(futures, DEADLOCK_S))
        for future in futures:
            if end == "cancel":
                future.cancel()
                future.set_running_or_notify_cancel()
            elif end == "set_result":
                future.set_result(1)
            else:
                future.set_exception(ValueError())

        assert waiter.outcome().done == set(futures)

    @pytest.mark.parametrize("functions", [concurrent.futures, sys.modules[__name__]], ids=["theirs", "ours"])
    def test_as_completed_sees_each_end(self, functions: Any) -> None:
        """In the order of the ends."""
        futures: list[Future[int]] = [Future() for _ in range(20)]
        got: list[int] = []

        def consume() -> None:
            for future in functions.as_completed(futures, DEADLOCK_S):
                got.append(future.result())

        consumer = Background(consume)
        for number in (7, 3, 11):

            def seen(number: int = number) -> bool:
                return got[-1:] == [number]

            futures[number].set_result(number)
            assert eventually(seen)
        for number, future in enumerate(futures):
            if not future.done():
                future.set_result(number)

        assert consumer.outcome() is None
        assert sorted(got) == list(range(20))

    def test_the_condition_is_made_once(self) -> None:
        """Twenty threads that ask for it at once get the same."""
        for _ in range(50):
            future: Future[Any] = Future()

            def ask(_: int, future: Future[Any] = future) -> threading.Condition:
                return future._condition

            assert len({id(condition) for condition in in_threads(5, ask)}) == 1

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_condition_that_comes_late_tells_the_truth(self, kind: str) -> None:
        """Whoever takes it sees the final state, and is not waited for."""
        make, (_, done, _) = KINDS[kind]
        future = make()
        with future._condition:
            assert future._state in ("PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")
        if done:
            notified = kind != "cancelled"
            assert bool(concurrent.futures.wait([future], 0).done) is notified or future.cancelled()

    def test_wrap_future(self) -> None:
        """asyncio's own way."""

        async def main(future: "Future[int]") -> int:
            threading.Timer(0.001, future.set_result, (5,)).start()
            return await asyncio.wrap_future(future)

        assert asyncio.run(main(Future())) == 5


class TestAwaiting:
    @pytest.mark.parametrize("kind", ["finished", "failed", "cancelled"])
    def test_a_done_one(self, kind: str) -> None:
        """Does not even ask the loop."""

        async def main() -> Any:
            return await KINDS[kind][0]()

        if kind == "finished":
            assert asyncio.run(main()) is None
        else:
            with pytest.raises(ValueError if kind == "failed" else asyncio.CancelledError):
                asyncio.run(main())

    @fault(31)
    def test_a_stop_iteration_arrives_as_an_error(self) -> None:
        """The coroutine does not end as if it had returned."""

        async def main() -> None:
            await failed(StopIteration(3))

        with pytest.raises(RuntimeError, match="the task raised StopIteration") as caught:
            asyncio.run(main())
        assert isinstance(caught.value.__cause__, StopIteration)

    def test_cancelling_the_coroutine_cancels_it(self) -> None:
        """If it has not started; a running one goes on."""

        async def main(future: "Future[Any]") -> None:
            async def waiting() -> Any:
                return await future

            task = asyncio.ensure_future(waiting())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        pending: Future[Any] = Future()
        asyncio.run(main(pending))
        assert pending.cancelled()
        started = running()
        asyncio.run(main(started))
        assert started.running()

    def test_outside_of_a_loop_it_is_an_error(self) -> None:
        """RuntimeError from asyncio."""
        with pytest.raises(RuntimeError, match="no running event loop"):
            next(running().__await__())


class TestRaces:
    """Two real threads each time; run it with ``--switch-interval 1e-6`` for more."""

    @fault(63)
    def test_cancel_against_start(self) -> None:
        """Exactly one of the two wins: cancelled and never started, or started and not cancelled."""
        futures: list[Future[Any]] = [Future() for _ in range(RACES)]
        cancel = [False] * RACES
        start = [False] * RACES

        def canceller() -> None:
            for index, future in enumerate(futures):
                cancel[index] = future.cancel()

        def starter() -> None:
            for index, future in enumerate(futures):
                start[index] = future.set_running_or_notify_cancel()

        race(canceller, starter)

        assert [index for index in range(RACES) if cancel[index] == start[index]] == []
        assert [index for index in range(RACES) if futures[index].cancelled() != cancel[index]] == []

    @fault(63)
    def test_cancel_against_finish(self) -> None:
        """One outcome, and each callback is called once."""
        futures: list[Future[Any]] = [Future() for _ in range(RACES)]
        calls = [0] * RACES
        cancel = [False] * RACES
        finish = [False] * RACES
        for index, future in enumerate(futures):

            def count(_: Future[Any], index: int = index) -> None:
                calls[index] += 1

            future.add_done_callback(count)

        def canceller() -> None:
            for index, future in enumerate(futures):
                cancel[index] = future.cancel()

        def finisher() -> None:
            for index, future in enumerate(futures):
                try:
                    future.set_result(index)
                    finish[index] = True
                except InvalidStateError:
                    pass

        race(canceller, finisher)

        assert [index for index in range(RACES) if cancel[index] == finish[index]] == []
        assert set(calls) == {1}

    @fault(63)
    def test_two_deliver(self) -> None:
        """One is believed, the other is told."""
        futures: list[Future[Any]] = [Future() for _ in range(RACES)]
        believed = [[False] * RACES, [False] * RACES]

        def deliver(who: int) -> None:
            for index, future in enumerate(futures):
                try:
                    future.set_result(who)
                    believed[who][index] = True
                except InvalidStateError:
                    pass

        race(lambda: deliver(0), lambda: deliver(1))

        for index, future in enumerate(futures):
            assert [believed[0][index], believed[1][index]] == [future.result() == 0, future.result() == 1]

    def test_result_against_finish(self) -> None:
        """No wake-up is lost."""
        futures: list[Future[int]] = [Future() for _ in range(RACES)]

        def waiter() -> None:
            for index, future in enumerate(futures):
                assert future.result(DEADLOCK_S) == index

        def finisher() -> None:
            for index, future in enumerate(futures):
                future.set_result(index)

        race(waiter, finisher)

    @pytest.mark.parametrize("functions", [concurrent.futures, sys.modules[__name__]], ids=["theirs", "ours"])
    def test_wait_against_finish(self, functions: Any) -> None:
        """Whoever installs a waiter just then sees the end, in the library's functions as well."""
        futures: list[Future[int]] = [Future() for _ in range(RACES)]

        def waiter() -> None:
            for future in futures:
                assert functions.wait([future], DEADLOCK_S).done == {future}

        def finisher() -> None:
            for index, future in enumerate(futures):
                future.set_result(index)

        race(waiter, finisher)

    @pytest.mark.parametrize("functions", [concurrent.futures, sys.modules[__name__]], ids=["theirs", "ours"])
    def test_as_completed_against_finish(self, functions: Any) -> None:
        """Each comes, once."""
        for _ in range(20):
            futures: list[Future[int]] = [Future() for _ in range(RACES // 20)]
            got: list[int] = []

            def consumer(futures: Any = futures, got: list[int] = got) -> None:
                got.extend(future.result() for future in functions.as_completed(futures, DEADLOCK_S))

            def finisher(futures: Any = futures) -> None:
                for index, future in enumerate(futures):
                    future.set_result(index)

            race(consumer, finisher)
            assert sorted(got) == list(range(len(futures)))

    @pytest.mark.parametrize("functions", [concurrent.futures, sys.modules[__name__]], ids=["theirs", "ours"])
    def test_as_completed_against_cancel(self, functions: Any) -> None:
        """With the notification that the library waits for."""
        for _ in range(20):
            futures: list[Future[int]] = [Future() for _ in range(RACES // 20)]
            count: list[int] = []

            def consumer(futures: Any = futures, count: list[int] = count) -> None:
                count.append(sum(1 for _ in functions.as_completed(futures, DEADLOCK_S)))

            def canceller(futures: Any = futures) -> None:
                for future in futures:
                    future.cancel()
                    future.set_running_or_notify_cancel()

            race(consumer, canceller)
            assert count == [len(futures)]

    def test_callbacks_against_finish(self) -> None:
        """Each is called once, whether it comes before or after the end."""
        futures: list[Future[int]] = [Future() for _ in range(RACES)]
        calls: list[int] = []

        def adder() -> None:
            for future in futures:
                future.add_done_callback(lambda done: calls.append(done.result(0)))

        def finisher() -> None:
            for index, future in enumerate(futures):
                future.set_result(index)

        race(adder, finisher)

        assert sorted(calls) == list(range(RACES))


def race(one: Callable[[], None], other: Callable[[], None]) -> None:
    """Run both at the same time; an error of either is ours."""
    functions = (one, other)
    for outcome in in_threads(2, lambda index: functions[index]()):
        if isinstance(outcome, BaseException):
            raise outcome


__all__ = ["as_completed", "wait"]  # looked up on this module by the parametrized tests above
