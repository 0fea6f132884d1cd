"""Queues and locks that are used wrongly, and what waits in them at the end."""

import pickle
import threading
from typing import Any

import pytest

import manyhands
from manyhands import ExecutorClosedError, SerializationError, ShutDown
from manyhands.contract.support import DEADLOCK_S, run_script
from manyhands.primitives import HostedQueue

from .helpers import all_end, script

fault = pytest.mark.fault
capability = pytest.mark.capability

QUEUES = ("queue", "lifo_queue", "priority_queue", "simple_queue")


@fault(104)
class TestQueues:
    @pytest.mark.parametrize("kind", QUEUES)
    def test_shutdown_wakes_all_who_get(self, backend: Any, kind: str) -> None:
        """Each of five with ShutDown, and whoever comes later, too."""
        queue = getattr(backend, kind)()
        waiting, woken = backend.semaphore(0), backend.simple_queue()

        def get() -> None:
            waiting.release()
            try:
                woken.put(queue.get(timeout=DEADLOCK_S))
            except ShutDown:
                woken.put("shut down")

        getters = [backend.Activity(target=get) for _ in range(5)]
        for getter in getters:
            getter.start()
        for _ in getters:
            assert waiting.acquire(timeout=DEADLOCK_S)
        queue.shutdown()

        assert all_end(getters)
        assert [woken.get(timeout=1) for _ in getters] == ["shut down"] * 5
        with pytest.raises(ShutDown):
            queue.get(timeout=1)
        with pytest.raises(ShutDown):
            queue.put(1)

    @pytest.mark.parametrize("kind", QUEUES[:3])
    def test_shutdown_wakes_all_who_put(self, backend: Any, kind: str) -> None:
        """What was inside before can still be had."""
        queue = getattr(backend, kind)(1)
        queue.put(0)
        waiting, woken = backend.semaphore(0), backend.simple_queue()

        def put() -> None:
            waiting.release()
            try:
                queue.put(1, timeout=DEADLOCK_S)
            except ShutDown:
                woken.put("shut down")

        putters = [backend.Activity(target=put) for _ in range(3)]
        for putter in putters:
            putter.start()
        for _ in putters:
            assert waiting.acquire(timeout=DEADLOCK_S)
        queue.shutdown()

        assert all_end(putters)
        assert [woken.get(timeout=1) for _ in putters] == ["shut down"] * 3
        assert queue.get(timeout=1) == 0
        with pytest.raises(ShutDown):
            queue.get(timeout=1)

    @pytest.mark.parametrize("kind", QUEUES)
    def test_task_done_too_often_is_an_error_at_the_call(self, backend: Any, kind: str) -> None:
        """And does no harm."""
        queue = getattr(backend, kind)()
        with pytest.raises(ValueError, match="called too many times"):
            queue.task_done()
        queue.put(1)
        queue.get()
        queue.task_done()
        with pytest.raises(ValueError, match="called too many times"):
            queue.task_done()

        queue.join()

    @pytest.mark.parametrize("kind", QUEUES)
    def test_an_item_that_cannot_be_pickled(self, backend: Any, kind: str) -> None:
        """In one process it goes through as it is; elsewhere it is an error of ``put``, and the queue goes on."""
        queue, item = getattr(backend, kind)(), threading.Lock()
        if backend.capabilities.in_process:
            queue.put(item)
            assert queue.get(timeout=DEADLOCK_S) is item
        else:
            with pytest.raises(SerializationError):
                queue.put(item)
        queue.put(1)

        assert queue.get(timeout=DEADLOCK_S) == 1

    @pytest.mark.parametrize("kind", QUEUES)
    def test_a_get_at_the_close_of_the_backend_does_not_wait_for_ever(self, backend_name: str, kind: str) -> None:
        """Hosted queues raise ExecutorClosedError; native ones stay valid, and an item still gets through."""
        backend = manyhands.open_backend(backend_name)
        queue = getattr(backend, kind)()
        backend.close()

        def use() -> Any:
            queue.put(1)
            return queue.get(timeout=DEADLOCK_S)

        if isinstance(queue, HostedQueue):
            with pytest.raises(ExecutorClosedError, match="closed at"):
                use()
        else:
            assert use() == 1


@fault(104)
class TestLocks:
    def test_a_lock_is_not_released_twice(self, backend: Any) -> None:
        """RuntimeError at the call; it can be taken afterwards."""
        lock = backend.lock()
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()
        with lock:
            pass
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()

        assert lock.acquire(timeout=1)

    def test_an_rlock_is_not_released_by_a_stranger(self, backend: Any) -> None:
        """RuntimeError for the other activity; its owner still holds it, as often as before."""
        lock, said = backend.rlock(), backend.simple_queue()
        lock.acquire()
        lock.acquire()

        def release() -> None:
            try:
                lock.release()
            except RuntimeError as error:
                said.put(str(error))
            said.put(lock.acquire(blocking=False))

        stranger = backend.Activity(target=release)
        stranger.start()

        assert all_end([stranger])
        assert "un-acquired" in said.get(timeout=1)
        assert said.get(timeout=1) is False
        lock.release()
        lock.release()
        with pytest.raises(RuntimeError, match="un-acquired"):
            lock.release()

    def test_semaphores_and_conditions(self, backend: Any) -> None:
        """Too many releases, a wait or notify without the lock: each is an error at the call, and changes nothing."""
        semaphore, condition = backend.bounded_semaphore(1), backend.condition()
        with pytest.raises(ValueError, match="released too many times"):
            semaphore.release()
        for wrong in (condition.wait, condition.notify, condition.notify_all, condition.release):
            with pytest.raises(RuntimeError, match="un-acquired"):
                wrong()

        assert semaphore.acquire(timeout=1)
        assert not semaphore.acquire(timeout=0)
        with condition:
            assert condition.wait(0.01) is False

    def test_a_barrier_that_is_broken_lets_nobody_wait(self, backend: Any) -> None:
        """Whoever waits and whoever comes gets BrokenBarrierError; after ``reset`` it works."""
        barrier = backend.barrier(2)
        waiting, said = backend.semaphore(0), backend.simple_queue()

        def meet() -> None:
            waiting.release()
            try:
                said.put(barrier.wait(DEADLOCK_S))
            except threading.BrokenBarrierError:
                said.put("broken")

        first = backend.Activity(target=meet)
        first.start()
        assert waiting.acquire(timeout=DEADLOCK_S)
        barrier.abort()
        assert all_end([first])
        assert said.get(timeout=1) == "broken"
        with pytest.raises(threading.BrokenBarrierError):
            barrier.wait(1)
        barrier.reset()
        both = [backend.Activity(target=meet) for _ in range(2)]
        for one in both:
            one.start()

        assert all_end(both)
        assert {said.get(timeout=1), said.get(timeout=1)} == {0, 1}

    @pytest.mark.parametrize("kind", ["lock", "rlock", "semaphore", "event", "queue"])
    @capability("not in_process")
    def test_none_is_pickled_by_hand(self, backend: Any, kind: str) -> None:
        """Outside of a transfer to a task it means nothing: an error that says so."""
        with pytest.raises(SerializationError, match="can only be passed to"):
            pickle.dumps(getattr(backend, kind)())


class TestInterruptsOfHosted:
    """Primitives of the core's own host; native ones are the standard library's."""

    @fault(57)
    @capability("not deterministic")
    @pytest.mark.parametrize(
        ("make", "operation", "still"),
        [
            ("lock()", "thing.acquire(timeout=1)", "not thing.locked()"),
            ("rlock()", "thing.acquire(timeout=1)", "not thing.locked()"),
            ("semaphore(1)", "thing.acquire(timeout=1)", "thing.acquire(timeout=1) and not thing.release()"),
        ],
    )
    def test_an_acquire_that_was_interrupted_holds_nothing(
        self, backend: Any, backend_name: str, make: str, operation: str, still: str
    ) -> None:
        """KeyboardInterrupt out of ``acquire`` means that it was not taken, at whatever bytecode it came."""
        finished = run_script(
            script(f"""
            from manyhands.contract.injection import interrupt_sweep

            thing, taken = backend.{make}, []

            def operation():
                taken.clear()
                taken.append({operation})

            def check():
                if taken:
                    thing.release()
                assert {still}

            say(interrupt_sweep(operation, check, points=200).points)
            backend.close()
            """),
            backend_name,
        )

        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.strip().isdigit()
