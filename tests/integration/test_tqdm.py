"""tqdm on top: bars around our iterators."""

import concurrent.futures
import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import manyhands
from manyhands import Executor
from manyhands.contract.support import DEADLOCK_S

tqdm: Any = pytest.importorskip("tqdm", reason="tqdm is not installed").tqdm


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No thread that watches the bars, and a lock for one process."""
    monkeypatch.setattr(tqdm, "monitor_interval", 0)
    tqdm.set_lock(threading.RLock())
    yield
    del tqdm._lock


def square(number: int) -> int:
    return number * number


def bar(*args: Any, **kwargs: Any) -> Any:
    """One that writes to nowhere, every time."""
    return tqdm(*args, file=io.StringIO(), mininterval=0, **kwargs)


def test_around_map(executor: Executor) -> None:
    """It counts the results as they are taken."""
    progress = bar(executor.map(square, range(5)), total=5)

    assert list(progress) == [0, 1, 4, 9, 16]
    assert progress.n == 5


def test_around_a_map_of_something_endless(executor: Executor) -> None:
    """With ``buffersize`` nothing is taken that nobody will look at."""

    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    results = executor.map(square, endless(), buffersize=4)
    with bar(results, total=3) as progress:
        assert [result for result, _ in zip(progress, range(3), strict=False)] == [0, 1, 4]


@pytest.mark.parametrize("functions", [manyhands, concurrent.futures], ids=["ours", "standard"])
def test_around_as_completed(executor: Executor, functions: Any) -> None:
    """Of ours and of the standard library's."""
    futures = [executor.submit(square, number) for number in range(20)]
    progress = bar(functions.as_completed(futures, DEADLOCK_S), total=20)

    assert sorted(future.result() for future in progress) == [number * number for number in range(20)]
    assert progress.n == 20


def test_updated_by_callbacks(executor: Executor) -> None:
    """From whichever thread delivers."""
    with bar(total=50) as progress:
        futures = [executor.submit(square, number) for number in range(50)]
        for future in futures:
            future.add_done_callback(lambda _: progress.update())
        executor.shutdown()

        assert progress.n == 50


@pytest.mark.capability("in_process")
def test_one_call_as_tqdm_has_it(backend: Any) -> None:
    """The shape of its ``thread_map``: the bar's lock goes to the workers by their initializer."""
    lock = tqdm.get_lock()
    with backend.executor(max_workers=2, initializer=tqdm.set_lock, initargs=(lock,)) as executor:
        results = list(bar(executor.map(square, range(20), chunksize=3), total=20))

    assert results == [number * number for number in range(20)]


@pytest.mark.capability("in_process")
def test_bars_in_tasks(executor: Executor) -> None:
    """Each its own, at the same time."""

    def count(n: int) -> int:
        return sum(1 for _ in bar(range(n)))

    assert list(executor.map(count, [10, 20, 30])) == [10, 20, 30]
