"""Timeouts are counted on the backend's clock, also where it is not the interpreter's."""

import itertools
import random
import time
from typing import Any

import pytest

import manyhands
from manyhands_dummy import replay


@pytest.fixture
def virtual() -> Any:
    with manyhands.open_backend("dummy", virtual_time=True, seed=0) as backend:
        yield backend


def test_as_completed(virtual: Any) -> None:
    """Its timeout counts from the call, not from the last future that ended."""
    with virtual.executor(2) as executor:
        futures = [executor.submit(virtual.sleep, seconds) for seconds in (3, 6)]
        each = manyhands.as_completed(futures, 5)
        assert next(each) is futures[0]
        with pytest.raises(TimeoutError, match=r"1 \(of 2\) futures unfinished"):
            next(each)
        assert virtual.monotonic() == 5


def test_wait(virtual: Any) -> None:
    """The same."""
    with virtual.executor(3) as executor:
        futures = [executor.submit(virtual.sleep, seconds) for seconds in (3, 4, 6)]
        assert len(manyhands.wait(futures, 5).done) == 2
        assert virtual.monotonic() == 5


def test_a_wait_of_no_time_lets_time_pass(virtual: Any) -> None:
    """Else a loop that waits until the clock is beyond its deadline would never end."""
    before = virtual.monotonic()
    virtual.event().wait(0)

    assert virtual.monotonic() > before


def test_a_map_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chunks of a map depend on nothing but the schedule: not on the interpreter's clocks."""
    numbers = random.Random(0)
    passed = itertools.accumulate(iter(lambda: numbers.choice((1e-6, 1.0)), None))
    for clock in ("perf_counter", "monotonic"):
        monkeypatch.setattr(time, clock, passed.__next__)
    chunks = set()

    def program(backend: Any) -> None:
        with backend.executor(3) as executor:
            assert list(executor.map(pow, range(200), [2] * 200)) == [n * n for n in range(200)]
        chunks.add(executor.stats().done)

    for _ in range(3):
        assert replay(program, 1) is None

    assert len(chunks) == 1
