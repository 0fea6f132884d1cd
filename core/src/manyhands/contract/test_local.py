"""Worker-local data: each worker has its own, made once."""

import threading
from collections import Counter
from typing import Any, Final

import pytest

import manyhands
from manyhands import Executor

from .support import DEADLOCK_S, occupied

covers: Final = pytest.mark.covers


def count_up(local: Any) -> int:
    local.number = getattr(local, "number", 0) + 1
    return int(local.number)


def who(local: Any) -> Any:
    return local.made


def has(local: Any, name: str) -> bool:
    return hasattr(local, name)


def meet_and_set(local: Any, value: int, barrier: Any) -> int:
    """Two tasks set different values at the same time; each sees its own."""
    local.value = value
    barrier.wait(DEADLOCK_S)
    return int(local.value)


@pytest.mark.contract("manyhands.Backend.local")
class TestLocal:
    @covers("thread-local-data")
    def test_what_one_sets_another_does_not_see(self, executor: Executor, backend: Any) -> None:
        """Two tasks at the same time, and the caller."""
        local, barrier = backend.local(), backend.barrier(2)
        local.value = "of the caller"
        futures = [executor.submit(meet_and_set, local, number, barrier) for number in range(2)]

        assert [future.result(DEADLOCK_S) for future in futures] == [0, 1]
        assert local.value == "of the caller"

    @covers("thread-local-data")
    def test_two_tasks_in_one_worker_see_the_same(self, backend: Any) -> None:
        """It belongs to the worker and not to the task: what the first has set, the second finds."""
        local = backend.local()
        with backend.executor(max_workers=1) as executor:
            assert [executor.submit(count_up, local).result(DEADLOCK_S) for _ in range(5)] == [1, 2, 3, 4, 5]

    @covers("thread-local-data")
    def test_a_subclass_is_made_once_in_each_worker(self, backend: Any) -> None:
        """``__init__`` runs with the arguments that the local was made with."""
        made = backend.queue()
        local = make_subclass(backend)(made, word="argument")
        before = made.qsize()  # the caller's own
        with backend.executor(max_workers=2) as executor:
            with occupied(executor):
                futures = [executor.submit(who, local) for _ in range(50)]
            words = Counter(future.result(DEADLOCK_S) for future in futures)

        assert words == Counter({"argument": 50})
        assert before == 1
        assert 1 <= made.qsize() - before <= 2

    @covers("thread-local-data")
    def test_a_new_worker_begins_anew(self, backend: Any) -> None:
        """What an earlier one has set is not there."""
        local = backend.local()
        with backend.executor(max_workers=1, max_tasks_per_worker=1) as executor:
            assert [executor.submit(count_up, local).result(DEADLOCK_S) for _ in range(3)] == [1, 1, 1]

    @covers("thread-local-data")
    def test_an_activity_has_its_own(self, backend: Any) -> None:
        """As a thread has."""
        local, seen = backend.local(), backend.queue()
        local.value = "of the caller"
        activity = backend.Activity(target=lambda: seen.put(has(local, "value")))
        activity.start()
        activity.join(DEADLOCK_S)

        assert seen.get(timeout=DEADLOCK_S) is False

    @covers("thread-local-data")
    def test_attributes_can_be_deleted(self, backend: Any) -> None:
        """And then AttributeError comes."""
        local = backend.local()
        local.value = 1
        del local.value
        with pytest.raises(AttributeError):
            local.value  # noqa: B018

    def test_an_initializer_may_fill_it(self, backend: Any) -> None:
        """The usual way to give each worker a connection of its own."""
        local = backend.local()
        with backend.executor(max_workers=2, initializer=setattr, initargs=(local, "made", "connection")) as executor:
            futures = [executor.submit(who, local) for _ in range(10)]

            assert {future.result(DEADLOCK_S) for future in futures} == {"connection"}


def make_subclass(backend: Any) -> Any:
    class Counted(backend.local):
        def __init__(self, made: Any, *, word: str) -> None:
            made.put(threading.get_ident())
            self.made = word

    return Counted


@pytest.mark.contract("manyhands.Backend.local")
class TestNesting:
    def test_a_task_that_waits_keeps_its_own(self, backend: Any) -> None:
        """Whoever helps out meanwhile has another."""
        local = backend.local()
        with backend.executor(max_workers=1) as executor:
            assert executor.submit(set_wait_and_look, executor, local).result(DEADLOCK_S) == ("outer", False)


def set_wait_and_look(executor: manyhands.Executor, local: Any) -> tuple[str, bool]:
    local.value = "outer"
    seen = executor.submit(has, local, "value").result(DEADLOCK_S)
    return local.value, seen
