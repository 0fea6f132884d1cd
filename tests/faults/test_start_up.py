"""Workers that cannot be had: no threads, no memory for them, initializers that fail."""

import os
import threading
from typing import Any

import pytest

import manyhands
from manyhands import InitializerError, ResourceError
from manyhands.contract.support import DEADLOCK_S, run_script

from .helpers import solves_control_tasks

fault = pytest.mark.fault
capability = pytest.mark.capability

NO_THREAD = RuntimeError("can't start new thread")


def fail() -> None:
    raise ValueError("of the initializer")


@fault(42)
@capability("not deterministic")
class TestNoMoreThreads:
    """Every start of a thread fails once, one after the other: ResourceError at the call, or it does without."""

    @pytest.mark.parametrize("error", [NO_THREAD, MemoryError()])
    def test_submit(self, backend: Any, fail_call: Any, error: BaseException) -> None:
        """What was refused leaves no ghost behind, all else is done once, and the executor works on."""
        rounds = []
        for failed in fail_call(threading.Thread, "start", error):
            refused, futures = 0, []
            with backend.executor(max_workers=3) as executor:
                for n in range(10):
                    try:
                        futures.append((n, executor.submit(pow, 2, n)))
                    except ResourceError:
                        refused += 1
                assert [future.result(DEADLOCK_S) for n, future in futures] == [2**n for n, _ in futures]
                assert solves_control_tasks(executor)
                assert executor.stats().pending == 0
            assert refused <= failed.happened
            rounds.append(failed.happened)

        assert len(rounds) >= 2

    def test_submit_when_no_thread_can_be_had_any_more(self, backend: Any, fail_call: Any) -> None:
        """From the n-th start on: the threads there are do everything; without any, each call is refused."""
        for failed in fail_call(threading.Thread, "start", NO_THREAD, lasting=True):
            with backend.executor(max_workers=3) as executor:
                outcomes: list[Any] = []
                for n in range(10):
                    try:
                        outcomes.append(executor.submit(pow, 2, n))
                    except ResourceError as problem:
                        outcomes.append(problem)
                if failed.number == 1 and failed.happened:
                    assert all(isinstance(outcome, ResourceError) for outcome in outcomes)
                    assert "can't start new thread" in str(outcomes[-1])
                else:
                    assert [future.result(DEADLOCK_S) for future in outcomes] == [2**n for n in range(10)]

    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"buffersize": 2}])
    def test_map(self, backend: Any, fail_call: Any, way: dict[str, Any]) -> None:
        """ResourceError at the call or in place of the results; never a hang, never a wrong result."""
        for failed in fail_call(threading.Thread, "start", NO_THREAD):
            with backend.executor(max_workers=3) as executor:
                try:
                    assert list(executor.map(abs, range(-9, 0), timeout=DEADLOCK_S, **way)) == list(range(9, 0, -1))
                except ResourceError:
                    assert failed.happened
                assert solves_control_tasks(executor)

    def test_timers(self, backend_name: str, fail_call: Any) -> None:
        """Refused or done, and the next one is done."""
        for failed in fail_call(threading.Thread, "start", NO_THREAD):
            with manyhands.open_backend(backend_name) as backend:
                try:
                    future = backend.after(0, pow, 2, 2)
                    assert future.result(DEADLOCK_S) == 4
                except (ResourceError, manyhands.CancelledError):
                    assert failed.happened
                assert backend.after(0, pow, 2, 3).result(DEADLOCK_S) == 8

    def test_activities_and_pools(self, backend: Any, fail_call: Any) -> None:
        """ResourceError; the next activity and the next call of the pool work."""
        for failed in fail_call(threading.Thread, "start", NO_THREAD):
            done = backend.event()
            try:
                with backend.pool(2) as pool:
                    assert pool.map(abs, [-1, -2]) == [1, 2]
                activity = backend.Activity(target=done.set)
                activity.start()
                activity.join(DEADLOCK_S)
                assert done.is_set()
            except ResourceError:
                assert failed.happened

    def test_growing_by_resize(self, backend: Any, fail_call: Any) -> None:
        """An executor that is given more room keeps working when the machine has none."""
        for failed in fail_call(threading.Thread, "start", NO_THREAD):
            with backend.executor(max_workers=1) as executor:
                try:
                    executor.submit(pow, 2, 2).result(DEADLOCK_S)
                    executor.resize(3)
                except ResourceError:
                    assert failed.happened
                assert solves_control_tasks(executor)

    def test_the_machine_itself_refuses(self, backend: Any, backend_name: str) -> None:
        """With no memory for stacks there are no threads: no patch, but the kernel's own answer."""
        finished = run_script(
            """
            import sys, threading
            import manyhands
            from manyhands.contract.injection import rlimits

            with manyhands.open_executor(sys.argv[1], max_workers=4) as executor:
                threading.stack_size(1 << 28)
                rlimits(as_=1 << 28)
                try:
                    executor.submit(pow, 2, 2)
                except manyhands.ResourceError as error:
                    print("refused:", "can't start new thread" in str(error))
                threading.stack_size(1 << 17)
                print(executor.submit(pow, 2, 3).result(10), executor.stats().pending)
            """,
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        assert finished.stdout.splitlines() == ["refused: True", "8 0"]


class TestInitializer:
    @fault(34)
    @pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
    def test_it_fails_in_every_way(self, backend: Any, error: type[BaseException]) -> None:
        """InitializerError with the cause on every pending future; a handful of attempts, and then submit refuses."""
        attempts: list[None] = []

        def initialize() -> None:
            attempts.append(None)
            raise error("of the initializer")

        executor = backend.executor(max_workers=2, initializer=initialize)
        outcomes: list[BaseException | None] = []
        for _ in range(20):
            try:
                outcomes.append(executor.submit(pow, 2, 2).exception(DEADLOCK_S))
            except InitializerError as problem:
                outcomes.append(problem)
        executor.shutdown()

        assert {type(outcome) for outcome in outcomes} == {InitializerError}
        assert all(isinstance(outcome.__cause__, error) for outcome in outcomes if outcome is not None)
        assert len(attempts) < 10

    @fault(35)
    def test_it_fails_now_and_then(self, backend: Any) -> None:
        """Each second worker does not come to life: no future fails, and the size is reached."""
        calls: list[None] = []

        def initialize() -> None:
            calls.append(None)
            if len(calls) % 2:
                raise ValueError("not this time")

        with backend.executor(max_workers=2, max_tasks_per_worker=3, initializer=initialize) as executor:
            futures = [executor.submit(pow, n, 2) for n in range(30)]

            assert [future.result(DEADLOCK_S) for future in futures] == [n * n for n in range(30)]


@fault(85)
@pytest.mark.parametrize("cycles", [60, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(120)])])
def test_opening_and_closing_with_failures_mixed_in_keeps_no_descriptor(backend_name: str, cycles: int) -> None:
    """As many descriptors afterwards as before; each cycle has a start that fails, a timer and a pipe."""
    before = None
    for cycle in range(cycles):
        with manyhands.open_backend(backend_name, max_workers=2) as backend:
            with backend.executor() as executor:
                assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4
            with backend.executor(initializer=fail) as broken:
                try:
                    problem = broken.submit(pow, 2, 2).exception(DEADLOCK_S)
                except InitializerError as error:
                    problem = error
                assert isinstance(problem, InitializerError)
            backend.after(1000, abs, 0)
            here, there = backend.pipe()
            here.close()
            there.close()
        if cycle == 5:
            before = len(os.listdir("/proc/self/fd"))

    assert len(os.listdir("/proc/self/fd")) == before
