"""Commands that are connected."""

import pickle
import signal
import subprocess
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from manyhands import Command, CommandError, CommandTimeoutError, Executor, pipeline
from manyhands.contract.support import DEADLOCK_S, eventually

from .helpers import MIB, running, sh


@pytest.mark.covers("replacing-shell-pipeline")
def test_connected() -> None:
    """Each command reads what the one before writes; the result is the last one's."""
    completed = pipeline(sh("printf 'b\\na\\n'"), Command(["sort"]), Command(["tr", "a-z", "A-Z"], text=True))()

    assert (completed.args[0], completed.returncode, completed.stdout) == ("tr", 0, "A\nB\n")


def test_stages() -> None:
    """The results of all commands are there, with what each wrote to stderr."""
    completed = pipeline(sh("echo one >&2"), sh("cat; echo two >&2; exit 4", check=False))()

    assert [(stage.returncode, stage.stdout, stage.stderr) for stage in completed.stages] == [
        (0, None, b"one\n"),
        (4, b"", b"two\n"),
    ]


def test_single_command() -> None:
    """A pipeline of one is that command."""
    assert pipeline(sh("echo hi"))().stdout == b"hi\n"


def test_input_of_the_first() -> None:
    """Much input flows through all of it."""
    completed = pipeline(Command(["cat"], input=bytes(10 * MIB)), Command(["cat"]), Command(["wc", "-c"]))()

    assert int(completed.stdout) == 10 * MIB


def test_first_failure_is_told() -> None:
    """The first command that failed is the error, even if the last one succeeded."""
    with pytest.raises(
        CommandError, match=r"^command 'sh' ended with exit code 3; the end of its stderr: first$"
    ) as caught:
        pipeline(Command(["true"]), sh("echo first >&2; exit 3"), sh("cat; exit 4"), Command(["cat"]))()

    assert caught.value.cmd == ["sh", "-c", "echo first >&2; exit 3"]


def test_unchecked_stage() -> None:
    """A command with check=False may fail in its place."""
    assert pipeline(sh("echo x; exit 1", check=False), Command(["cat"]))().stdout == b"x\n"


@pytest.mark.covers("replacing-shell-pipeline")
def test_reader_that_has_read_enough() -> None:
    """A writer that dies by SIGPIPE because its reader ended has not failed."""
    completed = pipeline(Command(["yes"]), Command(["head", "-n", "1"]), timeout=DEADLOCK_S)()

    assert completed.stdout == b"y\n"
    assert completed.stages[0].returncode == -signal.SIGPIPE


def test_reader_that_failed() -> None:
    """Then the reader is the error, not the writer that its end killed."""
    with pytest.raises(CommandError, match=r"^command 'sh' ended with exit code 3"):
        pipeline(Command(["yes"]), sh("exit 3"), timeout=DEADLOCK_S)()


def test_sigpipe_of_the_last() -> None:
    """Nobody read from the last command; SIGPIPE is a failure there."""
    with pytest.raises(CommandError, match=r"^command 'sh' was killed by SIGPIPE"):
        pipeline(Command(["true"]), sh("kill -PIPE $$"))()


def test_missing_command_stops_the_others() -> None:
    """When one cannot be started, those before it are stopped."""
    started = time.monotonic()
    with pytest.raises(CommandError, match=r"^command 'no-such-program' could not be started"):
        pipeline(Command(["sleep", "300"]), Command(["no-such-program"]), Command(["cat"]))()

    assert time.monotonic() - started < DEADLOCK_S


def test_timeout() -> None:
    """The timeout of a pipeline stops all of it; the error is that of the first command still running."""
    with pytest.raises(CommandTimeoutError, match=r"^command 'sleep' ran longer than 0.3 s and was killed$"):
        pipeline(Command(["true"]), Command(["sleep", "300"]), Command(["cat"]), timeout=0.3)()


def test_timeout_of_a_stage() -> None:
    """A command's own timeout holds in its place."""
    with pytest.raises(CommandTimeoutError, match=r"^command 'cat' ran longer than 0.3 s and was killed$"):
        pipeline(Command(["sleep", "300"]), Command(["cat"], timeout=0.3), timeout=DEADLOCK_S)()


def test_timeout_of_a_stage_that_has_ended() -> None:
    """A timeout that passes after its command ended does nothing."""
    completed = pipeline(Command(["true"], timeout=0.2), sh("cat; sleep 0.4; echo hi"))()

    assert completed.stdout == b"hi\n"


def test_timeout_reaches_grandchildren() -> None:
    """What any of the commands started is stopped too."""
    with pytest.raises(CommandTimeoutError) as caught:
        pipeline(sh("sleep 300 & echo $! >&2; wait"), Command(["cat"]), timeout=0.5)()

    assert not running(int(caught.value.stderr))


@pytest.mark.parametrize("own", [{}, {"output_limit": 50}])
def test_output_limit(own: dict[str, Any]) -> None:
    """The limit holds for the kept outputs, and a command's own comes first."""
    limit = own.get("output_limit", 1000)
    with pytest.raises(CommandError, match=f"^command 'cat' wrote more than {limit} bytes to stdout$"):
        pipeline(Command(["yes"]), Command(["cat"], **own), output_limit=1000)()


def test_output_limit_of_a_stderr() -> None:
    """It also holds for the stderr of a command in the middle."""
    with pytest.raises(CommandError, match=r"^command 'sh' wrote more than 1000 bytes to stderr"):
        pipeline(sh("yes >&2"), Command(["cat"]), output_limit=1000)()


def test_what_flows_between_is_not_limited() -> None:
    """What passes from one to the next is not kept, and not counted."""
    completed = pipeline(sh(f"head -c {32 * MIB} /dev/zero"), Command(["wc", "-c"]), output_limit=100)()

    assert int(completed.stdout) == 32 * MIB


def test_stderr_may_join_the_pipe() -> None:
    """stderr=STDOUT of a command goes to the next."""
    assert pipeline(sh("echo err >&2", stderr=subprocess.STDOUT), Command(["cat"]))().stdout == b"err\n"


@pytest.mark.capability("not deterministic")
def test_cancel(executor: Executor, fifo: Path) -> None:
    """A pipeline in a task that is asked to stop stops as a whole."""
    future = executor.submit(pipeline(Command(["sleep", "300"]), sh(f"echo $$ > {fifo}; cat")))
    last = int(fifo.read_text())
    future.cancel(running=True)

    with pytest.raises(CancelledError):
        future.result(DEADLOCK_S)
    assert eventually(lambda: not running(last))


def test_pickle() -> None:
    """A pipeline survives pickling and runs then."""
    copy = pickle.loads(pickle.dumps(pipeline(sh("echo hi"), Command(["cat"]), timeout=5)))

    assert copy().stdout == b"hi\n"


def test_result_survives_pickling() -> None:
    """So does its result, with the stages."""
    completed = pipeline(sh("echo hi"), Command(["cat"]))()

    assert pickle.loads(pickle.dumps(completed)) == completed


def test_repr() -> None:
    """The repr shows the commands."""
    assert repr(pipeline(Command(["a"]), Command(["b"]))) == "pipeline(Command(['a']), Command(['b']))"
