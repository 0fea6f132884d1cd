"""``wait`` and ``as_completed`` over futures of two backends and of the standard library at once."""

import concurrent.futures
import time
from collections.abc import Iterator
from typing import Any

import pytest

import manyhands
from manyhands import Executor
from manyhands.contract.support import DEADLOCK_S, eventually, occupied

#: Whose functions they are: ours and the standard library's are called the same.
both = pytest.mark.parametrize("functions", [manyhands, concurrent.futures], ids=["ours", "standard"])

#: Tasks of ours stay blocked while the main program waits in the standard library, which nobody can with one thread.
beside = pytest.mark.capability("not deterministic")


def square(number: int) -> int:
    return number * number


@pytest.fixture
def executors(executor: Executor) -> Iterator[list[Any]]:
    """One of the backend under test, one of another backend, one of the standard library."""
    name = next(name for name in ("threading", "minimal") if name != executor.backend.name)
    if name not in {info.name for info in manyhands.backends()}:
        pytest.skip(f"backend {name!r} is not installed")
    with manyhands.open_executor(name, max_workers=2) as other:
        with concurrent.futures.ThreadPoolExecutor(2) as theirs:
            yield [executor, other, theirs]


@pytest.fixture
def futures(executors: list[Any]) -> list[Any]:
    """Ten of each."""
    return [executor.submit(square, number) for number in range(10) for executor in executors]


SQUARES = sorted(3 * [number * number for number in range(10)])


@both
def test_wait_for_all(futures: list[Any], functions: Any) -> None:
    """All are done, none is left."""
    done, rest = functions.wait(futures, DEADLOCK_S)

    assert sorted(future.result() for future in done) == SQUARES
    assert not rest


@both
def test_as_completed(futures: list[Any], functions: Any) -> None:
    """Each comes once."""
    assert sorted(future.result() for future in functions.as_completed(futures, DEADLOCK_S)) == SQUARES


@both
def test_doubles(futures: list[Any], functions: Any) -> None:
    """A future that is given twice comes once."""
    assert len(list(functions.as_completed([*futures, *futures], DEADLOCK_S))) == len(futures)


@both
@beside
def test_wait_for_the_first(executors: list[Any], functions: Any) -> None:
    """Whoever it is of: here the only one that can end."""
    ours, *others = executors
    with occupied(ours) as held:
        for other in others:
            ready = other.submit(square, 2)
            done, rest = functions.wait([*held, ready], DEADLOCK_S, functions.FIRST_COMPLETED)
            assert (done, rest) == ({ready}, set(held))


@both
@beside
def test_wait_for_the_first_exception(executors: list[Any], functions: Any) -> None:
    """Whoever it is of."""
    ours, *others = executors
    with occupied(ours) as held:
        for other in others:
            fails = other.submit(divmod, 1, 0)
            done, _ = functions.wait([*held, fails], DEADLOCK_S, functions.FIRST_EXCEPTION)
            assert done == {fails}


@both
@beside
def test_a_timeout(executors: list[Any], functions: Any) -> None:
    """What is not done in time is told apart, or ends the iterator."""
    ours, *others = executors
    ready = [other.submit(square, 2) for other in others]
    with occupied(ours) as held:
        assert functions.wait([*held, *ready], 0.1) == (set(ready), set(held))
        with pytest.raises(TimeoutError, match=r"2 \(of 4\) futures unfinished"):
            list(functions.as_completed([*held, *ready], 0.1))


@both
@beside
def test_cancelled_ones(executors: list[Any], functions: Any) -> None:
    """Count as done, also when they are cancelled while somebody waits."""
    ours, other, theirs = executors
    with occupied(ours):
        waiting = ours.submit(square, 2)
        canceller = theirs.submit(cancel_when_waited_for, waiting)
        done, _ = functions.wait([waiting, other.submit(square, 2)], DEADLOCK_S)

    assert canceller.result(DEADLOCK_S)
    assert waiting in done
    assert waiting.cancelled()


def cancel_when_waited_for(future: Any) -> bool:
    eventually(lambda: future._followers is not None)
    return bool(future.cancel())


def test_a_dict_from_futures(futures: list[Any]) -> None:
    """They are keys, as in the standard library's examples."""
    numbers = dict(zip(futures, (number for number in range(10) for _ in range(3)), strict=True))

    for future in concurrent.futures.as_completed(numbers, DEADLOCK_S):
        assert future.result() == numbers[future] ** 2


def test_a_task_of_one_waits_for_another(executors: list[Any]) -> None:
    """The other backend's task and the standard library's, from inside a task of ours."""
    ours, other, theirs = executors

    def through(executor: Any, number: int) -> int:
        result: int = executor.submit(square, number).result(DEADLOCK_S)
        return result

    outer = [ours.submit(through, executor, number) for number in range(20) for executor in (other, theirs)]
    assert [future.result(DEADLOCK_S) for future in outer] == [n * n for n in range(20) for _ in range(2)]


def test_a_result_passed_on_by_hand(executor: Executor) -> None:
    """Whoever chains futures makes one of the standard library's and sets it in a callback of ours."""
    outer: concurrent.futures.Future[int] = concurrent.futures.Future()
    executor.submit(square, 3).add_done_callback(lambda inner: outer.set_result(inner.result() + 1))

    assert outer.result(DEADLOCK_S) == 10


def test_reports_of_progress(executor: Executor) -> None:
    """The loop around ``wait`` with a short timeout that many programs have."""
    pending: set[concurrent.futures.Future[int]] = {executor.submit(square, number) for number in range(20)}
    deadline = time.monotonic() + DEADLOCK_S
    while pending and time.monotonic() < deadline:
        _, pending = concurrent.futures.wait(pending, 0.01)

    assert not pending
