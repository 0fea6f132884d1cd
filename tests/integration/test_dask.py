"""dask on top: ``scheduler=executor``."""

import operator
from collections.abc import Iterator
from typing import Any

import pytest

from manyhands import Executor
from manyhands.contract.support import DEADLOCK_S

dask = pytest.importorskip("dask", reason="dask is not installed")

capability = pytest.mark.capability


def square(number: int) -> int:
    return number * number


def meet(barrier: Any, number: int) -> int:
    barrier.wait(DEADLOCK_S)
    return number


class TestDelayed:
    def test_a_graph(self, executor: Executor) -> None:
        """Calls on the results of calls."""
        total = dask.delayed(sum)([dask.delayed(square)(number) for number in range(10)])

        assert dask.compute(total, scheduler=executor) == (285,)

    def test_several_results(self, executor: Executor) -> None:
        """That share a part of their graphs."""
        shared = dask.delayed(square)(3)
        more, less = dask.delayed(operator.add)(shared, 1), dask.delayed(operator.sub)(shared, 1)

        assert dask.compute(more, less, shared, scheduler=executor) == (10, 8, 9)

    def test_a_long_chain(self, executor: Executor) -> None:
        """Each waits for the one before."""
        value = dask.delayed(0)
        for _ in range(200):
            value = dask.delayed(operator.add)(value, 1)

        assert value.compute(scheduler=executor, optimize_graph=False) == 200

    def test_an_exception(self, executor: Executor) -> None:
        """Comes out as it is, and the executor goes on."""
        with pytest.raises(ZeroDivisionError):
            dask.delayed(operator.truediv)(1, 0).compute(scheduler=executor)
        assert dask.delayed(square)(3).compute(scheduler=executor) == 9

    def test_it_runs_in_our_tasks(self, executor: Executor) -> None:
        """Nowhere else."""
        before = executor.stats().done
        dask.compute([dask.delayed(square)(number) for number in range(10)], scheduler=executor)

        assert executor.stats().done > before

    @capability("not deterministic")  # dask waits in a queue of the standard library, where tasks need threads
    def test_on_as_many_workers_as_there_are(self, backend: Any) -> None:
        """dask asks the executor how many that is: five calls that wait for each other run at the same time."""
        barrier = backend.barrier(5)
        calls = [dask.delayed(meet)(barrier, number) for number in range(5)]
        with backend.executor(max_workers=5) as executor:
            assert dask.compute(*calls, scheduler=executor) == (0, 1, 2, 3, 4)

    def test_from_a_task(self, backend: Any) -> None:
        """A task computes on the executor that it runs in."""
        with backend.executor(max_workers=1) as executor:

            def compute() -> Any:
                return dask.delayed(square)(3).compute(scheduler=backend.executor(max_workers=1))

            assert executor.submit(compute).result(DEADLOCK_S) == 9


class TestConfigured:
    @pytest.fixture
    def threads(self, executor: Executor) -> Iterator[None]:
        """The executor in the place of dask's own pool of threads."""
        with dask.config.set(scheduler="threads", pool=executor):
            yield

    def test_as_the_scheduler(self, executor: Executor) -> None:
        """``dask.config.set(scheduler=executor)`` for all that follows."""
        with dask.config.set(scheduler=executor):
            assert dask.delayed(square)(3).compute() == 9

    @capability("in_process")
    def test_as_the_pool(self, executor: Executor, threads: None) -> None:
        """``dask.config.set(pool=executor)`` for its scheduler with threads."""
        assert dask.delayed(square)(3).compute() == 9
        assert executor.stats().done > 0


class TestBag:
    @pytest.fixture
    def bag(self) -> Any:
        return pytest.importorskip("dask.bag", reason="dask.bag is not installed")

    def test_map_and_filter(self, executor: Executor, bag: Any) -> None:
        """In several partitions."""
        numbers = bag.from_sequence(range(100), npartitions=7)

        assert numbers.map(square).filter(is_even).sum().compute(scheduler=executor) == sum(
            number * number for number in range(0, 100, 2)
        )

    def test_frequencies(self, executor: Executor, bag: Any) -> None:
        """A reduction over all partitions."""
        words = bag.from_sequence(["many", "hands", "many", "many"], npartitions=3)

        assert dict(words.frequencies().compute(scheduler=executor))["many"] == 3

    def test_fold(self, executor: Executor, bag: Any) -> None:
        """A tree of calls."""
        numbers = bag.from_sequence(range(1, 33), npartitions=8)

        assert numbers.fold(operator.add, split_every=2).compute(scheduler=executor) == 528


def is_even(number: int) -> bool:
    return number % 2 == 0


class TestArray:
    @pytest.fixture
    def da(self) -> Any:
        pytest.importorskip("numpy", reason="numpy is not installed")
        return pytest.importorskip("dask.array", reason="dask.array is not installed")

    def test_a_sum_over_chunks(self, executor: Executor, da: Any) -> None:
        """Of a matrix in 16 pieces."""
        matrix = da.ones((400, 400), chunks=(100, 100))

        assert (matrix + matrix.T).sum().compute(scheduler=executor) == 2 * 400 * 400

    def test_a_product(self, executor: Executor, da: Any) -> None:
        """Equal to numpy's, piece by piece."""
        numbers = da.arange(10_000, chunks=1000).reshape(100, 100).rechunk((50, 50))
        whole = numbers.compute(scheduler="synchronous")

        assert (numbers.dot(numbers).compute(scheduler=executor) == whole.dot(whole)).all()
