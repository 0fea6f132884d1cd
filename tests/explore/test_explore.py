"""``explore`` and ``replay`` themselves."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import manyhands
from manyhands_dummy import Failure, explore, replay

from . import bank


def paying(add: Callable[[int], None]) -> Callable[[Any], None]:
    def program(_: Any) -> None:
        total = bank.pay_twice(add)
        assert total == 3, total

    return program


def crosswise(_: Any) -> None:
    bank.move_crosswise()


def raced(backend: Any) -> None:
    """Two at once in a generator's frame, or one after the other."""
    bank.reset()
    with backend.executor(2) as executor:
        for _ in range(2):
            executor.submit(bank.add_all, 3)
    assert bank.balance == 6, bank.balance


def the_failure(program: Any, **options: Any) -> Failure:
    failure: Failure | None = explore(program, **options)
    assert failure is not None
    return failure


def test_a_race_between_bytecodes() -> None:
    """A sum that is read and written back in two steps loses an amount."""
    assert isinstance(the_failure(paying(bank.add_without_lock), switch_in=[bank]).error, AssertionError)


def test_a_module_may_be_named_by_its_file() -> None:
    """Instead of the module itself."""
    assert explore(paying(bank.add_without_lock), switch_in=[str(bank.__file__)])


def test_a_race_in_a_generator() -> None:
    """Its frame is left and comes back."""
    assert explore(raced, switch_in=[bank])


def test_locks_of_the_module_keep_others_out() -> None:
    """A lock that it made when it was imported, too, so nothing is found where nothing is wrong."""
    assert explore(paying(bank.add_with_lock), 100, switch_in=[bank]) is None


def test_everybody_is_interrupted() -> None:
    """Not only the main program, and also whoever was started from the middle of something."""
    interrupted = {name for name, place in the_failure(raced, switch_in=[bank]).steps if "bank.py" in place}

    assert len(interrupted) == 2


def test_locks_taken_crosswise() -> None:
    """With ``patch`` the module's threads and locks are the backend's: a deadlock is found, and told."""
    failure = the_failure(crosswise, patch=[bank])

    assert isinstance(failure.error, manyhands.DeadlockError)
    assert "waits for a lock that" in str(failure)


def test_the_clock_of_the_module() -> None:
    """An hour of sleep takes no time."""

    def program(_: Any) -> None:
        took = bank.take_late()
        assert took == 3600, took

    began = time.monotonic()
    assert explore(program, 5, patch=[bank]) is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("program", [crosswise, paying(bank.add_without_lock)])
def test_afterwards_the_module_is_as_before(program: Any) -> None:
    """Whatever the outcome."""
    before = dict(vars(bank))
    explore(program, 20, switch_in=[bank])

    assert {name: value for name, value in vars(bank).items() if name != "balance"} == {
        name: value for name, value in before.items() if name != "balance"
    }
    assert bank.lock.acquire(blocking=False)
    bank.lock.release()
    assert vars(bank)["threading"] is threading


def test_a_seed_repeats() -> None:
    """The same steps, each time."""
    program = paying(bank.add_without_lock)
    failure = the_failure(program, switch_in=[bank])
    again = replay(program, failure.seed, switch_in=[bank])

    assert again is not None
    assert again.steps == failure.steps
    assert str(again) == str(failure)


def test_a_seed_that_succeeds() -> None:
    """There is nothing to tell."""
    assert replay(paying(bank.add_with_lock), 0, switch_in=[bank]) is None


def test_how_a_failure_reads() -> None:
    """The seed and the error; then who ran how far, with what stands in that line."""
    failure = the_failure(paying(bank.add_without_lock), switch_in=[bank])
    first, *steps = str(failure).splitlines()

    assert first.startswith(f"seed {failure.seed}: AssertionError: ")
    assert len(steps) >= len(failure.steps)
    assert any("bank.py:" in step and step.endswith("balance = balance + amount") for step in steps)


def test_interrupts_of_the_user_get_through() -> None:
    """Ctrl-C is no finding."""

    def program(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        explore(program)


def test_the_trace_function_is_as_before() -> None:
    """Also where switch points need one."""
    import sys

    before = sys.gettrace()
    explore(raced, 3, switch_in=[bank])

    assert sys.gettrace() is before
