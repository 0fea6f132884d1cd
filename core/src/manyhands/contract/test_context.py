"""Context variables follow the task."""

import contextvars
import decimal
from typing import Any, Final

import pytest

from manyhands import Executor

from .support import DEADLOCK_S

capability: Final = pytest.mark.capability

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def get_variable(_: Any = None) -> str:
    return variable.get()


def set_variable(value: str) -> str:
    before = variable.get()
    variable.set(value)
    return before


@pytest.fixture(autouse=True)
def fresh_context() -> Any:
    """What a test sets is forgotten after it."""
    token = variable.set("unset")
    yield
    variable.reset(token)


@pytest.mark.contract("manyhands.TaskOptions")
@pytest.mark.covers("contextvars")
@capability("in_process")
class TestContext:
    def test_the_task_sees_what_the_caller_has_set(self, executor: Executor) -> None:
        """As it was when the task was submitted."""
        variable.set("before")
        future = executor.submit(get_variable)
        variable.set("after")

        assert future.result(DEADLOCK_S) == "before"

    def test_each_call_of_a_map_sees_it(self, executor: Executor) -> None:
        """In whatever way the items are handed out."""
        variable.set("of the caller")

        ways: tuple[dict[str, Any], ...] = ({}, {"chunksize": 1}, {"chunksize": 3}, {"buffersize": 4})
        for way in ways:
            assert set(executor.map(get_variable, range(20), **way)) == {"of the caller"}, way

    def test_an_endless_map_keeps_the_context_of_its_call(self, executor: Executor) -> None:
        """Items that are read later run in the same one."""
        variable.set("at the call")
        results = executor.map(get_variable, range(20), buffersize=2)
        seen = [next(results)]
        variable.set("later")
        seen += results

        assert seen[0] == "at the call"
        assert set(seen) <= {"at the call", "later"}

    def test_what_a_task_sets_stays_in_it(self, backend: Any) -> None:
        """Neither the caller nor the next task in the same worker sees it."""
        with backend.executor(max_workers=1) as executor:
            assert executor.submit(set_variable, "of the task").result(DEADLOCK_S) == "unset"
            assert executor.submit(get_variable).result(DEADLOCK_S) == "unset"

        assert variable.get() == "unset"

    def test_what_a_call_of_a_map_sets_is_not_seen_by_the_next_task(self, backend: Any) -> None:
        """The context of a map is a copy."""
        with backend.executor(max_workers=1) as executor:
            list(executor.map(set_variable, ["of the map"] * 5))

            assert executor.submit(get_variable).result(DEADLOCK_S) == "unset"
        assert variable.get() == "unset"

    def test_it_can_be_turned_off(self, executor: Executor) -> None:
        """With ``context=False`` a task runs in the worker's own context."""
        variable.set("of the caller")
        view = executor.with_options(context=False)

        assert view.submit(get_variable).result(DEADLOCK_S) == "unset"
        assert list(view.map(get_variable, range(3))) == ["unset"] * 3

    def test_a_task_of_a_task_inherits(self, executor: Executor) -> None:
        """What the outer one has set."""
        assert executor.submit(set_and_submit, executor).result(DEADLOCK_S) == "of the outer task"

    def test_a_retry_runs_in_the_callers_context(self, executor: Executor) -> None:
        """As the first attempt did."""
        variable.set("of the caller")
        seen: list[str] = []

        def fail_once() -> None:
            seen.append(variable.get())
            if len(seen) < 3:
                raise OSError

        executor.with_options(retries=5).submit(fail_once).result(DEADLOCK_S)

        assert seen == ["of the caller"] * 3

    def test_two_tasks_in_one_context_do_not_collide(self, executor: Executor) -> None:
        """Each has its own copy: a context cannot be entered twice."""
        context = contextvars.copy_context()
        futures = context.run(lambda: [executor.submit(get_variable) for _ in range(200)])

        assert {future.result(DEADLOCK_S) for future in futures} == {"unset"}

    def test_decimals_precision_follows(self, executor: Executor) -> None:
        """It is a context variable like any other."""
        with decimal.localcontext() as context:
            context.prec = 5
            quotient = executor.submit(lambda: decimal.Decimal(1) / 3).result(DEADLOCK_S)

        assert str(quotient) == "0.33333"

    def test_a_generator_of_tasks_is_read_in_the_callers_context(self, executor: Executor) -> None:
        """The input of a map runs where its consumer does."""
        variable.set("of the consumer")

        def source() -> Any:
            for _ in range(5):
                yield variable.get()

        assert set(executor.map(str, source(), buffersize=2)) == {"of the consumer"}


def set_and_submit(executor: Executor) -> str:
    variable.set("of the outer task")
    return executor.submit(get_variable).result(DEADLOCK_S)
