"""One command, run to its end."""

import errno
import os
import pickle
import signal
import subprocess
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest

from manyhands import Command, CommandError, CommandTimeoutError, CompletedCommand, Executor, shell_command
from manyhands.contract.support import DEADLOCK_S, eventually

from .helpers import MIB, python, running, sh

#: The test leaves grandchildren that nobody but the test process can wait for.
orphans = pytest.mark.orphans
frequent = pytest.mark.covers("frequently-used-arguments")
constructor = pytest.mark.covers("popen-constructor")
security = pytest.mark.covers("security-considerations")


@pytest.mark.covers("using-the-subprocess-module")
class TestSuccess:
    def test_outputs_are_kept_apart(self) -> None:
        """stdout and stderr come back as the bytes that were written."""
        completed = sh("echo out; echo err >&2")()

        assert (completed.stdout, completed.stderr) == (b"out\n", b"err\n")

    def test_result_says_what_ran(self) -> None:
        """args is the list that was given, returncode 0, duration in seconds."""
        completed = Command(["sleep", "0.1"])()

        assert completed.args == ["sleep", "0.1"]
        assert completed.returncode == 0
        assert 0.1 <= completed.duration < DEADLOCK_S

    def test_result_is_the_standard_library_s(self) -> None:
        """Code that asks for subprocess.CompletedProcess gets one."""
        assert isinstance(Command(["true"])(), subprocess.CompletedProcess)

    def test_runs_again(self) -> None:
        """A command is a value: calling it twice runs it twice."""
        command = sh("echo $$")

        assert command().stdout != command().stdout

    @frequent
    def test_input_is_sent(self) -> None:
        """input goes to stdin."""
        assert Command(["cat"], input=b"hello")().stdout == b"hello"

    @frequent
    def test_large_input_is_echoed(self) -> None:
        """10 MiB go in and come out at the same time."""
        data = os.urandom(10 * MIB)

        assert Command(["cat"], input=data, timeout=DEADLOCK_S)().stdout == data

    @frequent
    def test_stdin_is_empty_by_default(self) -> None:
        """A command does not read what the caller's terminal has."""
        assert Command(["cat"], timeout=DEADLOCK_S)().stdout == b""

    @frequent
    def test_text_mode(self) -> None:
        """text=True gives str with plain newlines."""
        assert sh(r"printf 'a\r\nb\rc\n'", text=True)().stdout == "a\nb\nc\n"

    @frequent
    def test_encoding_and_errors(self) -> None:
        """encoding= and errors= are used for both directions."""
        completed = Command(["cat"], input="grün", encoding="latin-1")()
        assert completed.stdout == "grün"

        assert sh(r"printf '\377'", encoding="ascii", errors="replace")().stdout == "\N{REPLACEMENT CHARACTER}"

    @frequent
    def test_text_that_cannot_be_decoded(self) -> None:
        """Output that is no text in that encoding is the standard library's error."""
        with pytest.raises(UnicodeDecodeError):
            sh(r"printf '\377'", encoding="utf-8")()

    @constructor
    def test_environment_is_exactly_env(self) -> None:
        """env replaces the whole environment."""
        mixed: dict[Any, Any] = {"A": "1", b"B": b"2"}

        assert Command(["/usr/bin/env"], env=mixed)().stdout == b"A=1\nB=2\n"

    @constructor
    def test_environment_is_inherited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Without env the caller's environment is passed on."""
        monkeypatch.setenv("MANYHANDS_PROBE", "here")

        assert sh("echo $MANYHANDS_PROBE")().stdout == b"here\n"

    @constructor
    def test_cwd(self, tmp_path: Path) -> None:
        """The command runs in cwd, a path object too."""
        assert Command(["pwd"], cwd=tmp_path, text=True)().stdout.strip() == str(tmp_path.resolve())

    @frequent
    def test_stderr_joins_stdout(self) -> None:
        """stderr=STDOUT puts both into one."""
        completed = sh("echo out; echo err >&2", stderr=subprocess.STDOUT)()

        assert (completed.stdout, completed.stderr) == (b"out\nerr\n", None)

    @constructor
    def test_umask(self) -> None:
        """umask holds in the command."""
        assert sh("umask", umask=0o027)().stdout == b"0027\n"

    @constructor
    def test_pass_fds(self) -> None:
        """Descriptors named in pass_fds stay open in the command, others do not."""
        read, write = os.pipe()
        other = os.dup(read)
        os.set_inheritable(other, True)
        try:
            completed = python("import os; print(os.listdir('/proc/self/fd'))", pass_fds=[write], text=True)()
        finally:
            for descriptor in (read, write, other):
                os.close(descriptor)

        assert f"'{write}'" in completed.stdout
        assert f"'{other}'" not in completed.stdout

    @constructor
    def test_session_of_its_own(self) -> None:
        """By default the command leads a session."""
        script = "import os; print(os.getpid() == os.getsid(0) == os.getpgid(0))"

        assert python(script, text=True)().stdout == "True\n"

    @constructor
    @pytest.mark.parametrize("options", [{"start_new_session": False}, {"process_group": 0}])
    def test_group_of_its_own(self, options: dict[str, Any]) -> None:
        """Without a new session it still leads a group."""
        script = "import os; print(os.getpid() == os.getpgid(0), os.getsid(0))"

        assert python(script, text=True, **options)().stdout == f"True {os.getsid(0)}\n"

    @security
    @pytest.mark.bad_input(41)
    def test_shell_syntax_is_inert(self) -> None:
        """What means something to a shell arrives as plain arguments."""
        corpus = ["; rm x", "$(id)", "`id`", "a\nb", "-rf", "--", "*", "&& id", "| id", "%s", "{0}", "'", '"', ""]

        assert python("import sys; print(sys.argv[1:])", *corpus, text=True)().stdout == f"{corpus}\n"

    @security
    def test_shell_command(self) -> None:
        """shell_command hands a command line to the shell, with the options of a command."""
        assert (
            shell_command('echo "$A" | tr a-z A-Z', env={"A": "x;y", "PATH": os.environ["PATH"]})().stdout == b"X;Y\n"
        )

    def test_works_without_pidfd(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the system cannot announce the end of a process, it is looked for."""

        def refuse(pid: int, flags: int = 0) -> int:
            raise OSError(errno.ENOSYS, "not here")

        monkeypatch.setattr(os, "pidfd_open", refuse)

        assert sh("exec >&- 2>&-; sleep 0.05; exit 3", check=False)().returncode == 3

    def test_works_in_another_thread(self) -> None:
        """A command can run in any thread."""
        results = []
        thread = threading.Thread(target=lambda: results.append(sh("echo hi")()))
        thread.start()
        thread.join(DEADLOCK_S)

        assert results[0].stdout == b"hi\n"

    @pytest.mark.fault(97)
    def test_unread_input(self) -> None:
        """10 MiB that nobody reads do not keep a command from ending."""
        assert Command(["true"], input=bytes(10 * MIB), timeout=DEADLOCK_S)().returncode == 0

    @orphans
    def test_unread_input_that_a_grandchild_holds(self, fifo: Path) -> None:
        """Input counts for nothing once the command and its outputs are at their end."""
        line = f"exec 3<&0; (exec >&- 2>&-; read x < {fifo}) <&3 & exit 0"

        assert sh(line, input=bytes(10 * MIB), timeout=DEADLOCK_S)().returncode == 0

        fifo.write_text("go on\n")

    @orphans
    def test_what_ends_by_itself_may_leave_processes(self, fifo: Path) -> None:
        """A background process that holds no output is neither waited for nor stopped."""
        completed = sh(f"(exec >&- 2>&-; read x < {fifo}) & echo $!", timeout=DEADLOCK_S)()

        assert running(int(completed.stdout))
        fifo.write_text("go on\n")

    @pytest.mark.fault(97)
    def test_both_outputs_flooded(self) -> None:
        """32 MiB to each output at once, with unread input, is no deadlock."""
        line = f"head -c {32 * MIB} /dev/zero & head -c {32 * MIB} /dev/zero >&2; wait"
        completed = sh(line, input=bytes(10 * MIB), timeout=DEADLOCK_S)()

        assert (len(completed.stdout), len(completed.stderr)) == (32 * MIB, 32 * MIB)


@pytest.mark.covers("exceptions")
@pytest.mark.fault(96)
class TestFailure:
    def test_exit_code(self) -> None:
        """A failure tells the program, the exit code and the end of stderr."""
        with pytest.raises(
            CommandError, match=r"^command 'sh' ended with exit code 3; the end of its stderr: no luck$"
        ) as caught:
            sh("echo partial; echo no luck >&2; exit 3")()

        error = caught.value
        assert (error.cmd[0], error.returncode) == ("sh", 3)
        assert (error.output, error.stdout, error.stderr) == (b"partial\n", b"partial\n", b"no luck\n")
        assert isinstance(error, subprocess.CalledProcessError)
        assert isinstance(error, subprocess.SubprocessError)

    def test_signal(self) -> None:
        """Death by a signal tells its name."""
        with pytest.raises(CommandError, match=r"^command 'sh' was killed by SIGSEGV$") as caught:
            sh("kill -SEGV $$")()

        assert caught.value.returncode == -signal.SIGSEGV

    def test_only_the_end_of_stderr_is_in_the_sentence(self) -> None:
        """The sentence has the last 4 KiB of stderr, the attribute all of it."""
        with pytest.raises(CommandError) as caught:
            sh(f"head -c {MIB} /dev/zero | tr '\\0' x >&2; echo end >&2; exit 1")()

        assert str(caught.value).endswith("xend")
        assert len(str(caught.value)) < 4096 + 100
        assert len(caught.value.stderr) == MIB + 4

    def test_unchecked(self) -> None:
        """check=False gives the result of a failure; check_returncode asks later."""
        completed = sh("exit 3", check=False)()
        assert completed.returncode == 3

        with pytest.raises(CommandError, match="command 'sh' ended with exit code 3"):
            completed.check_returncode()

    def test_failure_in_text_mode(self) -> None:
        """The outputs of an error are texts too, with marks for what cannot be decoded."""
        with pytest.raises(CommandError) as caught:
            sh(r"printf 'a\377'; echo why >&2; exit 1", encoding="utf-8")()

        assert (caught.value.output, caught.value.stderr) == ("a\N{REPLACEMENT CHARACTER}", "why\n")


@pytest.mark.covers("exceptions")
@pytest.mark.fault(95)
class TestNotStarted:
    def test_missing(self) -> None:
        """A program that is not there is named, with the number of the error."""
        with pytest.raises(
            CommandError, match=r"^command 'no-such-program' could not be started: .*ENOENT\)$"
        ) as caught:
            Command(["no-such-program", "-x"])()

        assert caught.value.returncode is None
        assert caught.value.errno == errno.ENOENT

    def test_not_executable(self, tmp_path: Path) -> None:
        """So is a file that may not be executed."""
        path = tmp_path / "plain"
        path.write_text("hello")

        with pytest.raises(CommandError, match=r"plain' could not be started: permission denied \(EACCES\)$") as caught:
            Command([path])()

        assert caught.value.errno == errno.EACCES

    def test_wrong_format(self, tmp_path: Path) -> None:
        """So is a file that is no program."""
        path = tmp_path / "program"
        path.write_text("hello")
        path.chmod(0o755)

        with pytest.raises(CommandError, match=r"program' could not be started: .*ENOEXEC\)$") as caught:
            Command([path])()

        assert caught.value.errno == errno.ENOEXEC

    @pytest.mark.bad_input(39)
    def test_environment_too_big(self) -> None:
        """An environment of 3 MB is more than the system takes."""
        with pytest.raises(CommandError, match=r"^command 'true' could not be started: .*E2BIG\)$") as caught:
            Command(["true"], env={"A": "x" * 3_000_000})()

        assert caught.value.errno == errno.E2BIG

    @pytest.mark.bad_input(40)
    @pytest.mark.parametrize("kind", ["missing", "a file", "deleted meanwhile"])
    def test_cwd_is_blamed(self, tmp_path: Path, kind: str) -> None:
        """A cwd that is no folder is named, and not the program."""
        cwd = tmp_path / "folder"
        if kind == "a file":
            cwd.write_text("")
        elif kind == "deleted meanwhile":
            cwd.mkdir()
        command = Command(["true"], cwd=cwd)
        if kind == "deleted meanwhile":
            cwd.rmdir()

        with pytest.raises(CommandError, match=r"^command 'true' could not be started in cwd '.*folder': no"):
            command()

    def test_program_is_blamed_when_cwd_is_fine(self, tmp_path: Path) -> None:
        """A missing program in a good cwd says nothing about the cwd."""
        with pytest.raises(CommandError, match=r"^command 'no-such-program' could not be started: "):
            Command(["no-such-program"], cwd=tmp_path)()

    def test_program_is_blamed_when_it_is_the_cwd(self, tmp_path: Path) -> None:
        """A folder is a good cwd and no program."""
        with pytest.raises(CommandError, match=r"^command '.*' could not be started: permission denied"):
            Command([tmp_path], cwd=tmp_path)()

    def test_cwd_is_not_blamed_for_the_group(self, tmp_path: Path) -> None:
        """Neither is it for what else goes wrong before the program's turn."""
        with pytest.raises(CommandError, match=r"^command 'true' could not be started: "):
            Command(["true"], cwd=tmp_path, process_group=2**30)()

    def test_unknown_user(self) -> None:
        """A user that this machine does not know."""
        with pytest.raises(CommandError, match=r"could not be started: .*nobody-of-that-name"):
            Command(["true"], user="nobody-of-that-name")()

    def test_cause(self) -> None:
        """The system's own error is the cause."""
        with pytest.raises(CommandError) as caught:
            Command(["no-such-program"])()

        assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.fault(98)
class TestTimeout:
    def test_grandchild_holds_the_pipes(self) -> None:
        """The whole group is killed at the timeout, and nobody waits for a grandchild's outputs."""
        started = time.monotonic()
        with pytest.raises(CommandTimeoutError, match=r"^command 'sh' ran longer than 0.3 s and was killed$") as caught:
            sh("sleep 300 & echo $!; wait", timeout=0.3, grace=5)()

        assert time.monotonic() - started < 5
        assert not running(int(caught.value.output))

    @pytest.mark.covers("exceptions", "using-the-subprocess-module")
    def test_is_the_standard_library_s(self) -> None:
        """except subprocess.TimeoutExpired catches it, and finds what it looks for."""
        with pytest.raises(subprocess.TimeoutExpired) as caught:
            sh("echo partial; echo why >&2; exec sleep 300", timeout=0.3)()

        error = caught.value
        assert (error.timeout, error.cmd[0]) == (0.3, "sh")
        assert (error.output, error.stdout, error.stderr) == (b"partial\n", b"partial\n", b"why\n")

    def test_leader_ended_but_grandchild_holds_the_pipes(self) -> None:
        """The timeout also ends the wait for an output that only a background process holds."""
        with pytest.raises(CommandTimeoutError) as caught:
            sh("sleep 300 & echo $!", timeout=0.3)()

        assert not running(int(caught.value.output))

    def test_sigterm_comes_first(self) -> None:
        """A command may clean up in the grace; what it writes then is kept."""
        with pytest.raises(CommandTimeoutError) as caught:
            sh("trap 'echo cleaned; exit' TERM; echo ready; while :; do sleep 0.01; done", timeout=0.3)()

        assert caught.value.output == b"ready\ncleaned\n"

    def test_sigkill_after_the_grace(self) -> None:
        """What ignores SIGTERM is killed when the grace is over."""
        started = time.monotonic()
        with pytest.raises(CommandTimeoutError) as caught:
            sh("trap '' TERM; sleep 300 & echo $!; wait", timeout=0.2, grace=0.3)()

        assert 0.5 <= time.monotonic() - started < 5
        assert not running(int(caught.value.output))

    def test_grandchild_in_a_session_of_its_own(self) -> None:
        """setsid does not save a descendant whose chain of parents holds."""
        with pytest.raises(CommandTimeoutError) as caught:
            sh("setsid sleep 300 & echo $!; wait", timeout=0.5)()

        assert not running(int(caught.value.output))

    def test_grandchild_in_a_group_of_its_own(self) -> None:
        """Nor does a group of its own inside the session, even for an orphan."""
        script = """
            import os
            if os.fork() == 0:
                if os.fork() == 0:
                    os.setpgid(0, 0)
                    print(os.getpid(), flush=True)
                    os.execvp("sleep", ["sleep", "300"])
                os._exit(0)
            os.wait()
            os.execvp("sleep", ["sleep", "300"])
        """
        with pytest.raises(CommandTimeoutError) as caught:
            python(script, timeout=2)()

        assert not running(int(caught.value.output))

    @orphans
    def test_daemon_that_holds_an_output_is_reported(self) -> None:
        """What left the session and lost its parent is named by a note, and not waited for."""
        script = """
            import os, sys
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    print(os.getpid(), flush=True)
                    os.execvp("sleep", ["sleep", "300"])
                os._exit(0)
            os.wait()
            os.execvp("sleep", ["sleep", "300"])
        """
        started = time.monotonic()
        with pytest.raises(CommandTimeoutError) as caught:
            python(script, timeout=2, grace=5)()

        assert time.monotonic() - started < 5
        daemon = int(caught.value.output)
        os.kill(daemon, signal.SIGKILL)
        assert caught.value.__notes__ == [
            f"an output is still held by process {daemon}, which left the session and was not stopped"
        ]

    def test_zero(self) -> None:
        """A timeout of 0 is over at once."""
        with pytest.raises(CommandTimeoutError):
            Command(["sleep", "300"], timeout=0)()

    @pytest.mark.parametrize("timeout", [None, float("inf")])
    def test_no_limit(self, timeout: float | None) -> None:
        """None and inf set no limit."""
        assert Command(["true"], timeout=timeout)().returncode == 0

    def test_group_of_others_is_spared(self) -> None:
        """A command that joined another's group is stopped without it."""
        with Command(["sleep", "300"], start_new_session=False).start() as other:
            with pytest.raises(CommandTimeoutError) as caught:
                sh("sleep 300 & echo $!; wait", process_group=other.pid, timeout=0.3)()

            assert not running(int(caught.value.output))
            assert other.poll() is None
            other.kill()


@pytest.mark.fault(97)
class TestOutputLimit:
    @pytest.mark.parametrize(("stream", "redirect"), [("stdout", ""), ("stderr", ">&2")])
    def test_exceeded(self, stream: str, redirect: str) -> None:
        """Beyond the limit the group is killed and the error tells limit and stream."""
        with pytest.raises(CommandError, match=rf"^command 'sh' wrote more than 1000 bytes to {stream}") as caught:
            sh(f"cat /dev/zero {redirect}", output_limit=1000)()

        assert len(getattr(caught.value, stream)) == 1000
        assert caught.value.returncode == -signal.SIGTERM

    def test_exactly(self) -> None:
        """The limit itself is allowed."""
        assert len(sh("head -c 1000 /dev/zero", output_limit=1000)().stdout) == 1000

    def test_exceeded_by_a_command_that_has_ended(self) -> None:
        """One byte too many is an error, however fast it came."""
        with pytest.raises(CommandError, match="wrote more than 0 bytes to stdout"):
            sh("echo", output_limit=0)()

    def test_flood_while_stdin_is_unread(self) -> None:
        """A gigabyte to stderr, with 10 MiB of input that nobody reads, ends at the limit."""
        with pytest.raises(CommandError, match="wrote more than 1048576 bytes to stderr"):
            sh(f"head -c {1 << 30} /dev/zero >&2", input=bytes(10 * MIB), output_limit=MIB, timeout=DEADLOCK_S)()

    @orphans
    def test_memory_is_bounded_in_the_grace(self) -> None:
        """Nothing more is kept of a command that goes on writing because it ignores SIGTERM."""
        script = """
            from pathlib import Path
            from manyhands.commands import Command
            from manyhands.errors import CommandError
            try:
                Command(["sh", "-c", "trap '' TERM; cat /dev/zero"], output_limit=1 << 20, grace=0.5)()
            except CommandError as error:
                peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
                print(len(error.output), peak)
        """
        kept, peak_kib = map(int, python(script)().stdout.split())

        assert kept == MIB
        assert peak_kib < 128 * 1024


class TestStopped:
    @pytest.mark.capability("not deterministic")
    def test_cancelled_task(self, executor: Executor, fifo: Path) -> None:
        """A command in a task that is asked to stop stops with all it started, and tells that it was cancelled."""
        future = executor.submit(sh(f"sleep 300 & echo $! > {fifo}; wait"))
        grandchild = int(fifo.read_text())
        future.cancel(running=True)

        with pytest.raises(CancelledError):
            future.result(DEADLOCK_S)
        assert eventually(lambda: not running(grandchild))

    @orphans
    def test_keyboard_interrupt(self, fifo: Path) -> None:
        """Ctrl-C stops the command with all it started before it goes on."""
        script = """
            import sys, warnings
            warnings.simplefilter("ignore", ResourceWarning)  # it may come between any open() and its with
            from manyhands.commands import Command
            try:
                Command(["sh", "-c", f"sleep 300 & echo $! > {sys.argv[1]}; wait"])()
            except KeyboardInterrupt:
                print("interrupted")
        """
        with python(script, fifo, text=True).start() as program:
            grandchild = int(fifo.read_text())
            program.send_signal(signal.SIGINT)

            assert program.communicate(timeout=DEADLOCK_S) == ("interrupted\n", "")
            assert not running(grandchild)

    @orphans
    def test_second_keyboard_interrupt(self, fifo: Path) -> None:
        """Ctrl-C in the grace cuts it short; the command is killed all the same."""
        script = """
            import sys, warnings
            warnings.simplefilter("ignore", ResourceWarning)  # it may come between any open() and its with
            from manyhands.commands import Command
            line = f"trap 'echo asked > {sys.argv[1]}' TERM; echo $$ > {sys.argv[1]}; while :; do sleep 0.01; done"
            try:
                Command(["sh", "-c", line], grace=300)()
            except KeyboardInterrupt:
                print("interrupted")
        """
        with python(script, fifo, text=True).start() as program:
            command = int(fifo.read_text())
            program.send_signal(signal.SIGINT)
            assert fifo.read_text() == "asked\n"
            program.send_signal(signal.SIGINT)

            assert program.communicate(timeout=DEADLOCK_S) == ("interrupted\n", "")
            assert not running(command)

    def test_keyboard_interrupt_at_any_moment(self) -> None:
        """Whenever Ctrl-C comes, also while the process is being started, no child is left."""
        script = """
            import os, signal, threading, time
            from manyhands.commands import Command
            left = 0
            for step in range(80):
                ready = threading.Event()
                def interrupt():
                    ready.wait()
                    time.sleep(step * 5e-5)
                    os.kill(os.getpid(), signal.SIGINT)
                thread = threading.Thread(target=interrupt)
                thread.start()
                try:
                    ready.set()
                    Command(["sleep", "300"])()
                except KeyboardInterrupt:
                    pass
                thread.join()
                try:
                    os.waitpid(-1, os.WNOHANG)
                    left += 1
                except ChildProcessError:
                    pass
            print(left)
        """
        assert python(script, timeout=DEADLOCK_S)().stdout == b"0\n"

    def test_ignored_children(self) -> None:
        """In a program that ignores SIGCHLD commands end, and time out, all the same."""
        script = """
            import signal
            from manyhands.commands import Command
            from manyhands.errors import CommandTimeoutError
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            print(Command(["echo", "hi"])().stdout)
            try:
                Command(["sleep", "300"], timeout=0.2)()
            except CommandTimeoutError as error:
                print(error)
        """
        assert python(script, text=True, timeout=DEADLOCK_S)().stdout.splitlines() == [
            "b'hi\\n'",
            "command 'sleep' ran longer than 0.2 s and was killed",
        ]


class TestPickle:
    def test_command(self) -> None:
        """A command survives pickling with all its options."""
        command = sh("x", timeout=1, env={"A": "b"}, cwd="/", input=b"i", output_limit=5, pass_fds=[7], umask=0)

        assert pickle.loads(pickle.dumps(command)) == command

    def test_completed(self) -> None:
        """So does a result."""
        completed = sh("echo hi")()

        assert pickle.loads(pickle.dumps(completed)) == completed

    @pytest.mark.parametrize(
        "command",
        [sh("echo why >&2; exit 3"), sh("exec sleep 300", timeout=0.1), Command(["no-such-program"])],
        ids=["failed", "timeout", "missing"],
    )
    def test_errors(self, command: Command) -> None:
        """So do the errors, with all they know."""
        with pytest.raises(CommandError) as caught:
            command()

        copy = pickle.loads(pickle.dumps(caught.value))

        assert type(copy) is type(caught.value)
        assert (str(copy), vars(copy)) == (str(caught.value), vars(caught.value))


class TestValue:
    def test_frozen(self) -> None:
        """Neither a command nor a result can be changed."""
        with pytest.raises(AttributeError):
            Command(["true"]).timeout = 1  # type: ignore[misc]
        with pytest.raises(AttributeError):
            CompletedCommand(["true"], 0).returncode = 1  # type: ignore[misc]

    def test_does_not_follow_its_sources(self) -> None:
        """What a command was built from can change without changing it."""
        args, env, data = ["echo", "a"], {"A": "1"}, bytearray(b"x")
        command = Command(args, env=env, input=data)
        args.append("b")
        env["A"] = "2"
        data[:] = b"y"

        assert (command.args, command.env, command.input) == (("echo", "a"), {"A": "1"}, b"x")

    def test_equal_and_hashable(self) -> None:
        """Equal commands have equal hashes, an environment included."""
        one, two = (Command(["a"], env={"A": "1"}) for _ in range(2))

        assert one == two
        assert hash(one) == hash(two)
        assert one != Command(["a"])

    def test_repr_hides_secrets(self) -> None:
        """The repr shows what runs and how, but neither environment nor input."""
        command = Command(["a", "b"], timeout=1.5, env={"TOKEN": "secret"}, input=b"secret")

        assert repr(command) == "Command(['a', 'b'], timeout=1.5, env=..., input=...)"

    def test_options_go_by_name(self) -> None:
        """Only the arguments go by position."""
        with pytest.raises(TypeError, match="positional"):
            Command(["a"], 5)
