"""Races are found, shown, and replayed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")

from manyhands import DeadlockError, Empty
from manyhands_dummy import explore, replay

from . import races

#: Each race, what it fails with, and whether it needs switches between bytecodes.
RACES: list[tuple[Callable[[Any], None], type[BaseException], bool]] = [
    (races.lost_update, AssertionError, True),
    (races.lock_order, DeadlockError, False),
    (races.missed_notify, DeadlockError, False),
    (races.check_then_act, Empty, False),
]


def options(bytecodes: bool) -> dict[str, Any]:
    return {"switch_in": [races]} if bytecodes else {}


@pytest.mark.parametrize(("program", "error", "bytecodes"), RACES)
@pytest.mark.parametrize("order", ["random", "priorities"])
def test_found(program: Callable[[Any], None], error: type[BaseException], bytecodes: bool, order: str) -> None:
    """Each of the four is found in at most 1,000 schedules, and fails as it would in life."""
    failure = explore(program, seeds=1000, order=order, **options(bytecodes))

    assert failure is not None
    assert isinstance(failure.error, error)


@pytest.mark.parametrize(("program", "error", "bytecodes"), RACES)
def test_replayed(program: Callable[[Any], None], error: type[BaseException], bytecodes: bool) -> None:
    """The seed repeats the failure step by step."""
    failure = explore(program, **options(bytecodes))
    assert failure is not None

    again = replay(program, failure.seed, **options(bytecodes))

    assert again is not None
    assert str(again) == str(failure)


@pytest.mark.parametrize(("program", "error", "bytecodes"), RACES)
def test_replayed_elsewhere(program: Callable[[Any], None], error: type[BaseException], bytecodes: bool) -> None:
    """And so it does in another process with another hash seed."""
    failure = explore(program, **options(bytecodes))
    assert failure is not None
    script = (
        f"import sys; sys.path[:0] = {[str(Path(__file__).parents[1])]!r}\n"
        f"from dummy import races\n"
        f"from manyhands_dummy import replay\n"
        f"print(replay(races.{program.__name__}, {failure.seed}, switch_in={'[races]' if bytecodes else '()'}))"
    )

    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        timeout=20,
    )

    assert (elsewhere.stdout.rstrip("\n"), elsewhere.stderr) == (str(failure), "")


def test_a_sound_program_passes() -> None:
    """A program without a race survives every schedule."""
    assert explore(races.harmless, seeds=200, switch_in=[races]) is None


def test_what_is_shown() -> None:
    """The trace names the seed, the error, and who ran from where to where."""
    failure = explore(races.lock_order)

    text = str(failure)
    assert text.startswith(f"seed {failure and failure.seed}: DeadlockError: nothing can ever run again")
    assert "task 1 (lock_order.<locals>.both)" in text
    assert "races.py:" in text
    assert "with first, second:" in text
