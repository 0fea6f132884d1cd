"""Real software on top: it asks for a concurrent.futures executor and gets ours."""

from contextlib import suppress
from typing import Any

import pytest

from manyhands import Executor
from manyhands.contract.support import DEADLOCK_S

with suppress(ImportError):
    import numpy  # here: it starts threads of its own when it is imported  # noqa: F401


def square(number: int) -> int:
    return number * number


class TestNumpy:
    """Arrays compare in their own way; nobody of us may ask whether one is true."""

    @pytest.fixture
    def np(self) -> Any:
        return pytest.importorskip("numpy", reason="numpy is not installed")

    def test_arrays_are_ordinary_items_and_results(self, executor: Executor, np: Any) -> None:
        """In every form of map."""
        arrays = [np.arange(5) + n for n in range(40)]
        ways: tuple[dict[str, Any], ...] = ({}, {"chunksize": 1}, {"chunksize": 7}, {"buffersize": 5})
        for way in ways:
            results = list(executor.map(np.cumsum, arrays, **way))
            assert all((result == np.cumsum(array)).all() for result, array in zip(results, arrays, strict=True))

    def test_rows_of_an_array_are_items(self, executor: Executor, np: Any) -> None:
        """Iterating gives views."""
        matrix = np.arange(20_000).reshape(100, 200)

        assert list(executor.map(np.sum, matrix)) == [int(row.sum()) for row in matrix]

    def test_arrays_through_a_queue(self, executor: Executor, backend: Any, np: Any) -> None:
        """Their bytes arrive."""
        queue = backend.queue()
        executor.submit(queue.put, np.arange(1000)).result(DEADLOCK_S)

        assert queue.get(timeout=DEADLOCK_S).sum() == 499_500


class TestScipy:
    def test_workers_is_our_map(self, executor: Executor) -> None:
        """``workers=executor.map`` as scipy's documentation has it."""
        optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
        found = optimize.differential_evolution(
            optimize.rosen, [(0, 2)] * 2, workers=executor.map, updating="deferred", seed=1, maxiter=5, polish=False
        )

        assert found.fun < 10


class TestDask:
    def test_a_scheduler_is_our_executor(self, executor: Executor) -> None:
        """``dask.compute(..., scheduler=executor)``."""
        dask = pytest.importorskip("dask", reason="dask is not installed")
        total = dask.delayed(sum)([dask.delayed(square)(number) for number in range(10)])

        assert dask.compute(total, scheduler=executor) == (285,)
