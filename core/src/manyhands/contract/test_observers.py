"""Observers and log events: who listens is told, and nobody else pays."""

import logging
from collections import Counter
from typing import Any, Final

import pytest

import manyhands
from manyhands import hookimpl, observe

from .support import DEADLOCK_S, eventually, occupied, run_script

capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault


class Everything:
    """Notes every hook it is called with, and the facts."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, Any]]] = []

    @hookimpl
    def manyhands_backend_opened(self, backend: Any) -> None:
        self.seen.append(("backend_opened", {"backend": backend}))

    @hookimpl
    def manyhands_backend_closed(self, backend: Any) -> None:
        self.seen.append(("backend_closed", {"backend": backend}))

    @hookimpl
    def manyhands_worker_started(self, worker: Any) -> None:
        self.seen.append(("worker_started", {"worker": worker}))

    @hookimpl
    def manyhands_worker_exited(self, worker: Any, exitcode: int | None) -> None:
        self.seen.append(("worker_exited", {"worker": worker, "exitcode": exitcode}))

    @hookimpl
    def manyhands_task_submitted(self, executor: Any, task: Any) -> None:
        self.seen.append(("task_submitted", {"executor": executor, "task": task}))

    @hookimpl
    def manyhands_task_started(self, task: Any, worker: Any) -> None:
        self.seen.append(("task_started", {"task": task, "worker": worker}))

    @hookimpl
    def manyhands_task_finished(self, task: Any, worker: Any, outcome: str, duration_s: float) -> None:
        self.seen.append(
            ("task_finished", {"task": task, "worker": worker, "outcome": outcome, "duration_s": duration_s})
        )

    def names(self) -> list[str]:
        return [name for name, _ in self.seen]

    def facts(self, name: str) -> list[dict[str, Any]]:
        return [facts for seen, facts in self.seen if seen == name]


class Broken:
    """An observer that fails."""

    @hookimpl
    def manyhands_task_started(self, task: Any) -> None:
        raise RuntimeError("a broken observer")


def fail() -> None:
    raise ValueError


@pytest.mark.contract("manyhands.observe")
class TestObservers:
    def test_it_sees_the_life_of_a_task(self, backend: Any) -> None:
        """Submitted, started in a worker, finished after a time."""
        observer = Everything()
        with observe(observer), backend.executor(max_workers=1) as executor:
            future = executor.submit(pow, 2, 2)
            future.result(DEADLOCK_S)

        assert [name for name in observer.names() if name.startswith("task")] == [
            "task_submitted",
            "task_started",
            "task_finished",
        ]
        (submitted,) = observer.facts("task_submitted")
        (started,) = observer.facts("task_started")
        (finished,) = observer.facts("task_finished")
        assert submitted["executor"] is executor
        assert submitted["task"].id == started["task"].id == finished["task"].id
        assert started["worker"].name == finished["worker"].name
        assert finished["outcome"] == "done"
        assert 0 <= finished["duration_s"] < DEADLOCK_S

    def test_it_sees_how_tasks_end(self, backend: Any) -> None:
        """done, failed or cancelled; one that never ran took no time."""
        observer = Everything()
        with observe(observer), backend.executor(max_workers=2) as executor, occupied(executor):
            executor.submit(fail)
            executor.submit(pow, 2, 2).cancel()

        outcomes = Counter(facts["outcome"] for facts in observer.facts("task_finished"))
        assert outcomes == {"done": 2, "failed": 1, "cancelled": 1}
        assert [f["duration_s"] for f in observer.facts("task_finished") if f["outcome"] == "cancelled"] == [0]

    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"chunksize": 4}, {"buffersize": 3}], ids=str)
    def test_each_item_of_a_map_is_a_task(self, backend: Any, way: dict[str, Any]) -> None:
        """For who observes."""
        observer = Everything()
        with observe(observer), backend.executor(max_workers=2) as executor:
            assert list(executor.map(abs, range(-10, 0), **way)) == list(range(10, 0, -1))

        assert Counter(observer.names())["task_finished"] == 10

    def test_it_sees_workers_come_and_go(self, backend: Any) -> None:
        """Each that has started has ended when the executor is closed, with exit code 0."""
        observer = Everything()
        with observe(observer):
            with backend.executor(max_workers=2) as executor, occupied(executor):
                pass
            assert eventually(lambda: Counter(observer.names())["worker_exited"] == 2, on=backend)

        started = {facts["worker"].name for facts in observer.facts("worker_started")}
        ended = {facts["worker"].name for facts in observer.facts("worker_exited")}
        assert len(started) == 2
        assert started == ended
        assert {facts["exitcode"] for facts in observer.facts("worker_exited")} == {0}

    def test_it_sees_backends_open_and_close(self, backend_name: str) -> None:
        """Each once."""
        observer = Everything()
        with observe(observer), manyhands.open_backend(backend_name) as backend:
            backend.close()

        assert [facts["backend"] for name, facts in observer.seen if name.startswith("backend")] == [backend, backend]
        assert [name for name in observer.names() if name.startswith("backend")] == ["backend_opened", "backend_closed"]

    def test_a_retry_is_started_again_and_finished_once(self, backend: Any) -> None:
        """With the attempt on the task."""
        observer = Everything()
        with observe(observer), backend.executor(max_workers=1) as executor:
            executor.with_options(retries=2).submit(fail).exception(DEADLOCK_S)

        counts = Counter(observer.names())
        assert (counts["task_submitted"], counts["task_started"], counts["task_finished"]) == (1, 3, 1)

    def test_it_is_told_only_inside_of_the_block(self, backend: Any) -> None:
        """And an executor that is made afterwards knows nothing of it."""
        observer = Everything()
        with observe(observer):
            pass
        with backend.executor(max_workers=1) as executor:
            executor.submit(pow, 2, 2).result(DEADLOCK_S)

        assert observer.seen == []

    def test_two_observers_are_both_told(self, backend: Any) -> None:
        """And one that leaves takes nothing from the other."""
        one, other = Everything(), Everything()
        with observe(one):
            with observe(other), backend.executor(max_workers=1) as executor:
                executor.submit(pow, 2, 2).result(DEADLOCK_S)
            with backend.executor(max_workers=1) as executor:
                executor.submit(pow, 2, 2).result(DEADLOCK_S)

        assert Counter(one.names())["task_finished"] == 2
        assert Counter(other.names())["task_finished"] == 1

    def test_a_broken_observer_harms_nobody(self, backend: Any, caplog: pytest.LogCaptureFixture) -> None:
        """What it raises is logged, and the work is done."""
        with observe(Broken()), backend.executor(max_workers=1) as executor:
            assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

        assert "observer.failed hook='manyhands_task_started'" in caplog.text
        assert "a broken observer" in caplog.text

    def test_registering_twice_is_an_error(self) -> None:
        """ValueError, and the first registration stays."""
        observer = Everything()
        with observe(observer), pytest.raises(ValueError), observe(observer):
            pass


@pytest.mark.contract("manyhands.get_logger")
class TestLogEvents:
    def test_nothing_is_said_unless_somebody_listens(self, backend_name: str) -> None:
        """A program that works, fails, and cancels leaves stdout and stderr empty."""
        finished = run_script(
            """
            import sys, manyhands

            with manyhands.open_executor(sys.argv[1], max_workers=2, grace=0) as executor:
                executor.submit(pow, 2, 2).result()
                executor.submit(divmod, 1, 0).exception()
                executor.submit(pow, 2, 2).cancel()
                executor.submit(pow, 2, 2)
                executor.terminate_workers()
            """,
            backend_name,
        )

        assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")

    def test_events_are_constant_and_facts_are_keys(self, backend: Any, caplog: pytest.LogCaptureFixture) -> None:
        """``noun.past_participle key=value``, below the logger ``manyhands``, with the keys for handlers."""
        caplog.set_level(logging.DEBUG, "manyhands")
        future: Any
        with backend.executor(max_workers=1) as executor:
            future = executor.submit(pow, 2, 2)
            future.result(DEADLOCK_S)
            future.finish(3)

        (record,) = [record for record in caplog.records if "delivered_late" in record.message]
        assert record.name.split(".")[0] == "manyhands"
        assert record.message.startswith(f"task.delivered_late task={future.id}")
        assert vars(record)["manyhands"]["event"] == "task.delivered_late"
        assert vars(record)["manyhands"]["task"] == future.id
