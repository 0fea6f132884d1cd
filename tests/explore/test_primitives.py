"""Every pair of operations of every primitive, under many schedules, against a model in plain Python."""

import attrs
import pytest

from .objects import KINDS, MODULES, check, hosted_on

pytestmark = pytest.mark.timeout(240, method="thread")

kinds = pytest.mark.parametrize("kind", KINDS)
soak = pytest.mark.soak


def explore_pairs(kind: str, seeds: int) -> None:
    for program in KINDS[kind].programs(2):
        check(program, seeds)


def explore_bytecodes(kind: str, seeds: int, *, hasty: bool = False) -> None:
    made = KINDS[kind]
    hosted = attrs.evolve(made, make=hosted_on(made.make, hasty=hasty))
    for program in hosted.programs(2, early=hasty):
        check(program, seeds, switch_in=MODULES)


@kinds
def test_pairs(kind: str) -> None:
    """Two tasks at once get what they would get one after the other."""
    explore_pairs(kind, 5)


@kinds
def test_pairs_at_every_bytecode(kind: str) -> None:
    """Also where the host's own code is interrupted anywhere: its lock holds the machines together."""
    explore_bytecodes(kind, 3)


@kinds
def test_pairs_with_timeouts_that_end_at_any_time(kind: str) -> None:
    """An answer that meets the end of the waiting is not lost, and not given twice."""
    explore_bytecodes(kind, 3, hasty=True)


@soak
@kinds
def test_pairs_thoroughly(kind: str) -> None:
    """As above, under far more schedules."""
    explore_pairs(kind, 200)


@soak
@kinds
@pytest.mark.parametrize("hasty", [False, True])
def test_pairs_at_every_bytecode_thoroughly(kind: str, hasty: bool) -> None:
    """As above, under far more schedules."""
    explore_bytecodes(kind, 100, hasty=hasty)


@soak
@kinds
def test_triples_thoroughly(kind: str) -> None:
    """Three tasks at once."""
    for program in KINDS[kind].programs(3):
        check(program, 20)
