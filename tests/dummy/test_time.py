"""Virtual time."""

import time
from typing import Any

import pytest

import manyhands

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")


@pytest.fixture
def backend() -> Any:
    with manyhands.open_backend("dummy", virtual_time=True) as backend:
        yield backend


def test_a_day_passes_at_once(backend: Any) -> None:
    """A call each minute, for a day: 1,440 calls less the one at its end, on the beat."""
    calls: list[float] = []
    began = time.monotonic()

    repeated = backend.every(60, lambda: calls.append(backend.monotonic()))
    backend.sleep(86_400 - 1)
    repeated.cancel()

    assert calls == [60.0 * number for number in range(1, 1440)]
    assert time.monotonic() - began < 60


def test_time_stands_still_while_somebody_runs(backend: Any) -> None:
    """However long a task takes, no time passes for it."""
    with backend.executor() as executor:
        before = backend.monotonic()
        executor.submit(sum, range(100_000)).result()

        assert backend.monotonic() == before


def test_sleepers_wake_in_the_order_of_their_times(backend: Any) -> None:
    """Who sleeps less wakes first, whoever began first."""
    woke: list[int] = []

    def sleep(seconds: int) -> None:
        backend.sleep(seconds)
        woke.append(seconds)

    with backend.executor(max_workers=3) as executor:
        for seconds in (300, 100, 200):
            executor.submit(sleep, seconds)

    assert woke == [100, 200, 300]
    assert backend.monotonic() == 300


def test_timeouts_of_primitives(backend: Any) -> None:
    """A timeout of an hour is over at once, and an hour later."""
    lock = backend.lock()
    lock.acquire()

    assert not lock.acquire(timeout=3600)
    assert not backend.event().wait(3600)
    with pytest.raises(manyhands.Empty):
        backend.queue().get(timeout=3600)
    assert backend.monotonic() == 3 * 3600


def test_result_timeout(backend: Any) -> None:
    """``result(timeout)`` counts on the same clock."""
    with backend.executor() as executor:
        future = executor.submit(backend.sleep, 10)

        with pytest.raises(TimeoutError):
            future.result(timeout=9)
        assert backend.monotonic() == 9
        assert future.result(timeout=2) is None


def test_as_completed_timeout(backend: Any) -> None:
    """And so does as_completed."""
    with backend.executor() as executor:
        futures = [executor.submit(backend.sleep, seconds) for seconds in (1, 100)]

        with pytest.raises(TimeoutError):
            list(manyhands.as_completed(futures, timeout=50))
        assert backend.monotonic() == 50


def test_scheduler_and_timers(backend: Any) -> None:
    """The scheduler, ``after`` and ``timer`` share the clock."""
    said: list[tuple[str, float]] = []

    def say(what: str) -> None:
        said.append((what, backend.monotonic()))

    scheduler = backend.scheduler()
    scheduler.enter(30, 1, say, ("scheduled",))
    after = backend.after(10, say, "after")
    timer = backend.timer(20, say, ["timer"])
    timer.start()
    scheduler.run()
    after.result()
    timer.join()

    assert said == [("after", 10.0), ("timer", 20.0), ("scheduled", 30.0)]
