"""Interrupts at every point, signal handlers, the wall clock, and the end of the program."""

import ast
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import manyhands
from manyhands import ExecutorClosedError
from manyhands.contract.support import DEADLOCK_S, Script, run_script

from .helpers import all_end, script, solves_control_tasks

fault = pytest.mark.fault
capability = pytest.mark.capability
slow = pytest.mark.slow

ROOT = Path(__file__).parents[2]

#: What is interrupted: the standard library's vocabulary, one call or two each.
OPERATIONS = {
    "submit": "executor.submit(pow, 2, 2)",
    "result": "executor.submit(pow, 2, 2).result(5)",
    "cancel": "executor.submit(pow, 2, 2).cancel()",
    "callback": "executor.submit(pow, 2, 2).add_done_callback(str)",
    "wait": "manyhands.wait([executor.submit(pow, 2, 2) for _ in range(3)], 5)",
    "as_completed": "list(manyhands.as_completed([executor.submit(pow, 2, 2) for _ in range(3)], 5))",
    "map": "list(executor.map(abs, range(5)))",
    "map of tasks": "list(executor.map(abs, range(5), chunksize=1))",
    "lazy map": "list(executor.map(abs, range(5), buffersize=2))",
    "backpressure": "[limited.submit(pow, 2, 2) for _ in range(5)]",
    "resize": "executor.resize(1), executor.resize(2)",
    "stats": "executor.stats()",
    "shutdown": "used(backend.executor()).shutdown()",
    "terminate": "used(backend.executor()).terminate_workers()",
    "with": "close_in_with()",
    "close": "close_backend()",
    "event": "set_elsewhere(backend.event()).wait(5)",
    "queue": "queue.put(1, timeout=5), queue.get(timeout=5)",
    "after": "backend.after(0.0001, pow, 2, 2).result(5)",
    "activity": "start_and_join(backend.Activity(target=int))",
}

SWEEP = """
from manyhands.contract.injection import interrupt_sweep

sys.unraisablehook = lambda _: None  # the interpreter may lose an interrupt in the callback of a weakref
executor, limited = backend.executor(), backend.executor(max_pending=2)
queue = backend.queue(3)

def used(executor):
    executor.submit(pow, 2, 2)
    return executor

def close_in_with():
    with backend.executor() as executor:
        executor.submit(pow, 2, 2)

def close_backend():
    other = manyhands.open_backend(sys.argv[1])
    try:
        other.executor().submit(pow, 2, 2)
        other.close()
    finally:
        other.close()  # an interrupted one goes on from where it was
    assert other._host._closed is not None

def set_elsewhere(event):
    executor.submit(event.set)
    return event

def start_and_join(activity):
    activity.start()
    activity.join(5)

def check():
    assert executor.submit(pow, 2, 5).result(5) == 32
    assert limited.submit(pow, 2, 5).result(5) == 32
    assert list(executor.map(abs, [-1], timeout=5)) == [1]
    assert backend.after(0, pow, 2, 5).result(5) == 32
    while queue.qsize():
        queue.get(timeout=5)
    queue.put(1, timeout=5)
    assert queue.get(timeout=5) == 1
"""


def sweep(backend_name: str, operation: str, points: int) -> None:
    """Interrupt *operation* at so many points; afterwards everything works, each time."""
    finished = run_script(
        script(SWEEP + f"found = interrupt_sweep(lambda: ({operation}), check, points={points})\n")
        + "backend.close()\nsay(found.points, found.raised)\n",
        backend_name,
    )

    assert finished.returncode == 0, finished.stderr
    sent, raised = map(int, finished.stdout.split())
    # On native primitives there is nothing of ours to interrupt; a callback of a weakref may swallow one.
    assert sent == 0 or raised >= 0.9 * sent > points / 4


@fault(57)
@capability("not deterministic")
@pytest.mark.skipif(
    sys.version_info[:2] == (3, 14),
    reason="in CPython 3.14 an interrupt may come after `with` has taken a lock and before it will release it",
)
class TestInterruptAnywhere:
    """
    A Ctrl-C may come before every bytecode of ours, wherever the interpreter looks for signals.

    Not where the main program shares its thread with the tasks: there it is a task that is interrupted.
    """

    @pytest.mark.parametrize("operation", OPERATIONS)
    def test_it_leaves_nothing_held(self, backend: Any, backend_name: str, operation: str) -> None:
        """The next calls work, of executors, maps, timers and queues."""
        sweep(backend_name, OPERATIONS[operation], points=60)

    @slow
    @pytest.mark.parametrize("operation", ["result", "cancel", "wait", "map", "shutdown", "close"])
    def test_it_leaves_nothing_held_at_two_thousand_points(
        self, backend: Any, backend_name: str, operation: str
    ) -> None:
        """The same, at every bytecode there is."""
        sweep(backend_name, OPERATIONS[operation], points=2000)


class TestHandlers:
    @fault(59)
    @pytest.mark.parametrize(
        "operation", ["submit", "cancel", "result", "wait", "map", "shutdown", "event", "queue", "after"]
    )
    def test_a_handler_may_come_before_every_bytecode(self, backend_name: str, operation: str) -> None:
        """It submits, cancels and sets while the main thread is in the middle of a call; nobody waits for anybody."""
        finished = run_script(
            script(SWEEP)
            + f"""
made, event, simple = [], backend.event(), backend.simple_queue()

def handler():
    made.append(executor.submit(pow, 2, 2))
    executor.submit(pow, 2, 2).cancel()
    event.set()
    simple.put(1)

found = interrupt_sweep(lambda: ({OPERATIONS[operation]}), check, points=100, handler=handler)
say(found.points == len(made) == simple.qsize(), {{future.result(5) for future in made}} <= {{4}})
backend.close()
""",
            backend_name,
        )

        assert (finished.returncode, finished.stdout) == (0, "True True\n"), finished.stderr

    @fault(59)
    def test_a_handler_may_close_from_every_bytecode_of_submit(self, backend_name: str) -> None:
        """The main thread then gets its future, or ExecutorClosedError; the work that was accepted is done."""
        finished = run_script(
            script("""
            from manyhands.contract.injection import interrupt_sweep

            executors = [backend.executor()]
            futures = []

            def submit():
                futures.clear()
                try:
                    for _ in range(2):
                        futures.append(executors[0].submit(pow, 2, 2))
                except manyhands.ExecutorClosedError:
                    pass

            def check():
                for future in futures:
                    assert future.result(5) == 4
                executors[0].shutdown()
                executors[0] = backend.executor()
                executors[0].submit(pow, 2, 2).result(5)

            def close():
                executors[0].shutdown(wait=False)

            found = interrupt_sweep(submit, check, points=150, handler=close)
            backend.close()
            say(found.points > 100)
            """),
            backend_name,
        )

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "True\n", "")


@capability("not deterministic")
class TestInterrupt:
    @fault(56)
    def test_a_second_ctrl_c_does_not_wait_for_the_grace(self, backend: Any, backend_name: str) -> None:
        """The first one asks what runs to stop and waits for it; the second one ends the waiting."""
        source = script("""
            started, release = backend.event(), backend.event()

            def stubborn():
                started.set()
                release.wait()

            try:
                with backend.executor(grace=1000) as executor:
                    executor.submit(stubborn)
                    assert started.wait(20)
                    say("ready")
                    release.wait()
            except KeyboardInterrupt:
                say("interrupted")
            os._exit(0)
            """)
        with Script(source, backend_name) as program:
            program.wait_for("ready")
            program.interrupt()
            time.sleep(0.3)  # for the first one to be on its way: nothing tells when it is
            sent = program.interrupt()
            program.wait_for("interrupted")
            took = time.monotonic() - sent

        assert took < 3

    @fault(56)
    def test_ctrl_c_for_the_whole_group(self, backend: Any, backend_name: str) -> None:
        """As a terminal sends it: KeyboardInterrupt in the main program, the queue is cancelled, all ends in time."""
        source = script("""
            started = backend.event()

            def polite():
                started.set()
                task = manyhands.current_task()
                while not task.cancel_requested:
                    backend.sleep(0.001)

            try:
                with backend.executor(1, grace=1) as executor:
                    running, queued = executor.submit(polite), executor.submit(say, "must not run")
                    assert started.wait(20)
                    say("ready")
                    running.result()
            except KeyboardInterrupt:
                say("interrupted", queued.cancelled())
            backend.close()
            """)
        with Script(source, backend_name) as program:
            program.wait_for("ready")
            os.killpg(program.process.pid, 2)
            finished = program.finish()

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "ready\ninterrupted True\n", "")


class TestClosing:
    @fault(48)
    def test_twenty_activities_close_at_once(self, backend: Any) -> None:
        """Each returns after the work is done."""
        executor = backend.executor(max_workers=2)
        futures = [executor.submit(pow, n, 2) for n in range(100)]
        seen = backend.simple_queue()

        def close() -> None:
            executor.shutdown()
            seen.put(all(future.done() for future in futures))

        closers = [backend.Activity(target=close) for _ in range(20)]
        for closer in closers:
            closer.start()

        assert all_end(closers)
        assert [seen.get(timeout=1) for _ in closers] == [True] * 20

    @fault(48)
    def test_an_executor_with_a_backend_of_its_own_can_be_left_to_itself(self, backend_name: str) -> None:
        """``shutdown(wait=False)`` returns at once, as every executor's; the work may go on using the backend."""
        executor = manyhands.open_executor(backend_name, max_workers=1)
        started, release = executor.backend.event(), executor.backend.event()

        def hold() -> str:
            started.set()
            assert release.wait(DEADLOCK_S)
            executor.backend.lock()
            return "finished"

        futures: list[Any] = [executor.submit(hold), executor.submit(pow, 2, 2)]
        assert started.wait(DEADLOCK_S)
        executor.shutdown(wait=False)

        assert not futures[0].done()
        release.set()
        assert [future.result(DEADLOCK_S) for future in futures] == ["finished", 4]
        executor.shutdown()
        with pytest.raises(ExecutorClosedError):
            executor.backend.lock()

    @fault(50)
    def test_everybody_who_waits_for_what_is_cancelled_wakes(self, backend: Any) -> None:
        """In ``result``, ``wait`` and ``as_completed``, also where all share one thread."""
        started, release = backend.event(), backend.event()

        def hold() -> None:
            started.set()
            release.wait(DEADLOCK_S)

        executor = backend.executor(max_workers=1, grace=0.1)
        executor.submit(hold)
        assert started.wait(DEADLOCK_S)
        queued = executor.submit(pow, 2, 2)
        waiting, woken = backend.semaphore(0), backend.simple_queue()

        def result() -> None:
            waiting.release()
            try:
                queued.result(DEADLOCK_S)
            except manyhands.CancelledError:
                woken.put("result")

        def wait() -> None:
            waiting.release()
            manyhands.wait([queued], DEADLOCK_S)
            woken.put("wait")

        def as_completed() -> None:
            waiting.release()
            list(manyhands.as_completed([queued], DEADLOCK_S))
            woken.put("as_completed")

        waiters = [backend.Activity(target=target) for target in (result, wait, as_completed)]
        for waiter in waiters:
            waiter.start()
        for _ in waiters:
            assert waiting.acquire(timeout=DEADLOCK_S)
        executor.terminate_workers()
        release.set()

        assert all_end(waiters)
        assert {woken.get(timeout=1) for _ in waiters} == {"result", "wait", "as_completed"}


#: Where something is replaced or made at the end of a program.
STARTS_THREADS_AT_THE_END = pytest.mark.skipif(
    sys.version_info[:2] == (3, 12), reason="CPython 3.12 starts no thread once the end of the interpreter has begun"
)


class TestTheEnd:
    @fault(61)
    def test_our_threads_may_log_while_the_interpreter_ends(self, backend_name: str) -> None:
        """With everything logged to stderr by daemon threads and timers: no fatal error, no traceback."""
        if backend_name == "minimal" and sys.version_info[:2] == (3, 12):
            pytest.skip("CPython 3.12 starts no thread once its end has begun, and this engine replaces its workers")
        finished = run_script(
            script("""
            import logging
            logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
            executor = backend.executor(max_tasks_per_worker=1)

            def chatter(n):
                logging.getLogger("manyhands.test").warning("task %s", n)

            for n in range(200):
                executor.submit(chatter, n)
            backend.every(0.0005, chatter, "timed")
            backend.after(1000, chatter, "never")
            backend.Activity(target=lambda: [chatter("activity") for _ in range(200)], daemon=True).start()
            """),
            backend_name,
        )

        assert finished.returncode == 0
        assert all(f"WARNING:manyhands.test:task {n}\n" in finished.stderr for n in range(200))
        assert "Fatal" not in finished.stderr
        assert "Traceback" not in finished.stderr
        assert "Exception ignored" not in finished.stderr

    @fault(61)
    def test_prints_of_tasks_at_the_end_are_whole(self, backend_name: str) -> None:
        """What accepted tasks print while the program ends is printed, every line of it."""
        finished = run_script(
            script("""
            executor = backend.executor()
            for n in range(300):
                executor.submit(print, "line", n)
            """),
            backend_name,
            env={"PYTHONUNBUFFERED": ""},
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        assert finished.stdout.split().count("line") == 300

    @fault(62)
    @pytest.mark.parametrize("when", ["before", pytest.param("after", marks=STARTS_THREADS_AT_THE_END)])
    def test_an_exit_handler_may_use_an_executor(self, backend_name: str, when: str) -> None:
        """Registered before the import of ours or after it: submit, map, a queue and a new executor work or refuse."""
        finished = run_script(
            f"""
            import atexit, faulthandler, sys
            faulthandler.dump_traceback_later(15, exit=True)

            def late():
                attempts = [
                    lambda: executor.submit(pow, 2, 2).result(5),
                    lambda: list(executor.map(abs, [-4], timeout=5))[0],
                    lambda: backend.executor().submit(pow, 2, 2).result(5),
                    lambda: backend.after(0, pow, 2, 2).result(5),
                ]
                for attempt in attempts:
                    try:
                        print(attempt())
                    except manyhands.ExecutorClosedError:
                        print("closed")
                executor.shutdown()
                backend.close()

            if {when == "before"}:
                atexit.register(late)
            import manyhands
            backend = manyhands.open_backend(sys.argv[1], max_workers=2)
            executor = backend.executor()
            executor.submit(pow, 2, 2).result()
            if {when == "after"}:
                atexit.register(late)
            """,
            backend_name,
        )

        assert (finished.returncode, finished.stderr) == (0, "")
        assert len(finished.stdout.split()) == 4
        assert set(finished.stdout.split()) <= {"4", "closed"}


class TestClocks:
    @fault(67)
    def test_no_deadline_is_on_the_wall_clock(self) -> None:
        """Nowhere in the sources is the time of day asked for."""
        found = []
        sources = [*ROOT.glob("core/src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py")]
        for path in (path for path in sources if "contract" not in path.parts):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                dotted = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
                imported = isinstance(node, ast.ImportFrom) and node.module == "time"
                names = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
                if dotted in {"time.time", "time.time_ns", "datetime.now"} or (
                    imported and names & {"time", "time_ns"}
                ):
                    found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}")

        assert found == []

    @fault(67)
    @pytest.mark.parametrize("jump", [-86400.0, 86400.0])
    def test_a_jump_of_the_wall_clock_ends_no_wait_and_lengthens_none(
        self, backend: Any, monkeypatch: pytest.MonkeyPatch, jump: float
    ) -> None:
        """Timeouts of results, events, queues and timers, while the time of day jumps a day at each look."""
        now = time.time
        jumps = iter(range(1, 1_000_000))
        monkeypatch.setattr(time, "time", lambda: now() + next(jumps) * jump)
        with backend.executor(max_workers=1) as executor:
            event = backend.event()
            future = executor.submit(event.wait, DEADLOCK_S)
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                future.result(0.1)
            with pytest.raises(manyhands.Empty):
                backend.queue().get(timeout=0.1)
            assert not backend.event().wait(0.1)
            assert backend.after(0.1, pow, 2, 2).result(DEADLOCK_S) == 4
            took = time.monotonic() - began
            event.set()
            assert future.result(DEADLOCK_S) is True

        assert 0.4 <= took < 2


class TestStorm:
    @fault(68)
    @pytest.mark.parametrize("seconds", [1, pytest.param(5, marks=slow)])
    def test_a_storm_of_signals(self, backend: Any, itimer_storm: Any, seconds: int) -> None:
        """A handler each millisecond: no item and no byte is lost, nothing fails, timeouts keep their time."""
        queue, (here, there) = backend.queue(10), backend.pipe()
        block = bytes(range(256)) * 512
        echoed = 0

        def echo() -> None:
            while (data := there.recv_bytes()) != b"end":
                there.send_bytes(data)

        def feed(first: int) -> None:
            for n in range(first, first + 20):
                queue.put(n, timeout=DEADLOCK_S)

        can_block = backend.capabilities.missing(["deterministic"])  # else a pipe would block everybody
        echoer = backend.Activity(target=echo, daemon=True)
        if can_block:
            echoer.start()
        with itimer_storm(1) as storm, backend.executor(max_workers=2) as executor:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                futures = [executor.submit(feed, first) for first in (0, 20)]
                assert sorted(queue.get(timeout=DEADLOCK_S) for _ in range(40)) == list(range(40))
                manyhands.wait(futures, DEADLOCK_S)
                if can_block:
                    here.send_bytes(block)
                    assert here.recv_bytes() == block
                    echoed += 1
            began = time.monotonic()
            assert not backend.event().wait(0.5)
            took = time.monotonic() - began
            assert solves_control_tasks(executor)
        if can_block:
            here.send_bytes(b"end")
            assert all_end([echoer])
        for end_of_pipe in (here, there):
            end_of_pipe.close()

        assert storm.handled > 100 * seconds
        assert 0.5 <= took < 0.5 * 1.1 + 0.1  # and some for a busy machine
        assert echoed or not can_block


@fault(86)
def test_two_thousand_descriptors(backend_name: str) -> None:
    """Opened before anything of ours: executors, timers, pipes and waits are at home beyond 1023."""
    finished = run_script(
        """
        import resource, os, sys
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        files = [os.dup(0) for _ in range(2000)]
        import manyhands
        with manyhands.open_executor(sys.argv[1], max_workers=2) as executor:
            backend = executor.backend
            print(list(executor.map(abs, range(-3, 0))), backend.after(0.01, pow, 2, 2).result(10))
            here, there = backend.pipe()
            print(here.fileno() > 1023, there.poll(0.01))
            here.send("hello")
            print(there.poll(10), there.recv())
        """,
        backend_name,
    )

    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.splitlines() == ["[3, 2, 1] 4", "True False", "True hello"]


@fault(46)
@pytest.mark.parametrize("by", ["shutdown", pytest.param("the end of the program", marks=STARTS_THREADS_AT_THE_END)])
def test_workers_that_are_replaced_leave_no_work_behind(backend_name: str, by: str) -> None:
    """A worker that ends after its one task starts the next one: who waits for the end waits for that, too."""
    finished = run_script(
        script(f"""
        executor = backend.executor(max_tasks_per_worker=1)
        done = []

        def work(n):
            backend.sleep(0.0005)
            done.append(n)
            if len(done) == 100:
                say("all done")

        for n in range(100):
            executor.submit(work, n)
        if {by == "shutdown"}:
            executor.shutdown()
            say(len(done))
        """),
        backend_name,
    )

    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.split("\n")[:2] == (["all done", "100"] if by == "shutdown" else ["all done", ""])
