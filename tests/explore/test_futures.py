"""Every pair of things that two tasks may do to a future, interrupted at any bytecode, against a model."""

from collections.abc import Sequence
from typing import Any

import pytest

from .futures import MODULES, PHRASES, FutureModel, Watched, in_state
from .linear import DEADLOCK, Op, Program, groups
from .objects import check

pytestmark = pytest.mark.timeout(240, method="thread")

soak = pytest.mark.soak
states = pytest.mark.parametrize("started", [False, True], ids=["pending", "running"])
followed = pytest.mark.parametrize("followed", [False, True], ids=["", "with the standard library's condition"])


def explore_groups(started: bool, followed: bool, size: int, seeds: int) -> None:
    for tasks in groups(PHRASES, size):
        program = program_of(started, followed, tasks)
        if DEADLOCK not in program.allowed:
            check(program, seeds, switch_in=MODULES)


def program_of(started: bool, followed: bool, tasks: Sequence[Sequence[Op]]) -> Program:
    final: Any = Watched.end
    return Program(in_state(started, followed), FutureModel(started), tasks, final)


@states
@followed
def test_pairs(started: bool, followed: bool) -> None:
    """Two at once see what they would see one after the other, and every follower is told exactly once."""
    explore_groups(started, followed, 2, 12)


@soak
@states
@followed
def test_pairs_thoroughly(started: bool, followed: bool) -> None:
    """As above, under far more schedules."""
    explore_groups(started, followed, 2, 500)


@soak
@states
@followed
def test_triples_thoroughly(started: bool, followed: bool) -> None:
    """Three at once."""
    explore_groups(started, followed, 3, 40)
