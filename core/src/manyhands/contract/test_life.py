"""How executors and backends end: closed, dropped, interrupted, forked, or left open at the interpreter's exit."""

import asyncio
import concurrent.futures
import gc
import os
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any, Final

import pytest

import manyhands
from manyhands import DeadlockError, Executor, ExecutorClosedError, current_backend, current_task

from .support import DEADLOCK_S, Beside, Script, eventually, occupied, run_script

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault
bad_input: Final = pytest.mark.bad_input

#: Starts each script: *run* opens an executor of the backend under test.
PROLOGUE = """
import os, sys, time, threading
import manyhands
from manyhands import ExecutorClosedError

def run(**options):
    return manyhands.open_executor(sys.argv[1], max_workers=2, **options)

def hold(started, release):
    started.set()
    assert release.wait(20)

def stubborn(started, release):
    '''A task that does not look whether it is asked to stop.'''
    started.set()
    release.wait()

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")  # in one piece: several threads may speak
    sys.stdout.flush()
"""


def script(body: str) -> str:
    """*body*, indented as it stands in a test, after the prologue."""
    import textwrap

    return PROLOGUE + textwrap.dedent(body)


def hold(started: Any, release: Any) -> str:
    started.set()
    assert release.wait(DEADLOCK_S)
    return "finished"


def wait_until_asked(started: Any) -> str:
    """A task that looks now and then whether it is asked to stop."""
    started.set()
    task = current_task()
    assert task is not None
    return "asked" if eventually(lambda: task.cancel_requested, on=current_backend()) else "never asked"


def shut_down(executor: Executor, **how: Any) -> str:
    executor.shutdown(**how)
    return "shut down"


@pytest.mark.contract("manyhands.Engine.close")
class TestShutdown:
    @covers("executor-objects")
    def test_it_waits_for_accepted_work(self, backend: Any) -> None:
        """After ``shutdown`` every future is done, with its result."""
        executor = backend.executor(max_workers=2)
        futures = [executor.submit(pow, n, 2) for n in range(200)]
        executor.shutdown()

        assert [future.result(0) for future in futures] == [n * n for n in range(200)]

    @covers("executor-objects")
    def test_without_wait_it_returns_at_once_and_the_work_goes_on(self, backend: Any) -> None:
        """Running and waiting tasks are finished after it."""
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1)
        futures = [executor.submit(hold, started, release), executor.submit(pow, 2, 2)]
        assert started.wait(DEADLOCK_S)
        executor.shutdown(wait=False)

        assert not futures[0].done()
        release.set()
        assert [future.result(DEADLOCK_S) for future in futures] == ["finished", 4]

    @covers("executor-objects")
    def test_cancel_futures_cancels_what_has_not_started(self, backend: Any) -> None:
        """And finishes what has."""
        executor = backend.executor(max_workers=2)
        with occupied(executor) as running:
            waiting = [executor.submit(pow, 2, 2) for _ in range(20)]
            executor.shutdown(wait=False, cancel_futures=True)
        executor.shutdown()

        assert all(future.cancelled() for future in waiting)
        assert all(future.result(0) for future in running)

    def test_it_leaves_the_backend_open(self, backend: Any) -> None:
        """Another executor can be made."""
        with backend.executor():
            pass
        with backend.executor() as executor:
            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    @fault(48)
    def test_it_may_be_called_again(self, backend: Any) -> None:
        """Twice, in every order of its arguments, after terminating and within ``with``."""
        with backend.executor() as executor:
            executor.submit(pow, 2, 2)
            executor.shutdown(wait=False)
            executor.shutdown()
            executor.shutdown(cancel_futures=True)
            executor.terminate_workers()
            executor.kill_workers()

    @fault(48)
    @capability("not deterministic")
    def test_twenty_threads_may_call_it_at_once(self, backend: Any, beside: Beside) -> None:
        """Each returns after the work is done."""
        executor = backend.executor(max_workers=2)
        futures = [executor.submit(pow, n, 2) for n in range(100)]

        def shut(_: int) -> bool:
            executor.shutdown()
            return all(future.done() for future in futures)

        assert beside.together(20, shut) == [True] * 20

    @fault(48)
    def test_a_task_cannot_wait_for_the_end_of_its_own_executor(self, backend: Any) -> None:
        """DeadlockError names the task instead of hanging; the executor is closed all the same."""
        executor = backend.executor(max_workers=2)
        future = executor.submit(shut_down, executor)

        with pytest.raises(DeadlockError, match=r"shut_down.* cannot wait for the end of the executor it runs in"):
            future.result(DEADLOCK_S)
        with pytest.raises(ExecutorClosedError):
            executor.submit(pow, 2, 2)
        executor.shutdown()

    @fault(48)
    @pytest.mark.parametrize("how", [{"wait": False}, {"wait": False, "cancel_futures": True}])
    def test_a_task_may_close_its_own_executor_without_waiting(self, backend: Any, how: dict[str, bool]) -> None:
        """It goes on to its end."""
        executor = backend.executor(max_workers=2)

        assert executor.submit(shut_down, executor, **how).result(DEADLOCK_S) == "shut down"
        executor.shutdown()

    @fault(48)
    def test_a_callback_may_close_the_executor(self, backend: Any) -> None:
        """It returns, or DeadlockError says that it would wait for itself; it does not hang."""
        executor = backend.executor(max_workers=2)
        outcome = []
        with occupied(executor, 1) as (running,):

            def close(_: Any) -> None:
                try:
                    executor.shutdown()
                    outcome.append("closed")
                except DeadlockError as error:
                    outcome.append(str(error))

            running.add_done_callback(close)

        assert eventually(lambda: outcome, on=backend)
        assert outcome[0] == "closed" or "cannot wait for the end of the executor" in outcome[0]
        executor.shutdown()

    @covers("using-locks-conditions-and-semaphores-in-the-with-statement")
    def test_leaving_with_waits_also_after_an_error(self, backend: Any) -> None:
        """Accepted work is finished whatever the block raised."""
        with pytest.raises(KeyError), backend.executor(max_workers=2) as executor:  # noqa: PT012
            futures = [executor.submit(pow, n, 2) for n in range(50)]
            raise KeyError("of the block")

        assert [future.result(0) for future in futures] == [n * n for n in range(50)]

    @fault(56)
    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_leaving_with_by_an_interrupt_cancels(self, backend: Any, kind: type[BaseException]) -> None:
        """What runs is asked to stop, what waits is cancelled."""
        started = backend.event()
        with pytest.raises(kind), backend.executor(max_workers=1) as executor:  # noqa: PT012
            running = executor.submit(wait_until_asked, started)
            waiting = executor.submit(pow, 2, 2)
            assert started.wait(DEADLOCK_S)
            raise kind

        assert waiting.cancelled()
        assert running.cancelled() or running.result(DEADLOCK_S) == "asked"

    def test_work_that_is_tried_again_is_finished_too(self, backend: Any) -> None:
        """A retry after ``shutdown`` began belongs to what was accepted."""
        counter = backend.queue()
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1)
        future = executor.with_options(retries=3).submit(fail_at_first, counter, started, release)
        assert started.wait(DEADLOCK_S)
        executor.shutdown(wait=False)
        release.set()

        assert future.result(DEADLOCK_S) == "third time lucky"
        executor.shutdown()


def fail_at_first(counter: Any, started: Any, release: Any) -> str:
    hold(started, release)
    counter.put(None)
    if counter.qsize() < 3:
        raise OSError("not yet")
    return "third time lucky"


@pytest.mark.contract("manyhands.Executor.shutdown")
class TestAfterTheEnd:
    @bad_input(38)
    def test_submit_says_where_it_was_closed(self, backend: Any) -> None:
        """A RuntimeError as in the standard library, with file and line of the one who closed."""
        executor = backend.executor()
        executor.shutdown()

        with pytest.raises(
            RuntimeError, match=r"the executor was shut down \(closed at .*test_life.py:\d+\)"
        ) as caught:
            executor.submit(pow, 2, 2)
        assert isinstance(caught.value, ExecutorClosedError)

    @bad_input(38)
    @pytest.mark.parametrize("method", ["map", "map_unordered", "starmap"])
    def test_every_kind_of_map_refuses_at_the_call(self, backend: Any, method: str) -> None:
        """Not at the first result."""
        executor = backend.executor()
        executor.shutdown()

        with pytest.raises(ExecutorClosedError, match="closed at"):
            getattr(executor, method)(pow, [])

    @bad_input(38)
    def test_leaving_with_is_where_it_was_closed(self, backend: Any) -> None:
        """The place is in the caller's file, not in ours."""
        with backend.executor() as executor:
            pass

        with pytest.raises(ExecutorClosedError, match=r"test_life\.py"):
            executor.with_options(retries=1).submit(pow, 2, 2)

    def test_two_refusals_are_two_exceptions(self, backend: Any) -> None:
        """Each with a traceback of its own."""
        executor = backend.executor()
        executor.shutdown()
        errors = []
        for _ in range(2):
            with pytest.raises(ExecutorClosedError) as caught:
                executor.submit(pow, 2, 2)
            errors.append(caught.value)

        assert errors[0] is not errors[1]

    def test_what_is_left_can_still_be_asked(self, backend: Any) -> None:
        """``stats`` and ``repr`` work; nobody lives there any more."""
        with backend.executor() as executor:
            executor.submit(pow, 2, 2).result(DEADLOCK_S)

        assert eventually(lambda: not executor.stats().workers, on=backend)
        assert executor.stats().done == 1
        assert "closed" in repr(executor)

    def test_a_lazy_map_ends_or_refuses_after_shutdown(self, backend: Any) -> None:
        """Its consumer gets results or ExecutorClosedError, and never waits for ever."""
        for options in ({}, {"chunksize": 1}):
            executor = backend.executor(max_workers=2)
            results = executor.map(abs, range(-1000, 0), buffersize=2, timeout=DEADLOCK_S / 2, **options)
            assert next(results) == 1000
            executor.shutdown()
            try:
                assert list(results) == list(range(999, 0, -1))
            except ExecutorClosedError:
                pass

    def test_an_eager_map_keeps_its_results(self, backend: Any) -> None:
        """All its calls were accepted, so they are made."""
        with backend.executor(max_workers=2) as executor:
            results = executor.map(abs, range(-1000, 0))

        assert list(results) == list(range(1000, 0, -1))


@pytest.mark.contract("manyhands.Executor.terminate_workers")
class TestTerminate:
    @fault(50)
    def test_what_waits_is_cancelled_and_what_runs_is_asked(self, backend: Any) -> None:
        """A task that looks at ``cancel_requested`` ends within the grace."""
        started = backend.event()
        executor = backend.executor(max_workers=1, grace=DEADLOCK_S)
        running = executor.submit(wait_until_asked, started)
        waiting = executor.submit(pow, 2, 2)
        assert started.wait(DEADLOCK_S)
        executor.terminate_workers()

        assert waiting.cancelled()
        assert running.cancelled() or running.result(DEADLOCK_S) == "asked"

    @pytest.mark.parametrize("how", ["terminate_workers", "kill_workers"])
    def test_it_returns_although_a_task_does_not_listen(self, backend: Any, how: str) -> None:
        """Within the grace and two seconds; the future is done."""
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1, grace=0.1)
        stubborn = executor.submit(hold, started, release)
        assert started.wait(DEADLOCK_S)
        began = time.monotonic()
        getattr(executor, how)()
        took = time.monotonic() - began
        try:
            assert took < 0.1 + 2
            assert stubborn.cancelled()
        finally:
            release.set()

    @capability("in_process")
    def test_a_worker_that_is_given_up_is_named_in_the_log(
        self, backend: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The event says which task keeps it."""
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1, grace=0.05)
        executor.submit(hold, started, release)
        assert started.wait(DEADLOCK_S)
        executor.terminate_workers()
        release.set()

        (record,) = [record for record in caplog.records if record.message.startswith("worker.abandoned")]
        assert "name='hold'" in record.message

    def test_what_a_given_up_task_delivers_later_is_dropped(self, backend: Any) -> None:
        """Its future stays cancelled."""
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1, grace=0.05)
        future = executor.submit(hold, started, release)
        assert started.wait(DEADLOCK_S)
        executor.terminate_workers()
        release.set()

        assert eventually(lambda: not executor.stats().workers, on=backend)
        assert future.cancelled()

    @fault(50)
    @capability("not deterministic")
    def test_everybody_who_waits_wakes(self, backend: Any, beside: Beside) -> None:
        """In ``result``, ``wait``, ``as_completed``, ``map`` and ``await``."""
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1, grace=0.1)
        future = executor.submit(hold, started, release)
        assert started.wait(DEADLOCK_S)
        queued = executor.submit(pow, 2, 2)

        async def awaiting() -> Any:
            return await queued

        def result() -> Any:
            return future.result(DEADLOCK_S)

        waiters = [
            beside(result),
            beside(lambda: queued.result(DEADLOCK_S)),
            beside(lambda: next(executor.map(abs, [-1], timeout=DEADLOCK_S))),
            beside(lambda: next(executor.map(abs, [-1], chunksize=1, timeout=DEADLOCK_S))),
            beside(lambda: asyncio.run(awaiting())),
        ]
        lists = [
            beside(lambda: manyhands.wait([future, queued], DEADLOCK_S)),
            beside(lambda: list(manyhands.as_completed([future, queued], DEADLOCK_S))),
        ]
        eventually(lambda: executor.stats().pending >= 3, seconds=1, on=backend)
        executor.terminate_workers()
        release.set()

        cancelled = (concurrent.futures.CancelledError, asyncio.CancelledError, ExecutorClosedError)
        assert [type(waiter.outcome()) for waiter in waiters if not isinstance(waiter.outcome(), cancelled)] == []
        assert len(lists[0].outcome().done) == 2
        assert len(lists[1].outcome()) == 2


@pytest.mark.contract("manyhands.Backend.close")
class TestBackend:
    def test_closing_it_finishes_the_work_of_its_executors(self, backend_name: str) -> None:
        """Accepted work is done when ``close`` returns."""
        backend = manyhands.open_backend(backend_name, max_workers=2)
        futures = [backend.executor().submit(pow, n, 2) for n in range(20)]
        backend.close()

        assert [future.result(0) for future in futures] == [n * n for n in range(20)]

    def test_closing_it_with_cancel_does_not(self, backend_name: str) -> None:
        """What waits is cancelled, what runs is asked."""
        backend = manyhands.open_backend(backend_name, max_workers=1)
        executor, started = backend.executor(), backend.event()
        running, waiting = executor.submit(wait_until_asked, started), executor.submit(pow, 2, 2)
        assert started.wait(DEADLOCK_S)
        backend.close(cancel=True)

        assert waiting.cancelled()
        assert running.cancelled() or running.result(DEADLOCK_S) == "asked"

    def test_closing_it_again_does_nothing(self, backend_name: str) -> None:
        """In every way."""
        backend = manyhands.open_backend(backend_name)
        backend.close()
        backend.close()
        backend.close(cancel=True)
        with backend:
            pass

    @bad_input(38)
    @pytest.mark.parametrize(
        "make",
        [
            "executor",
            "lock",
            "rlock",
            "condition",
            "semaphore",
            "bounded_semaphore",
            "event",
            "queue",
            "lifo_queue",
            "priority_queue",
            "simple_queue",
        ],
    )
    def test_afterwards_it_makes_nothing(self, backend_name: str, make: str) -> None:
        """ExecutorClosedError says where it was closed."""
        backend = manyhands.open_backend(backend_name)
        backend.close()

        with pytest.raises(ExecutorClosedError, match=f"backend '{backend_name}' was closed .closed at .*test_life.py"):
            getattr(backend, make)()

    @bad_input(38)
    def test_afterwards_no_barrier_timer_or_activity(self, backend_name: str) -> None:
        """Those with arguments, too."""
        backend = manyhands.open_backend(backend_name)
        backend.close()

        with pytest.raises(ExecutorClosedError, match="closed at"):
            backend.barrier(2)
        with pytest.raises(ExecutorClosedError, match="closed at"):
            backend.Activity(target=print).start()

    def test_open_executor_is_both_in_one(self, backend_name: str) -> None:
        """Closing the executor closes its backend."""
        with manyhands.open_executor(backend_name, max_workers=2) as executor:
            backend = executor.backend
            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

        with pytest.raises(ExecutorClosedError):
            backend.lock()

    def test_its_repr_says_what_it_is(self, backend_name: str) -> None:
        """The name, and whether it is open."""
        backend = manyhands.open_backend(backend_name)
        assert f"{backend_name} open" in repr(backend)
        backend.close()
        assert f"{backend_name} closed" in repr(backend)

    def test_it_cannot_be_pickled(self, backend: Any) -> None:
        """Outside of a transfer to its own tasks it means nothing."""
        import pickle

        with pytest.raises(manyhands.SerializationError, match="can only be passed to its own tasks"):
            pickle.dumps(backend)

    @fault(85)
    def test_opening_and_closing_leaves_nothing(self, backend_name: str) -> None:
        """Many times, with work in between; the guard around this test counts."""
        for _ in range(30):
            with manyhands.open_executor(backend_name, max_workers=2) as executor:
                assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4


@pytest.mark.contract("manyhands.Engine.close")
class TestDropped:
    @fault(47)
    def test_an_executor_that_nobody_holds_finishes_its_work(self, backend: Any) -> None:
        """And then its workers go."""
        started, release = backend.event(), backend.event()
        executor = backend.executor(max_workers=1)
        futures = [executor.submit(hold, started, release), executor.submit(pow, 2, 2)]
        assert started.wait(DEADLOCK_S)
        del executor
        gc.collect()
        release.set()

        assert [future.result(DEADLOCK_S) for future in futures] == ["finished", 4]

    @fault(47)
    def test_an_idle_executor_that_nobody_holds_goes(self, backend: Any) -> None:
        """The guard around this test sees that its workers have ended, before the backend is closed."""
        executor = backend.executor(max_workers=2)
        executor.submit(pow, 2, 2).result(DEADLOCK_S)
        engine = executor._pool.engine
        del executor
        gc.collect()

        assert eventually(lambda: not engine.workers(), seconds=2, on=backend)

    @fault(47)
    def test_a_view_keeps_its_executor(self, backend: Any) -> None:
        """``backend.executor().with_options(...)`` works."""
        view = backend.executor(max_workers=1).with_options(name="seen through a view")
        gc.collect()

        assert view.submit(pow, 2, 2).result(DEADLOCK_S) == 4


@pytest.mark.contract("manyhands.BackendOptions")
class TestInterpreterExit:
    """Programs that end without closing anything."""

    @fault(46)
    def test_accepted_work_is_finished(self, backend_name: str) -> None:
        """Exit code 0, all output, nothing on stderr."""
        finished = run_script(
            script("""
            executor = run()
            for number in range(10):
                executor.submit(say, "done", number)
            say("end of the program")
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        assert sorted(finished.stdout.splitlines()) == [*(f"done {n}" for n in range(10)), "end of the program"]

    @fault(46)
    def test_accepted_work_that_is_dropped_is_finished(self, backend_name: str) -> None:
        """Nobody holds the executor any more when the program ends."""
        finished = run_script(
            script("""
            def slow(number):
                time.sleep(0.02)
                say("done", number)

            def start():
                executor = run()
                for number in range(10):
                    executor.submit(slow, number)

            start()
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        assert len(finished.stdout.splitlines()) == 10

    @fault(46)
    def test_work_may_be_cancelled_instead(self, backend_name: str) -> None:
        """With ``exit_policy="cancel"`` what runs gets the grace and what waits is not started."""
        finished = run_script(
            script("""
            def polite(started):
                started.set()
                task = manyhands.current_task()
                while not task.cancel_requested:
                    manyhands.current_backend().sleep(0.001)
                say("asked")

            executor = run(exit_policy="cancel")
            events = [executor.backend.event() for _ in range(2)]
            for event in events:
                executor.submit(polite, event)
            for number in range(10):
                executor.submit(say, "started", number)
            for event in events:
                event.wait(20)
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        assert set(finished.stdout.splitlines()) <= {"asked"}

    @fault(46)
    def test_a_task_that_does_not_listen_is_left_behind(self, backend_name: str) -> None:
        """After the grace the program ends all the same."""
        finished = run_script(
            script("""
            executor = run(exit_policy="cancel", grace=0.1)
            started, release = executor.backend.event(), executor.backend.event()
            executor.submit(stubborn, started, release)
            assert started.wait(20)
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")

    @fault(45)
    def test_submitting_from_an_exit_handler_is_refused_or_done(self, backend_name: str) -> None:
        """Never a hang, never noise, whether the handler was registered before the import or after."""
        finished = run_script(
            """
            import atexit, sys

            def late(when):
                try:
                    print(when, executor.submit(pow, 2, 2).result(20), flush=True)
                except RuntimeError as error:
                    print(when, type(error).__name__, flush=True)

            atexit.register(late, "registered before")
            import manyhands
            executor = manyhands.open_executor(sys.argv[1])
            atexit.register(late, "registered after")
            """,
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        for line in finished.stdout.splitlines():
            assert line.endswith((" 4", "ExecutorClosedError")), line
        assert len(finished.stdout.splitlines()) == 2

    @fault(62)
    @capability("not deterministic", reason="one thread cannot be used from another")
    def test_threads_of_the_program_may_submit_until_the_end(self, backend_name: str) -> None:
        """A daemon thread that submits while the interpreter ends gets ExecutorClosedError at worst."""
        finished = run_script(
            script("""
            executor = run()

            def forever():
                try:
                    while True:
                        executor.submit(pow, 2, 2).result()
                except (ExecutorClosedError, manyhands.CancelledError):
                    pass

            for _ in range(3):
                threading.Thread(target=forever, daemon=True).start()
            time.sleep(0.1)
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")

    @fault(45)
    def test_submitting_from_a_finalizer_at_the_very_end_does_not_hang(self, backend_name: str) -> None:
        """A module's globals go after everything else."""
        finished = run_script(
            script("""
            class Last:
                def __del__(self):
                    try:
                        self.executor.submit(pow, 2, 2)
                    except RuntimeError:
                        pass

            last = Last()
            last.executor = run()
            last.me = last
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")

    def test_an_activity_that_is_no_daemon_is_waited_for(self, backend_name: str) -> None:
        """As a thread is; a daemon is not."""
        finished = run_script(
            script("""
            backend = manyhands.open_backend(sys.argv[1])

            def late():
                backend.sleep(0.1)
                say("the activity has ended")

            backend.Activity(target=late).start()
            backend.Activity(target=backend.sleep, args=(1000,), daemon=True).start()
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        assert finished.stdout == "the activity has ended\n"

    def test_sys_exit_keeps_its_code(self, backend_name: str) -> None:
        """Work is finished, and the program's exit code is the one it asked for."""
        finished = run_script(
            script("""
            executor = run()
            executor.submit(say, "done")
            sys.exit(7)
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout, finished.stderr) == (7, "done\n", "")


#: A callback and what a map does between two items are, there, the main program's own: it logs what they raise.
_WORKERS_ARE_THREADS = pytest.mark.capability(
    "not deterministic", reason="one thread cannot be interrupted without its workers being so"
)


@pytest.mark.contract("manyhands.Backend.close")
class TestInterrupt:
    """Ctrl-C gives control back."""

    @fault(56)
    @pytest.mark.parametrize(
        "waiting",
        [
            "futures[0].result()",
            "manyhands.wait(futures)",
            "list(manyhands.as_completed(futures))",
            "list(executor.map(stubborn, events, [release] * 2))",
            "list(executor.map(stubborn, events, [release] * 2, chunksize=1))",
            "pass",
        ],
    )
    @capability("not deterministic", reason="one thread cannot wait for nobody: that is a deadlock, and told at once")
    def test_an_interrupt_inside_with(self, backend_name: str, waiting: str) -> None:
        """KeyboardInterrupt in the main thread within the grace and two seconds; queued work is cancelled."""
        source = script(f"""
            try:
                with run(grace=0.2) as executor:
                    backend = executor.backend
                    events, release = [backend.event() for _ in range(2)], backend.event()
                    futures = [executor.submit(stubborn, event, release) for event in events]
                    queued = executor.submit(say, "must not run")
                    for event in events:
                        assert event.wait(20)
                    say("ready")
                    {waiting}
            except KeyboardInterrupt:
                say("interrupted", queued.cancelled())
            """)
        with Script(source, backend_name) as program:
            program.wait_for("ready")
            if waiting == "pass":  # it waits in shutdown
                time.sleep(0.1)
            sent = program.interrupt()
            program.wait_for("interrupted True")
            took = time.monotonic() - sent
            finished = program.finish()

        assert took < 0.2 + 2
        assert "must not run" not in finished.stdout
        assert (finished.returncode, finished.stderr) == (0, "")

    @fault(56)
    @capability("not deterministic", reason="one thread cannot wait for nobody: that is a deadlock, and told at once")
    def test_an_interrupt_while_submit_waits_for_room(self, backend_name: str) -> None:
        """Backpressure can be left as well."""
        source = script("""
            try:
                with run(grace=0.1, max_pending=2) as executor:
                    backend = executor.backend
                    events, release = [backend.event() for _ in range(2)], backend.event()
                    for event in events:
                        executor.submit(stubborn, event, release)
                    say("ready")
                    executor.submit(pow, 2, 2)
            except KeyboardInterrupt:
                say("interrupted")
            """)
        with Script(source, backend_name) as program:
            program.wait_for("ready")
            program.interrupt()
            finished = program.finish()

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "ready\ninterrupted\n", "")

    @fault(59)
    def test_a_signal_handler_may_use_everything(self, backend_name: str) -> None:
        """submit, cancel and set, while the main thread is in the same calls, thousands of times."""
        finished = run_script(
            script("""
            import signal

            executor = run()
            event = executor.backend.event()
            simple = executor.backend.simple_queue()
            made = []

            def handler(*_):
                future = executor.submit(pow, 2, 2)
                made.append(future)
                future.cancel()
                event.set()
                simple.put(1)

            signal.signal(signal.SIGALRM, handler)
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            end = time.monotonic() + 1
            while time.monotonic() < end:
                futures = [executor.submit(pow, 2, 3) for _ in range(50)]
                futures[-1].cancel()
                event.clear()
                event.set()
                simple.put(2)
                assert all(future.result(20) == 8 for future in futures[:-1])
            signal.setitimer(signal.ITIMER_REAL, 0)
            executor.shutdown()
            say("all done", len(made) > 100, all(future.done() for future in made))
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "all done True True\n", "")

    @fault(48)
    def test_a_signal_handler_may_close_the_executor(self, backend_name: str) -> None:
        """Without waiting, wherever the main thread is at that moment."""
        finished = run_script(
            script("""
            import faulthandler, signal

            faulthandler.dump_traceback_later(15, exit=True)
            backend = manyhands.open_backend(sys.argv[1], max_workers=2)
            signal.signal(signal.SIGALRM, lambda *_: executor.shutdown(wait=False))
            for number in range(200):
                executor = backend.executor()
                futures = []
                signal.setitimer(signal.ITIMER_REAL, 0.00005 + number * 0.00001)
                try:
                    while True:
                        futures.append(executor.submit(pow, 2, 2))
                except ExecutorClosedError:
                    pass
                signal.setitimer(signal.ITIMER_REAL, 0)
                executor.shutdown()
                assert all(future.done() for future in futures)
            say("all closed")
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "all closed\n", "")

    @fault(60)
    def test_a_finalizer_may_use_everything(self, backend_name: str) -> None:
        """``__del__`` that submits and sets, run by the collector inside of our own code."""
        finished = run_script(
            script("""
            import gc

            executor = run()
            event, simple, made = executor.backend.event(), executor.backend.simple_queue(), []

            class Cycle:
                def __init__(self):
                    self.me = self

                def __del__(self):
                    made.append(executor.submit(pow, 2, 2))
                    event.set()
                    simple.put(1)

            gc.set_threshold(1)
            for _ in range(300):
                Cycle()
                futures = [executor.submit(pow, 2, 3) for _ in range(3)]
                event.clear()
                assert [future.result(20) for future in futures] == [8] * 3
            gc.set_threshold(700)
            gc.collect()
            executor.shutdown()
            say("all done", len(made), {future.result(0) for future in made})
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "all done 300 {4}\n", "")

    @fault(57)
    @pytest.mark.parametrize(
        ("options", "use"),
        [
            ("", "futures[0].result(20)"),
            ("", "futures[0].cancel()"),
            pytest.param("", "futures[0].add_done_callback(str)", marks=_WORKERS_ARE_THREADS),
            ("", "manyhands.wait(futures, 20)"),
            ("", "list(manyhands.as_completed(futures, 20))"),
            pytest.param("", "list(executor.map(abs, range(10)))", marks=_WORKERS_ARE_THREADS),
            ("", "executor.stats()"),
            ("max_pending=3", "futures[0].result(20)"),
        ],
    )
    @pytest.mark.skipif(
        sys.version_info[:2] == (3, 14),
        reason="in CPython 3.14 an interrupt may come after `with` has taken a lock and before it will release it",
    )
    def test_an_interrupt_anywhere_leaves_nothing_locked(self, backend_name: str, options: str, use: str) -> None:
        """KeyboardInterrupt at many points of a call arrives as it is, and the next call works."""
        finished = run_script(
            script(f"""
            import faulthandler, signal

            faulthandler.dump_traceback_later(10, exit=True)
            executor = run({options})
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            hits = 0

            def be_interrupted(after):
                end = time.monotonic() + 0.05  # the interpreter may lose it in the callback of a weakref
                signal.setitimer(signal.ITIMER_REAL, after)
                while time.monotonic() < end:
                    futures = [executor.submit(pow, 2, 3) for _ in range(5)]
                    {use}

            end = time.monotonic() + 1
            while time.monotonic() < end:
                try:
                    be_interrupted(0.00005 + (hits % 97) * 0.00001)
                except KeyboardInterrupt:
                    hits += 1
                assert executor.submit(pow, 2, 2).result(5) == 4
            executor.shutdown()
            say("survived", hits > 50)
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout) == (0, "survived True\n"), finished.stderr


@pytest.mark.contract("manyhands.Host.inherit")
class TestFork:
    """A child that was forked by the program has nothing of ours but the objects."""

    @fault(44)
    @bad_input(38)
    def test_everything_refuses_in_the_child(self, backend_name: str) -> None:
        """ExecutorClosedError says why; the parent is unharmed, and so is its work."""
        finished = run_script(
            script("""
            import warnings
            warnings.simplefilter("ignore", DeprecationWarning)  # "use of fork() may lead to deadlocks"
            executor = run()
            backend = executor.backend
            futures = [executor.submit(pow, n, 2) for n in range(5)]
            attempts = [
                lambda: executor.submit(pow, 2, 2),
                lambda: executor.map(abs, [1]),
                lambda: backend.executor(),
                lambda: backend.lock(),
                lambda: backend.queue(),
                lambda: backend.Activity(target=print).start(),
            ]
            pid = os.fork()
            if pid == 0:
                for attempt in attempts:
                    try:
                        attempt()
                        say("no error")
                    except ExecutorClosedError as error:
                        say("inherited through fork" in str(error))
                executor.shutdown()
                backend.close()
                sys.exit(0)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            say("child", code)
            say([future.result(20) for future in futures], executor.submit(pow, 2, 5).result(20))
            """),
            backend_name,
        )

        assert finished.returncode == 0, finished.stderr
        assert finished.stdout.splitlines() == ["True"] * 6 + ["child 0", "[0, 1, 4, 9, 16] 32"]

    @fault(44)
    def test_the_child_may_open_its_own(self, backend_name: str) -> None:
        """A new backend in the child works, also when the parent's threads were busy at the fork."""
        finished = run_script(
            script("""
            import warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            executor = run()

            def churn():
                try:
                    while True:
                        executor.submit(pow, 2, 2).result()
                except RuntimeError:
                    pass

            for _ in range(3):
                threading.Thread(target=churn, daemon=True).start()
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    with run() as mine:
                        code = mine.submit(pow, 2, 2).result(10)
                    os._exit(code)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
            say("parent", executor.submit(pow, 2, 5).result(20))
            """),
            backend_name,
        )

        assert finished.returncode == 0, finished.stderr
        assert finished.stdout == "parent 32\n"

    @fault(44)
    def test_a_child_may_drop_what_it_inherited(self, backend_name: str) -> None:
        """Its last reference to an executor goes, and nothing hangs, however busy the parent was."""
        finished = run_script(
            script("""
            import gc, warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            executors = [run()]
            stop = False

            def churn():
                while not stop:
                    executors[0].submit(pow, 2, 2).result()

            threads = [threading.Thread(target=churn, daemon=True) for _ in range(3)]
            for thread in threads:
                thread.start()
            for _ in range(20):
                pid = os.fork()
                if pid == 0:
                    executors.clear()
                    gc.collect()
                    os._exit(4)
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
            stop = True
            for thread in threads:
                thread.join()
            say("parent", executors[0].submit(pow, 2, 5).result(20))
            """),
            backend_name,
        )

        assert finished.returncode == 0, finished.stderr
        assert finished.stdout == "parent 32\n"

    @fault(44)
    def test_a_wait_in_the_child_for_the_parents_work_ends(self, backend_name: str) -> None:
        """A future that the parent's workers would have finished does not keep the child for ever."""
        finished = run_script(
            script("""
            import warnings
            warnings.simplefilter("ignore", DeprecationWarning)
            executor = run()
            started, release = executor.backend.event(), executor.backend.event()
            future = executor.submit(hold, started, release)
            assert started.wait(20)
            pid = os.fork()
            if pid == 0:
                try:
                    future.result(0.2)
                except TimeoutError:
                    os._exit(3)
                except ExecutorClosedError:
                    os._exit(4)
                os._exit(5)
            say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (3, 4))
            release.set()
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout) == (0, "True\n"), finished.stderr


@pytest.mark.contract("manyhands.Backend")
class TestSurroundings:
    """A program that has more to do than to run our tasks."""

    @fault(86)
    def test_descriptors_beyond_a_thousand(self, backend: Any) -> None:
        """A program that has many files open can still wait for things."""
        with ExitStack() as files:
            for _ in range(1100):
                files.enter_context(open(os.devnull, "rb"))
            with backend.executor(max_workers=2) as executor:
                assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    @fault(68)
    def test_a_storm_of_signals(self, backend_name: str) -> None:
        """A handler each millisecond: nothing is lost, nothing fails, and timeouts keep their time."""
        finished = run_script(
            script("""
            import signal

            signal.signal(signal.SIGALRM, lambda *_: None)
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            with run() as executor:
                queue, event = executor.backend.queue(), executor.backend.event()
                end = time.monotonic() + 1
                while time.monotonic() < end:
                    assert list(executor.map(abs, range(-50, 0))) == list(range(50, 0, -1))
                    futures = [executor.submit(queue.put, number) for number in range(20)]
                    assert sorted(queue.get(timeout=20) for _ in futures) == list(range(20))
                began = time.monotonic()
                assert not event.wait(0.3)
                took = time.monotonic() - began
            signal.setitimer(signal.ITIMER_REAL, 0)
            say(0.3 <= took < 5 or took)
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "True\n", "")


@pytest.mark.contract("manyhands.Engine.start")
@fault(42)
@capability("in_process")
@capability("not deterministic", reason="one thread cannot lack another")
class TestNoMoreThreads:
    """The machine has no more threads to give."""

    def test_submit_refuses_when_nobody_is_there_to_run_it(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """ResourceError names the task, no queued ghost is left, and later it works."""
        with backend.executor(max_workers=2) as executor:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse_to_start)
                with pytest.raises(manyhands.ResourceError, match="no thread can be started to run task"):
                    executor.submit(pow, 2, 2)
            assert executor.stats().pending == 0

            assert executor.submit(pow, 2, 3).result(DEADLOCK_S) == 8
            assert executor.stats().done == 1

    def test_submit_is_content_with_the_workers_there_are(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """One worker that lives takes everything."""
        with backend.executor(max_workers=2) as executor:
            with occupied(executor, 1):
                monkeypatch.setattr(threading.Thread, "start", refuse_to_start)
                futures = [executor.submit(pow, 2, n) for n in range(10)]

            assert [future.result(DEADLOCK_S) for future in futures] == [2**n for n in range(10)]
            monkeypatch.undo()

    def test_map_refuses_too(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """At the call or at the first result, without a hang."""
        with backend.executor(max_workers=2) as executor:
            with monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", refuse_to_start)
                with pytest.raises(manyhands.ResourceError, match="no thread can be started"):
                    list(executor.map(abs, range(10), timeout=DEADLOCK_S))

            assert list(executor.map(abs, [-1, -2])) == [1, 2]

    def test_an_activity_refuses(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """ResourceError names it."""
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse_to_start)
            with pytest.raises(manyhands.ResourceError, match="no thread can be started for activity 'mine'"):
                backend.Activity(target=print, name="mine").start()


def refuse_to_start(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
