"""Plugins that do not import, share a name, lie about what they can do, or break their side of the contract."""

import logging
import signal
import textwrap
import time
from typing import Any

import attrs
import pytest

import manyhands
from manyhands import (
    Backend,
    BackendLoadError,
    BackendOptions,
    Capabilities,
    Event,
    ExecutorOptions,
    LocalHost,
    Runnable,
    Worker,
)
from manyhands.contract.support import DEADLOCK_S, run_script

fault = pytest.mark.fault

GROUP = "manyhands.backends"

#: A backend in order that runs everything at once, where it is submitted.
GOOD = """
import threading
from manyhands import Backend, BackendOptions, Capabilities, LocalHost, Worker

class Engine:
    def __init__(self):
        self.worker = Worker("only")
    def start(self, task):
        task.run(self.worker)
    def stop(self, task, *, kill):
        return False
    def resize(self, n): ...
    def workers(self):
        return ()
    def close(self, *, cancel, deadline):
        return True

class Good(Backend):
    name = "good"
    contract = 1
    capabilities = Capabilities(in_process=True)
    options_type = BackendOptions
    def make_engine(self, options):
        return Engine()
    def make_host(self):
        return LocalHost()
    def start_activity(self, activity): ...
"""

#: What the modules of bad plugins do when they are imported.
BAD = {
    "raises": "raise ValueError('of the plugin')",
    "exits": "import sys; sys.exit(3)",
    "hangs": "import time; time.sleep(10)",
    "prints": "print('printed by the plugin')",
    "lacks": "import no_such_module_anywhere",
}


@fault(99)
class TestImports:
    @pytest.fixture(autouse=True)
    def _installed(self, fake_dist: Any) -> None:
        fake_dist("good-dist", "1.0", {GROUP: {"good": "good_module:Good"}}, {"good_module": GOOD})
        for kind, source in BAD.items():
            fake_dist(f"{kind}-dist", "0.3", {GROUP: {kind: f"{kind}_module:Bad"}}, {f"{kind}_module": source})

    def test_all_are_listed_and_none_is_imported(self, capfd: pytest.CaptureFixture[str]) -> None:
        """At once, whatever they would do; nothing is printed."""
        began = time.monotonic()
        found = {info.name: info for info in manyhands.backends()}

        assert time.monotonic() - began < 5
        assert {found[name].status for name in (*BAD, "good")} == {"installed"}
        assert found["hangs"].distribution == "hangs-dist"
        assert capfd.readouterr() == ("", "")

    def test_the_good_one_works_beside_them(self) -> None:
        """Opening it imports no other one."""
        with manyhands.open_executor("good") as executor:
            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("raises", "importing raises_module raised ValueError: of the plugin"),
            ("exits", "importing exits_module raised SystemExit: 3"),
            ("prints", "looking up prints_module:Bad raised AttributeError"),
            ("lacks", "importing lacks_module raised ModuleNotFoundError"),
        ],
    )
    def test_a_bad_one_harms_only_who_asks_for_it(self, name: str, text: str) -> None:
        """BackendLoadError names the distribution and what happened; the good one goes on working."""
        with pytest.raises(BackendLoadError, match=text) as caught:
            manyhands.open_backend(name)

        assert f"{name}-dist 0.3" in str(caught.value)
        with manyhands.open_executor("good") as executor:
            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    def test_a_requirement_that_the_good_one_meets_skips_the_bad_ones(self) -> None:
        """``requires=`` tries one after the other, each guarded, the configured one first."""
        with manyhands.configured("good"), manyhands.open_backend(requires={"in_process"}) as backend:
            assert backend.name == "good"


@fault(100)
class TestNames:
    def test_a_name_that_two_offer_is_refused(self, fake_dist: Any) -> None:
        """The error names both distributions with their versions."""
        fake_dist("first-dist", "1.0", {GROUP: {"same": "first_module:Good"}}, {"first_module": GOOD})
        fake_dist("second-dist", "2.0", {GROUP: {"same": "second_module:Good"}}, {"second_module": GOOD})

        with pytest.raises(BackendLoadError, match=r"first-dist 1\.0 .* and second-dist 2\.0 .*uninstall all but one"):
            manyhands.open_backend("same")

    def test_ours_are_never_replaced_silently(self, fake_dist: Any) -> None:
        """Who takes the name of an installed backend makes the name useless, with both named."""
        installed = [info.name for info in manyhands.backends()]
        if not installed:
            pytest.skip("no backend is installed")
        fake_dist("cuckoo", "9.9", {GROUP: {installed[0]: "cuckoo_module:Good"}}, {"cuckoo_module": GOOD})

        with pytest.raises(BackendLoadError, match=rf"manyhands-{installed[0]}.*|cuckoo 9\.9.*") as caught:
            manyhands.open_backend(installed[0])
        assert "cuckoo 9.9" in str(caught.value)
        assert f"{installed[0]}" in str(caught.value)

    def test_a_distribution_that_is_there_twice_is_taken_once(
        self, fake_dist: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first one on the path, with a warning that names both places."""
        points = {GROUP: {"good": "good_module:Good"}}
        fake_dist("good-dist", "1.0", points, {"good_module": GOOD})
        fake_dist("good-dist", "2.0", points, {"good_module": GOOD}, folder=tmp_path / "older")
        monkeypatch.syspath_prepend(str(tmp_path / "older"))

        with pytest.warns(manyhands.ManyhandsWarning, match="good-dist is on the path twice: .*older.* is used"):
            found = [info for info in manyhands.backends() if info.name == "good"]
        assert [info.version for info in found] == ["2.0"]


@attrs.define(eq=False)
class Manners:
    """How the engine of the plugin under test behaves."""

    #: Called with each task instead of running it.
    start: Any = None
    stop: Any = False
    close: Any = True
    workers: Any = ()
    closed: bool = False


class RudeEngine:
    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.worker = Worker("rude")

    def start(self, task: Runnable) -> None:
        if self.manners.start is not None:
            self.manners.start(task)
        else:
            task.run(self.worker)

    def stop(self, task: Runnable, *, kill: bool) -> bool:
        return bool(_said(self.manners.stop))

    def resize(self, n: int) -> None: ...

    def workers(self) -> tuple[Worker, ...]:
        return tuple(self.manners.workers)

    def close(self, *, cancel: bool, deadline: float | None) -> bool:
        self.manners.closed = True
        return bool(_said(self.manners.close))


def _said(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer


class RudeBackend(Backend[BackendOptions]):
    name = "rude"
    contract = 1
    capabilities = Capabilities(in_process=True, cancel_running=True, task_timeout=True)

    def __init__(self, *manners: Manners) -> None:
        super().__init__(BackendOptions())
        self._manners = list(manners)

    def make_engine(self, options: ExecutorOptions) -> RudeEngine:
        return RudeEngine(self._manners.pop(0) if self._manners else Manners())

    def make_host(self) -> LocalHost:
        return LocalHost()

    def start_activity(self, activity: Any) -> Any:
        raise OSError("no activities today")


@fault(101)
class TestLies:
    """It says that it can stop running tasks and keep timeouts: it cannot. Each lie costs the call that believes it."""

    @pytest.mark.parametrize("answer", [True, False, OSError("no such process"), ValueError()])
    def test_stopping_a_running_task(self, answer: Any) -> None:
        """``cancel(running=True)`` returns and never raises; the task ends as it ends, others are unharmed."""
        kept: list[Any] = []
        with RudeBackend(Manners(start=kept.append, stop=answer)) as backend, backend.executor() as executor:
            future = executor.submit(pow, 2, 2)
            assert kept[0].claim(Worker("rude"))
            assert future.cancel(running=True) is (answer is True)
            kept[0].finish(4)
            assert future.result(DEADLOCK_S) == 4
            executor.submit(pow, 2, 3)
            kept[1].run(Worker("rude"))

        assert kept[1].result(0) == 8

    def test_a_timeout_that_is_not_kept(self) -> None:
        """The task runs on, and its future has its result."""
        with RudeBackend() as backend, backend.executor() as executor:
            assert executor.with_options(timeout=0.001).submit(time.sleep, 0.01).result(DEADLOCK_S) is None

    def test_an_order_that_is_not_kept(self) -> None:
        """Last in, first out: each future still gets its own result, and so does each place of a map."""
        kept: list[Any] = []
        with RudeBackend(Manners(start=kept.append)) as backend, backend.executor() as executor:
            futures = [executor.submit(pow, 2, n) for n in range(10)]
            results = executor.map(abs, range(-5, 0), chunksize=1)
            while kept:
                kept.pop().run(Worker("rude"))

            assert [future.result(0) for future in futures] == [2**n for n in range(10)]
            assert list(results) == [5, 4, 3, 2, 1]

    def test_activities_that_do_not_start(self) -> None:
        """The error comes out of ``start``; tasks and primitives go on."""
        with RudeBackend() as backend, backend.executor() as executor:
            with pytest.raises(OSError, match="no activities today"):
                backend.Activity(target=print).start()

            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4
            assert backend.lock().acquire()


@fault(102)
class TestBadFutures:
    def test_a_task_that_is_never_run(self) -> None:
        """Whoever waits with a timeout gets his time back, closing returns, and the task can be cancelled."""
        with RudeBackend(Manners(start=lambda task: None)) as backend, backend.executor() as executor:
            future = executor.submit(pow, 2, 2)
            with pytest.raises(TimeoutError):
                future.result(0.05)
            assert manyhands.wait([future], 0.05).not_done == {future}

        assert future.cancel() is True

    def test_a_task_that_is_finished_twice(self, caplog: pytest.LogCaptureFixture) -> None:
        """The first delivery counts, the second one is logged, and callbacks are called once."""
        caplog.set_level(logging.DEBUG, "manyhands")
        called: list[Any] = []

        def twice(task: Any) -> None:
            task.add_done_callback(called.append)
            assert task.claim(Worker("rude"))
            task.finish("first")
            task.finish("second")
            task.fail(ValueError())

        with RudeBackend(Manners(start=twice)) as backend, backend.executor() as executor:
            future = executor.submit(pow, 2, 2)
            stats = executor.stats()

        assert str(future.result(0)) == "first"
        assert called == [future]
        assert (stats.done, stats.failed) == (1, 0)
        assert [record.message.split()[0] for record in caplog.records].count("task.delivered_late") == 2

    def test_a_result_that_comes_from_a_signal_handler(self) -> None:
        """In the middle of the wait for it."""
        kept: list[Any] = []
        before = signal.signal(signal.SIGALRM, lambda *_: kept[0].run(Worker("rude")))
        try:
            with RudeBackend(Manners(start=kept.append)) as backend, backend.executor() as executor:
                future = executor.submit(pow, 2, 2)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                assert future.result(DEADLOCK_S) == 4
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_an_engine_that_cannot_be_closed(self) -> None:
        """All else is closed, and an ExceptionGroup tells what was not."""
        first, last = Manners(close=OSError("first")), Manners(close=ValueError("last"))
        backend = RudeBackend(first, Manners(), last)
        executors = [backend.executor() for _ in range(3)]
        event: Event = backend.event()

        with pytest.raises(ExceptionGroup, match=r"backend 'rude' was closed, but .* failed to: \w+\('") as caught:
            backend.close()

        assert sorted(map(str, caught.value.exceptions)) == ["first", "last"]
        assert first.closed
        assert last.closed
        for executor in executors:
            with pytest.raises(manyhands.ExecutorClosedError):
                executor.submit(pow, 2, 2)
        with pytest.raises(manyhands.ExecutorClosedError):
            event.set()
        backend.close()

    def test_an_engine_that_raises_in_submit(self) -> None:
        """The error comes out of that call, and the next one is not harmed."""
        problems = [OSError("not now")]

        def start(task: Any) -> None:
            if problems:
                raise problems.pop()
            task.run(Worker("rude"))

        with RudeBackend(Manners(start=start)) as backend, backend.executor() as executor:
            with pytest.raises(OSError, match="not now"):
                executor.submit(pow, 2, 2)

            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4


@fault(102)
def test_a_backend_that_cannot_be_closed_at_the_exit_keeps_no_other_one_open() -> None:
    """What was accepted elsewhere is finished, and the interpreter tells what happened."""
    finished = run_script(
        GOOD
        + textwrap.dedent("""
        import manyhands, time

        class Rude(Engine):
            def close(self, *, cancel, deadline):
                raise OSError("not now")

        class Bad(Good):
            name = "bad"
            def make_engine(self, options):
                return Rude()

        class Late(Engine):
            def close(self, *, cancel, deadline):
                print("closed")
                return True

        class Other(Good):
            name = "other"
            def make_engine(self, options):
                return Late()

        backends = [kind(BackendOptions()) for kind in (Bad, Other, Bad, Other, Bad)]
        executors = [backend.executor() for backend in backends]
        """)
    )

    assert finished.stdout.count("closed") == 2
    assert "parts of it failed to: OSError('not now')" in finished.stderr


@fault(103)
@pytest.mark.parametrize("seeds", [50, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
def test_a_seed_is_replayed_byte_by_byte_in_another_process(seeds: int) -> None:
    """Whatever strings hash to there; the hour that the program sleeps in all is virtual."""
    pytest.importorskip("manyhands_dummy", reason="the dummy backend is not installed")
    source = """
        import hashlib, sys, time
        import manyhands
        from manyhands_dummy import replay

        def program(backend):
            log, queue, lock = [], backend.queue(3), backend.lock()

            def work(n):
                with lock:
                    log.append(n)
                backend.sleep(10 * n)
                queue.put(n)
                return n

            def listen():
                for _ in range(6):
                    log.append(("got", queue.get()))

            listener = backend.Activity(target=listen, name="listener")
            listener.start()
            with backend.executor(max_workers=3) as executor:
                futures = [executor.submit(work, n) for n in range(6)]
                futures[5].add_done_callback(lambda future: log.append("called back"))
                log.extend(future.result() for future in manyhands.as_completed(futures))
                log.extend(future.result() for future in manyhands.as_completed(futures))  # all are done
                log.extend(executor.map(abs, range(-3, 0)))
                log.extend(executor.map_unordered(abs, range(-9, 0), chunksize=1))
            listener.join()
            raise AssertionError(str(log))

        began = time.monotonic()
        for seed in range(int(sys.argv[1])):
            for _ in range(2):
                trace = str(replay(program, seed))
                assert trace.startswith(f"seed {seed}: AssertionError: [") and "called back" in trace
                print(hashlib.sha256(trace.partition(":")[2].encode()).hexdigest())
        assert time.monotonic() - began < 0.1 * 2 * int(sys.argv[1]) + 5
        """
    traces = [
        run_script(source, str(seeds), env={"PYTHONHASHSEED": hash_seed, "PYTHONUNBUFFERED": ""})
        for hash_seed in ("1", "4242")
    ]

    assert [trace.stderr for trace in traces] == ["", ""]
    assert traces[0].stdout == traces[1].stdout
    runs = traces[0].stdout.split()
    assert len(runs) == 2 * seeds
    assert runs[::2] == runs[1::2]
    assert len(set(runs)) > seeds / 2  # a seed is not another one's
