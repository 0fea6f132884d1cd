"""with_options: how single tasks are treated."""

from typing import Any, Final

import pytest

import manyhands
from manyhands import ConfigError, Executor, UnsupportedError, current_task

from .support import DEADLOCK_S, occupied

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault
bad_input: Final = pytest.mark.bad_input


def fail_until(attempts: Any, enough: int, error: type[BaseException] = OSError) -> int:
    """Succeed in attempt number *enough*."""
    task = current_task()
    assert task is not None
    attempts.put(task.attempt)
    if task.attempt < enough:
        raise error(f"attempt {task.attempt}")
    return task.attempt


def append(order: Any, item: Any) -> None:
    order.put(item)


def task_name() -> str:
    task = current_task()
    assert task is not None
    return task.name


def drained(queue: Any) -> list[Any]:
    return [queue.get_nowait() for _ in range(queue.qsize())]


@pytest.mark.contract("manyhands.TaskOptions")
class TestRetries:
    def test_it_is_tried_again_until_it_works(self, executor: Executor, backend: Any) -> None:
        """The attempts are numbered, the future sees only the last."""
        attempts = backend.queue()
        future = executor.with_options(retries=5).submit(fail_until, attempts, 3)

        assert future.result(DEADLOCK_S) == 3
        assert drained(attempts) == [1, 2, 3]

    @fault(16)
    def test_in_the_end_the_last_error_arrives(self, executor: Executor, backend: Any) -> None:
        """Two retries are three attempts."""
        attempts = backend.queue()
        future = executor.with_options(retries=2).submit(fail_until, attempts, 100)

        with pytest.raises(OSError, match="attempt 3"):
            future.result(DEADLOCK_S)
        assert drained(attempts) == [1, 2, 3]

    def test_without_retries_it_is_tried_once(self, executor: Executor, backend: Any) -> None:
        """The default is at most once."""
        attempts = backend.queue()
        executor.submit(fail_until, attempts, 2).exception(DEADLOCK_S)

        assert drained(attempts) == [1]

    def test_only_for_the_errors_that_are_worth_it(self, executor: Executor, backend: Any) -> None:
        """``retry_on`` is a class or a tuple of classes."""
        attempts = backend.queue()
        view = executor.with_options(retries=5, retry_on=(ConnectionError, TimeoutError))

        assert view.submit(fail_until, attempts, 2, ConnectionResetError).result(DEADLOCK_S) == 2
        assert isinstance(view.submit(fail_until, attempts, 2, KeyError).exception(DEADLOCK_S), KeyError)
        assert drained(attempts) == [1, 2, 1]

    def test_what_is_no_exception_is_not_tried_again_by_default(self, executor: Executor, backend: Any) -> None:
        """A task that exits meant to."""
        attempts = backend.queue()
        future = executor.with_options(retries=5).submit(fail_until, attempts, 3, SystemExit)

        assert isinstance(future.exception(DEADLOCK_S), SystemExit)
        assert drained(attempts) == [1]

    def test_a_retry_goes_to_the_end_of_the_line(self, backend: Any) -> None:
        """It does not keep others waiting."""
        order = backend.queue()
        with backend.executor(max_workers=1) as executor:
            with occupied(executor, 1):
                executor.with_options(retries=1).submit(fail_until, order, 2)
                executor.submit(append, order, "other")

        assert drained(order) == [1, "other", 2]

    def test_it_counts_as_one_task(self, backend: Any) -> None:
        """In the statistics, however often it was tried."""
        attempts = backend.queue()
        with backend.executor(max_workers=1) as executor:
            executor.with_options(retries=5).submit(fail_until, attempts, 4).result(DEADLOCK_S)
            executor.submit(pow, 2, 2).result(DEADLOCK_S)
            stats = executor.stats()

        assert (stats.pending, stats.running, stats.done, stats.failed) == (0, 0, 2, 0)

    def test_it_has_one_future_and_callbacks_are_called_once(self, executor: Executor, backend: Any) -> None:
        """After the last attempt."""
        attempts, calls = backend.queue(), []
        with occupied(executor):
            future = executor.with_options(retries=5).submit(fail_until, attempts, 4)
            future.add_done_callback(lambda done: calls.append(done.result()))
        future.result(DEADLOCK_S)
        executor.shutdown()

        assert calls == [4]


@pytest.mark.contract("manyhands.TaskOptions")
class TestPriority:
    def test_the_higher_starts_earlier(self, backend: Any) -> None:
        """Among those that wait; equals in the order in which they came."""
        order = backend.queue()
        with backend.executor(max_workers=1) as executor:
            with occupied(executor, 1):
                for number, priority in enumerate([0, 5, -5, 5, 1, 0]):
                    executor.with_options(priority=priority).submit(append, order, (priority, number))

        assert drained(order) == [(5, 1), (5, 3), (1, 4), (0, 0), (0, 5), (-5, 2)]

    def test_ordinary_tasks_have_priority_zero(self, backend: Any) -> None:
        """Also those that were submitted before anybody used priorities."""
        order = backend.queue()
        with backend.executor(max_workers=1) as executor:
            with occupied(executor, 1):
                executor.submit(append, order, "early, ordinary")
                executor.with_options(priority=-1).submit(append, order, "low")
                executor.with_options(priority=1).submit(append, order, "high")
                executor.submit(append, order, "late, ordinary")

        assert drained(order) == ["high", "early, ordinary", "late, ordinary", "low"]

    def test_a_cancelled_one_is_skipped(self, backend: Any) -> None:
        """The next best takes its turn."""
        order = backend.queue()
        with backend.executor(max_workers=1) as executor:
            with occupied(executor, 1):
                futures = [executor.with_options(priority=n).submit(append, order, n) for n in range(5)]
                assert futures[4].cancel()
                assert futures[2].cancel()

        assert drained(order) == [3, 1, 0]

    def test_many_with_priorities_are_all_done(self, executor: Executor) -> None:
        """By both workers."""
        futures = [executor.with_options(priority=n % 7 - 3).submit(pow, n, 2) for n in range(500)]

        assert [future.result(DEADLOCK_S) for future in futures] == [n * n for n in range(500)]

    def test_closing_with_cancel_reaches_them(self, backend: Any) -> None:
        """They are queued like any other."""
        executor = backend.executor(max_workers=1)
        with occupied(executor, 1):
            futures = [executor.with_options(priority=n).submit(pow, 2, 2) for n in range(5)]
            executor.shutdown(wait=False, cancel_futures=True)
        executor.shutdown()

        assert all(future.cancelled() for future in futures)


@pytest.mark.contract("manyhands.TaskOptions")
class TestNames:
    def test_a_task_can_be_named(self, executor: Executor) -> None:
        """For logs, errors and itself."""
        assert executor.with_options(name="nightly report").submit(task_name).result(DEADLOCK_S) == "nightly report"

    def test_without_a_name_it_is_called_like_its_function(self, executor: Executor) -> None:
        """By the qualified name."""
        assert executor.submit(task_name).result(DEADLOCK_S) == "task_name"


@pytest.mark.contract("manyhands.TaskOptions")
class TestTimeout:
    @fault(65)
    @bad_input(37)
    @capability("not task_timeout")
    def test_a_backend_that_cannot_stop_a_task_says_so_at_once(self, executor: Executor, backend: Any) -> None:
        """UnsupportedError names the backend and the capability; nothing is silently ignored."""
        with pytest.raises(UnsupportedError) as caught:
            executor.with_options(timeout=1)

        assert str(caught.value) == (
            f"backend {backend.name!r} does not offer a timeout for running tasks "
            "(it lacks the capability 'task_timeout')"
        )

    @fault(65)
    @capability("task_timeout")
    def test_a_task_that_runs_too_long_is_stopped(self, backend: Any) -> None:
        """TaskTimeoutError within the timeout and the grace; the executor goes on at full size."""
        started, release = backend.event(), backend.event()
        with backend.executor(max_workers=2, grace=0.1) as executor:
            future = executor.with_options(timeout=0.2).submit(hold, started, release)

            with pytest.raises(manyhands.TaskTimeoutError, match=r"hold ran longer than its timeout of 0.2 s"):
                future.result(DEADLOCK_S)
            with occupied(executor, 2):
                pass

    @capability("task_timeout")
    def test_it_counts_from_the_start_of_the_task(self, backend: Any) -> None:
        """The time in the queue is not counted."""
        with backend.executor(max_workers=1) as executor:
            with occupied(executor, 1):
                future = executor.with_options(timeout=5).submit(pow, 2, 2)

            assert future.result(DEADLOCK_S) == 4

    def test_no_timeout_is_always_offered(self, executor: Executor) -> None:
        """None and infinity ask for nothing."""
        for timeout in (None, float("inf")):
            assert executor.with_options(timeout=timeout).submit(pow, 2, 2).result(DEADLOCK_S) == 4


def hold(started: Any, release: Any) -> None:
    started.set()
    release.wait(DEADLOCK_S)


@pytest.mark.contract("manyhands.Executor.with_options")
class TestViews:
    def test_it_is_an_executor_with_all_submitting_methods(self, executor: Executor) -> None:
        """submit, map, map_unordered and starmap."""
        view = executor.with_options(retries=1)

        assert isinstance(view, Executor)
        assert view.submit(pow, 2, 2).result(DEADLOCK_S) == 4
        assert list(view.map(abs, [-1, -2])) == [1, 2]
        assert sorted(view.map_unordered(abs, [-1, -2])) == [1, 2]
        assert list(view.starmap(pow, [(2, 3), (3, 2)])) == [8, 9]

    def test_options_add_up(self, executor: Executor) -> None:
        """A view of a view has both; the later one wins."""
        view = executor.with_options(name="one", retries=3).with_options(name="two")

        assert view.submit(task_name).result(DEADLOCK_S) == "two"
        assert view._options.retries == 3

    def test_the_executor_itself_is_not_changed(self, executor: Executor) -> None:
        """Nor are other views of it."""
        executor.with_options(name="other")

        assert executor.submit(task_name).result(DEADLOCK_S) == "task_name"

    @pytest.mark.parametrize("close", ["shutdown", "terminate_workers", "kill_workers", "__enter__"])
    def test_closing_it_is_an_error(self, executor: Executor, close: str) -> None:
        """TypeError says whom to close; the executor stays open."""
        view = executor.with_options(retries=1)
        with pytest.raises(TypeError, match="shut down the executor it was made from"):
            getattr(view, close)()

        assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    def test_with_is_an_error(self, executor: Executor) -> None:
        """It would close."""
        with pytest.raises(TypeError, match="this is a view made by with_options"), executor.with_options(retries=1):
            pass

    def test_it_shares_the_statistics(self, executor: Executor) -> None:
        """It is the same pool."""
        executor.with_options(retries=1).submit(pow, 2, 2).result(DEADLOCK_S)

        assert executor.stats().done == 1

    def test_resizing_it_resizes_the_executor(self, executor: Executor) -> None:
        """Looking after it is allowed."""
        executor.with_options(retries=1).resize(3)

        assert "3 workers" in repr(executor)

    @bad_input(29)
    def test_options_never_collide_with_the_tasks_keywords(self, executor: Executor) -> None:
        """The same words may be used on both sides."""
        view = executor.with_options(name="ours", retries=1)

        assert view.submit(dict, name="theirs", retries=7).result(DEADLOCK_S) == {"name": "theirs", "retries": 7}

    def test_an_unknown_option_is_refused_with_the_nearest(self, executor: Executor) -> None:
        """A typing mistake costs no search."""
        with pytest.raises(ConfigError, match="no option 'retrys', did you mean 'retries'"):
            executor.with_options(retrys=1)

    @bad_input(12)
    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("retries", -1),
            ("retries", 1.5),
            ("retries", True),
            ("retries", "2"),
            ("retry_on", "OSError"),
            ("retry_on", (OSError, 3)),
            ("priority", 1.5),
            ("priority", 2**40),
            ("timeout", -1),
            ("timeout", float("nan")),
            ("timeout", "5"),
            ("grace", -1),
            ("grace", float("nan")),
            ("name", 3),
            ("context", "yes"),
        ],
    )
    def test_values_that_cannot_be_are_refused(self, executor: Executor, option: str, value: Any) -> None:
        """ConfigError names the option, what is allowed, and the value."""
        with pytest.raises(ConfigError, match=rf"TaskOptions\.{option} must be "):
            executor.with_options(**{option: value})
