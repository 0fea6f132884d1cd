"""The live handle of a command."""

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from manyhands import Command, CommandError
from manyhands.contract.support import DEADLOCK_S, eventually

from .helpers import running, sh, state

pytestmark = pytest.mark.covers("popen-objects")


def test_talks_through_its_pipes() -> None:
    """stdin and stdout are pipes to talk through while it runs."""
    with Command(["cat"], stdin=subprocess.PIPE).start() as handle:
        assert handle.stdin is not None
        assert handle.stdout is not None
        handle.stdin.write(b"hello\n")
        handle.stdin.flush()

        assert handle.stdout.readline() == b"hello\n"
        assert handle.poll() is None
    assert handle.returncode == 0


def test_text_pipes() -> None:
    """In text mode the pipes take and give texts."""
    with Command(["cat"], stdin=subprocess.PIPE, text=True).start() as handle:
        assert handle.communicate("grün\n") == ("grün\n", "")


def test_attributes() -> None:
    """It knows its pid and arguments; returncode is None until somebody asked."""
    with sh("exit 3").start() as handle:
        assert handle.args == ["sh", "-c", "exit 3"]
        assert state(handle.pid)
        assert handle.returncode is None
        assert handle.wait(DEADLOCK_S) == 3
        assert handle.returncode == handle.poll() == 3
        assert repr(handle) == f"<RunningCommand ['sh', '-c', 'exit 3'] pid={handle.pid} returncode=3>"


def test_communicate_sends_the_command_s_input() -> None:
    """Without another one the command's own input is sent."""
    with Command(["cat"], input=b"own").start() as handle:
        assert handle.communicate() == (b"own", b"")


def test_communicate_sends_what_was_written_before() -> None:
    """What waits in the buffer of stdin goes first."""
    with Command(["cat"], stdin=subprocess.PIPE).start() as handle:
        assert handle.stdin is not None
        handle.stdin.write(b"first ")

        assert handle.communicate(b"second") == (b"first second", b"")


def test_communicate_without_a_pipe() -> None:
    """Input that cannot arrive is an error."""
    with Command(["cat"]).start() as handle:
        with pytest.raises(
            ValueError, match=r"^input cannot be sent to a command that was started without stdin=PIPE$"
        ):
            handle.communicate(b"lost")


def test_communicate_after_a_timeout(fifo: Path) -> None:
    """A communication that timed out goes on where it was, and loses nothing."""
    with sh(f"echo one; read x < {fifo}; echo two", stdin=subprocess.PIPE).start() as handle:
        with pytest.raises(subprocess.TimeoutExpired):
            handle.communicate(timeout=0.2)
        with pytest.raises(ValueError, match=r"^input cannot be sent once the communication has started$"):
            handle.communicate(b"late")
        fifo.write_text("go on\n")

        assert handle.communicate(timeout=DEADLOCK_S) == (b"one\ntwo\n", b"")


def test_communicate_keeps_the_output_limit() -> None:
    """Too much output is the same error as for a command that is called."""
    with Command(["cat", "/dev/zero"], output_limit=9).start() as handle:
        with pytest.raises(CommandError, match=r"^command 'cat' wrote more than 9 bytes to stdout$"):
            handle.communicate(timeout=DEADLOCK_S)

        assert not running(handle.pid)


def test_wait_times_out() -> None:
    """wait(timeout) only stops waiting; the standard library's error says so."""
    with Command(["sleep", "300"]).start() as handle:
        with pytest.raises(subprocess.TimeoutExpired):
            handle.wait(0.05)

        assert running(handle.pid)
        handle.kill()


@pytest.mark.orphans
def test_wait_for_the_command_alone() -> None:
    """wait does not wait for a grandchild that holds the outputs."""
    with sh("sleep 300 & echo $!").start() as handle:
        assert handle.wait(DEADLOCK_S) == 0
        assert handle.stdout is not None
        os.kill(int(handle.stdout.readline()), signal.SIGKILL)


@pytest.mark.orphans
def test_wait_after_a_communication_that_timed_out() -> None:
    """Nor does it then, though the outputs are not at their end."""
    with sh("sleep 300 & echo $!; exec sleep 0.5").start() as handle:
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            handle.communicate(timeout=0.2)

        assert handle.wait() == 0
        os.kill(int(caught.value.output), signal.SIGKILL)


@pytest.mark.orphans
@pytest.mark.parametrize(("how", "number"), [("terminate", signal.SIGTERM), ("kill", signal.SIGKILL)])
def test_ends_everything(how: str, number: int) -> None:
    """terminate and kill reach what the command started."""
    with sh("sleep 300 & echo $!; wait").start() as handle:
        assert handle.stdout is not None
        grandchild = int(handle.stdout.readline())
        getattr(handle, how)()

        assert handle.stdout.read() == b""
        assert handle.wait(DEADLOCK_S) == -number
        assert eventually(lambda: not running(grandchild))


@pytest.mark.orphans
def test_send_signal_reaches_the_command_alone() -> None:
    """send_signal is for the process, as Popen's is."""
    with sh("trap 'echo caught; kill $!; exit 5' USR1; sleep 300 & echo ready; wait").start() as handle:
        assert handle.stdout is not None
        assert handle.stdout.readline() == b"ready\n"
        handle.send_signal(signal.SIGUSR1)

        assert handle.communicate(timeout=DEADLOCK_S) == (b"caught\n", b"")
        assert handle.returncode == 5


def test_no_signal_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its end was seen nothing is signalled: the number may be somebody else's by now."""
    with Command(["true"]).start() as handle:
        handle.wait(DEADLOCK_S)
        sent: list[Any] = []
        monkeypatch.setattr(os, "getpgid", lambda pid: pid)
        monkeypatch.setattr(os, "kill", lambda *signal: sent.append(signal))
        monkeypatch.setattr(os, "killpg", lambda *signal: sent.append(signal))
        monkeypatch.setattr(signal, "pidfd_send_signal", lambda *signal: sent.append(signal))
        handle.send_signal(signal.SIGTERM)
        handle.terminate()
        handle.kill()

        assert sent == []


def test_group_is_reached_after_the_command_ended() -> None:
    """As long as nobody has seen its end, kill reaches what the command left behind."""
    with sh("sleep 300 & echo $!").start() as handle:
        assert handle.stdout is not None
        grandchild = int(handle.stdout.readline())
        os.waitid(os.P_PID, handle.pid, os.WEXITED | os.WNOWAIT)
        handle.kill()

        assert not running(grandchild)


def test_leaving_by_an_error_stops_it() -> None:
    """An exception in the block ends the command and what it started."""
    handle = sh("sleep 300 & echo $!; wait").start()
    assert handle.stdout is not None
    grandchild = int(handle.stdout.readline())

    with pytest.raises(ZeroDivisionError), handle:
        raise ZeroDivisionError

    assert not running(grandchild)
    assert handle.returncode == -signal.SIGTERM


def test_leaving_waits(tmp_path: Path) -> None:
    """Leaving without one waits for its end."""
    with sh(f"sleep 0.2; echo done > {tmp_path}/done").start():
        pass

    assert (tmp_path / "done").read_text() == "done\n"


def test_killed_from_another_thread() -> None:
    """A thread that waits sees the end that another one brings."""
    with Command(["sleep", "300"]).start() as handle:
        codes: list[int] = []
        thread = threading.Thread(target=lambda: codes.append(handle.wait()))
        thread.start()
        handle.kill()
        thread.join(DEADLOCK_S)

        assert codes == [-signal.SIGKILL]


def test_not_started() -> None:
    """A program that is not there is told by start."""
    with pytest.raises(CommandError, match=r"^command 'no-such-program' could not be started: "):
        Command(["no-such-program"]).start()
