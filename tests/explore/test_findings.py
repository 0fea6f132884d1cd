"""What exploring has found in our own code, each as the program that showed it; the numbers are the seeds that did."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from manyhands_dummy import Failure, replay

from . import futures, objects, test_vocabulary
from .futures import START
from .linear import Op, Program
from .objects import KINDS, hosted_on, timed
from .test_futures import program_of

SEEDS = range(30)
MEETING = [[timed("wait")], [timed("wait")]]


def replayed(program: Callable[[Any], Any], modules: Sequence[Any]) -> list[Failure]:
    failures = (replay(program, seed, switch_in=modules) for seed in SEEDS)
    return [failure for failure in failures if failure is not None]


def meeting(tasks: Sequence[Sequence[Op]], *, hasty: bool = False) -> Program:
    made = KINDS["barrier(2) with an action"]
    make = hosted_on(made.make, hasty=True) if hasty else made.make
    return Program(make, made.model, tasks, made.final, early=hasty)


def test_a_timeout_during_the_action_of_a_barrier() -> None:
    """Everybody is there: it breaks nothing (1)."""
    assert replayed(meeting(MEETING, hasty=True), objects.MODULES) == []


def test_a_barrier_reset_during_its_action() -> None:
    """The action's end lets nobody go who came later (3)."""
    assert replayed(meeting([*MEETING, [Op("reset")]]), ()) == []


@pytest.mark.parametrize("other", [(START,), (START, Op("set_result", ("worked",))), (Op("cancel"), START)])
def test_two_who_start_a_future(other: Sequence[Op]) -> None:
    """One may; the other one is told that something is wrong (2, 3, 8)."""
    assert replayed(program_of(False, False, [(START,), other]), futures.MODULES) == []


def test_two_who_start_an_activity() -> None:
    """It runs once (2)."""
    assert replayed(test_vocabulary.activity_joined_by_two, test_vocabulary.MODULES) == []


def test_a_pool_that_is_closed_under_a_call() -> None:
    """It takes all of the call, or says that it does not run (0)."""
    assert replayed(test_vocabulary.pool_closed_while_used, test_vocabulary.MODULES) == []


def test_a_deadline_on_virtual_time() -> None:
    """A loop that waits until the clock is beyond its deadline comes to an end."""
    program = program_of(True, False, [(timed("standard_as_completed"),), (Op("done"),)])
    assert replayed(program, futures.MODULES) == []
