"""Exploring finds such defects: each one is planted, and must be found within a few schedules."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import attrs
import pytest

import manyhands
from manyhands import Future, _parking, primitives
from manyhands_dummy import Failure, explore

from . import futures, objects, planted
from .futures import START
from .linear import Op, Program
from .objects import KINDS, RELEASE, TAKE, TRY, hosted_on, timed
from .test_futures import program_of

RESULT, CANCEL, SET = timed("result"), Op("cancel"), Op("set_result", ("value",))
WAITING, FOLLOWING, CALLING = timed("wait"), Op("follow", ("b",)), Op("call_back", ("a",))

Tasks = Sequence[Sequence[Op]]

FUTURES: list[tuple[str, Callable[..., Any], Tasks]] = [
    ("_follow", planted.follow_looks_first, [[RESULT], [SET]]),
    ("_follow", planted.follow_looks_first, [[WAITING], [CANCEL]]),
    ("add_done_callback", planted.callback_looks_first, [[CALLING], [SET]]),
    ("_followed", planted.followed_without_lock, [[CALLING], [FOLLOWING], [SET]]),
    ("_cancel", planted.cancel_without_lock, [[CANCEL], [START]]),
    ("_cancel", planted.cancel_without_lock, [[CANCEL], [SET]]),
    ("_settle", planted.settle_without_lock, [[SET], [Op("fail")]]),
    ("_settle", planted.settle_phase_first, [[RESULT], [SET]]),
    ("_announce", planted.announce_without_taking, [[FOLLOWING], [SET]]),
    ("set_running_or_notify_cancel", planted.start_looks_first, [[START], [START]]),
]


def named(value: object) -> str | None:
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__).replace("_", " ")
    if isinstance(value, list):
        return " | ".join("; ".join(map(str, ops)) for ops in value)
    return None


def found(program: Program, seeds: int, modules: Sequence[ModuleType]) -> Failure | None:
    return explore(program, seeds, switch_in=[*modules, planted])


@pytest.mark.parametrize(("name", "defect", "tasks"), FUTURES, ids=named)
def test_in_a_future(name: str, defect: Any, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing lock, a look before the store, a result that comes late: found."""
    program = program_of(False, False, tasks)
    assert found(program, 20, futures.MODULES) is None
    monkeypatch.setattr(Future, name, defect)

    assert found(program, 300, futures.MODULES)


def test_in_a_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put between the look and the wait wakes nobody: a deadlock, and it says who waits."""
    monkeypatch.setattr(_parking.Mailbox, "get", planted.mailbox_looks_first)

    def program(backend: Any) -> None:
        box = _parking.Mailbox(backend.parker_type)
        with backend.executor(2) as executor:
            got = executor.submit(box.get)
            executor.submit(box.put, 1)
        assert got.result() == 1

    failure = explore(program, 300, switch_in=[_parking, planted])
    assert failure
    assert isinstance(failure.error, manyhands.DeadlockError | IndexError)


PRIMITIVES: list[tuple[str, Any, str, Callable[..., Any], Tasks]] = [
    ("lock, held", primitives.Lock, "_hand_on", planted.hand_on_to_nobody, [[TAKE], [RELEASE]]),
    ("lock", primitives.Lock, "_hand_on", planted.hand_on_and_stay_free, [[TAKE, RELEASE, TRY], [TAKE]]),
    ("semaphore(0)", primitives.Semaphore, "_add", planted.wake_one_only, [[TAKE], [TAKE], [Op("release", (2,))]]),
    ("queue(0) with []", primitives.Queue, "_add", planted.add_without_grant, [[timed("get")], [timed("put", 5)]]),
    (
        "condition",
        primitives.Condition,
        "notify",
        planted.notify_without_lock,
        [[TAKE, timed("wait"), RELEASE], [TAKE, Op("notify"), RELEASE]],
    ),
]


@pytest.mark.parametrize(("kind", "machine", "name", "defect", "tasks"), PRIMITIVES, ids=named)
def test_in_a_primitive(
    kind: str, machine: Any, name: str, defect: Any, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost wake-up, one that lets in too many or too few: found without a look between the bytecodes."""
    made = KINDS[kind]
    program = Program(made.make, made.model, tasks, made.final)
    assert explore(program, 20) is None
    monkeypatch.setattr(machine, name, defect)

    assert explore(program, 100)


def test_in_a_barrier(monkeypatch: pytest.MonkeyPatch) -> None:
    """A barrier that is reset while its action runs must not let the next ones go."""
    made = KINDS["barrier(2) with an action"]
    tasks = [[WAITING], [WAITING], [Op("reset")]]
    program = Program(made.make, made.model, tasks, made.final)
    assert explore(program, 20) is None
    monkeypatch.setattr(primitives.Barrier, "done", planted.done_in_any_case)

    assert explore(program, 100)


def test_in_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that meets the end of the waiting must not be lost."""
    made = KINDS["queue(0) with []"]
    tasks = [[timed("get")], [Op("put", (5, False))]]
    program = Program(hosted_on(made.make, hasty=True), made.model, tasks, made.final, early=True)
    assert found(program, 20, objects.MODULES) is None
    monkeypatch.setattr(primitives.LocalHost, "_settle", planted.settle_in_any_case)

    assert found(program, 300, objects.MODULES)


@pytest.mark.parametrize("kind", ["queue(0) with []", "semaphore(1)", "lock"])
def test_a_host_without_its_lock(kind: str) -> None:
    """It is the host's lock that makes operations whole, and without it they are not."""
    made = KINDS[kind]

    def make(backend: Any) -> Any:
        hosted = objects.Hosted(backend)
        hosted._host._mutex = nullcontext()  # type: ignore[attr-defined]
        return made.make(hosted)

    phrase = made.phrases[0] if kind.startswith("queue") else made.phrases[4]
    program = attrs.evolve(made, make=make)

    assert found(Program(program.make, made.model, [phrase, phrase], made.final), 1000, objects.MODULES)
