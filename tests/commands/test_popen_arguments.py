"""Every argument that ``subprocess`` documents for ``Popen`` and ``run``, given to a command."""

import errno
import fcntl
import grp
import inspect
import os
import pwd
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from manyhands import Command, CommandError
from manyhands.contract.support import DEADLOCK_S

from .helpers import python, sh

frequent = pytest.mark.covers("frequently-used-arguments")
constructor = pytest.mark.covers("popen-constructor")
for_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
for_others = pytest.mark.skipif(os.geteuid() == 0, reason="root can become anybody")
outputs = pytest.mark.parametrize(("name", "line"), [("stdout", "echo said"), ("stderr", "echo said >&2")])

#: What of ``Popen`` a command does not have, and what is there instead.
NOT_HERE: Final = {
    "bufsize": "the default",
    "executable": "the first of the arguments",
    "preexec_fn": "restore_signals, start_new_session, process_group, user, group, extra_groups, umask",
    "shell": "shell_command",
    "universal_newlines": "text",
    "startupinfo": "nothing: Windows only",
    "creationflags": "nothing: Windows only",
}


@constructor
def test_each_is_here_or_in_the_table() -> None:
    """A command has each argument of this Python's Popen, under the same name."""
    theirs = set(inspect.signature(subprocess.Popen).parameters)
    ours = {field.name for field in attrs.fields(Command)}

    assert theirs - ours == set(NOT_HERE)


@constructor
@pytest.mark.parametrize("name", NOT_HERE)
def test_what_is_not_here_is_refused(name: str) -> None:
    """By its name; nothing is silently ignored."""
    options: dict[str, Any] = {name: None}
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        Command(["true"], **options)


@pytest.mark.covers("windows-popen-helpers", "windows-constants")
@pytest.mark.skipif(os.name == "nt", reason="for where Windows is not")
def test_the_helpers_for_windows_are_not_here() -> None:
    """As in the standard library, and no command takes what they are for."""
    assert not {"STARTUPINFO", "STARTF_USESHOWWINDOW", "CREATE_NEW_CONSOLE"} & set(vars(subprocess))
    assert not {"startupinfo", "creationflags"} & {field.name for field in attrs.fields(Command)}


@frequent
class TestStdin:
    def test_a_file(self, tmp_path: Path) -> None:
        """An open file is read."""
        (tmp_path / "in").write_bytes(b"from a file")
        with open(tmp_path / "in", "rb") as file:
            assert Command(["cat"], stdin=file)().stdout == b"from a file"

    def test_a_descriptor(self) -> None:
        """So is what a descriptor leads to."""
        read, write = os.pipe()
        os.write(write, b"through a pipe")
        os.close(write)
        completed = Command(["cat"], stdin=read)()
        os.close(read)

        assert completed.stdout == b"through a pipe"

    def test_none_is_the_callers(self) -> None:
        """The command reads what its caller could have read."""
        caller = """
            from manyhands.commands import Command
            print(Command(["cat"], stdin=None)().stdout)
        """
        assert python(caller, input=b"for both")().stdout == b"b'for both'\n"

    def test_a_pipe_brings_the_input(self) -> None:
        """To a command that is called ``input`` is sent, and then the end; without it the end alone."""
        assert Command(["cat"], stdin=subprocess.PIPE, input=b"sent")().stdout == b"sent"
        assert Command(["cat"], stdin=subprocess.PIPE, timeout=DEADLOCK_S)().stdout == b""

    def test_devnull_has_nothing(self) -> None:
        """The command reads its end at once."""
        assert Command(["cat"], stdin=subprocess.DEVNULL, timeout=DEADLOCK_S)().stdout == b""


@frequent
@outputs
class TestOutputs:
    def test_a_pipe_is_kept(self, name: str, line: str) -> None:
        """What was written is in the result."""
        assert getattr(sh(line, **{name: subprocess.PIPE})(), name) == b"said\n"

    def test_none_is_the_callers(self, name: str, line: str, capfd: pytest.CaptureFixture[str]) -> None:
        """It goes where the caller's goes, and the result has None."""
        completed = sh(line, **{name: None})()
        seen = capfd.readouterr()

        assert {"stdout": seen.out, "stderr": seen.err}[name] == "said\n"
        assert getattr(completed, name) is None

    def test_devnull_drops_it(self, name: str, line: str, capfd: pytest.CaptureFixture[str]) -> None:
        """It is nowhere."""
        completed = sh(line, **{name: subprocess.DEVNULL})()

        assert capfd.readouterr() == ("", "")
        assert getattr(completed, name) is None

    def test_a_file(self, name: str, line: str, tmp_path: Path) -> None:
        """It is in the file."""
        with open(tmp_path / "out", "wb") as file:
            completed = sh(line, **{name: file})()

        assert (tmp_path / "out").read_bytes() == b"said\n"
        assert getattr(completed, name) is None

    def test_a_descriptor(self, name: str, line: str) -> None:
        """It is behind the descriptor, which stays open."""
        read, write = os.pipe()
        sh(line, **{name: write})()
        os.close(write)
        with open(read, "rb") as pipe:
            assert pipe.read() == b"said\n"


@frequent
@pytest.mark.parametrize("options", [{"text": True}, {"encoding": "utf-8"}, {"errors": "strict"}])
def test_each_of_three_makes_text(options: dict[str, Any]) -> None:
    """text, encoding or errors: outputs are texts, and so is the input."""
    completed = sh("cat; echo why >&2", input="said", **options)()

    assert (completed.stdout, completed.stderr) == ("said", "why\n")


@constructor
class TestDescriptors:
    @pytest.fixture
    def inheritable(self) -> Any:
        """A descriptor that a child would inherit."""
        descriptor = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(descriptor, True)
        yield descriptor
        os.close(descriptor)

    @pytest.mark.parametrize("close", [True, False])
    def test_close_fds(self, inheritable: int, close: bool) -> None:
        """True is the default; False leaves open what can be inherited."""
        listing = sh("ls /proc/$$/fd", text=True, close_fds=close)().stdout.split()

        assert (str(inheritable) in listing) is not close

    def test_pipesize(self) -> None:
        """So many bytes fit into each of the pipes."""
        handle = sh("cat", stdin=subprocess.PIPE, pipesize=1 << 18).start()
        with handle:
            pipes = (handle.stdin, handle.stdout, handle.stderr)
            assert [fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) for pipe in pipes if pipe] == [1 << 18] * 3


@constructor
@pytest.mark.parametrize("restore", [True, False])
def test_restore_signals(restore: bool) -> None:
    """Python ignores SIGPIPE; the command does not, unless it is told to."""
    status = Command(["cat", "/proc/self/status"], text=True, restore_signals=restore)().stdout
    ignored = int(status.split("SigIgn:")[1].split()[0], 16)

    assert bool(ignored & 1 << (signal.SIGPIPE - 1)) is not restore


@constructor
def test_process_group() -> None:
    """The command joins the group that is named."""
    with Command(["sleep", "300"], start_new_session=False).start() as leader:
        assert python("import os; print(os.getpgid(0))", process_group=leader.pid)().stdout == b"%d\n" % leader.pid
        leader.kill()


@constructor
class TestAccounts:
    def test_oneself(self) -> None:
        """Everybody may be who they are."""
        mine = pwd.getpwuid(os.geteuid())
        for user in (mine.pw_uid, mine.pw_name):
            assert Command(["id", "-u"], user=user)().stdout == b"%d\n" % mine.pw_uid

    @for_root
    def test_user(self) -> None:
        """By number and by name."""
        nobody = pwd.getpwnam("nobody")
        for user in (nobody.pw_uid, nobody.pw_name):
            assert Command(["id", "-u"], user=user)().stdout == b"%d\n" % nobody.pw_uid

    @for_root
    def test_group(self) -> None:
        """By number and by name."""
        other = grp.getgrgid(pwd.getpwnam("nobody").pw_gid)
        for group in (other.gr_gid, other.gr_name):
            assert Command(["id", "-g"], group=group)().stdout == b"%d\n" % other.gr_gid

    @for_root
    def test_extra_groups(self) -> None:
        """By number and by name, beside the group of the command; an empty list leaves none."""
        mine, other = grp.getgrgid(os.getegid()), grp.getgrgid(pwd.getpwnam("nobody").pw_gid)
        for group in (other.gr_gid, other.gr_name):
            completed = Command(["id", "-G"], extra_groups=[group], text=True)()
            assert set(completed.stdout.split()) == {str(mine.gr_gid), str(other.gr_gid)}
        assert Command(["id", "-G"], extra_groups=[], text=True)().stdout.split() == [str(mine.gr_gid)]

    @for_others
    @pytest.mark.parametrize("option", [{"user": 0}, {"group": 0}, {"extra_groups": [0]}])
    def test_somebody_else_is_refused(self, option: dict[str, Any]) -> None:
        """The error says what the system said."""
        with pytest.raises(CommandError, match=r"could not be started: operation not permitted \(EPERM\)$") as caught:
            Command(["true"], **option)()

        assert caught.value.errno == errno.EPERM
