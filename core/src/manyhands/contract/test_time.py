"""Calls that are due later: ``backend.after`` and ``backend.every``."""

import contextvars
import gc
import math
import threading
import time
import weakref
from concurrent.futures import CancelledError
from typing import Any, Final

import pytest

from manyhands import ExecutorClosedError, ResourceError, current_backend, current_task, wait

from .support import DEADLOCK_S, Beside, eventually, run_script

pytestmark: Final = [pytest.mark.covers("timer-objects"), pytest.mark.contract("manyhands.Backend.after")]

#: A delay that no test waits for, in seconds.
LATER_S = 3600


class Argument:
    """Something that can be watched as it goes."""


class Hesitant(Exception):
    """Raised by a timed call."""


def fail(error: BaseException) -> None:
    raise error


# after


def test_after_gives_the_result(backend: Any) -> None:
    """The future of a call that is due gets what the call returns."""
    assert backend.after(0, divmod, 7, 2).result(DEADLOCK_S) == (3, 1)


def test_after_passes_keywords(backend: Any) -> None:
    """Keywords reach the call, also those that sound like arguments of ours."""
    assert backend.after(0, dict, fn=1, delay=2, self=3).result(DEADLOCK_S) == {"fn": 1, "delay": 2, "self": 3}


def test_after_gives_the_error(backend: Any) -> None:
    """A call that raises fails its future with that exception."""
    error = Hesitant()

    assert backend.after(0, fail, error).exception(DEADLOCK_S) is error


def test_after_waits_for_the_delay(backend: Any) -> None:
    """A call is not made before its time on the backend's clock."""
    began = backend.monotonic()

    assert backend.after(0.05, backend.monotonic).result(DEADLOCK_S) - began >= 0.05


def test_the_earlier_call_comes_first(backend: Any) -> None:
    """A call that is due earlier is made first, even if it was asked for later."""
    order = backend.queue()
    late = backend.after(0.2, order.put, "late")
    backend.after(0.05, order.put, "early").result(DEADLOCK_S)
    late.result(DEADLOCK_S)

    assert [order.get(), order.get()] == ["early", "late"]


def test_calls_due_together_start_in_the_order_of_asking(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among equals it is first come, first served."""
    now = backend.monotonic()
    order: list[int] = []
    turn = threading.Lock()  # the calls run on several workers: what counts is the order of the hand-over
    monkeypatch.setattr(type(backend), "monotonic", lambda self: now)
    futures = [backend.after(1, lambda: None) for _ in range(20)]
    start = backend._clock._executor._start

    def record(task: Any) -> None:
        with turn:
            order.append(task.id)
        start(task)

    monkeypatch.setattr(backend._clock._executor, "_start", record)
    now += 2
    backend.after(0, lambda: None).result(DEADLOCK_S)
    for future in futures:
        future.result(DEADLOCK_S)

    assert order[: len(futures)] == [future.id for future in futures]


def test_a_slow_call_delays_nobody(backend: Any) -> None:
    """While a call is stuck, others are made."""
    release = backend.event()
    slow = backend.after(0, release.wait, DEADLOCK_S)

    assert backend.after(0.01, abs, -1).result(DEADLOCK_S) == 1

    release.set()
    assert slow.result(DEADLOCK_S)


def test_a_timed_call_is_a_task_of_the_backend(backend: Any) -> None:
    """In it ``current_task`` and ``current_backend`` work."""
    task, where = backend.after(0, lambda: (current_task(), current_backend())).result(DEADLOCK_S)

    assert task is not None
    assert where is backend


def test_a_timed_call_has_the_context_of_who_asked(backend: Any) -> None:
    """Context variables are those of the call of ``after``."""
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("asked")

    assert backend.after(0.01, variable.get).result(DEADLOCK_S) == "asked"


def test_primitives_are_arguments_of_timed_calls(backend: Any) -> None:
    """What a task may be given, a timed call may be given."""
    queue = backend.queue()
    backend.after(0, queue.put, "item")

    assert queue.get(timeout=DEADLOCK_S) == "item"


def test_cancel_before_the_time_comes(backend: Any) -> None:
    """A call that is not due can be cancelled, and is not made."""
    called = backend.event()
    future = backend.after(0.05, called.set)

    assert future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result(0)
    backend.after(0.1, abs, 0).result(DEADLOCK_S)
    assert not called.is_set()


def test_cancel_tells_who_waits(backend: Any, beside: Beside) -> None:
    """Whoever waits for the result learns at once that there will be none."""
    future = backend.after(LATER_S, abs, 0)
    waiting = beside(future.result)
    future.cancel()

    assert isinstance(waiting.outcome(), CancelledError)
    assert wait([future], timeout=DEADLOCK_S).done == {future}


def test_cancel_drops_the_arguments(backend: Any) -> None:
    """A cancelled call keeps nothing alive, however long its delay was."""
    argument = Argument()
    gone = weakref.ref(argument)
    future = backend.after(LATER_S, abs, argument)
    del argument
    future.cancel()
    gc.collect()

    assert gone() is None


def test_cancel_does_not_wait_for_the_clock(backend: Any, beside: Beside) -> None:
    """A signal handler or finalizer may cancel while somebody is inside the clock."""
    future = backend.after(LATER_S, abs, 0)
    with backend._mutex:
        assert beside(future.cancel).outcome() is True


def test_a_call_that_has_started_is_not_cancelled(backend: Any) -> None:
    """As with any task, ``cancel`` is too late then."""
    started, release = backend.event(), backend.event()

    def call() -> None:
        started.set()
        release.wait(DEADLOCK_S)

    future = backend.after(0, call)
    assert started.wait(DEADLOCK_S)
    assert not future.cancel()
    release.set()
    assert future.result(DEADLOCK_S) is None


def test_cancelled_calls_do_not_pile_up(backend: Any) -> None:
    """Of many long delays that are cancelled at once, few entries stay."""
    for _ in range(2000):
        backend.after(LATER_S, abs, 0).cancel()

    assert len(backend._clock._entries) < 200


def test_a_cancelled_call_is_not_handed_to_a_worker(backend: Any) -> None:
    """When its time comes it just goes."""
    backend.after(0.01, abs, 0).cancel()

    assert eventually(lambda: not backend._clock._entries, on=backend)
    assert backend._clock._executor.stats().workers == ()


def test_a_call_that_no_worker_can_be_had_for(
    backend: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is cancelled and logged, once or in a series; its callbacks may close the backend."""
    caplog.set_level("WARNING", "manyhands")
    backend.after(0, abs, 0).result(DEADLOCK_S)

    def refuse(task: Any) -> None:
        raise ResourceError("no thread can be started")

    monkeypatch.setattr(backend._clock._executor, "_start", refuse)
    often, once = backend.every(0.01, abs, 0), backend.after(0.02, abs, 0)
    assert eventually(often.cancelled, on=backend)
    closed: list[bool] = []

    def close(_: object) -> None:
        backend.close()
        closed.append(True)

    once.add_done_callback(close)

    assert eventually(lambda: closed, on=backend)
    assert once.cancelled()
    assert "timer.not_started" in caplog.text


@pytest.mark.parametrize("delay", [-1, -0.001, math.nan, -math.inf])
@pytest.mark.bad_input(12)
def test_a_delay_that_cannot_be_is_a_value_error(backend: Any, delay: float) -> None:
    """Negative and nan, for both, with the value in the message."""
    with pytest.raises(ValueError, match=f"delay must be 0 seconds or more, got {delay}"):
        backend.after(delay, abs, 0)
    with pytest.raises(ValueError, match=f"period must be 0 seconds or more, got {delay}"):
        backend.every(delay, abs, 0)


@pytest.mark.parametrize("delay", ["5", b"5", None, True, [1], 1j])
@pytest.mark.bad_input(12)
def test_a_delay_that_is_no_number_is_a_type_error(backend: Any, delay: Any) -> None:
    """Texts and booleans too, with the value in the message."""
    with pytest.raises(TypeError, match="delay must be a number of seconds, got "):
        backend.after(delay, abs, 0)


@pytest.mark.parametrize("delay", [math.inf, 1e20, 10**400])
@pytest.mark.bad_input(12)
def test_a_delay_beyond_all_clocks_never_comes(backend: Any, delay: float) -> None:
    """It is accepted, waits, and holds up nobody."""
    future = backend.after(delay, abs, 0)

    assert backend.after(0.01, abs, -1).result(DEADLOCK_S) == 1
    assert not future.done()


@pytest.mark.bad_input(26)
def test_what_cannot_be_called_is_refused_at_once(backend: Any) -> None:
    """A type error at the call, not later."""
    with pytest.raises(TypeError, match="must be callable, got None"):
        backend.after(0, None)
    with pytest.raises(TypeError, match="must be callable, got None"):
        backend.every(1, None)


@pytest.mark.bad_input(27)
def test_a_coroutine_function_is_refused_at_once(backend: Any) -> None:
    """Nobody would await it."""

    async def call() -> None: ...

    with pytest.raises(TypeError, match="is a coroutine function"):
        backend.after(0, call)


# every


def test_every_calls_again_and_again(backend: Any) -> None:
    """One call each period, until it is cancelled."""
    calls = backend.semaphore(0)
    future = backend.every(0.005, calls.release)
    for _ in range(5):
        assert calls.acquire(timeout=DEADLOCK_S)

    assert not future.done()
    assert future.cancel()


def test_every_calls_first_after_one_period(backend: Any) -> None:
    """Not at once."""
    began = backend.monotonic()
    times = backend.queue()
    future = backend.every(0.05, lambda: times.put(backend.monotonic()))

    assert times.get(timeout=DEADLOCK_S) - began >= 0.05
    future.cancel()


def test_every_keeps_the_beat(backend: Any) -> None:
    """The n-th call is not before n periods, and lateness does not add up."""
    began = backend.monotonic()
    times = backend.queue()
    future = backend.every(0.02, lambda: times.put(backend.monotonic()))
    taken = [times.get(timeout=DEADLOCK_S) - began for _ in range(10)]
    future.cancel()

    assert all(after >= 0.02 * n for n, after in enumerate(taken, 1))


def test_every_is_not_overtaken_by_itself(backend: Any) -> None:
    """A call that takes longer than the period runs alone; the next one follows it at once."""
    state = {"inside": 0, "most": 0}
    calls = backend.semaphore(0)

    def call() -> None:
        state["inside"] += 1
        state["most"] = max(state["most"], state["inside"])
        backend.sleep(0.02)
        state["inside"] -= 1
        calls.release()

    future = backend.every(0.001, call)
    for _ in range(5):
        assert calls.acquire(timeout=DEADLOCK_S)
    future.cancel()

    assert state["most"] == 1


def test_every_ends_when_a_call_raises(backend: Any) -> None:
    """The future fails with that exception, and there is no further call."""
    error = Hesitant()
    calls = backend.queue()

    def call() -> None:
        calls.put("call")
        if calls.qsize() == 3:
            raise error

    future = backend.every(0.001, call)

    assert future.exception(DEADLOCK_S) is error
    backend.after(0.02, abs, 0).result(DEADLOCK_S)
    assert calls.qsize() == 3


def test_no_call_starts_after_cancel(backend: Any) -> None:
    """Once ``cancel`` has returned, at most the call that runs is there."""
    for _ in range(30):
        cancelled = threading.Event()
        late: list[bool] = []
        calls = backend.semaphore(0)

        def call(late: list[bool] = late, cancelled: threading.Event = cancelled, calls: Any = calls) -> None:
            late.append(cancelled.is_set())
            calls.release()

        future = backend.every(0.0001, call)
        assert calls.acquire(timeout=DEADLOCK_S)
        future.cancel()
        cancelled.set()
        backend.after(0.002, abs, 0).result(DEADLOCK_S)

        # One call may have been on its way into the function.
        assert sum(late) <= 1


def test_a_call_that_waits_for_a_worker_is_not_made_after_cancel(backend: Any) -> None:
    """Though it was due."""
    started, release, called = backend.semaphore(0), backend.event(), backend.event()

    def hold() -> None:
        started.release()
        release.wait(DEADLOCK_S)

    holding = [backend.after(0, hold) for _ in range(4)]
    for _ in holding:
        assert started.acquire(timeout=DEADLOCK_S)
    future = backend.every(0.001, called.set)
    assert eventually(lambda: future._task is not None, on=backend)
    future.cancel()
    release.set()
    for held in holding:
        held.result(DEADLOCK_S)
    backend.after(0.01, abs, 0).result(DEADLOCK_S)

    assert not called.is_set()


def test_every_call_has_the_context_of_who_asked(backend: Any) -> None:
    """Each a copy of its own: what one call changes, the next does not see."""
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("asked")
    seen = backend.queue()

    def call() -> None:
        seen.put(variable.get())
        variable.set("changed")

    future = backend.every(0.001, call)

    assert [seen.get(timeout=DEADLOCK_S) for _ in range(2)] == ["asked", "asked"]
    future.cancel()


def test_every_can_be_cancelled_while_a_call_runs(backend: Any) -> None:
    """The future is cancelled at once; the call ends by itself and is the last one."""
    started, release = backend.semaphore(0), backend.event()

    def call() -> None:
        started.release()
        release.wait(DEADLOCK_S)

    future = backend.every(0.001, call)
    assert started.acquire(timeout=DEADLOCK_S)

    assert future.cancel()
    assert future.cancelled()
    release.set()
    backend.after(0.02, abs, 0).result(DEADLOCK_S)
    assert not started.acquire(blocking=False)


def test_every_can_be_cancelled_from_its_own_call(backend: Any) -> None:
    """A call may decide that it was the last one."""
    calls: list[int] = []
    futures: list[Any] = []
    ready = backend.event()

    def call() -> None:
        ready.wait(DEADLOCK_S)
        calls.append(1)
        futures[0].cancel()

    futures.append(backend.every(0.001, call))
    ready.set()
    assert eventually(futures[0].done, on=backend)
    backend.after(0.02, abs, 0).result(DEADLOCK_S)

    assert futures[0].cancelled()
    assert calls == [1]


def test_every_drops_its_arguments_when_cancelled(backend: Any) -> None:
    """A cancelled series keeps nothing alive."""
    argument = Argument()
    gone = weakref.ref(argument)
    future = backend.every(LATER_S, abs, argument)
    del argument
    future.cancel()
    gc.collect()

    assert gone() is None


def test_a_period_of_nothing_is_refused(backend: Any) -> None:
    """It would never leave room for anything else."""
    with pytest.raises(ValueError, match="period must be more than 0 seconds, got 0"):
        backend.every(0, abs, 0)


# The end.


def test_close_cancels_what_waits(backend: Any) -> None:
    """Calls that are not due when the backend closes are not made."""
    once, often = backend.after(LATER_S, abs, 0), backend.every(LATER_S, abs, 0)
    backend.close()

    assert once.cancelled()
    assert often.cancelled()


def test_close_waits_for_the_call_that_runs(backend: Any) -> None:
    """A call that has started is accepted work."""
    started = backend.event()

    def call() -> str:
        started.set()
        time.sleep(0.05)
        return "done"

    future = backend.after(0, call)
    assert started.wait(DEADLOCK_S)
    backend.close()

    assert future.result(0) == "done"


def test_close_ends_a_series(backend: Any) -> None:
    """Also one whose call runs at that moment."""
    calls = backend.semaphore(0)

    def call() -> None:
        calls.release()
        backend.sleep(0.02)

    future = backend.every(0.001, call)
    assert calls.acquire(timeout=DEADLOCK_S)
    backend.close()

    assert future.cancelled()


def test_close_ends_a_series_whose_call_outlives_the_clock(backend: Any) -> None:
    """Nothing is left waiting for a next time."""
    started, release = backend.semaphore(0), backend.event()

    def call() -> None:
        started.release()
        release.wait(DEADLOCK_S)

    future = backend.every(0.001, call)
    assert started.acquire(timeout=DEADLOCK_S)
    backend._clock.close()
    assert not future.done()
    release.set()

    assert eventually(future.cancelled, on=backend)


@pytest.mark.capability("not deterministic", reason="one thread cannot be seen to have another")
def test_close_ends_the_clocks_activity(backend: Any) -> None:
    """When ``close`` returns it is gone."""
    backend.after(0, abs, 0).result(DEADLOCK_S)
    assert "manyhands-clock" in {thread.name for thread in threading.enumerate()}
    backend.close()

    assert "manyhands-clock" not in {thread.name for thread in threading.enumerate()}


def test_after_close_nothing_is_accepted(backend: Any) -> None:
    """The error says that the backend was closed."""
    backend.after(0, abs, 0).result(DEADLOCK_S)
    backend.close()

    with pytest.raises(ExecutorClosedError, match="was closed"):
        backend.after(0, abs, 0)
    with pytest.raises(ExecutorClosedError, match="was closed"):
        backend.every(1, abs, 0)


def test_a_callback_of_what_close_cancels_may_close_again(backend: Any) -> None:
    """Nothing is held while callbacks run."""
    closed_again = threading.Event()

    def close_again(_: object) -> None:
        backend.close()
        closed_again.set()

    backend.after(LATER_S, abs, 0).add_done_callback(close_again)
    backend.close()

    assert closed_again.wait(DEADLOCK_S)


def test_at_exit_what_is_not_due_is_dropped() -> None:
    """A program with timers that wait ends at once, without a word."""
    finished = run_script(
        """
        import manyhands
        backend = manyhands.open_backend("threading")
        backend.after(3600, print, "late")
        backend.every(3600, print, "late")
        backend.after(0, print, "due").result()
        """
    )

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "due\n", "")
