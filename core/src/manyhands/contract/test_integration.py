"""asyncio and concurrent.futures on top: what asks for an executor gets ours; and programs of the usual shapes."""

import asyncio
import concurrent.futures
import functools
import math
import operator
from typing import Any, Final

import pytest

import manyhands
from manyhands import Executor

from .support import DEADLOCK_S, occupied

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault


def square(number: int) -> int:
    return number * number


def word_count(line: str) -> dict[str, int]:
    counts: dict[str, int] = {}
    for word in line.split():
        counts[word] = counts.get(word, 0) + 1
    return counts


@pytest.mark.contract("manyhands.Executor")
class TestStandardLibrary:
    @covers("executor-objects", "threadpoolexecutor-example", "processpoolexecutor-example")
    def test_code_written_for_its_executors(self, executor: Executor) -> None:
        """The usual shape: a dict from futures to inputs, read as they are completed."""
        futures: dict[concurrent.futures.Future[int], int]
        futures = {executor.submit(square, number): number for number in range(20)}

        for future in concurrent.futures.as_completed(futures, DEADLOCK_S):
            assert future.result() == futures[future] ** 2

    def test_run_in_executor(self, executor: Executor) -> None:
        """asyncio hands its blocking calls to us."""

        async def main() -> list[int]:
            loop = asyncio.get_running_loop()
            calls = [loop.run_in_executor(executor, square, number) for number in range(20)]
            return await asyncio.gather(*calls)

        assert asyncio.run(main()) == [square(number) for number in range(20)]

    def test_the_error_of_a_call_in_run_in_executor(self, executor: Executor) -> None:
        """Arrives where it is awaited."""

        async def main() -> None:
            await asyncio.get_running_loop().run_in_executor(executor, operator.truediv, 1, 0)

        with pytest.raises(ZeroDivisionError):
            asyncio.run(main())

    def test_cancelling_in_asyncio_cancels_here(self, executor: Executor) -> None:
        """A call that has not started never does."""

        async def main() -> int:
            with occupied(executor):
                call = asyncio.get_running_loop().run_in_executor(executor, square, 2)
                await asyncio.sleep(0)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                await asyncio.sleep(0)
                return executor.stats().cancelled

        assert asyncio.run(main()) == 1

    def test_as_asyncios_default_executor(self, backend: Any) -> None:
        """``to_thread`` and name look-ups run on it where it is accepted."""

        async def main(executor: Any) -> int:
            asyncio.get_running_loop().set_default_executor(executor)
            return await asyncio.to_thread(square, 5)

        executor = backend.executor(max_workers=1)
        try:
            assert asyncio.run(main(executor)) == 25
        except TypeError:  # asyncio accepts only a ThreadPoolExecutor, on every Python so far
            pass
        executor.shutdown()

    def test_timeout_in_asyncio(self, executor: Executor) -> None:
        """``asyncio.timeout`` ends the waiting for a task of ours."""

        async def main() -> None:
            with occupied(executor) as (future, _):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await asyncio.shield(asyncio.wrap_future(future))

        asyncio.run(main())

    def test_a_task_group(self, executor: Executor) -> None:
        """Coroutines that await our futures, in structured concurrency."""

        async def one(number: int, results: list[int]) -> None:
            results.append(await executor.submit(square, number))

        async def main() -> list[int]:
            results: list[int] = []
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(one(number, results))
            return results

        assert sorted(asyncio.run(main())) == [n * n for n in range(50)]

    def test_functools_partial_and_methods(self, executor: Executor) -> None:
        """Anything that can be called."""
        assert executor.submit(functools.partial(pow, 2), 5).result(DEADLOCK_S) == 32
        assert executor.submit("a,b".split, ",").result(DEADLOCK_S) == ["a", "b"]
        assert list(executor.map(functools.partial(operator.add, 1), range(3))) == [1, 2, 3]
        assert executor.submit(int).result(DEADLOCK_S) == 0


@pytest.mark.contract("manyhands.Executor")
class TestPrograms:
    @covers("examples")
    def test_map_and_reduce(self, executor: Executor) -> None:
        """Count words in many lines."""
        lines = ["many hands make light work", "light hands", "many many"] * 50
        total: dict[str, int] = {}
        for counts in executor.map_unordered(word_count, lines):
            for word, count in counts.items():
                total[word] = total.get(word, 0) + count

        assert total == {"many": 150, "hands": 100, "make": 50, "light": 100, "work": 50}

    @covers("threadpoolexecutor-example")
    def test_some_of_many_fail(self, executor: Executor) -> None:
        """Each error at its own input, the rest done."""
        inputs: list[Any] = [1, 2, "three", 4, None, 6]
        outcomes = list(executor.map(square, inputs, return_exceptions=True))

        assert [type(outcome).__name__ for outcome in outcomes] == [
            "int",
            "int",
            "TypeError",
            "int",
            "TypeError",
            "int",
        ]

    @covers("processpoolexecutor-example")
    def test_counting_primes(self, executor: Executor) -> None:
        """Work that needs a processor, cut into ranges."""
        ranges = [(start, start + 100) for start in range(0, 2000, 100)]

        assert sum(executor.starmap(count_primes, ranges)) == 303

    def test_a_pipeline_of_stages(self, backend: Any) -> None:
        """Three stages with queues between them, each in tasks of its own."""
        first, second, out = backend.queue(4), backend.queue(4), backend.queue()
        with backend.executor(max_workers=3) as executor:
            executor.submit(stage, first, second, 2)
            executor.submit(stage, second, out, 3)
            for number in range(100):
                first.put(number)
            first.put(None)
            results = list(iter(lambda: out.get(timeout=DEADLOCK_S), None))

        assert results == [6 * number for number in range(100)]

    def test_divide_and_conquer(self, backend: Any) -> None:
        """Tasks that submit tasks and wait for them, on fewer workers than tasks."""
        numbers = [(7919 * n) % 1009 for n in range(512)]
        with backend.executor(max_workers=2) as executor:
            assert executor.submit(merge_sort, executor, numbers).result(DEADLOCK_S) == sorted(numbers)


def count_primes(start: int, stop: int) -> int:
    return sum(n > 1 and all(n % divisor for divisor in range(2, math.isqrt(n) + 1)) for n in range(start, stop))


def stage(source: Any, target: Any, factor: int) -> None:
    for item in iter(lambda: source.get(timeout=DEADLOCK_S), None):
        target.put(item * factor)
    target.put(None)


def merge_sort(executor: Executor, numbers: list[int]) -> list[int]:
    if len(numbers) <= 16:
        return sorted(numbers)
    half = len(numbers) // 2
    left = executor.submit(merge_sort, executor, numbers[:half])
    right = executor.submit(merge_sort, executor, numbers[half:])
    return sorted(left.result(DEADLOCK_S) + right.result(DEADLOCK_S))


@pytest.mark.contract("manyhands.Executor")
class TestMixing:
    @fault(76)
    def test_ours_beside_the_standard_librarys(self, executor: Executor) -> None:
        """Both kinds of futures in one ``wait``, both kinds of executors in one program."""
        with concurrent.futures.ThreadPoolExecutor(2) as theirs:
            futures = [pool.submit(square, number) for number in range(10) for pool in (executor, theirs)]
            done, _ = manyhands.wait(futures, DEADLOCK_S)

        assert sorted(future.result() for future in done) == sorted(2 * [n * n for n in range(10)])

    @capability("not deterministic", reason="one thread cannot be used from another")
    def test_tasks_of_theirs_submit_to_us(self, executor: Executor) -> None:
        """From their threads."""

        def through_us(number: int) -> int:
            return executor.submit(square, number).result(DEADLOCK_S)

        with concurrent.futures.ThreadPoolExecutor(4) as theirs:
            outer = [theirs.submit(through_us, n) for n in range(50)]

            assert [future.result(DEADLOCK_S) for future in outer] == [n * n for n in range(50)]

    @capability("in_process")
    def test_tasks_of_ours_submit_to_them(self, executor: Executor) -> None:
        """And wait there."""
        with concurrent.futures.ThreadPoolExecutor(2) as theirs:

            def through_them(number: int) -> int:
                return theirs.submit(square, number).result(DEADLOCK_S)

            outer = [executor.submit(through_them, n) for n in range(50)]

            assert [future.result(DEADLOCK_S) for future in outer] == [n * n for n in range(50)]
