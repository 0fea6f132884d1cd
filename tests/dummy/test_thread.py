"""One thread: others are refused, what blocks it is reported, and what comes from others arrives."""

import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import manyhands
from manyhands import ManyhandsWarning, UnsupportedError
from manyhands.contract.support import DEADLOCK_S

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")


@pytest.fixture
def backend() -> Any:
    with manyhands.open_backend("dummy", max_workers=3) as backend:
        yield backend


@pytest.mark.parametrize(
    "use",
    [
        lambda backend, executor: executor.submit(len, ""),
        lambda backend, executor: list(executor.map(len, [""])),
        lambda backend, executor: backend.lock().acquire(),
        lambda backend, executor: backend.queue().put(1),
        lambda backend, executor: backend.sleep(0),
        lambda backend, executor: backend.Activity(target=len).start(),
        lambda backend, executor: backend.local(),
    ],
)
def test_a_second_thread_is_refused(backend: Any, use: Callable[[Any, Any], object]) -> None:
    """In another thread everything that would run or block says that it cannot."""
    with backend.executor() as executor, concurrent.futures.ThreadPoolExecutor(1) as other:
        executor.submit(len, "").result()
        with pytest.raises(UnsupportedError, match="use from a second thread"):
            other.submit(use, backend, executor).result(DEADLOCK_S)


def test_a_foreign_blocking_call_is_reported(backend: Any) -> None:
    """A task that waits for something that the backend does not know is named, with its place."""
    with backend.executor() as executor, pytest.warns(ManyhandsWarning) as told:
        executor.submit(threading.Event().wait, 2)

    assert "task 1 (Event.wait) has waited for a second at " in str(told[0].message)


def test_who_computes_is_not_reported(backend: Any) -> None:
    """A long calculation is not a wait; neither is a task that waits through the backend."""

    def spin() -> int:
        end, count = time.monotonic() + 1.7, 0
        while time.monotonic() < end:
            count += 1
        return count

    with backend.executor() as executor:
        executor.submit(backend.sleep, 1.5)
        executor.submit(spin).result()


def test_futures_of_other_executors(backend: Any) -> None:
    """``wait`` and ``as_completed`` take futures of threads beside its own."""
    with (
        backend.executor() as executor,
        concurrent.futures.ThreadPoolExecutor(1) as foreign,
    ):
        mixed = [executor.submit(backend.sleep, 0.01), foreign.submit(time.sleep, 0.05)]
        assert concurrent.futures.wait(mixed, DEADLOCK_S).not_done == set()

        mixed = [executor.submit(backend.sleep, 0.01), foreign.submit(time.sleep, 0.05)]
        assert set(manyhands.as_completed(mixed, DEADLOCK_S)) == set(mixed)


def test_first_completed(backend: Any) -> None:
    """Waiting for the first one does not wait for one that blocks."""
    queue = backend.queue()
    with backend.executor() as executor:
        blocked, quick = executor.submit(queue.get), executor.submit(len, "")
        done, not_done = concurrent.futures.wait([blocked, quick], return_when=concurrent.futures.FIRST_COMPLETED)
        queue.put(None)

    assert (done, not_done) == ({quick}, {blocked})


def test_it_ends_with_the_backend() -> None:
    """No thread is left when the last backend is closed."""
    with manyhands.open_executor("dummy") as executor:
        executor.submit(len, "").result()
    assert "manyhands-watchdog" not in {thread.name for thread in threading.enumerate()}
