"""joblib on top: ``parallel_config("manyhands")``."""

import itertools
import multiprocessing
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import manyhands
from manyhands.contract.support import DEADLOCK_S

joblib: Any = pytest.importorskip("joblib", reason="joblib is not installed")
Parallel, delayed = joblib.Parallel, joblib.delayed

from manyhands import joblib as ours  # noqa: E402 - it needs joblib

capability = pytest.mark.capability


def square(number: int) -> int:
    return number * number


def sum_of_squares(n: int, **parallel: Any) -> int:
    return sum(Parallel(**parallel)(delayed(square)(number) for number in range(n)))


def fail_at_three(number: int) -> int:
    if number == 3:
        raise KeyError(number)
    return number


def task_of_ours(_: object = None) -> bool:
    return manyhands.current_task() is not None


def wait_for(event: Any) -> bool:
    return bool(event.wait(DEADLOCK_S))


class Watcher:
    """What backends were opened and closed, and the sizes of their executors."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.closed: list[Any] = []
        self.tasks = 0
        self.executors: set[Any] = set()

    @manyhands.hookimpl
    def manyhands_backend_opened(self, backend: Any) -> None:
        self.opened.append(backend)

    @manyhands.hookimpl
    def manyhands_backend_closed(self, backend: Any) -> None:
        self.closed.append(backend)

    @manyhands.hookimpl
    def manyhands_task_submitted(self, executor: Any, task: Any) -> None:
        self.tasks += 1
        self.executors.add(executor)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the time of a test."""
    monkeypatch.setattr(joblib.parallel, "BACKENDS", dict(joblib.parallel.BACKENDS))
    ours.register()


@pytest.fixture
def watcher() -> Iterator[Watcher]:
    watcher = Watcher()
    with manyhands.observe(watcher):
        yield watcher


@pytest.fixture
def configured(backend: Any) -> Iterator[None]:
    """Two jobs on the backend under test; opened once more, as every time."""
    with joblib.parallel_config("manyhands", name=backend.name, n_jobs=2):
        yield


@pytest.mark.usefixtures("configured")
class TestResults:
    def test_in_order(self) -> None:
        """As joblib has them."""
        assert Parallel()(delayed(square)(number) for number in range(50)) == [n * n for n in range(50)]

    def test_as_a_generator(self) -> None:
        """In order, as they are asked for."""
        results = Parallel(return_as="generator")(delayed(square)(number) for number in range(50))

        assert next(results) == 0
        assert list(results) == [n * n for n in range(1, 50)]

    def test_as_a_generator_unordered(self) -> None:
        """Each once."""
        results = Parallel(return_as="generator_unordered")(delayed(square)(number) for number in range(50))

        assert sorted(results) == [n * n for n in range(50)]

    def test_two_generators_at_once(self) -> None:
        """Neither ends the other."""
        first = Parallel(return_as="generator")(delayed(square)(number) for number in range(100))
        second = Parallel(return_as="generator")(delayed(square)(number) for number in range(5))

        assert list(zip(second, first, strict=False)) == [(n * n, n * n) for n in range(5)]
        assert list(first) == [n * n for n in range(5, 100)]

    @pytest.mark.filterwarnings("ignore:.*tasks:UserWarning")
    def test_a_generator_beside_one_that_is_dropped(self) -> None:
        """Goes on."""
        first = Parallel(return_as="generator")(delayed(square)(number) for number in range(1000))
        second = Parallel(return_as="generator")(delayed(square)(number) for number in range(1000))
        assert (next(first), next(second)) == (0, 0)
        del first

        assert list(second) == [n * n for n in range(1, 1000)]

    @pytest.mark.filterwarnings("ignore:.*tasks:UserWarning")
    def test_a_generator_that_is_dropped(self, watcher: Watcher) -> None:
        """Closes what was opened; joblib warns of what it had under way."""
        results = Parallel(return_as="generator")(delayed(square)(number) for number in range(1000))
        next(results)
        del results

        assert len(watcher.opened) == 1
        assert watcher.opened == watcher.closed

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_in_batches(self, size: int, watcher: Watcher) -> None:
        """``batch_size`` calls are one task of ours; the last ones are spread."""
        calls = (delayed(square)(number) for number in range(100))

        assert Parallel(batch_size=size, pre_dispatch="all")(calls) == [n * n for n in range(100)]
        assert watcher.tasks >= 100 // size

    @capability("in_process")
    def test_not_in_batches(self, watcher: Watcher, backend: Any) -> None:
        """Short calls are tasks of their own, where that costs nothing."""
        Parallel()(delayed(square)(number) for number in range(500))

        assert watcher.tasks == 500

    def test_nothing(self) -> None:
        """No calls, no results."""
        assert Parallel()([]) == []

    def test_keywords_and_lambdas(self) -> None:
        """Whatever ``delayed`` takes."""
        assert Parallel()(delayed(lambda a, b=1: a + b)(n, b=n) for n in range(3)) == [0, 2, 4]

    def test_they_run_in_our_tasks(self) -> None:
        """Nowhere else."""
        assert all(Parallel()(delayed(task_of_ours)() for _ in range(10)))

    @capability("in_process")
    def test_calls_that_wait_for_each_other(self, backend: Any) -> None:
        """Two jobs run at the same time."""
        meeting = Meeting(2)

        assert sorted(Parallel()(delayed(meeting.join)() for _ in range(2))) == [0, 1]


class Meeting:
    """A barrier of whatever backend the first one of *parties* tasks runs on."""

    def __init__(self, parties: int) -> None:
        self._parties = parties
        self._barrier: Any = None
        self._first = threading.Lock()

    def join(self) -> int:
        with self._first:
            if self._barrier is None:
                self._barrier = manyhands.current_backend().barrier(self._parties)
        return int(self._barrier.wait(DEADLOCK_S))


class TestExceptions:
    @pytest.mark.usefixtures("configured")
    def test_arrive(self) -> None:
        """The first one, as it is."""
        with pytest.raises(KeyError, match="3"):
            Parallel()(delayed(fail_at_three)(number) for number in range(10))

    @pytest.mark.usefixtures("configured")
    @capability("in_process")
    def test_say_where(self) -> None:
        """joblib takes the traceback away; a note has it."""
        with pytest.raises(KeyError) as caught:
            Parallel()(delayed(fail_at_three)(number) for number in range(10))

        assert "Traceback of the task" in caught.value.__notes__[0]
        assert "fail_at_three" in caught.value.__notes__[0]

    @pytest.mark.usefixtures("configured")
    @capability("in_process")
    def test_ask_what_runs_to_stop(self) -> None:
        """The others are told, as by ``terminate_workers``."""
        meeting, stopped = Meeting(2), []

        def go_on() -> None:
            meeting.join()
            task: Any = manyhands.current_task()
            backend = manyhands.current_backend()
            end = backend.monotonic() + DEADLOCK_S
            while not task.cancel_requested and backend.monotonic() < end:
                backend.sleep(0.001)
            stopped.append(task.cancel_requested)

        def fail() -> None:
            meeting.join()
            raise KeyError(3)

        with pytest.raises(KeyError):
            Parallel()(delayed(fn)() for fn in (go_on, fail))
        assert stopped == [True]

    @pytest.mark.usefixtures("configured")
    @capability("in_process")
    def test_that_come_again(self) -> None:
        """Do not grow with every call."""
        error = LookupError("always the same")

        def fail() -> None:
            raise error

        for _ in range(3):
            with pytest.raises(LookupError, match="always the same"):
                Parallel()(delayed(fail)() for _ in range(2))
        assert len(error.__notes__) == 1

    @pytest.mark.usefixtures("configured")
    def test_end_what_was_opened(self, watcher: Watcher) -> None:
        """Also then."""
        with pytest.raises(KeyError):
            Parallel()(delayed(fail_at_three)(number) for number in range(10))

        assert len(watcher.opened) == 1
        assert watcher.opened == watcher.closed

    def test_nothing_more_is_submitted(self, backend_name: str, watcher: Watcher) -> None:
        """The rest of an endless input is left alone."""
        with pytest.raises(KeyError):
            Parallel(2, "manyhands", name=backend_name)(delayed(fail_at_three)(n) for n in itertools.count())

        assert watcher.tasks < 1000

    def test_a_managed_one_goes_on(self, backend_name: str) -> None:
        """In a ``with`` block the next call has workers again."""
        with Parallel(2, "manyhands", name=backend_name) as parallel:
            with pytest.raises(KeyError):
                parallel(delayed(fail_at_three)(number) for number in range(10))

            # joblib itself puts first what was in its hands when the call failed.
            assert parallel(delayed(square)(number) for number in range(10, 13))[-3:] == [100, 121, 144]

    @pytest.mark.usefixtures("configured")
    def test_in_the_input(self, watcher: Watcher) -> None:
        """An iterator that fails ends the call."""

        def calls() -> Iterator[Any]:
            yield delayed(square)(1)
            raise LookupError("no more input")

        with pytest.raises(LookupError, match="no more input"):
            Parallel()(calls())
        assert watcher.opened == watcher.closed

    @capability("in_process", "not deterministic")
    def test_a_timeout(self, backend: Any, watcher: Watcher) -> None:
        """Ends the call though a task does not end; what was opened is closed."""
        event = backend.event()
        timer = backend.timer(0.3, event.set)  # within the grace
        timer.start()
        with pytest.raises(multiprocessing.TimeoutError):
            Parallel(2, "manyhands", name=backend.name, timeout=0.05)(delayed(wait_for)(event) for _ in range(2))
        timer.join()

        assert watcher.opened == watcher.closed


class TestJobs:
    def test_a_number(self, backend_name: str, watcher: Watcher) -> None:
        """So many workers."""
        Parallel(3, "manyhands", name=backend_name)(delayed(square)(number) for number in range(10))

        assert [executor._max_workers for executor in watcher.executors] == [3]

    def test_all(self, backend_name: str) -> None:
        """-1 is what the config says; -2 is one less."""
        with manyhands.configured(backend_name, max_workers=5), joblib.parallel_config("manyhands"):
            assert [joblib.effective_n_jobs(n) for n in (-1, -2, -5, -9, 3)] == [5, 4, 1, 1, 3]

    def test_all_when_the_config_says_nothing(self, backend_name: str) -> None:
        """joblib's count of processors."""
        with joblib.parallel_config("manyhands", name=backend_name):
            assert joblib.effective_n_jobs(-1) == joblib.cpu_count()

    def test_not_given(self, backend_name: str, watcher: Watcher) -> None:
        """Who names us means all workers, not one."""
        with joblib.parallel_config("manyhands", name=backend_name, max_workers=3):
            Parallel()(delayed(square)(number) for number in range(10))

        assert [executor._max_workers for executor in watcher.executors] == [3]

    def test_one(self, backend_name: str, watcher: Watcher) -> None:
        """joblib runs that in a loop of its own, and nothing is opened."""
        assert Parallel(1, "manyhands", name=backend_name)([delayed(square)(3)]) == [9]
        assert not watcher.opened

    def test_none(self, backend_name: str) -> None:
        """Has no meaning."""
        with pytest.raises(ValueError, match="n_jobs must be a number of workers, or -1 for all, got 0"):
            Parallel(0, "manyhands", name=backend_name)([delayed(square)(3)])


class TestChoosing:
    def test_by_config(self, backend_name: str, watcher: Watcher) -> None:
        """Without a name the config decides, as everywhere."""
        with manyhands.configured(backend_name), joblib.parallel_config("manyhands", n_jobs=2):
            sum_of_squares(5)

        assert [backend.name for backend in watcher.opened] == [backend_name]

    def test_options(self, backend_name: str, watcher: Watcher) -> None:
        """Go to the backend."""
        with joblib.parallel_config("manyhands", name=backend_name, n_jobs=2, worker_name_prefix="jobs"):
            sum_of_squares(5)

        assert [backend.options.worker_name_prefix for backend in watcher.opened] == ["jobs"]

    def test_what_it_must_offer(self, backend_name: str, watcher: Watcher) -> None:
        """``requires`` chooses by capability."""
        with joblib.parallel_config("manyhands", name=backend_name, n_jobs=2, requires=["in_process"]):
            sum_of_squares(5)

        assert all(backend.capabilities.in_process for backend in watcher.opened)

    def test_by_parallel_backend(self, backend_name: str) -> None:
        """joblib's older way."""
        with joblib.parallel_backend("manyhands", n_jobs=2, name=backend_name):
            assert sum_of_squares(5) == 30

    def test_as_the_default(self, backend_name: str, monkeypatch: pytest.MonkeyPatch, watcher: Watcher) -> None:
        """``register(make_default=True)`` is for programs that name none."""
        monkeypatch.setattr(joblib.parallel, "DEFAULT_BACKEND", joblib.parallel.DEFAULT_BACKEND)
        ours.register(make_default=True)
        with manyhands.configured(backend_name):
            sum_of_squares(5, n_jobs=2)

        assert [backend.name for backend in watcher.opened] == [backend_name]

    def test_an_unknown_name(self) -> None:
        """Says what there is."""
        with joblib.parallel_config("manyhands", name="treading", n_jobs=2):
            with pytest.raises(manyhands.UnknownBackendError, match="no backend named 'treading' is installed"):
                sum_of_squares(5)

    def test_an_unknown_option(self, backend_name: str) -> None:
        """Says which one was meant, also in arguments of ``Parallel``."""
        with pytest.raises(manyhands.ConfigError, match="did you mean 'worker_name_prefix'"):
            Parallel(2, "manyhands", name=backend_name, worker_name_prefi="jobs")([delayed(square)(3)])

    @capability("in_process")
    def test_shared_memory(self, backend: Any, watcher: Watcher) -> None:
        """``require="sharedmem"`` is met where tasks run in this process."""
        seen: list[int] = []
        with joblib.parallel_config("manyhands", name=backend.name, n_jobs=2):
            Parallel(require="sharedmem")(delayed(seen.append)(number) for number in range(5))

        assert sorted(seen) == [0, 1, 2, 3, 4]
        assert watcher.tasks

    @capability("not in_process")
    def test_shared_memory_out_of_process(self, backend: Any, watcher: Watcher) -> None:
        """``require="sharedmem"`` then leads to joblib's own threads."""
        seen: list[int] = []
        with joblib.parallel_config("manyhands", name=backend.name, n_jobs=2):
            Parallel(require="sharedmem")(delayed(seen.append)(number) for number in range(5))

        assert sorted(seen) == [0, 1, 2, 3, 4]
        assert not watcher.tasks

    @capability("not isolation")
    def test_inner_threads_in_one_process(self, backend: Any) -> None:
        """Cannot be limited for some of its threads."""
        problem = "does not offer inner_max_num_threads: its workers share one process"
        with joblib.parallel_config("manyhands", name=backend.name, n_jobs=2, inner_max_num_threads=1):
            with pytest.raises(manyhands.UnsupportedError, match=problem):
                sum_of_squares(5)


class TestLife:
    @pytest.mark.usefixtures("configured")
    def test_a_call_opens_and_closes(self, watcher: Watcher) -> None:
        """One backend each."""
        sum_of_squares(5)
        sum_of_squares(5)

        assert len(watcher.opened) == 2
        assert watcher.opened == watcher.closed

    def test_a_with_block_keeps_the_workers(self, backend_name: str, watcher: Watcher) -> None:
        """They serve all calls in it."""
        with Parallel(2, "manyhands", name=backend_name) as parallel:
            for _ in range(3):
                parallel(delayed(square)(number) for number in range(5))
            assert len(watcher.opened) == 1
            assert not watcher.closed

        assert watcher.opened == watcher.closed
        assert len(watcher.executors) == 1

    @capability("not deterministic")
    def test_from_many_threads(self, backend: Any) -> None:
        """Each call has workers of its own."""
        results: list[int] = []

        def one() -> None:
            results.append(sum_of_squares(20, n_jobs=2, backend="manyhands", name=backend.name))

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLOCK_S)

        assert results == [2470] * 4

    def test_a_batch_that_comes_too_late(self, backend_name: str, watcher: Watcher) -> None:
        """Is cancelled: joblib's callbacks may submit while it ends the call. Nothing is opened for it."""
        late: list[Any] = []
        shared = ours._ManyhandsBackend(0, name=backend_name)
        with pytest.raises(joblib.parallel.FallbackToBackend) as fallback:
            shared.configure(2)
        for_one_call = fallback.value.backend
        for_one_call.configure(2)
        for_one_call.start_call()
        for_one_call.abort_everything(ensure_ready=False)
        future = for_one_call.submit(list, late.append)

        assert future.cancelled()
        assert late == [future]
        assert len(watcher.opened) == 1
        assert watcher.opened == watcher.closed

    @pytest.mark.usefixtures("configured")
    def test_somebody_else_closes_it(self) -> None:
        """Is an error, not a call that never ends."""
        with Parallel() as parallel:
            parallel(delayed(square)(number) for number in range(4))
            parallel._backend._executor.shutdown()
            with pytest.raises(manyhands.ExecutorClosedError, match="the executor was shut down"):
                parallel(delayed(square)(number) for number in range(4))


class TestNested:
    @pytest.mark.usefixtures("configured")
    def test_results(self) -> None:
        """A call in a call."""
        outer = Parallel()(delayed(sum_of_squares)(n, n_jobs=2) for n in range(10))

        assert outer == [sum(k * k for k in range(n)) for n in range(10)]

    @pytest.mark.usefixtures("configured")
    @capability("in_process")
    def test_on_the_same_backend(self, watcher: Watcher) -> None:
        """With workers of its own: no backend is opened for it."""
        Parallel()(delayed(sum_of_squares)(5, n_jobs=2) for _ in range(4))

        assert len(watcher.opened) == 1
        assert len(watcher.executors) == 1 + 4

    @pytest.mark.usefixtures("configured")
    @capability("in_process")
    def test_who_asks_for_nothing(self, watcher: Watcher) -> None:
        """Runs in the task, one call after the other: the workers are taken."""
        Parallel()(delayed(sum_of_squares)(5) for _ in range(4))

        assert len(watcher.executors) == 1

    @pytest.mark.usefixtures("configured")
    @capability("in_process")
    def test_two_levels_down(self, watcher: Watcher) -> None:
        """Everything is sequential, as joblib has it."""

        def middle(n: int) -> int:
            return sum(Parallel(n_jobs=2)(delayed(sum_of_squares)(n, n_jobs=2) for _ in range(2)))

        assert Parallel()(delayed(middle)(4) for _ in range(2)) == [28, 28]
        assert len(watcher.executors) == 1 + 2

    @pytest.mark.usefixtures("configured")
    def test_an_exception_inside(self, watcher: Watcher) -> None:
        """Comes out through both."""

        def inner() -> Any:
            return Parallel(n_jobs=2)(delayed(fail_at_three)(number) for number in range(5))

        with pytest.raises(KeyError, match="3"):
            Parallel()(delayed(inner)() for _ in range(4))
        assert watcher.opened == watcher.closed


def test_an_environment_for_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What limits numerical libraries is set before they are imported there."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    ours._set_environment({"OMP_NUM_THREADS": "3"})

    assert os.environ["OMP_NUM_THREADS"] == "3"
