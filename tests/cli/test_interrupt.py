"""Ctrl-C: control comes back at once, nothing runs on, the journal is whole, and the exit code is 130."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manyhands.contract.support import DEADLOCK_S, eventually

from .helpers import lines, manyhands, start

#: A second, and what a busy machine may add.
SOON_S = 2.0


def interrupt(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Press Ctrl-C, and check how it ends; returns what it printed on both outputs."""
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLOCK_S)
    took = time.monotonic() - began
    assert process.returncode == 130
    assert took < SOON_S
    return stdout, stderr


@pytest.mark.fault(56)
@pytest.mark.capability("not deterministic", reason="one thread cannot come back from a function that keeps it")
def test_functions(backend_name: str) -> None:
    """Some run and do not return, others wait: they are given up without a word."""
    words = ("--backend", backend_name, "--jobs", "2", "work:log", *map(str, range(50)))
    with start("map", *words, env={"HOLD_AT": "3"}) as process:
        assert eventually(lambda: "3" in lines(Path("log")))

        stdout, stderr = interrupt(process)

    assert [json.loads(line)["index"] for line in stdout.splitlines()] == list(range(stdout.count("\n")))
    assert stderr == ""


def test_journal_is_whole() -> None:
    """It holds exactly what was done, and the next run goes on from there."""
    words = ("map", "--jobs", "2", "work:log", *map(str, range(50)), "--resume", "journal")
    with start(*words, env={"HOLD_AT": "30"}) as process:
        assert eventually(lambda: len(lines(Path("journal"))) == 31)
        interrupt(process)

    assert sorted(json.loads(line)["index"] for line in lines(Path("journal"))[1:]) == list(range(30))
    Path("log").unlink()
    assert manyhands(*words).returncode == 0
    assert sorted(lines(Path("log")), key=int) == [str(n) for n in range(30, 50)]


@pytest.mark.orphans
@pytest.mark.parametrize("trap", ["", "trap '' TERM;"])
def test_commands(trap: str) -> None:
    """They are stopped with all that they started, also if they do not want to."""
    script = f"{trap} sleep 600 & echo $! $$ >> pids; wait; sleep 600"
    with start("map", "--jobs", "2", "a", "b", "c", "--", "sh", "-c", script) as process:
        assert eventually(lambda: len(lines(Path("pids"))) == 2)
        interrupt(process)

    pids = [int(pid) for line in lines(Path("pids")) for pid in line.split()]
    assert len(pids) == 4
    assert eventually(lambda: not any(map(runs, pids)))


def runs(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_waiting_for_input() -> None:
    """While nothing comes on stdin."""
    with start("map", "work:upper", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("a\n")
        process.stdin.flush()
        process.stdout.readline()
        assert interrupt(process) == ("", "")


@pytest.mark.orphans
def test_whole_group() -> None:
    """As a terminal does it: everybody in the foreground gets it."""
    with start(
        "map", "--jobs", "2", "a", "b", "--", "sh", "-c", "echo $$ >> pids; sleep 600", start_new_session=True
    ) as run:
        assert eventually(lambda: len(lines(Path("pids"))) == 2)
        began = time.monotonic()
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(DEADLOCK_S) == 130
        assert time.monotonic() - began < SOON_S
    assert eventually(lambda: not any(runs(int(pid)) for pid in lines(Path("pids"))))


@pytest.mark.fault(57)
@pytest.mark.parametrize("how", [(), ("--resume", "journal")])
def test_at_any_moment(how: tuple[str, ...]) -> None:
    """In the middle of many short items: it is never lost, and there is no traceback."""
    endless = [sys.executable, "-c", "import itertools\nfor n in itertools.count(): print(n)"]
    for moment in (1, 100, 1000, 5000):

        def reached(moment: int = moment) -> bool:
            return len(lines(Path("rows"))) >= moment

        Path("journal").unlink(missing_ok=True)
        source = subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with (
            source,
            open("rows", "wb") as rows,
            start("map", "work:same", "-", *how, stdin=source.stdout, stdout=rows) as run,
        ):
            assert source.stdout is not None
            source.stdout.close()
            assert eventually(reached)
            _, stderr = interrupt(run)
        assert stderr == ""
        whole = Path("rows").read_text()
        assert [json.loads(line)["index"] for line in whole.splitlines()] == list(range(whole.count("\n")))


def test_configured_grace_holds(folder: Path) -> None:
    """Who has said how long a task may take to stop, is obeyed."""
    (folder / "manyhands.toml").write_text("[threading]\ngrace = 0.0\n")
    with start("map", "--backend", "threading", "work:log", "1", env={"HOLD_AT": "1"}) as process:
        assert eventually(lambda: lines(Path("log")))
        interrupt(process)
