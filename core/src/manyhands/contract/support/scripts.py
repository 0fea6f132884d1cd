"""Running a program of its own: for what happens at an interpreter's exit, to its signals, or after a fork."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from typing import IO

import attrs

from .waiting import DEADLOCK_S, eventually

__all__ = ["Finished", "Script", "run_script"]


@attrs.frozen
class Finished:
    """How a script ended."""

    returncode: int
    stdout: str
    stderr: str
    #: How long it ran, in seconds.
    took: float


class Script:
    """
    A program under the interpreter that runs the tests; ``with`` kills it if it is still there.

    Its output goes to files and not to pipes: a process that survives it would hold a pipe open,
    and then it is the test that hangs.
    """

    def __init__(self, source: str, *arguments: str, env: dict[str, str] | None = None) -> None:
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._began = time.monotonic()
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(source), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._stdout,
            stderr=self._stderr,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
            start_new_session=True,
        )

    def wait_for(self, line: str) -> None:
        """Wait until it has printed *line*."""
        ended = False

        def said() -> bool:
            nonlocal ended
            ended = self.process.poll() is not None
            return line in _read(self._stdout).splitlines() or ended

        eventually(said)
        if line not in _read(self._stdout).splitlines():
            state = "it has ended" if ended else "it runs"
            raise AssertionError(f"the script has not said {line!r}, and {state}; stderr: {_read(self._stderr)}")

    def interrupt(self) -> float:
        """As Ctrl-C does, but only to the process itself; returns the time."""
        self.process.send_signal(signal.SIGINT)
        return time.monotonic()

    def finish(self, seconds: float = DEADLOCK_S) -> Finished:
        """Wait for its end."""
        try:
            returncode = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"the script did not end in {seconds:g} s; stdout: {_read(self._stdout)}; stderr: {_read(self._stderr)}"
            ) from None
        took = time.monotonic() - self._began
        return Finished(returncode, _read(self._stdout), _read(self._stderr), took)

    def __enter__(self) -> "Script":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._stdout.close()
        self._stderr.close()


def _read(file: IO[bytes]) -> str:
    # By position: the script shares this file's offset.
    return os.pread(file.fileno(), 1 << 20, 0).decode(errors="backslashreplace")


def run_script(source: str, *arguments: str, env: dict[str, str] | None = None) -> Finished:
    """Run *source*, indented as it stands in a test, with *arguments* and wait for its end."""
    with Script(source, *arguments, env=env) as script:
        return script.finish()
