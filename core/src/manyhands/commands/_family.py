"""
Everything that a command started, and how to reach all of it with a signal.

The process group is signalled as a whole, which no fork can slip through. What left the group is
found in ``/proc``: the rest of the session, and descendants in sessions of their own as long as
the chain of parents holds. Such strays are signalled through a pidfd, one by one.
"""

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

#: How long processes may take to vanish after SIGKILL, in seconds; those in the middle of a disk operation can.
VANISHING: Final = 1.0


class _Process(NamedTuple):
    ended: bool
    parent: int
    group: int
    session: int
    started: int


class Family:
    """The process *leader*, an unreaped child of ours, with everything that came from it."""

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self._known: dict[int, int] = {}  # pid -> when it started, to tell it from a later process of that number

    def alive(self) -> bool:
        """Whether anything of it still runs."""
        return any(not process.ended for process in self._members().values())

    def signal(self, number: int) -> None:
        """Send a signal to everything of it; the caller sees to it that the leader is not reaped meanwhile."""
        members = self._members()  # before the signal: who loses its parent cannot be found after it
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(self.leader) == self.leader:
                os.killpg(self.leader, number)
            else:  # it joined a group of strangers
                os.kill(self.leader, number)
        for pid, process in members.items():
            if pid != self.leader and process.group != self.leader:
                _signal_stray(pid, process.started, number)

    def kill(self) -> None:
        """SIGKILL to everything of it, again and again until nothing is left that could have forked meanwhile."""
        deadline = time.monotonic() + VANISHING
        self.signal(signal.SIGKILL)
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.002)
            self.signal(signal.SIGKILL)
        self._bury()

    def _bury(self) -> None:
        """Reap those that lost their parent and became our children: we may be the first process of a container."""
        for pid, process in self._members().items():
            if process.ended and process.parent == os.getpid() and pid != self.leader:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _members(self) -> dict[int, _Process]:
        table = {pid: process for pid in _pids() if (process := _look(pid)) is not None}
        members = {
            pid: process
            for pid, process in table.items()
            if pid == self.leader
            or self.leader in (process.group, process.session)
            or self._known.get(pid) == process.started
        }
        grown = True
        while grown:
            children = {pid: p for pid, p in table.items() if p.parent in members and pid not in members}
            members.update(children)
            grown = bool(children)
        self._known = {pid: process.started for pid, process in members.items()}
        return members


def writers(pipes: Iterable[int]) -> list[int]:
    """The other processes that hold the writing end of one of the *pipes*, given by descriptors of ours."""
    found = []
    with contextlib.suppress(FileNotFoundError):  # no /proc: nobody can be found
        wanted = {os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in pipes}
        if wanted:
            found = [pid for pid in _pids() if pid != os.getpid() and _writes_to(pid, wanted)]
    return found


def _writes_to(pid: int, wanted: set[str]) -> bool:
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):  # it has just ended, or belongs to somebody else
        for name in os.listdir(folder):
            entry = f"{folder}/{name}"
            if os.readlink(entry) in wanted and os.lstat(entry).st_mode & stat.S_IWUSR:
                return True
    return False


def _pids() -> list[int]:
    """The numbers of all processes; none where there is no ``/proc``."""
    with contextlib.suppress(FileNotFoundError):
        return [int(name) for name in os.listdir("/proc") if name.isdecimal()]
    return []


def _look(pid: int) -> _Process | None:
    """What is known about a process; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the name in parentheses, and may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    parent, group, session, started = (int(fields[at]) for at in (1, 2, 3, 19))
    return _Process(fields[0] in (b"Z", b"X"), parent, group, session, started)


def _signal_stray(pid: int, started: int, number: int) -> None:
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            # From here on the handle means one process; the look says that it is the one that was found.
            now = _look(pid)
            if now is not None and now.started == started:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
