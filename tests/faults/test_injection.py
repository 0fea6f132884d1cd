"""The fixtures themselves: what does not fail where it should would let every fault test pass."""

import errno
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import manyhands
from manyhands.contract.support import run_script


def test_each_call_fails_once_until_a_round_passes(fail_call: Any) -> None:
    """Three calls make four rounds, the last one untouched."""
    seen = []
    for failed in fail_call(os, "getcwd", errno.EMFILE):
        outcomes: list[int | None] = []
        for _ in range(3):
            try:
                os.getcwd()
                outcomes.append(0)
            except OSError as error:
                outcomes.append(error.errno)
        seen.append((failed.number, failed.happened, outcomes))

    assert seen == [
        (1, True, [errno.EMFILE, 0, 0]),
        (2, True, [0, errno.EMFILE, 0]),
        (3, True, [0, 0, errno.EMFILE]),
        (4, False, [0, 0, 0]),
    ]


def test_a_lasting_failure_stays(fail_call: Any) -> None:
    """All calls after the first failure fail, too; methods are called with their object."""
    seen = []
    for _ in fail_call(threading.Thread, "is_alive", RuntimeError("gone"), lasting=True):
        outcomes = []
        for _ in range(2):
            try:
                outcomes.append(str(threading.current_thread().is_alive()))
            except RuntimeError as error:
                outcomes.append(str(error))
        seen.append(outcomes)

    assert seen == [["gone", "gone"], ["True", "gone"], ["True", "True"]]


def test_a_scenario_without_end_is_noticed(fail_call: Any) -> None:
    """Instead of sweeping for ever."""

    def sweep() -> None:
        for failed in fail_call(os, "getcwd", errno.EMFILE):
            while not failed.happened:
                try:
                    os.getcwd()
                except OSError:
                    pass

    with pytest.raises(AssertionError, match="still calls getcwd after 1000 rounds"):
        sweep()


def test_a_storm_of_signals_reaches_python(itimer_storm: Any) -> None:
    """The handler runs again and again, and is gone afterwards."""
    calls: list[None] = []
    with itimer_storm(1, lambda: calls.append(None)) as storm:
        end = time.monotonic() + 5
        while storm.handled < 10 and time.monotonic() < end:
            time.sleep(0.01)
    after = storm.handled

    assert len(calls) == after >= 10


BROKEN = """
import sys, types
from manyhands.contract.injection import interrupt_sweep

broken = types.ModuleType("manyhands_broken")
exec(compile('''
held = []

def operation():
    held.append(1)
    abs(-1)
    held.clear()

def careful():
    held.append(1)
    try:
        abs(-1)
    finally:
        held.clear()
''', "broken.py", "exec"), broken.__dict__)
found = []

def check():
    found.append(bool(broken.held))
    broken.held.clear()

sweep = interrupt_sweep(getattr(broken, sys.argv[1]), check, points=200)
print(sweep.points == 200, sweep.raised > 100, any(found))
"""


def test_a_sweep_finds_what_an_interrupt_breaks() -> None:
    """Something that is held between two calls, without ``try``."""
    assert run_script(BROKEN, "operation").stdout == "True True True\n"


def test_a_sweep_comes_only_where_the_interpreter_looks_for_signals() -> None:
    """The right pattern is not found to be wrong: between taking and ``try`` nobody looks."""
    source = BROKEN.replace("held.append(1)\n    try", "held[:] = [1]\n    try")

    assert run_script(source, "careful").stdout == "True True False\n"


def test_a_distribution_is_there_until_the_end_of_the_test(fake_dist: Any) -> None:
    """As an installer puts it: listed with its name and version."""
    info = fake_dist("strange-things", "3.1", {"manyhands.backends": {"strange": "nowhere:Backend"}}, {})
    (found,) = [info for info in manyhands.backends() if info.name == "strange"]

    assert isinstance(info, Path)
    assert (found.distribution, found.version, found.status) == ("strange-things", "3.1", "installed")


def test_limits_hold_in_a_script() -> None:
    """Too many descriptors, too much memory, too long a file: each is refused."""
    finished = run_script(
        """
        import os, signal, tempfile
        from manyhands.contract.injection import rlimits

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with tempfile.TemporaryFile() as file:
            rlimits(fsize=4096)
            try:
                os.pwrite(file.fileno(), b"x", 4097)
            except OSError as error:
                print(error.strerror)
        rlimits(nofile=20)
        try:
            [os.dup(0) for _ in range(30)]
        except OSError as error:
            print(error.strerror)
        rlimits(as_=1 << 28)
        try:
            bytearray(1 << 28)
        except MemoryError:
            print("no memory")
        """
    )

    assert finished.stdout.splitlines() == ["File too large", "Too many open files", "no memory"]
