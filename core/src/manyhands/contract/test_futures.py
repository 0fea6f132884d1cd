"""What the futures of every executor do: waiting, callbacks, awaiting, and mixing with others'."""

import asyncio
import concurrent.futures
import contextvars
import itertools
import logging
import pickle
import threading
from typing import Any, Final

import pytest

import manyhands
from manyhands import Executor, Future

from .support import DEADLOCK_S, Beside, eventually, occupied

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault
bad_input: Final = pytest.mark.bad_input


def fail(error: BaseException) -> None:
    raise error


def hold(started: Any, release: Any) -> str:
    started.set()
    assert release.wait(DEADLOCK_S)
    return "released"


@pytest.mark.contract("manyhands.Future")
class TestStates:
    @covers("future-objects")
    def test_it_goes_from_pending_over_running_to_done(self, executor: Executor, backend: Any) -> None:
        """``running`` and ``done`` say so, and ``repr`` shows it."""
        with occupied(executor) as (first, _):
            waiting = executor.submit(pow, 2, 2)
            assert (waiting.running(), waiting.done()) == (False, False)
            assert "state=pending" in repr(waiting)
            assert (first.running(), first.done()) == (True, False)
            assert "state=running" in repr(first)

        assert waiting.result(DEADLOCK_S) == 4
        assert (waiting.running(), waiting.done(), waiting.cancelled()) == (False, True, False)
        assert "state=finished returned int" in repr(waiting)

    def test_a_failed_one_says_what_it_raised(self, executor: Executor) -> None:
        """In its ``repr``, by the name of the class."""
        future = executor.submit(divmod, 1, 0)
        future.exception(DEADLOCK_S)

        assert "state=finished raised ZeroDivisionError" in repr(future)

    def test_a_cancelled_one_says_so(self, executor: Executor) -> None:
        """In its ``repr``."""
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            future.cancel()

        assert "state=cancelled" in repr(future)

    def test_it_cannot_be_pickled(self, executor: Executor) -> None:
        """The message says what to pass on instead."""
        future = executor.submit(pow, 2, 2)

        with pytest.raises(manyhands.SerializationError, match="pass its result, or the executor"):
            pickle.dumps(future)


@pytest.mark.contract("manyhands.Future.result")
class TestWaitingForOne:
    @fault(66)
    @covers("future-objects")
    def test_a_timeout_stops_only_the_waiting(self, executor: Executor) -> None:
        """The task goes on, and a later ``result`` has it."""
        with occupied(executor) as (future, _):
            with pytest.raises(TimeoutError):
                future.result(0.01)
            with pytest.raises(TimeoutError):
                future.exception(0)
            assert future.running()

        assert future.result(DEADLOCK_S) is True

    @bad_input(12)
    def test_infinity_is_no_limit(self, executor: Executor) -> None:
        """Nor is a number that no clock can count to."""
        for timeout in (float("inf"), 1e300, None):
            assert executor.submit(pow, 2, 2).result(timeout) == 4

    @bad_input(12)
    def test_not_a_number_is_refused(self, executor: Executor) -> None:
        """ValueError, although the standard library would give up at once."""
        with occupied(executor) as (future, _), pytest.raises(ValueError, match="got nan"):
            future.result(float("nan"))

    def test_a_negative_timeout_asks_once(self, executor: Executor) -> None:
        """As in the standard library: TimeoutError."""
        with occupied(executor) as (future, _), pytest.raises(TimeoutError):
            future.result(-1)

    @capability("not deterministic")
    def test_many_may_wait_for_one(self, executor: Executor, beside: Beside) -> None:
        """All get the result."""
        with occupied(executor) as (future, _):
            waiters = [beside(future.result, DEADLOCK_S) for _ in range(20)]

        assert [waiter.outcome() for waiter in waiters] == [True] * 20


@pytest.mark.contract("manyhands.wait")
class TestWaitingForMany:
    @covers("module-functions")
    def test_wait_for_all(self, executor: Executor) -> None:
        """Done and not done, by default when all are done."""
        futures = [executor.submit(pow, 2, n) for n in range(20)]
        done, not_done = manyhands.wait(futures, DEADLOCK_S)

        assert (done, not_done) == (set(futures), set())

    @covers("module-functions")
    def test_wait_for_the_first(self, executor: Executor) -> None:
        """The others go on."""
        with occupied(executor, 1) as (held,):
            quick = executor.submit(pow, 2, 2)
            done, not_done = manyhands.wait([held, quick], DEADLOCK_S, manyhands.FIRST_COMPLETED)

        assert (done, not_done) == ({quick}, {held})

    @covers("module-functions")
    def test_wait_for_the_first_error(self, executor: Executor) -> None:
        """A success does not end the wait, an error does."""
        with occupied(executor, 1) as (held,):
            good, bad = executor.submit(pow, 2, 2), executor.submit(divmod, 1, 0)
            done, not_done = manyhands.wait([held, good, bad], DEADLOCK_S, manyhands.FIRST_EXCEPTION)

        assert bad in done
        assert held in not_done

    @covers("module-functions")
    def test_wait_stops_after_the_timeout(self, executor: Executor) -> None:
        """And says what was done by then."""
        with occupied(executor) as held:
            done, not_done = manyhands.wait(held, 0.01)

        assert (done, not_done) == (set(), set(held))

    @covers("module-functions")
    def test_as_completed_gives_each_when_it_is_done(self, executor: Executor) -> None:
        """The held one last."""
        with occupied(executor, 1) as (held,):
            quick = [executor.submit(pow, 2, n) for n in range(5)]
            completed = manyhands.as_completed([held, *quick], DEADLOCK_S)
            first = {next(completed) for _ in quick}
            assert first == set(quick)

        assert list(completed) == [held]

    @covers("module-functions")
    def test_as_completed_stops_after_the_timeout(self, executor: Executor) -> None:
        """TimeoutError says how many are missing."""
        with occupied(executor) as held, pytest.raises(TimeoutError, match=r"2 \(of 2\) futures unfinished"):
            list(manyhands.as_completed(held, 0.01))

    @fault(76)
    def test_duplicates_come_once(self, executor: Executor) -> None:
        """In both functions."""
        future = executor.submit(pow, 2, 2)

        assert list(manyhands.as_completed([future, future], DEADLOCK_S)) == [future]
        assert manyhands.wait([future, future], DEADLOCK_S).done == {future}

    @fault(76)
    @covers("module-functions")
    def test_foreign_futures_may_be_among_them(self, executor: Executor, backend: Any) -> None:
        """Of the standard library's pools, of another executor, and bare ones; with their functions and with ours."""
        bare: concurrent.futures.Future[int] = concurrent.futures.Future()
        with concurrent.futures.ThreadPoolExecutor(1) as pool, backend.executor() as other:
            futures = [executor.submit(pow, 2, 1), other.submit(pow, 2, 2), pool.submit(pow, 2, 3), bare]
            bare.set_result(16)
            for module in (manyhands, concurrent.futures):
                assert module.wait(futures, DEADLOCK_S).done == set(futures)
                assert {future.result() for future in module.as_completed(futures, DEADLOCK_S)} == {2, 4, 8, 16}

    @fault(76)
    def test_cancelled_ones_count_as_done(self, executor: Executor) -> None:
        """Whoever waits already is told at once, not when a worker meets it."""
        with occupied(executor):
            futures = [executor.submit(pow, 2, 2) for _ in range(3)]
            waiting = manyhands.as_completed(futures, DEADLOCK_S)
            for future in futures:
                assert future.cancel()
            assert set(waiting) == set(futures)
            assert manyhands.wait(futures, DEADLOCK_S).done == set(futures)

    @fault(76)
    @capability("not deterministic")
    def test_who_waits_is_told_of_a_cancellation(self, executor: Executor, beside: Beside, backend: Any) -> None:
        """Although no worker is free to meet it."""
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            theirs: list[concurrent.futures.Future[int]] = [future]
            waits = [
                beside(manyhands.wait, [future], DEADLOCK_S),
                beside(lambda: list(manyhands.as_completed([future], DEADLOCK_S))),
                beside(lambda: list(concurrent.futures.as_completed(theirs, DEADLOCK_S))),
            ]
            assert eventually(
                lambda: len(future._waiters) >= 1, on=executor.backend
            )  # of the standard library's functions at least
            assert future.cancel()
            assert waits[0].outcome().done == {future}
            assert waits[1].outcome() == waits[2].outcome() == [future]

    @fault(76)
    def test_a_hundred_thousand_take_no_quadratic_time(self, executor: Executor) -> None:
        """Ten thousand real ones, and bare ones for the rest."""
        bare: list[Any] = [Future() for _ in range(90_000)]
        futures = [executor.submit(abs, n) for n in range(10_000)] + bare
        for future in bare:
            future.set_result(None)

        assert len(manyhands.wait(futures, DEADLOCK_S).done) == 100_000
        assert sum(1 for _ in manyhands.as_completed(futures, DEADLOCK_S)) == 100_000

    @bad_input(32)
    def test_nothing_to_wait_for_is_done(self, executor: Executor) -> None:
        """An empty list gives empty results at once."""
        assert manyhands.wait([]) == (set(), set())
        assert list(manyhands.as_completed([])) == []

    @bad_input(32)
    @pytest.mark.parametrize("function", [manyhands.wait, manyhands.as_completed])
    @pytest.mark.parametrize("futures", [None, [1], 3, ["text"]])
    def test_what_is_no_future_is_refused(self, executor: Executor, function: Any, futures: Any) -> None:
        """TypeError at the call, not at the first item."""
        with pytest.raises(TypeError):
            function(futures)

    @bad_input(32)
    def test_a_bad_condition_is_refused(self, executor: Executor) -> None:
        """ValueError, also when nothing is left to wait for."""
        with occupied(executor) as held, pytest.raises(ValueError, match="SOMETIMES"):
            manyhands.wait(held, 1, "SOMETIMES")


@pytest.mark.contract("manyhands.Future.add_done_callback")
class TestCallbacks:
    @covers("future-objects")
    def test_it_is_called_with_the_future(self, executor: Executor) -> None:
        """Once, when it is done; at once if it is done already."""
        calls: list[Any] = []
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            future.add_done_callback(calls.append)
            assert calls == []
        assert eventually(lambda: calls == [future], on=executor.backend)
        future.add_done_callback(calls.append)

        assert calls == [future, future]

    def test_they_are_called_in_the_order_in_which_they_were_added(self, executor: Executor) -> None:
        """As in the standard library."""
        calls: list[int] = []
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            for number in range(10):

                def note(_: Future[int], number: int = number) -> None:
                    calls.append(number)

                future.add_done_callback(note)

        assert eventually(lambda: calls == list(range(10)), on=executor.backend)

    def test_a_cancelled_future_calls_them(self, executor: Executor) -> None:
        """In the thread that cancels."""
        calls: list[Any] = []
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            future.add_done_callback(calls.append)
            future.cancel()

            assert calls == [future]

    @fault(69)
    @pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(1), KeyboardInterrupt(), GeneratorExit()])
    def test_an_error_in_one_harms_nobody(
        self, executor: Executor, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is logged once as the standard library does, the others are called, and the workers live."""
        calls: list[Any] = []
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            future.add_done_callback(lambda _: fail(error))
            future.add_done_callback(calls.append)

        assert eventually(lambda: calls == [future], on=executor.backend)
        (record,) = [record for record in caplog.records if record.name == "concurrent.futures"]
        assert record.levelno == logging.ERROR
        assert "exception calling callback for" in record.message
        assert record.exc_info is not None
        assert record.exc_info[1] is error
        assert [executor.submit(pow, 2, 3).result(DEADLOCK_S) for _ in range(10)] == [8] * 10

    @fault(69)
    def test_an_error_in_one_that_comes_late_harms_nobody(
        self, executor: Executor, caplog: pytest.LogCaptureFixture
    ) -> None:
        """``add_done_callback`` on a future that is done does not raise what the callback raises."""
        future = executor.submit(pow, 2, 2)
        future.result(DEADLOCK_S)
        future.add_done_callback(lambda _: fail(SystemExit(1)))

        assert [record.name for record in caplog.records] == ["concurrent.futures"]

    @fault(70)
    def test_a_chain_of_a_hundred_thousand(self, executor: Executor) -> None:
        """Each callback completes the next future; no recursion, no loss."""
        links: list[Any] = [Future() for _ in range(100_000)]
        for this, following in itertools.pairwise(links):
            this.add_done_callback(lambda done, following=following: following.set_result(done.result() + 1))
        executor.submit(abs, 0).add_done_callback(lambda done: links[0].set_result(done.result()))

        assert links[-1].result(DEADLOCK_S) == 99_999

    @fault(70)
    def test_a_callback_may_submit(self, executor: Executor) -> None:
        """Each future's callback starts the next task."""
        finished = threading.Event()
        results = []

        def next_one(future: Any) -> None:
            results.append(future.result())
            if len(results) == 500:
                finished.set()
            else:
                executor.submit(abs, len(results)).add_done_callback(next_one)

        executor.submit(abs, 0).add_done_callback(next_one)

        assert eventually(finished.is_set, on=executor.backend)
        assert results == list(range(500))

    @fault(70)
    @capability("not deterministic")
    def test_a_callback_that_blocks_holds_up_only_its_own_thread(self, backend: Any) -> None:
        """The other worker of the same executor goes on, and so does another executor."""
        release = threading.Event()
        blocked = threading.Event()

        def block(_: Any) -> None:
            blocked.set()
            release.wait(DEADLOCK_S)

        with backend.executor(max_workers=2) as executor, backend.executor(max_workers=1) as other:
            with occupied(executor, 1) as (future,):
                future.add_done_callback(block)
            assert blocked.wait(DEADLOCK_S)
            try:
                if backend.capabilities.in_process:
                    assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4
                assert other.submit(pow, 2, 2).result(DEADLOCK_S) == 4
            finally:
                release.set()

    @bad_input(33)
    def test_what_is_not_callable_is_refused(self, executor: Executor) -> None:
        """At the call, whether it is done or not."""
        with occupied(executor):
            future = executor.submit(pow, 2, 2)
            with pytest.raises(TypeError, match="add_done_callback needs a callable, got None"):
                future.add_done_callback(None)  # type: ignore[arg-type]
        future.result(DEADLOCK_S)
        with pytest.raises(TypeError, match="add_done_callback needs a callable, got None"):
            future.add_done_callback(None)  # type: ignore[arg-type]

    def test_it_is_called_after_the_result_is_there(self, executor: Executor) -> None:
        """``result`` inside of a callback never waits."""
        seen: list[Any] = []
        for _ in range(200):
            executor.submit(pow, 2, 2).add_done_callback(lambda done: seen.append((done.done(), done.result(0))))

        assert eventually(lambda: len(seen) == 200, on=executor.backend)
        assert set(seen) == {(True, 4)}


@pytest.mark.contract("manyhands.Future.set_result")
class TestExecutorsSetters:
    @bad_input(34)
    def test_a_done_future_cannot_be_set(self, executor: Executor) -> None:
        """InvalidStateError, and nothing changes."""
        future = executor.submit(pow, 2, 2)
        future.result(DEADLOCK_S)

        with pytest.raises(manyhands.InvalidStateError):
            future.set_result(0)
        with pytest.raises(manyhands.InvalidStateError):
            future.set_exception(ValueError())
        assert future.result() == 4

    @fault(102)
    def test_a_second_delivery_is_dropped(self, executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
        """What a backend delivers twice changes nothing, and the log says so."""
        caplog.set_level(logging.DEBUG, "manyhands")
        future: Any = executor.submit(pow, 2, 2)
        future.result(DEADLOCK_S)
        future.finish(0)
        future.fail(ValueError())

        assert future.result() == 4
        assert [record.message.split()[0] for record in caplog.records].count("task.delivered_late") == 2


@pytest.mark.contract("manyhands.Future")
class TestAwaiting:
    @covers("future-objects")
    def test_it_can_be_awaited(self, executor: Executor) -> None:
        """Its result is the value of ``await``."""

        async def main() -> Any:
            return await executor.submit(pow, 2, 3)

        assert asyncio.run(main()) == 8

    def test_a_done_one_can_be_awaited(self, executor: Executor) -> None:
        """Again and again."""
        future = executor.submit(pow, 2, 3)
        future.result(DEADLOCK_S)

        async def main() -> Any:
            return await future, await future

        assert asyncio.run(main()) == (8, 8)

    def test_many_can_be_gathered(self, executor: Executor) -> None:
        """A thousand, and the loop goes on meanwhile."""

        async def one(number: int) -> Any:
            return await executor.submit(abs, -number)

        async def main() -> Any:
            return await asyncio.gather(*map(one, range(1000)))

        assert asyncio.run(main()) == list(range(1000))

    def test_the_error_is_raised_where_it_is_awaited(self, executor: Executor) -> None:
        """As it is."""

        async def main() -> None:
            await executor.submit(divmod, 1, 0)

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())

    @fault(31)
    def test_a_stop_iteration_does_not_end_the_coroutine(self, executor: Executor) -> None:
        """It arrives as RuntimeError with the StopIteration as its cause."""

        async def main() -> str:
            try:
                await executor.submit(fail, StopIteration(5))
            except RuntimeError as error:
                return type(error.__cause__).__name__
            return "went on"

        assert asyncio.run(asyncio.wait_for(main(), DEADLOCK_S)) == "StopIteration"

    @fault(31)
    def test_a_stop_iteration_through_wrap_future_does_not_hang(self, executor: Executor) -> None:
        """``asyncio.wrap_future`` of the standard library ends, too."""

        async def main() -> str:
            probe = asyncio.get_running_loop().create_future()
            try:
                probe.set_exception(StopIteration())
            except TypeError:
                pytest.skip("asyncio of this Python loses a StopIteration (cpython#112182)")
            probe.exception()
            future = executor.submit(fail, StopIteration(5))
            try:
                await asyncio.wait_for(asyncio.wrap_future(future), DEADLOCK_S)
            except RuntimeError as error:
                return type(error).__name__
            return "went on"

        assert asyncio.run(main()) == "RuntimeError"

    def test_cancelling_the_coroutine_cancels_the_future(self, executor: Executor) -> None:
        """A task that has not started never does."""

        async def main() -> Any:
            with occupied(executor):
                future = executor.submit(pow, 2, 2)

                async def wait_for_it() -> Any:
                    return await future

                waiting = asyncio.ensure_future(wait_for_it())
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                return future

        assert asyncio.run(main()).cancelled()

    def test_a_cancelled_future_raises_asyncios_error(self, executor: Executor) -> None:
        """So that a coroutine that awaits it ends as cancelled coroutines do."""

        async def main() -> None:
            with occupied(executor):
                future = executor.submit(pow, 2, 2)
                future.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await future

        asyncio.run(main())

    def test_wait_for_stops_the_waiting(self, executor: Executor) -> None:
        """``asyncio.wait_for`` raises TimeoutError; a running task goes on."""

        async def main() -> Any:
            with occupied(executor) as (future, _):

                async def wait_for_it() -> Any:
                    return await future

                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(wait_for_it(), 0.01)
                assert future.running()
            return future.result(DEADLOCK_S)

        assert asyncio.run(main()) is True

    @capability("not deterministic")
    def test_two_loops_may_await_one_future(self, executor: Executor, beside: Beside) -> None:
        """Each in its own thread."""

        about_to_wait = threading.Semaphore(0)

        async def main(future: Any) -> Any:
            about_to_wait.release()
            return await future

        with occupied(executor) as (future, _):
            loops = [beside(lambda: asyncio.run(main(future))) for _ in range(2)]
            for _ in loops:
                assert about_to_wait.acquire(timeout=DEADLOCK_S)

        assert [loop.outcome() for loop in loops] == [True, True]

    def test_a_loop_that_is_closed_meanwhile_harms_nobody(
        self, executor: Executor, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The future is delivered; nobody waits for it there any more, and nothing is logged."""

        loop = asyncio.new_event_loop()
        with occupied(executor) as (future, _):
            waiting = started_on(loop, future)
            loop.close()
        assert future.result(DEADLOCK_S) is True
        waiting.close()

        assert caplog.records == []

    def test_wrap_future(self, executor: Executor) -> None:
        """Asyncio's own way to await a concurrent future."""

        async def main() -> Any:
            return await asyncio.wrap_future(executor.submit(pow, 2, 3))

        assert asyncio.run(main()) == 8

    def test_the_context_of_the_coroutine_follows_the_task(self, executor: Executor) -> None:
        """As far as the backend carries it: always in-process."""
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

        async def main() -> Any:
            variable.set("of the coroutine")
            return await executor.submit(variable.get)

        if executor.capabilities.in_process:
            assert asyncio.run(main()) == "of the coroutine"

    def test_async_with_waits_for_the_work(self, backend: Any) -> None:
        """And does not block the loop meanwhile."""

        async def main() -> Any:
            started, release = backend.event(), backend.event()
            async with backend.executor(max_workers=2) as executor:
                future = executor.submit(hold, started, release)
                asyncio.get_running_loop().call_later(0.01, release.set)
            return future

        assert asyncio.run(main()).result(0) == "released"

    def test_leaving_async_with_by_an_error_keeps_it(self, backend: Any) -> None:
        """The block's error comes out."""

        async def main() -> None:
            async with backend.executor() as executor:
                executor.submit(pow, 2, 2)
                raise KeyError("of the block")

        with pytest.raises(KeyError, match="of the block"):
            asyncio.run(main())


def started_on(loop: asyncio.AbstractEventLoop, future: Any) -> Any:
    """A coroutine that waits for *future* on *loop*, which does not run it any further."""

    async def wait_for_it() -> Any:
        return await future

    coroutine = wait_for_it()
    asyncio.events._set_running_loop(loop)
    try:
        coroutine.send(None)
    finally:
        asyncio.events._set_running_loop(None)
    return coroutine
