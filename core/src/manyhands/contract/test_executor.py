"""What every executor does with a call that is submitted to it, and with its workers."""

import asyncio
import concurrent.futures
import functools
import gc
import logging
import time
import traceback
import weakref
from collections.abc import Callable
from typing import Any, Final

import attrs
import pytest

import manyhands
from manyhands import Executor, ExecutorClosedError, Future, InitializerError, current_task

from .support import DEADLOCK_S, Beside, eventually, occupied

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault
bad_input: Final = pytest.mark.bad_input


def echo(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


def identity(value: Any) -> Any:
    return value


def fail(error: BaseException) -> None:
    raise error


def fail_in_the_users_code() -> None:
    raise LookupError("from the task")


class Falsey(Exception):
    def __bool__(self) -> bool:
        return False

    def __len__(self) -> int:
        return 0


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def meet(barrier: Any) -> int:
    return int(barrier.wait(DEADLOCK_S))


def append(queue: Any, item: Any) -> None:
    queue.put(item)


def drained(queue: Any) -> list[Any]:
    """Everything that is in *queue* now."""
    return [queue.get_nowait() for _ in range(queue.qsize())]


@pytest.mark.contract("manyhands.Executor.submit")
class TestSubmit:
    @covers("executor-objects", "threadpoolexecutor", "processpoolexecutor")
    def test_the_result_of_the_call_arrives(self, executor: Executor) -> None:
        """``submit`` gives a future whose result is what the function returned."""
        assert executor.submit(pow, 2, 10).result(DEADLOCK_S) == 1024

    def test_it_is_a_concurrent_futures_executor(self, executor: Executor) -> None:
        """Real software asks ``isinstance``: of the executor and of its futures."""
        future = executor.submit(pow, 2, 3)

        assert isinstance(executor, concurrent.futures.Executor)
        assert isinstance(future, concurrent.futures.Future)

    @bad_input(29)
    def test_every_keyword_belongs_to_the_task(self, executor: Executor) -> None:
        """Keywords that are named like ours reach the function."""
        kwargs = {"self": 1, "fn": 2, "timeout": 3, "args": 4, "kwargs": 5, "name": 6, "retries": 7}

        assert executor.submit(echo, 0, **kwargs).result(DEADLOCK_S) == ((0,), kwargs)

    @bad_input(26)
    @pytest.mark.parametrize("fn", [None, 3, "text", [len]])
    def test_what_is_not_callable_is_refused_at_the_call(self, executor: Executor, fn: Any) -> None:
        """TypeError where the caller stands, with the value."""
        with pytest.raises(TypeError, match="the first argument must be callable, got"):
            executor.submit(fn)

    @bad_input(26)
    def test_nothing_to_call_is_refused(self, executor: Executor) -> None:
        """``submit()`` is a TypeError."""
        with pytest.raises(TypeError):
            executor.submit()  # type: ignore[call-arg]

    @bad_input(27)
    def test_a_coroutine_function_is_refused_at_the_call(self, executor: Executor) -> None:
        """Also behind ``partial`` and as a method: nobody would await what it returns."""

        class Some:
            async def method(self) -> None: ...

        async def generator() -> Any:
            yield

        for fn in (Some().method, functools.partial(Some.method, Some()), generator):
            with pytest.raises(TypeError, match="is a coroutine function"):
                executor.submit(fn)

    def test_two_tasks_run_at_the_same_time(self, executor: Executor, backend: Any) -> None:
        """With two workers two tasks meet at a barrier."""
        barrier = backend.barrier(2)
        futures = [executor.submit(meet, barrier) for _ in range(2)]

        assert sorted(future.result(DEADLOCK_S) for future in futures) == [0, 1]

    def test_tasks_start_in_the_order_of_submission(self, backend: Any) -> None:
        """One worker takes the oldest first."""
        queue = backend.queue()
        with backend.executor(max_workers=1) as executor:
            for number in range(50):
                executor.submit(append, queue, number)

        assert drained(queue) == list(range(50))

    def test_each_of_many_tasks_gets_its_own_result(self, executor: Executor) -> None:
        """A thousand futures, a thousand results."""
        futures = [executor.submit(identity, number) for number in range(1000)]

        assert [future.result(DEADLOCK_S) for future in futures] == list(range(1000))

    @capability("not deterministic")
    def test_any_thread_may_submit(self, executor: Executor, beside: Beside) -> None:
        """Eight threads that submit at once get what they asked for."""

        def many(index: int) -> list[int]:
            futures = [executor.submit(identity, (index, number)) for number in range(200)]
            return [future.result(DEADLOCK_S) for future in futures]

        assert beside.together(8, many) == [[(index, number) for number in range(200)] for index in range(8)]

    def test_executors_of_one_backend_are_apart(self, backend: Any) -> None:
        """A full executor does not hold up another one."""
        with backend.executor(max_workers=1) as one, backend.executor(max_workers=1) as other:
            with occupied(one, 1):
                assert other.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    @capability("in_process")
    def test_arguments_arrive_as_the_same_objects(self, executor: Executor) -> None:
        """Where tasks share the process nothing is copied, neither in nor out."""
        value = object()

        assert executor.submit(identity, value).result(DEADLOCK_S) is value

    def test_an_executor_can_be_passed_to_its_own_task(self, executor: Executor) -> None:
        """There it submits through the same executor."""
        assert executor.submit(submit_and_wait, executor).result(DEADLOCK_S) == 8

    def test_a_repr_says_what_it_is(self, executor: Executor, backend: Any) -> None:
        """The backend's name, the size, and whether it is open."""
        assert backend.name in repr(executor)
        assert "2 workers" in repr(executor)
        assert "open" in repr(executor)


def submit_and_wait(executor: Executor) -> Any:
    return executor.submit(pow, 2, 3).result(DEADLOCK_S)


@pytest.mark.contract("manyhands.Runnable.fail")
class TestErrorsOfTasks:
    @covers("future-objects")
    def test_the_error_arrives_as_it_is(self, executor: Executor) -> None:
        """``result`` raises the task's own exception, not a wrapper of ours."""
        future = executor.submit(divmod, 1, 0)

        with pytest.raises(ZeroDivisionError) as caught:
            future.result(DEADLOCK_S)
        assert type(caught.value) is ZeroDivisionError
        assert future.exception() is caught.value

    def test_the_traceback_shows_the_users_code(self, executor: Executor) -> None:
        """What is printed names the function that raised."""
        error = executor.submit(fail_in_the_users_code).exception(DEADLOCK_S)

        assert error is not None
        assert "fail_in_the_users_code" in "".join(traceback.format_exception(error))

    @capability("in_process")
    def test_the_traceback_starts_in_the_users_code(self, executor: Executor) -> None:
        """No frame of ours comes before the function that was submitted."""
        error = executor.submit(fail_in_the_users_code).exception(DEADLOCK_S)

        assert error is not None
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert frames == ["fail_in_the_users_code"]

    @fault(5)
    @pytest.mark.parametrize(
        "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError(), StopIteration(7)]
    )
    def test_exceptions_that_are_signals_harm_only_their_own_future(
        self, executor: Executor, error: BaseException
    ) -> None:
        """What ends an interpreter or a generator elsewhere is an error like any other here."""
        future = executor.submit(fail, error)

        got = future.exception(DEADLOCK_S)
        assert type(got) is type(error)
        assert got.args == error.args
        assert [executor.submit(pow, n, 2).result(DEADLOCK_S) for n in range(10)] == [n * n for n in range(10)]

    @fault(30)
    def test_a_falsey_exception_is_raised(self, executor: Executor) -> None:
        """An exception that is false in a condition is not taken for none."""
        future = executor.submit(fail, Falsey("seen"))

        assert type(future.exception(DEADLOCK_S)) is Falsey
        with pytest.raises(Falsey, match="seen"):
            future.result()

    @fault(30)
    def test_an_exception_that_cannot_be_printed_is_delivered(self, executor: Executor) -> None:
        """Nothing of ours needs its text."""
        future = executor.submit(fail, Unprintable())

        assert type(future.exception(DEADLOCK_S)) is Unprintable
        assert "Unprintable" in repr(future)

    @fault(30)
    def test_a_group_of_exceptions_arrives_whole(self, executor: Executor) -> None:
        """With the exceptions in it and the notes on it."""
        group = ExceptionGroup("two", [ValueError(1), KeyError(2)])
        group.add_note("a note")

        got = executor.submit(fail, group).exception(DEADLOCK_S)

        assert isinstance(got, ExceptionGroup)
        assert [type(error) for error in got.exceptions] == [ValueError, KeyError]
        assert got.__notes__ == ["a note"]

    @fault(30)
    def test_the_cause_of_an_exception_arrives(self, executor: Executor) -> None:
        """``raise ... from ...`` is kept, behind what a backend may add."""
        error: BaseException | None = executor.submit(fail_for_a_reason).exception(DEADLOCK_S)
        causes = []
        while error is not None:
            causes.append(type(error))
            error = error.__cause__

        assert causes[0] is RuntimeError
        assert KeyError in causes

    @fault(75)
    def test_asking_often_does_not_grow_the_traceback(self, executor: Executor) -> None:
        """After fifty calls of ``result`` it is as long as after one."""
        future = executor.submit(fail_in_the_users_code)

        def length() -> int:
            with pytest.raises(LookupError) as caught:
                future.result(DEADLOCK_S)
            return len(traceback.extract_tb(caught.value.__traceback__))

        first = length()
        for _ in range(50):
            last = length()
        assert last == first


def fail_for_a_reason() -> None:
    try:
        raise KeyError("reason")
    except KeyError as error:
        raise RuntimeError("consequence") from error


def describe_task() -> tuple[Any, ...]:
    task = current_task()
    assert task is not None
    return task.id, task.name, task.attempt, task.cancel_requested


def make_a_queue_in_the_task() -> Any:
    queue = manyhands.current_backend().queue()
    queue.put("made in a task")
    return queue


@pytest.mark.contract("manyhands.current_task")
class TestInsideATask:
    def test_a_task_knows_itself(self, executor: Executor) -> None:
        """Its number, its name, the attempt, and whether it is asked to stop."""
        first, name, attempt, cancelled = executor.submit(describe_task).result(DEADLOCK_S)
        second, *_ = executor.submit(describe_task).result(DEADLOCK_S)

        assert second > first
        assert name == "describe_task"
        assert attempt == 1
        assert cancelled is False

    def test_outside_of_tasks_there_is_none(self, executor: Executor) -> None:
        """``current_task`` is None and ``current_backend`` is an error."""
        assert current_task() is None
        with pytest.raises(RuntimeError, match="there is no current backend"):
            manyhands.current_backend()

    def test_a_task_makes_primitives_of_its_backend(self, executor: Executor) -> None:
        """And may return them."""
        assert executor.submit(make_a_queue_in_the_task).result(DEADLOCK_S).get(timeout=DEADLOCK_S) == "made in a task"

    @capability("in_process")
    def test_the_current_backend_is_the_executors(self, executor: Executor, backend: Any) -> None:
        """The very object where tasks share the process."""
        assert executor.submit(manyhands.current_backend).result(DEADLOCK_S) is backend


class Thing:
    """Something that a weak reference can follow."""


def make_thing() -> Thing:
    return Thing()


def ignore(*args: Any, **kwargs: Any) -> None:
    pass


def ignoring(thing: Thing) -> Callable[[], None]:
    """A function that keeps it."""
    return lambda: ignore(thing)


def fail_with(thing: Thing) -> None:
    raise ValueError(thing)


@pytest.mark.contract("manyhands.Engine")
@capability("in_process")
class TestKeepingAlive:
    @fault(75)
    @pytest.mark.parametrize("how", ["positional", "keyword", "function"])
    def test_arguments_are_freed_when_the_task_is_done(self, executor: Executor, how: str) -> None:
        """Although the future is still held, and the worker still waits for its next task."""
        thing = Thing()
        if how == "positional":
            future = executor.submit(ignore, thing)
        elif how == "keyword":
            future = executor.submit(ignore, thing=thing)
        else:
            future = executor.submit(ignoring(thing))
        gone = weakref.ref(thing)
        del thing
        future.result(DEADLOCK_S)

        assert eventually(lambda: gone() is None, seconds=2, on=executor.backend)

    @fault(75)
    def test_a_result_is_freed_with_its_future(self, executor: Executor) -> None:
        """Neither executor nor worker keeps it."""
        future = executor.submit(make_thing)
        gone = weakref.ref(future.result(DEADLOCK_S))
        del future

        assert eventually(lambda: gone() is None, seconds=2, on=executor.backend)

    @fault(75)
    def test_an_error_is_freed_with_its_future(self, executor: Executor) -> None:
        """Together with the arguments that its traceback held, and without the garbage collector."""
        thing = Thing()
        gone = weakref.ref(thing)
        future = executor.submit(fail_with, thing)
        del thing
        gc.disable()
        try:
            assert isinstance(future.exception(DEADLOCK_S), ValueError)
            with pytest.raises(ValueError):
                future.result()
            del future
            assert eventually(lambda: gone() is None, seconds=2, on=executor.backend)
        finally:
            gc.enable()

    @fault(75)
    def test_arguments_of_a_cancelled_task_are_freed(self, executor: Executor) -> None:
        """At once, not when a worker meets it."""
        thing = Thing()
        gone = weakref.ref(thing)
        with occupied(executor):
            future = executor.submit(ignore, thing)
            del thing
            assert future.cancel()
            assert eventually(lambda: gone() is None, seconds=2, on=executor.backend)

    @fault(75)
    def test_work_makes_no_reference_cycles(self, backend: Any) -> None:
        """After submit, map, errors and close the collector finds nothing of ours."""

        def work() -> None:
            with backend.executor(max_workers=2) as executor:
                assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4
                assert isinstance(executor.submit(divmod, 1, 0).exception(DEADLOCK_S), ZeroDivisionError)
                assert list(executor.map(abs, range(-50, 0))) == list(range(50, 0, -1))
                assert list(executor.map(abs, range(-5, 0), chunksize=1)) == [5, 4, 3, 2, 1]
                done, _ = manyhands.wait([executor.submit(abs, -1), executor.submit(abs, -2)], DEADLOCK_S)
                assert len(done) == 2

        work()
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            work()
            gc.collect()
            ours = [thing for thing in gc.garbage if type(thing).__module__.startswith("manyhands")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()

        assert ours == []


@pytest.mark.contract("manyhands.Engine")
class TestTelling:
    @fault(102)
    @capability("in_process")
    def test_the_end_of_each_task_is_told_once(self, executor: Executor, caplog: pytest.LogCaptureFixture) -> None:
        """By one ``finish`` or ``fail``; the core would drop and log another one."""
        with caplog.at_level(logging.DEBUG, "manyhands"):
            list(executor.map(divmod, range(50), [1] * 49 + [0], chunksize=1, return_exceptions=True))
            executor.shutdown()

        assert "task.delivered_late" not in caplog.text


@pytest.mark.contract("manyhands.Executor.stats")
class TestStats:
    def test_it_counts_what_is_to_be_done_and_was_done(self, executor: Executor) -> None:
        """Pending, running, done, failed and cancelled, each task in one of them."""
        with occupied(executor):
            waiting: list[Future[Any]]
            waiting = [executor.submit(pow, 2, 2), executor.submit(divmod, 1, 0), executor.submit(pow, 2, 3)]
            assert waiting[2].cancel()
            stats = executor.stats()
            assert (stats.pending, stats.running, stats.done, stats.failed, stats.cancelled) == (2, 2, 0, 0, 1)
        manyhands.wait(waiting, DEADLOCK_S)

        def counts() -> tuple[int, ...]:
            stats = executor.stats()
            return stats.pending, stats.running, stats.done, stats.failed, stats.cancelled

        assert eventually(lambda: counts() == (0, 0, 3, 1, 1), on=executor.backend), counts()

    def test_it_shows_the_workers(self, backend: Any) -> None:
        """Each with a name of its own that starts as was asked, and the process it runs in."""
        with backend.executor(max_workers=2, worker_name_prefix="crew") as executor, occupied(executor):
            workers = executor.stats().workers

        assert len({worker.name for worker in workers}) == 2
        assert all(worker.name.startswith("crew") for worker in workers)
        assert all(isinstance(worker.pid, int) for worker in workers)

    def test_a_worker_says_whether_it_is_busy(self, executor: Executor, backend: Any) -> None:
        """``busy`` while it runs a task, ``idle`` when it waits for one."""
        with occupied(executor):
            assert {worker.state for worker in executor.stats().workers} == {"busy"}

        assert eventually(
            lambda: {worker.state for worker in executor.stats().workers} == {"idle"}, on=executor.backend
        )

    def test_it_is_a_snapshot(self, executor: Executor) -> None:
        """It does not change, and nobody can change it."""
        stats = executor.stats()
        executor.submit(pow, 2, 2).result(DEADLOCK_S)

        assert stats.done == 0
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            stats.done = 1  # type: ignore[misc]


def count_while_held(running: Any, peak: Any, release: Any) -> None:
    """Put one into *running* while it lasts, and what was seen into *peak*."""
    running.put(None)
    peak.put(running.qsize())
    release.wait(DEADLOCK_S)
    running.get()


@pytest.mark.contract("manyhands.Engine.resize")
class TestResize:
    def test_more_workers_take_what_waits(self, backend: Any) -> None:
        """After growing three tasks meet, which one worker could never do."""
        barrier = backend.barrier(3)
        with backend.executor(max_workers=1) as executor:
            futures = [executor.submit(meet, barrier) for _ in range(3)]
            executor.resize(3)

            assert sorted(future.result(DEADLOCK_S) for future in futures) == [0, 1, 2]

    def test_surplus_workers_end(self, backend: Any) -> None:
        """And those that stay still work."""
        with backend.executor(max_workers=3) as executor:
            with occupied(executor, 3):
                executor.resize(1)
                assert len(executor.stats().workers) == 3
            assert eventually(lambda: len(executor.stats().workers) == 1, on=backend)
            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    def test_idle_workers_end_too(self, backend: Any) -> None:
        """They are told, they do not wait for their next task."""
        with backend.executor(max_workers=3) as executor:
            with occupied(executor, 3):
                pass
            executor.resize(1)

            assert eventually(lambda: len(executor.stats().workers) == 1, on=backend)

    def test_after_shrinking_fewer_run_at_once(self, backend: Any) -> None:
        """Never more than the new number."""
        running, peak, release = backend.queue(), backend.queue(), backend.event()
        release.set()
        with backend.executor(max_workers=4) as executor:
            with occupied(executor, 4):
                executor.resize(1)
                futures = [executor.submit(count_while_held, running, peak, release) for _ in range(20)]
            manyhands.wait(futures, DEADLOCK_S)

        assert set(drained(peak)) == {1}

    def test_it_may_go_up_and_down_with_work_waiting(self, backend: Any) -> None:
        """All work is done, and in the end there are as many workers as were asked for."""
        with backend.executor(max_workers=2) as executor:
            futures = []
            for size in (1, 4, 2, 5, 1, 3) * 5:
                futures += [executor.submit(pow, 2, 2) for _ in range(10)]
                executor.resize(size)

            assert all(future.result(DEADLOCK_S) == 4 for future in futures)
            with occupied(executor, 3):
                assert len(executor.stats().workers) == 3

    @bad_input(31)
    @pytest.mark.parametrize("size", [0, -1, True, 1.5, "2", 10**9, None])
    def test_sizes_that_cannot_be_are_refused(self, executor: Executor, size: Any) -> None:
        """ValueError or TypeError, and nothing changes."""
        with pytest.raises((ValueError, TypeError)):
            executor.resize(size)
        assert "2 workers" in repr(executor)


@pytest.mark.contract("manyhands.BackendOptions")
class TestMaxWorkers:
    @bad_input(31)
    @pytest.mark.parametrize("size", [0, -1, True, 1.5, "2", 10**9])
    def test_sizes_that_cannot_be_are_refused(self, backend: Any, size: Any) -> None:
        """ValueError or TypeError with what is allowed, before any worker starts."""
        with pytest.raises((ValueError, TypeError), match=r"max_workers must be .*1 to \d+ workers"):
            backend.executor(max_workers=size)

    @bad_input(31)
    def test_none_takes_the_backends_own_number(self, backend: Any) -> None:
        """At least one."""
        with backend.executor(max_workers=None) as executor:
            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4
            assert f"{backend.default_workers()} workers" in repr(executor)

    def test_never_more_run_at_once(self, backend: Any) -> None:
        """However much is waiting."""
        running, peak, release = backend.queue(), backend.queue(), backend.event()
        release.set()
        with backend.executor(max_workers=2) as executor:
            manyhands.wait([executor.submit(count_while_held, running, peak, release) for _ in range(50)], DEADLOCK_S)

        assert max(drained(peak)) <= 2

    @covers("executor-objects")
    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("thread_name_prefix", "worker_name_prefix"),
            ("max_tasks_per_child", "max_tasks_per_worker"),
            ("mp_context", "start_method"),
        ],
    )
    def test_the_standard_librarys_names_lead_to_ours(self, backend: Any, theirs: str, ours: str) -> None:
        """Who comes from ThreadPoolExecutor or ProcessPoolExecutor is told what it is called here."""
        with pytest.raises(TypeError, match=f"{theirs!r}.*{ours}"):
            backend.executor(**{theirs: None})

    def test_an_unknown_argument_is_refused_with_the_nearest(self, backend: Any) -> None:
        """A typing mistake costs no search."""
        with pytest.raises(TypeError, match="'max_worker', did you mean 'max_workers'"):
            backend.executor(max_worker=2)


@pytest.mark.contract("manyhands.BackendOptions")
@capability("not deterministic")
class TestMaxPending:
    @fault(74)
    def test_submit_waits_for_room(self, backend: Any, beside: Beside) -> None:
        """With all places taken it blocks until a task is done."""
        with backend.executor(max_workers=2, max_pending=3) as executor:
            with occupied(executor):
                executor.submit(pow, 2, 2)
                fourth = beside(executor.submit, pow, 2, 3)
                assert not eventually(lambda: not fourth.running(), seconds=0.05, on=backend)

            assert fourth.outcome().result(DEADLOCK_S) == 8

    @fault(74)
    def test_cancelling_makes_room(self, backend: Any, beside: Beside) -> None:
        """A cancelled task leaves its place at once."""
        with backend.executor(max_workers=2, max_pending=3) as executor, occupied(executor):
            waiting = executor.submit(pow, 2, 2)
            fourth = beside(executor.submit, pow, 2, 3)
            assert waiting.cancel()

            assert isinstance(fourth.outcome(), manyhands.Future)

    @fault(74)
    def test_twenty_producers_get_everything_through(self, backend: Any, beside: Beside) -> None:
        """And never more than the limit are inside."""
        with backend.executor(max_workers=2, max_pending=10) as executor:
            seen = []

            def produce(index: int) -> list[Any]:
                futures = []
                for number in range(50):
                    futures.append(executor.submit(identity, (index, number)))
                    stats = executor.stats()
                    seen.append(stats.pending + stats.running)
                return [future.result(DEADLOCK_S) for future in futures]

            assert beside.together(20, produce) == [[(index, number) for number in range(50)] for index in range(20)]

        # The producers that have passed the gate, and the one that takes its number before it.
        assert max(seen) <= 10 + 20

    @fault(74)
    def test_shutdown_wakes_the_producers(self, backend: Any, beside: Beside) -> None:
        """All twenty get ExecutorClosedError; what was accepted is done."""
        executor = backend.executor(max_workers=2, max_pending=2)
        with occupied(executor) as accepted:
            producers = [beside(executor.submit, pow, 2, 2) for _ in range(20)]
            eventually(lambda: executor.stats().pending >= 20, seconds=0.5, on=backend)
            executor.shutdown(wait=False)

            assert all(isinstance(producer.outcome(), ExecutorClosedError) for producer in producers)
        executor.shutdown()
        assert all(future.result(DEADLOCK_S) for future in accepted)

    @fault(74)
    def test_a_refused_submit_gives_its_place_back(self, backend: Any) -> None:
        """After the refusal as many tasks fit as before."""
        with backend.executor(max_workers=2, max_pending=2) as executor:
            for _ in range(5):
                with pytest.raises(TypeError):
                    executor.submit(None)
            futures = [executor.submit(pow, 2, 2) for _ in range(2)]

            assert [future.result(DEADLOCK_S) for future in futures] == [4, 4]

    @fault(74)
    def test_a_task_may_submit_although_it_is_full(self, backend: Any) -> None:
        """Its own place counts, so the limit must not make the task wait for itself."""
        with backend.executor(max_workers=1, max_pending=1) as executor:
            outer = executor.submit(submit_or_be_refused, executor)

            assert outer.result(DEADLOCK_S) in (8, "refused")


def submit_or_be_refused(executor: Executor) -> Any:
    try:
        return submit_and_wait(executor)
    except manyhands.DeadlockError:
        return "refused"


def count(calls: Any) -> None:
    """An initializer that leaves a trace."""
    calls.put(None)


def count_and_fail(calls: Any, failures: int) -> None:
    """An initializer that fails the first *failures* times."""
    calls.put(None)
    if calls.qsize() <= failures:
        raise OSError("no licence")


@pytest.mark.contract("manyhands.ExecutorOptions")
class TestInitializer:
    @covers("threadpoolexecutor", "processpoolexecutor")
    def test_it_is_called_once_in_each_worker_before_its_tasks(self, backend: Any) -> None:
        """With its arguments; not again for the next task."""
        calls = backend.queue()
        with backend.executor(max_workers=1, initializer=count, initargs=(calls,)) as executor:
            assert executor.submit(calls.qsize).result(DEADLOCK_S) == 1
            assert executor.submit(calls.qsize).result(DEADLOCK_S) == 1

    @fault(34)
    def test_when_it_always_fails_everything_pending_fails_soon(self, backend: Any) -> None:
        """Each future gets InitializerError with the initializer's own error as its cause, within 2 s."""
        calls = backend.queue()
        executor = backend.executor(max_workers=2, initializer=count_and_fail, initargs=(calls, 10**9))
        futures = submit_until_refused(executor, 20)
        done, not_done = manyhands.wait(futures, 2)
        executor.shutdown()

        assert not not_done
        for future in done:
            error = future.exception()
            assert isinstance(error, InitializerError)
            assert "no licence" in str(error)
            assert "no licence" in "".join(traceback.format_exception(error.__cause__))
        assert calls.qsize() < 10  # no storm of new workers

    @fault(34)
    @covers("exception-classes")
    def test_when_it_always_fails_submit_refuses(self, backend: Any) -> None:
        """With an error that ``except BrokenExecutor`` catches."""
        calls = backend.queue()
        with backend.executor(max_workers=2, initializer=count_and_fail, initargs=(calls, 10**9)) as executor:
            manyhands.wait(submit_until_refused(executor, 5), DEADLOCK_S)

            with pytest.raises(concurrent.futures.BrokenExecutor, match="the initializer failed"):
                executor.submit(pow, 2, 2)

    @fault(34)
    def test_when_it_always_fails_map_fails_too(self, backend: Any) -> None:
        """Consumer and producer get the error, nobody waits for ever."""
        calls = backend.queue()
        with backend.executor(max_workers=2, initializer=count_and_fail, initargs=(calls, 10**9)) as executor:
            with pytest.raises(InitializerError):
                list(executor.map(abs, range(100)))

    @fault(35)
    def test_when_it_fails_once_nobody_is_harmed(self, backend: Any, caplog: pytest.LogCaptureFixture) -> None:
        """No future fails, and the log warns once."""
        calls = backend.queue()
        with backend.executor(max_workers=1, initializer=count_and_fail, initargs=(calls, 1)) as executor:
            assert [executor.submit(pow, 2, n).result(DEADLOCK_S) for n in range(5)] == [1, 2, 4, 8, 16]

        assert sum("worker.initializer_failed" in record.message for record in caplog.records) == 1

    @bad_input(36)
    def test_it_must_be_callable(self, backend: Any) -> None:
        """TypeError when the executor is made."""
        with pytest.raises(TypeError, match="initializer must be a callable, got 'text'"):
            backend.executor(initializer="text")

    @bad_input(36)
    def test_its_arguments_must_be_a_tuple(self, backend: Any) -> None:
        """A text would be taken apart into letters."""
        with pytest.raises(TypeError, match="initargs must be a tuple, got 'text'"):
            backend.executor(initializer=print, initargs="text")


def submit_until_refused(executor: Executor, n: int) -> list[Any]:
    """Up to *n* futures; an executor that is broken by then refuses."""
    futures = []
    for _ in range(n):
        try:
            futures.append(executor.submit(pow, 2, 2))
        except InitializerError:
            break
    return futures


@pytest.mark.contract("manyhands.Engine")
class TestWorkersComeAndGo:
    def test_idle_workers_end_after_the_idle_timeout(self, backend: Any) -> None:
        """And the next task finds a new one."""
        with backend.executor(max_workers=2, idle_timeout=0.05) as executor:
            with occupied(executor):
                pass
            assert eventually(lambda: not executor.stats().workers, on=backend)

            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    def test_without_an_idle_timeout_workers_stay(self, backend: Any) -> None:
        """The same one runs the next task."""
        with backend.executor(max_workers=1) as executor:
            executor.submit(pow, 2, 2).result(DEADLOCK_S)
            (worker,) = executor.stats().workers
            executor.submit(pow, 2, 2).result(DEADLOCK_S)

            assert executor.stats().workers[0].name == worker.name

    def test_no_task_is_lost_between_the_end_of_one_worker_and_the_start_of_the_next(self, backend: Any) -> None:
        """Submitting just when the workers' time is over is safe."""
        with backend.executor(max_workers=2, idle_timeout=0.001) as executor:
            for number in range(300):
                assert executor.submit(identity, number).result(DEADLOCK_S) == number
                if number % 3 == 0:
                    time.sleep(0.001)  # not for synchronisation: to meet the moment

    @covers("processpoolexecutor")
    @pytest.mark.parametrize("most", [1, 2])
    def test_workers_are_replaced_after_so_many_tasks(self, backend: Any, most: int) -> None:
        """With one worker and six tasks there are six divided by the number, and at most one that has just come."""
        calls = backend.queue()
        with backend.executor(
            max_workers=1, max_tasks_per_worker=most, initializer=count, initargs=(calls,)
        ) as executor:
            assert list(executor.map(pow, range(6), [2] * 6, chunksize=1)) == [0, 1, 4, 9, 16, 25]

        assert 6 // most <= calls.qsize() <= 6 // most + 1

    def test_replaced_workers_lose_no_task(self, backend: Any) -> None:
        """Two workers, each for three tasks, and many tasks."""
        with backend.executor(max_workers=2, max_tasks_per_worker=3) as executor:
            futures = [executor.submit(identity, number) for number in range(200)]

            assert [future.result(DEADLOCK_S) for future in futures] == list(range(200))

    @capability("in_process")
    def test_a_memory_limit_for_workers_of_one_process_is_refused(self, backend: Any) -> None:
        """Nothing is silently ignored: UnsupportedError names the backend."""
        with pytest.raises(manyhands.UnsupportedError, match=f"backend '{backend.name}' does not offer.*memory"):
            backend.executor(max_worker_memory=10**9)


def nest(executor: Executor, depth: int) -> int:
    return 0 if depth == 0 else 1 + executor.submit(nest, executor, depth - 1).result(DEADLOCK_S)


def nested_wait(executor: Executor) -> Any:
    futures = [executor.submit(pow, 2, n) for n in range(4)]
    not_done = manyhands.wait(futures, DEADLOCK_S / 2).not_done
    return [future.result(0) for future in futures] if not not_done else "stands still"


def nested_as_completed(executor: Executor) -> Any:
    futures = [executor.submit(pow, 2, n) for n in range(4)]
    return sorted(future.result() for future in manyhands.as_completed(futures, DEADLOCK_S / 2))


def nested_map(executor: Executor, **options: Any) -> Any:
    return list(executor.map(pow, [2] * 40, range(40), timeout=DEADLOCK_S / 2, **options))


def nested_exception(executor: Executor) -> Any:
    return type(executor.submit(divmod, 1, 0).exception(DEADLOCK_S / 2))


@pytest.mark.contract("manyhands.Executor.submit")
class TestTasksThatWaitForTasks:
    """A task that waits for a task of its own full executor does not stand still."""

    @fault(71)
    def test_result_thirty_deep_on_one_worker(self, backend: Any) -> None:
        """Each level waits for the next."""
        with backend.executor(max_workers=1) as executor:
            assert executor.submit(nest, executor, 30).result(DEADLOCK_S) == 30

    @fault(71)
    def test_exception(self, backend: Any) -> None:
        """``exception`` waits as ``result`` does."""
        with backend.executor(max_workers=1) as executor:
            assert executor.submit(nested_exception, executor).result(DEADLOCK_S) is ZeroDivisionError

    @fault(71)
    def test_wait(self, backend: Any) -> None:
        """Also with ``manyhands.wait``."""
        with backend.executor(max_workers=1) as executor:
            assert executor.submit(nested_wait, executor).result(DEADLOCK_S) == [1, 2, 4, 8]

    @fault(71)
    def test_as_completed(self, backend: Any) -> None:
        """Also with ``manyhands.as_completed``."""
        with backend.executor(max_workers=1) as executor:
            assert executor.submit(nested_as_completed, executor).result(DEADLOCK_S) == [1, 2, 4, 8]

    @fault(71)
    @pytest.mark.parametrize("options", [{}, {"chunksize": 1}, {"chunksize": 7}, {"buffersize": 3}])
    def test_map(self, backend: Any, options: dict[str, Any]) -> None:
        """Also with every form of ``map``."""
        with backend.executor(max_workers=1) as executor:
            future = executor.submit(nested_map, executor, **options)

            assert future.result(DEADLOCK_S) == [2**n for n in range(40)]

    @fault(71)
    def test_every_worker_waits(self, executor: Executor) -> None:
        """As many outer tasks as workers and more, each with inner ones."""
        futures = [executor.submit(nest, executor, 3) for _ in range(10)]

        assert [future.result(DEADLOCK_S) for future in futures] == [3] * 10

    @fault(71)
    def test_the_help_goes_when_it_is_done(self, executor: Executor) -> None:
        """Afterwards there are as many workers as before."""
        executor.submit(nest, executor, 10).result(DEADLOCK_S)

        assert eventually(lambda: len(executor.stats().workers) <= 2, on=executor.backend)
