"""asyncio on top: our futures are awaited, our executors take its blocking calls."""

import asyncio
import contextvars
import operator
import sys
import threading
from collections.abc import Awaitable
from typing import Any

import pytest

import manyhands
from manyhands import Executor
from manyhands.contract.support import DEADLOCK_S, Background, occupied

capability = pytest.mark.capability

name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


def square(number: int) -> int:
    return number * number


def stop_iteration() -> None:
    raise StopIteration(1)


def wait_for(event: Any) -> bool:
    return bool(event.wait(DEADLOCK_S))


async def in_time(awaitable: Awaitable[Any]) -> Any:
    """Await it, but not for ever."""
    return await asyncio.wait_for(awaitable, DEADLOCK_S)


class TestAwaiting:
    def test_a_future(self, executor: Executor) -> None:
        """``await`` gives its result, any number of times."""

        async def main() -> list[int]:
            future = executor.submit(square, 3)
            return [await future, await future]

        assert asyncio.run(main()) == [9, 9]

    def test_one_whose_task_is_blocked(self, executor: Executor) -> None:
        """Other coroutines run meanwhile: one of them lets the task go on."""

        async def main() -> bool:
            event = executor.backend.event()
            future = executor.submit(wait_for, event)
            asyncio.get_running_loop().call_soon(event.set)
            return bool(await in_time(future))

        assert asyncio.run(main())

    def test_by_several_coroutines(self, executor: Executor) -> None:
        """All get the result."""

        async def main() -> list[int]:
            future = executor.submit(square, 3)

            async def one() -> int:
                return await future

            return await asyncio.gather(*(one() for _ in range(10)))

        assert asyncio.run(main()) == [9] * 10

    def test_its_exception(self, executor: Executor) -> None:
        """Is raised where it is awaited."""

        async def main() -> None:
            await executor.submit(operator.truediv, 1, 0)

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())

    def test_stop_iteration(self, executor: Executor) -> None:
        """Does not end the coroutine as if it had returned."""

        async def main() -> None:
            await executor.submit(stop_iteration)

        with pytest.raises(RuntimeError, match="the task raised StopIteration"):
            asyncio.run(main())

    def test_a_cancelled_one(self, executor: Executor) -> None:
        """Is a cancellation in asyncio."""

        async def main() -> None:
            with occupied(executor):
                future = executor.submit(square, 3)
                assert future.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await future

        asyncio.run(main())

    def test_the_context_of_the_coroutine(self, executor: Executor) -> None:
        """Follows the task."""

        async def main() -> str:
            name.set("somebody")
            return await executor.submit(name.get)

        assert asyncio.run(main()) == "somebody"

    def test_a_loop_that_ends_first(self, executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
        """Nobody is told of a result that comes after it, and nobody complains."""

        async def main() -> None:
            waiting = asyncio.create_task(one())
            await asyncio.sleep(0)
            assert not waiting.done()

        async def one() -> None:
            await executor.submit(wait_for, event)

        event = executor.backend.event()
        asyncio.run(main())
        event.set()
        executor.shutdown()

        assert not caplog.records

    @capability("not deterministic")
    def test_from_two_loops(self, executor: Executor) -> None:
        """Each loop has a thread of its own; both get the result."""

        async def main() -> int:
            return await future

        with occupied(executor):
            future = executor.submit(square, 3)
            loops = [Background(asyncio.run, main()) for _ in range(2)]

        assert [loop.outcome() for loop in loops] == [9, 9]


class TestSeveral:
    def test_gather(self, executor: Executor) -> None:
        """Results in the order of the futures."""

        async def main() -> list[int]:
            return await asyncio.gather(*[executor.submit(square, number) for number in range(50)])

        assert asyncio.run(main()) == [number * number for number in range(50)]

    def test_gather_with_exceptions(self, executor: Executor) -> None:
        """Each at its own place."""

        async def main() -> list[Any]:
            futures = [executor.submit(operator.truediv, 4, number) for number in (1, 0, 2)]
            return await asyncio.gather(*futures, return_exceptions=True)

        first, second, third = asyncio.run(main())
        assert (first, type(second), third) == (4.0, ZeroDivisionError, 2.0)

    def test_gather_of_two_kinds(self, executor: Executor) -> None:
        """Ours beside coroutines."""

        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        async def main() -> list[int]:
            return [*await asyncio.gather(double(1), executor.submit(square, 3), double(2))]

        assert asyncio.run(main()) == [2, 9, 4]

    def test_as_completed(self, executor: Executor) -> None:
        """asyncio's own, over our futures."""

        async def main() -> list[int]:
            futures = [asyncio.wrap_future(executor.submit(square, number)) for number in range(20)]
            return [await future for future in asyncio.as_completed(futures)]

        assert sorted(asyncio.run(main())) == [number * number for number in range(20)]

    def test_wait(self, executor: Executor) -> None:
        """Tells apart who is done."""

        async def main() -> tuple[int, int]:
            with occupied(executor) as futures:
                ready = asyncio.ensure_future(asyncio.sleep(0))
                held = [asyncio.wrap_future(future) for future in futures]
                done, pending = await asyncio.wait([ready, *held], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(held, timeout=DEADLOCK_S)
            return len(done), len(pending)

        assert asyncio.run(main()) == (1, 2)

    def test_a_task_group_that_fails(self, executor: Executor) -> None:
        """Cancels what of ours has not started."""

        async def one(future: Any) -> None:
            await future

        async def group_of(*coroutines: Any) -> None:
            async with asyncio.TaskGroup() as group:
                for coroutine in coroutines:
                    group.create_task(coroutine)

        async def fail() -> None:
            await asyncio.sleep(0)
            raise ValueError("enough")

        async def main() -> bool:
            with occupied(executor):
                waiting = executor.submit(square, 3)
                with pytest.raises(ExceptionGroup, match="unhandled"):
                    await group_of(one(waiting), fail())
                return waiting.cancelled()

        assert asyncio.run(main())


class TestCancelling:
    def test_who_awaits_a_task_that_waits(self, executor: Executor) -> None:
        """It never starts."""

        async def one(future: Any) -> None:
            await future

        async def main() -> bool:
            with occupied(executor):
                future = executor.submit(square, 3)
                waiting = asyncio.create_task(one(future))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                return future.cancelled()

        assert asyncio.run(main())

    def test_who_awaits_a_task_that_runs(self, executor: Executor) -> None:
        """Only the waiting ends, the task comes to its own end."""

        async def one(future: Any) -> None:
            await future

        async def main() -> Any:
            event = executor.backend.event()
            future = executor.submit(wait_for, event)
            waiting = asyncio.create_task(one(future))
            await asyncio.sleep(0)
            while not future.running():
                await asyncio.sleep(0.001)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            event.set()
            return future

        assert asyncio.run(main()).result(DEADLOCK_S)

    def test_a_shield(self, executor: Executor) -> None:
        """Keeps the task."""

        async def main() -> int:
            with occupied(executor):
                future = asyncio.wrap_future(executor.submit(square, 3))
                outer = asyncio.shield(future)
                outer.cancel()
                await asyncio.sleep(0)
            return int(await in_time(future))

        assert asyncio.run(main()) == 9

    def test_a_timeout(self, executor: Executor) -> None:
        """``asyncio.timeout`` around an ``await`` cancels what has not started."""

        async def main() -> bool:
            with occupied(executor):
                future = executor.submit(square, 3)
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await future
                return future.cancelled()

        assert asyncio.run(main())


class TestRunInExecutor:
    def test_results(self, executor: Executor) -> None:
        """Of many calls at the same time."""

        async def main() -> list[int]:
            loop = asyncio.get_running_loop()
            return await asyncio.gather(*(loop.run_in_executor(executor, square, number) for number in range(20)))

        assert asyncio.run(main()) == [number * number for number in range(20)]

    def test_other_coroutines_run_meanwhile(self, executor: Executor) -> None:
        """The loop is not blocked by a call that is."""

        async def main() -> bool:
            event = executor.backend.event()
            call = asyncio.get_running_loop().run_in_executor(executor, wait_for, event)
            await asyncio.sleep(0)
            event.set()
            return bool(await in_time(call))

        assert asyncio.run(main())

    def test_on_options_of_a_task(self, executor: Executor) -> None:
        """A view of an executor will do, too."""

        async def main() -> str:
            view = executor.with_options(name="one of asyncio's")
            return await asyncio.get_running_loop().run_in_executor(view, task_name)

        assert asyncio.run(main()) == "one of asyncio's"

    @pytest.mark.skipif(sys.version_info < (3, 12, 2), reason="asyncio itself does not deliver it before 3.12.2")
    def test_stop_iteration(self, executor: Executor) -> None:
        """Is a RuntimeError, as with the standard library's executors."""

        async def main() -> None:
            await in_time(asyncio.get_running_loop().run_in_executor(executor, stop_iteration))

        with pytest.raises(RuntimeError, match="StopIteration"):
            asyncio.run(main())

    @capability("not deterministic")
    def test_a_task_asks_the_loop(self, executor: Executor) -> None:
        """It has a coroutine run there, and waits for what comes of it."""

        async def double(number: int) -> int:
            return 2 * number

        async def main() -> int:
            loop = asyncio.get_running_loop()

            def ask() -> int:
                return asyncio.run_coroutine_threadsafe(double(21), loop).result(DEADLOCK_S)

            return await loop.run_in_executor(executor, ask)

        assert asyncio.run(main()) == 42

    def test_a_task_feeds_a_queue_of_asyncio(self, executor: Executor) -> None:
        """By ``call_soon_threadsafe``."""

        async def main() -> list[int]:
            loop = asyncio.get_running_loop()
            queue: asyncio.Queue[int] = asyncio.Queue()

            def feed() -> None:
                for number in range(10):
                    loop.call_soon_threadsafe(queue.put_nowait, number)

            executor.submit(feed)
            return [await in_time(queue.get()) for _ in range(10)]

        assert asyncio.run(main()) == list(range(10))


def task_name() -> str:
    task = manyhands.current_task()
    assert task is not None
    return task.name


class TestAsyncWith:
    def test_closes_the_executor(self, backend: Any) -> None:
        """When the block ends, after what was submitted in it."""

        async def main() -> Any:
            async with backend.executor() as executor:
                future = executor.submit(square, 3)
            assert future.done()
            return executor

        with pytest.raises(manyhands.ExecutorClosedError):
            asyncio.run(main()).submit(square, 3)

    def test_the_loop_runs_while_the_block_ends(self, backend: Any) -> None:
        """Else a task that waits for a coroutine would never end."""

        async def main() -> bool:
            event = backend.event()
            async with backend.executor() as executor:
                future = executor.submit(wait_for, event)
                asyncio.get_running_loop().call_soon(event.set)
            return bool(future.result(0))

        assert asyncio.run(main())

    def test_an_exception_in_the_block(self, backend: Any) -> None:
        """Leaves it as it is, and the work is finished."""
        futures = []

        async def main() -> None:
            async with backend.executor() as executor:
                futures.append(executor.submit(square, 3))
                raise ValueError("in the block")

        with pytest.raises(ValueError, match="in the block"):
            asyncio.run(main())
        assert futures[0].result(0) == 9

    def test_with_its_backend(self, backend_name: str) -> None:
        """``open_executor`` closes both."""

        async def main() -> Any:
            async with manyhands.open_executor(backend_name) as executor:
                assert await executor.submit(square, 3) == 9
            return executor.backend

        with pytest.raises(manyhands.ExecutorClosedError):
            asyncio.run(main()).executor()


def test_callbacks_may_talk_to_the_loop(executor: Executor) -> None:
    """They run in the delivering thread, and ``call_soon_threadsafe`` leads to the loop's."""

    async def main() -> int:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Future[int] = loop.create_future()
        executor.submit(threading.get_ident).add_done_callback(
            lambda _: loop.call_soon_threadsafe(lambda: arrived.set_result(threading.get_ident()))
        )
        return int(await in_time(arrived))

    assert asyncio.run(main()) == threading.get_ident()
