"""When nothing can ever run again, everybody who waits is told who waits for what."""

from typing import Any

import pytest

import manyhands
from manyhands import DeadlockError

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")


@pytest.fixture
def backend() -> Any:
    with manyhands.open_backend("dummy", max_workers=3) as backend:
        yield backend


def test_lock_order(backend: Any) -> None:
    """The graph says who holds what, who waits for what, and where in the source."""
    left, right, both = backend.lock(), backend.lock(), backend.barrier(2)

    def take(first: Any, second: Any) -> None:
        with first:
            both.wait()
            with second:
                pass

    with backend.executor() as executor:
        one, other = executor.submit(take, left, right), executor.submit(take, right, left)
        with pytest.raises(DeadlockError) as caught:
            one.result()

    text = str(caught.value)
    assert text.startswith("nothing can ever run again: everybody waits")
    assert "task 1 (test_lock_order.<locals>.take), at " in text
    assert "test_deadlock.py:" in text
    assert "waits for a lock that task 2 (test_lock_order.<locals>.take) has" in text
    assert "waits for a lock that task 1 (test_lock_order.<locals>.take) has" in text
    assert isinstance(other.exception(), DeadlockError)


def test_a_queue_that_nobody_fills(backend: Any) -> None:
    """The main program waits for an item that cannot come."""
    with pytest.raises(DeadlockError, match=r"the main program, at .*test_deadlock.py:\d+ waits for a queue"):
        backend.queue().get()


def test_a_task_that_waits_for_itself(backend: Any) -> None:
    """A task that waits for its own result."""
    box: list[Any] = []
    started = backend.event()

    def wait_for_myself() -> None:
        started.wait()
        box[0].result()

    with backend.executor() as executor:
        box.append(executor.submit(wait_for_myself))
        started.set()
        with pytest.raises(DeadlockError, match="waits for the result of task 1"):
            box[0].result()


def test_the_standard_librarys_wait(backend: Any) -> None:
    """``concurrent.futures.wait`` on futures of ours is told, too, and does not hang."""
    import concurrent.futures

    queue = backend.queue()
    with backend.executor() as executor:
        future = executor.submit(queue.get)
        with pytest.raises(DeadlockError):
            concurrent.futures.wait([future])


def test_a_server_is_no_deadlock(backend: Any) -> None:
    """Daemons that wait for work keep nobody from ending."""
    queue = backend.queue()
    backend.Activity(target=queue.get, daemon=True).start()

    with backend.executor() as executor:
        assert executor.submit(len, "abc").result() == 3


def test_after_a_deadlock_it_goes_on(backend: Any) -> None:
    """The error ends the waits; the backend is as good as before."""
    queue = backend.queue()
    with pytest.raises(DeadlockError):
        queue.get()

    queue.put(1)
    assert queue.get() == 1
