"""External commands in tasks: a command is a callable like any other, on every backend."""

import subprocess
from typing import Any, Final

import pytest

from manyhands import Command, CommandError, CommandTimeoutError, Executor, pipeline

from .support import DEADLOCK_S

pytestmark: Final = [
    pytest.mark.contract("manyhands.Command"),
    pytest.mark.covers("using-the-subprocess-module"),
]


def sh(line: str, **options: Any) -> Command:
    """A command line for the shell."""
    return Command(["sh", "-c", line], **options)


def test_the_result_is_what_it_has_printed(executor: Executor) -> None:
    """With the exit code, as bytes."""
    completed = executor.submit(sh("echo hi; echo ho >&2")).result(DEADLOCK_S)

    assert (completed.returncode, completed.stdout, completed.stderr) == (0, b"hi\n", b"ho\n")


@pytest.mark.covers("exceptions")
@pytest.mark.fault(96)
def test_a_failure_arrives_as_it_is(executor: Executor) -> None:
    """The program, the exit code and the end of stderr; it is the standard library's error, too."""
    future = executor.submit(sh("echo why >&2; exit 3"))

    with pytest.raises(
        CommandError, match=r"^command 'sh' ended with exit code 3; the end of its stderr: why$"
    ) as told:
        future.result(DEADLOCK_S)
    assert isinstance(told.value, subprocess.CalledProcessError)
    assert told.value.returncode == 3


@pytest.mark.fault(95)
def test_a_program_that_is_missing_is_named(executor: Executor) -> None:
    """By what was asked for."""
    with pytest.raises(CommandError, match="no-such-program"):
        executor.submit(Command(["no-such-program"])).result(DEADLOCK_S)


def test_a_timeout_ends_it(executor: Executor) -> None:
    """With what it started."""
    with pytest.raises(CommandTimeoutError):
        executor.submit(sh("sleep 300", timeout=0.1)).result(DEADLOCK_S)


@pytest.mark.covers("frequently-used-arguments")
def test_input_and_environment_travel_with_it(executor: Executor) -> None:
    """It is run with what it was made with."""
    command = sh('cat; printf "$GREETING"', input=b"one ", env={"GREETING": "two"})

    assert executor.submit(command).result(DEADLOCK_S).stdout == b"one two"


def test_many_commands_by_map(executor: Executor) -> None:
    """In order."""
    results = executor.map(Command.__call__, [sh(f"echo {n}") for n in range(8)], timeout=DEADLOCK_S)

    assert [int(completed.stdout) for completed in results] == list(range(8))


@pytest.mark.covers("replacing-shell-pipeline")
def test_a_pipeline_is_a_task_too(executor: Executor) -> None:
    """What the last one prints is the result."""
    future = executor.submit(pipeline(sh("echo b; echo a"), Command(["sort"])))

    assert future.result(DEADLOCK_S).stdout == b"a\nb\n"
