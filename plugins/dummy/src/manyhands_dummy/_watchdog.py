"""
Reports tasks that block the one thread that there is.

A task that waits through its backend lets others run; one that waits in any other way, for a lock of
the module ``threading`` or for a socket, stops everything, perhaps for ever. One thread for all hubs
of the process looks now and then, and warns with the place.
"""

import _thread
import gc
import os
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

from manyhands import ManyhandsWarning, get_logger

if TYPE_CHECKING:
    from ._hub import Fiber, Hub

__all__ = ["forget", "watch"]

log = get_logger("manyhands.dummy")

#: How often it looks, in seconds; what stands still for two looks in a row is reported.
_LOOK_S: Final = 0.5
#: Who waits uses less of the processor than this, as a share of the time.
_IDLE_SHARE: Final = 0.05

_mutex = threading.Lock()
_hubs: "dict[Hub, _Seen]" = {}
#: Held until the thread is to end.
_end = threading.Lock()
#: Held as long as the thread runs.
_ended = threading.Lock()


class _Seen:
    """What was seen of a hub's thread at the last look."""

    def __init__(self) -> None:
        self.standing: tuple[Fiber, Any, int] | None = None
        self.busy_s = 0.0
        self.looks = 0


def watch(hub: "Hub") -> None:
    """Look after *hub* until it is closed."""
    with _mutex:
        if hub in _hubs:
            return
        _hubs[hub] = _Seen()
        if not _ended.locked():
            _end.acquire()
            _ended.acquire()
            # Not one of the module ``threading``: programs count those.
            _thread.start_new_thread(_look_after, ())


def forget(hub: "Hub") -> None:
    """It is closed; with the last one the thread ends."""
    with _mutex:
        if _hubs.pop(hub, None) is not None and not _hubs:
            _end.release()
            with _ended:
                pass


def _renew() -> None:
    """In a forked child there is no such thread, and no hub that is to be used."""
    global _mutex, _end, _ended
    _mutex, _end, _ended = threading.Lock(), threading.Lock(), threading.Lock()
    _hubs.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


def _look_after() -> None:
    try:
        while not _end.acquire(True, _LOOK_S):  # which makes no object
            # What is made here must not have the collector run here: finalizers may use the backend, but only in its
            # own thread. It is off for less than the interpreter gives to a thread at once.
            collects = gc.isenabled()
            gc.disable()
            try:
                for hub, seen in tuple(_hubs.items()):
                    _look(hub, seen)
            finally:
                if collects:
                    gc.enable()
        _end.release()
    finally:
        _ended.release()


def _look(hub: "Hub", seen: _Seen) -> None:
    fiber, frame = hub.current, sys._current_frames().get(hub.thread)
    busy = _processor_time(hub.thread)
    standing = None if hub.idle or fiber is hub.main or frame is None else (fiber, frame, frame.f_lasti)
    stands = standing is not None and standing == seen.standing and busy - seen.busy_s < _IDLE_SHARE * _LOOK_S
    seen.standing, seen.busy_s = standing, busy
    seen.looks = seen.looks + 1 if stands else 0
    if seen.looks == 2:
        assert frame is not None
        _report(fiber, frame)


def _report(fiber: "Fiber", frame: Any) -> None:
    code, line = _users_own(frame)
    where = f"{code.co_filename}:{line}"
    log.warning("task.blocks_the_thread", task=fiber.name, at=where)
    message = (
        f"{fiber.name} has waited for a second at {where} for something that the dummy backend does not know:"
        " nothing else runs meanwhile; wait for the backend's own primitives, or choose another backend"
    )
    try:
        warnings.warn_explicit(message, ManyhandsWarning, code.co_filename, line)
    except ManyhandsWarning:  # a filter wants it to be an error, but nobody would catch it here
        print(message, file=sys.stderr)


def _users_own(innermost: Any) -> tuple[Any, int]:
    """Where the user's own code waits: not in the inside of ``threading`` or ``socket``, if it can be helped."""
    frame = innermost
    while frame is not None and frame.f_code.co_filename.startswith(_LIBRARY):
        frame = frame.f_back
    if frame is None or str(frame.f_globals.get("__name__")).startswith("manyhands"):
        frame = innermost
    return frame.f_code, frame.f_lineno


def _processor_time(ident: int) -> float:
    """How long that thread has run, in seconds; what cannot be known counts as nothing."""
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(ident))
    except (AttributeError, OSError):
        return 0.0


_LIBRARY: Final = (threading.__file__.rpartition("/")[0] + "/", "<frozen")
