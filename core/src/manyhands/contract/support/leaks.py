"""What a process holds, by name, so that two looks can be compared."""

import contextlib
import ctypes
import os
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Holdings", "adopt_orphans", "descendants", "reap", "take_stock"]

PR_SET_CHILD_SUBREAPER: Final = 36
#: How names in /dev/shm begin that we or the standard library give; all programs have theirs in that one place.
_SHARED: Final = ("manyhands", "psm_", "sem.mp-")


@attrs.frozen
class Holdings:
    """
    Everything that a test may leave behind; keys tell things apart, values say what they are.

    What a platform does not show is empty.
    """

    threads: dict[object, str]
    descriptors: dict[object, str]
    processes: dict[object, str]
    shared_memory: dict[object, str]
    temporary_files: dict[object, str]
    sockets: dict[object, str]

    def beyond(self, before: "Holdings") -> list[str]:
        """What is here and was not there *before*, in words."""
        left = []
        for kind in attrs.fields(Holdings):
            mine, earlier = getattr(self, kind.name), getattr(before, kind.name)
            left += [f"{kind.name}: {what}" for key, what in mine.items() if key not in earlier]
        return [what for what in left if not _belongs_to_a_stranger(what)]


def take_stock() -> Holdings:
    """What this process and its descendants hold now."""
    return Holdings(
        threads=_threads(),
        descriptors=_descriptors(),
        processes={pid: _describe(pid) for pid in descendants()},
        shared_memory={name: what for name, what in _entries("/dev/shm").items() if str(name).startswith(_SHARED)},
        temporary_files=_entries(tempfile.gettempdir()),
        sockets=_sockets(),
    )


def adopt_orphans() -> None:
    """Processes below this one that lose their parent become its children, so that none gets away unseen."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> None:
    """Take the exit codes of children that have ended; only where nobody else waits for them."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def descendants() -> list[int]:
    """Children, grandchildren and so on, also those that have ended and were not waited for."""
    found: list[int] = []
    parents = [os.getpid()]
    while parents:
        children = [child for parent in parents for child in _children(parent)]
        found += children
        parents = children
    return found


def _children(pid: int) -> Iterator[int]:
    for task in _listing(f"/proc/{pid}/task"):
        yield from map(int, _text(f"/proc/{pid}/task/{task}/children").split())


def _describe(pid: int) -> str:
    command = _text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
    state = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return f"process {pid} {'(ended, nobody waited for it)' if state[:1] == ['Z'] else command[:200]}"


def _threads() -> dict[object, str]:
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    return {tid: f"thread {tid} {names.get(int(tid)) or _nameless(tid)!r}" for tid in _listing("/proc/self/task")}


def _nameless(tid: str) -> str:
    """What the kernel knows of a thread that is none of Python's, or has not begun, or is at its end."""
    where = f"/proc/self/task/{tid}"
    state = _text(f"{where}/stat").rpartition(")")[2].split()[:1]
    return " ".join((_text(f"{where}/comm").strip(), *state, _text(f"{where}/wchan")))


def _belongs_to_a_stranger(what: str) -> bool:
    """Whether it is a segment of shared memory, which all programs have in one place, and another one uses it."""
    path = what.removeprefix("shared_memory: ")
    if path == what:
        return False
    ours = {os.getpid(), *descendants()}
    others = (pid for pid in _listing("/proc") if pid.isdigit() and int(pid) not in ours)
    return any(path in _text(f"/proc/{pid}/maps") for pid in others)


def _descriptors() -> dict[object, str]:
    found: dict[object, str] = {}
    for number in _listing("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of the listing itself
            target = os.readlink(f"/proc/self/fd/{number}")
            found[number, target] = f"descriptor {number} -> {target}"
    return found


def _entries(folder: str) -> dict[object, str]:
    return {name: f"{folder}/{name}" for name in _listing(folder)}


def _sockets() -> dict[object, str]:
    """Names of local sockets that this process or its descendants have bound."""
    bound: dict[str, str] = {}
    for line in _text("/proc/net/unix").splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8:
            bound[f"socket:[{fields[6]}]"] = fields[7]
    if not bound:
        return {}
    ours = set(_links(os.getpid())).union(*map(_links, descendants()))
    return {(inode, name): f"socket name {name}" for inode, name in bound.items() if inode in ours}


def _links(pid: int) -> Iterable[str]:
    for number in _listing(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{pid}/fd/{number}")


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it is not there, or has just gone
        return []


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="backslashreplace")
    except OSError:
        return ""
