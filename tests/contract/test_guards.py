"""The guards themselves: a test that leaves something behind must fail, and one that hangs must end."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from manyhands.contract import support

PLUGINS = ("-p", "manyhands.contract.plugin", "-p", "no:cacheprovider")


def run_tests(folder: Path, source: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Run *source* as a test file under the guards, in a pytest of its own."""
    (folder / "test_it.py").write_text(textwrap.dedent(source))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *PLUGINS, *options, str(folder)],
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "TMPDIR": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=support.DEADLOCK_S,
    )


LEAKS = {
    "thread": ("threading.Thread(target=threading.Event().wait, name='left-over', daemon=True).start()", "left-over"),
    "descriptor": ("kept.append(open('/dev/null'))", "-> /dev/null"),
    "child": ("kept.append(subprocess.Popen(['sleep', '77']))", "sleep 77"),
    "zombie": ("os.posix_spawn('/bin/true', ['true'], {})", "nobody waited for it"),
    "grandchild": ("subprocess.run(['sh', '-c', 'setsid sleep 77 &'])", "sleep 77"),
    "temporary file": ("tempfile.mkstemp(prefix='left-over')", "left-over"),
    "shared memory": (
        "name = f'/dev/shm/psm_left-over-{os.getpid()}'; open(name, 'w').close(); atexit.register(os.unlink, name)",
        "/dev/shm/psm_left-over",
    ),
    "socket name": ("kept.append(s := socket.socket(socket.AF_UNIX)); s.bind(chr(0) + 'left-over')", "@left-over"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_what_a_test_leaves_behind_is_named(tmp_path: Path, leak: str) -> None:
    """The run fails, and says which thread, descriptor, process, segment, file or name was left."""
    code, named = LEAKS[leak]
    finished = run_tests(
        tmp_path,
        f"""
        import atexit, os, signal, socket, subprocess, tempfile, threading
        from manyhands.contract.support import guards, leaks

        guards.PATIENCE_S = 0.2
        kept = []

        @atexit.register
        def end_all():
            for pid in leaks.descendants():
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)

        def test_it():
            {code}
        """,
    )

    assert finished.returncode == 1
    assert "the test left behind" in finished.stdout
    assert named in finished.stdout


def test_what_goes_away_in_time_is_no_leak(tmp_path: Path) -> None:
    """A thread that ends shortly after its test harms nobody."""
    finished = run_tests(
        tmp_path,
        """
        import threading, time

        def test_it():
            threading.Thread(target=time.sleep, args=(0.3,)).start()
        """,
    )

    assert finished.returncode == 0, finished.stdout


def test_orphans_that_have_ended_are_no_leak_where_they_are_expected(tmp_path: Path) -> None:
    """With the marker, processes that lost their parent are waited for by the guard."""
    finished = run_tests(
        tmp_path,
        """
        import pytest, subprocess

        @pytest.mark.orphans
        def test_it():
            subprocess.run(['sh', '-c', 'sleep 0.1 &'])
        """,
    )

    assert finished.returncode == 0, finished.stdout


def test_a_hanging_test_ends_the_run_and_shows_the_stacks(tmp_path: Path) -> None:
    """The place where it hangs is on stderr."""
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")
    finished = run_tests(
        tmp_path,
        """
        import pytest, threading

        @pytest.mark.timeout(1, method="thread")
        def test_it():
            def hangs_here():
                threading.Event().wait()
            hangs_here()
        """,
        "-p",
        "pytest_timeout",
    )

    assert finished.returncode != 0
    assert "hangs_here" in finished.stderr + finished.stdout


def test_the_switch_interval_can_be_set(tmp_path: Path) -> None:
    """``--switch-interval`` makes threads take turns that often."""
    finished = run_tests(
        tmp_path,
        """
        import sys

        def test_it():
            assert 0 < sys.getswitchinterval() < 1e-4
        """,
        "--switch-interval=1e-6",
    )

    assert finished.returncode == 0, finished.stdout


def test_a_backend_that_is_not_installed_is_a_skip_with_the_reason(tmp_path: Path) -> None:
    """Of the fixed list, what is missing shows."""
    source = """
        from manyhands.contract.support import backends
        backends.BACKENDS = ("absent",)

        def test_it(backend): ...
    """
    finished = run_tests(tmp_path, source, "-rs")

    assert finished.returncode == 0, finished.stdout
    assert "backend 'absent' is not installed" in finished.stdout


def test_a_backend_that_was_asked_for_must_be_installed(tmp_path: Path) -> None:
    """``--manyhands-backend NAME`` fails where the fixed list skips."""
    source = "def test_it(backend): ..."
    finished = run_tests(tmp_path, source, "--manyhands-backend=absent")

    assert finished.returncode == 1
    assert "backend 'absent' is not installed" in finished.stdout
