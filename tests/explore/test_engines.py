"""Executors over the engines of all in-process backends, interrupted at any bytecode of the core and of the engine."""

from collections.abc import Callable
from typing import Any

import pytest

import manyhands
from manyhands_dummy import explore

from .engines import ENGINES, MODULES
from .linear import answer

pytestmark = pytest.mark.timeout(240, method="thread")

engines = pytest.mark.parametrize("engine", ENGINES)


def beside(backend: Any, *calls: Callable[[], Any]) -> list[Any]:
    """The answers of the *calls*, each made by an activity of its own."""
    answers: list[Any] = [None] * len(calls)

    def make(place: int) -> None:
        answers[place] = answer(calls[place])

    activities = [backend.Activity(target=make, args=(place,)) for place in range(len(calls))]
    for activity in activities:
        activity.start()
    for activity in activities:
        activity.join()
    return answers


def settled(executor: Any, *futures: Any) -> None:
    """Every future is final, and the executor has counted each one once."""
    assert all(future.done() for future in futures)
    stats = executor.stats()
    assert (stats.pending, stats.running) == (0, 0), stats
    assert stats.done + stats.failed + stats.cancelled == len(futures), stats


def cancel_against_start(backend: Any, under: Any) -> None:
    """It is cancelled and was never run, or it was run and is not cancelled; who asks is told the same."""
    ran: list[int] = []
    called: list[bool] = []
    with backend.executor(1) as executor:
        future = executor.submit(ran.append, 1)
        future.add_done_callback(lambda future: called.append(future.cancelled()))
        cancelled, again, result = beside(under, future.cancel, future.cancel, lambda: future.result(100))
    assert cancelled == again or not ran
    assert future.cancelled() is (not ran)
    assert result == (None if ran else "CancelledError")
    assert (cancelled, called) == (not ran, [not ran])
    settled(executor, future)


def submit_against_shutdown(backend: Any, under: Any) -> None:
    """What is accepted is run; what is not is refused, and runs not."""
    ran: list[int] = []
    executor = backend.executor(2)

    def submit(number: int) -> Any:
        return executor.submit(ran.append, number)

    first, second, _ = beside(under, lambda: submit(1), lambda: submit(2), executor.shutdown)
    executor.shutdown()
    accepted = [number for number, future in ((1, first), (2, second)) if future != "ExecutorClosedError"]
    assert sorted(ran) == accepted
    assert all(future.result(0) is None for future in (first, second) if future != "ExecutorClosedError")


def submit_against_cancelling_shutdown(backend: Any, under: Any) -> None:
    """What is accepted is run or cancelled."""
    ran: list[int] = []
    executor = backend.executor(1)

    def submit(number: int) -> Any:
        return executor.submit(ran.append, number)

    answers = beside(under, lambda: submit(1), lambda: submit(2), lambda: executor.shutdown(cancel_futures=True))
    executor.shutdown()
    for number, future in ((1, answers[0]), (2, answers[1])):
        assert (number in ran) is (future != "ExecutorClosedError" and not future.cancelled())
        assert future == "ExecutorClosedError" or future.done()


def resize_against_submit(backend: Any, under: Any) -> None:
    """A pool that shrinks and grows runs everything."""
    with backend.executor(2) as executor:
        futures: list[Any] = []

        def submit() -> None:
            futures.extend(executor.submit(abs, -n) for n in range(3))

        beside(under, submit, lambda: executor.resize(1), lambda: executor.resize(3))
        assert sorted(future.result() for future in futures) == [0, 1, 2]
    settled(executor, *futures)


def tasks_that_wait_for_tasks(backend: Any, under: Any) -> None:
    """A task that waits for one of its own executor lends its place: one worker is enough."""
    with backend.executor(1) as executor:

        def outer(n: int) -> Any:
            return executor.submit(abs, -n).result() if n else 0

        futures = [executor.submit(outer, n) for n in range(3)]
        assert [future.result() for future in futures] == [0, 1, 2]


def wait_against_finish(backend: Any, under: Any) -> None:
    """``wait`` and ``as_completed`` see each future once."""
    with backend.executor(2) as executor:
        futures = [executor.submit(abs, -n) for n in range(3)]
        first, each, every = beside(
            under,
            lambda: len(manyhands.wait(futures, 100, manyhands.FIRST_COMPLETED).done),
            lambda: sorted(future.result() for future in manyhands.as_completed(futures, 100)),
            lambda: len(manyhands.wait(futures).done),
        )
    assert first >= 1
    assert each == [0, 1, 2]
    assert every == 3
    settled(executor, *futures)


def backpressure(backend: Any, under: Any) -> None:
    """With one place, those who submit wait for it, and everybody gets in."""
    with backend.executor(1, max_pending=1) as executor:
        futures = beside(under, *[lambda n=n: executor.submit(abs, -n) for n in range(3)])
        assert sorted(future.result() for future in futures) == [0, 1, 2]
    settled(executor, *futures)


def backpressure_against_shutdown(backend: Any, under: Any) -> None:
    """Who waits for a place when the executor closes is refused."""
    executor = backend.executor(1, max_pending=1)
    answers = beside(under, *[lambda n=n: executor.submit(abs, -n) for n in range(2)], executor.shutdown)
    for n, future in enumerate(answers[:2]):
        assert future == "ExecutorClosedError" or future.result() == n


def retry_against_cancel(backend: Any, under: Any) -> None:
    """A task that fails once is run again, or cancelled in between."""
    attempts: list[int] = []

    def fail_once() -> int:
        attempts.append(1)
        if len(attempts) == 1:
            raise KeyError
        return len(attempts)

    with backend.executor(1) as executor:
        future = executor.with_options(retries=1).submit(fail_once)
        cancelled, result = beside(under, future.cancel, lambda: future.result(100))
    assert future.cancelled() is cancelled
    assert result == ("CancelledError" if cancelled else 2)
    assert len(attempts) <= (1 if cancelled else 2)
    settled(executor, future)


def map_in_chunks(backend: Any, under: Any) -> None:
    """Every item is called once, and the results are in order."""
    called: list[int] = []

    def call(n: int) -> int:
        called.append(n)
        return n * n

    with backend.executor(2) as executor:
        assert list(executor.map(call, range(7), chunksize=2)) == [n * n for n in range(7)]
    assert sorted(called) == list(range(7))


def map_that_steals(backend: Any, under: Any) -> None:
    """Also where those who have nothing to do take half of what another one has not begun."""
    called: list[int] = []

    def call(n: int) -> int:
        called.append(n)
        return n * n

    with backend.executor(3) as executor:
        assert sorted(executor.map_unordered(call, range(9), chunksize=8)) == [n * n for n in range(9)]
    assert sorted(called) == list(range(9))


def map_that_is_left(backend: Any, under: Any) -> None:
    """Who wants no more of a map leaves nothing behind."""
    with backend.executor(2) as executor:
        results = executor.map(abs, range(6), buffersize=2)
        assert next(results) == 0
        results.close()
    assert executor.stats().running == 0


def terminate_against_run(backend: Any, under: Any) -> None:
    """Every accepted future is final when the executor was terminated."""
    executor = backend.executor(1, grace=0)
    futures = [executor.submit(abs, -n) for n in range(3)]
    beside(under, executor.terminate_workers, lambda: futures[2].cancel())
    executor.shutdown()
    for n, future in enumerate(futures):
        assert future.done()
        assert future.cancelled() or future.result() == n


PROGRAMS = (
    cancel_against_start,
    submit_against_shutdown,
    submit_against_cancelling_shutdown,
    resize_against_submit,
    tasks_that_wait_for_tasks,
    wait_against_finish,
    backpressure,
    backpressure_against_shutdown,
    retry_against_cancel,
    map_in_chunks,
    map_that_steals,
    map_that_is_left,
    terminate_against_run,
)
programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)


def check(engine: str, program: Callable[[Any, Any], None], seeds: int) -> None:
    def on_engine(under: Any) -> None:
        backend = ENGINES[engine](under)
        try:
            program(backend, under)
        finally:
            if backend is not under:
                backend.close(cancel=True)

    failure = explore(on_engine, seeds, switch_in=MODULES[engine])
    assert failure is None, str(failure)


@engines
@programs
def test_executor(engine: str, program: Callable[[Any, Any], None]) -> None:
    """Holds under every schedule."""
    check(engine, program, 15)


@pytest.mark.slow
@engines
@programs
def test_executor_thoroughly(engine: str, program: Callable[[Any, Any], None]) -> None:
    """Holds under every schedule, far more of them."""
    check(engine, program, 600)
