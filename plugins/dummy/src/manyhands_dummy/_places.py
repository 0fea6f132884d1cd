"""Where a fiber stands, and what for, as its stack tells it."""

import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

if TYPE_CHECKING:
    from ._hub import Fiber

__all__ = ["place", "purpose"]


def place(fiber: "Fiber", files: frozenset[str] = frozenset()) -> str:
    """``file:line`` of the innermost frame outside of manyhands, or in one of the *files*."""
    for frame in _frames(fiber):
        ours = str(frame.f_globals.get("__name__", "")).startswith(("manyhands", "concurrent.futures"))
        if not ours or frame.f_code.co_filename in files:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return "inside manyhands"


def purpose(fiber: "Fiber") -> str:
    """What a blocked *fiber* waits for: a primitive with those that hold it, or a future."""
    for frame in _frames(fiber):
        known = frame.f_locals
        machine, request = known.get("machine"), known.get("request")
        if machine is not None and request is not None:
            holders = ", ".join(map(str, machine.holders()))
            return f"a {type(machine).__name__.lower()}" + (f" that {holders} has" if holders else "")
        if frame.f_code.co_name == "_wait" and "parker" in known:
            future = known["self"]
            return f"the result of task {future.id} ({future.name})" if hasattr(future, "id") else "a result"
    return "something else"


def _frames(fiber: "Fiber") -> "list[FrameType]":
    """Its stack, innermost first."""
    frame: Any = fiber.greenlet.gr_frame
    if frame is None and fiber.greenlet is getcurrent():
        frame = sys._getframe(1)
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames
