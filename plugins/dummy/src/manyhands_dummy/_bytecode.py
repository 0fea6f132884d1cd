"""Switch points at every bytecode of chosen files."""

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import greenlet

from ._hub import Hub

__all__ = ["Points", "switching"]

_NAME = "manyhands"
#: How many bytecodes apart switches are on average; a seed takes one of these. Some races need many
#: switches close together, others one fiber that stands still while another one does a lot.
_DISTANCES = (1, 4, 16, 64, 256)


class Points:
    """Decides at which bytecodes others may go on."""

    def __init__(self) -> None:
        self._pause: Callable[[], None] | None = None
        self._left = 0

    @contextmanager
    def of(self, hub: Hub, seed: int) -> Iterator[None]:
        """In this block the fibers of *hub* are interrupted, in a way that *seed* decides."""
        numbers = random.Random(seed)
        rate = 1 / numbers.choice(_DISTANCES)

        def pause() -> None:
            self._left = int(numbers.expovariate(rate))
            # Tracing is off for the whole thread during a callback, and it is to be on for whoever goes on.
            sys.call_tracing(hub.pause, ())

        def pause_outside() -> None:
            if not hub.undivided:
                pause()

        self._left = int(numbers.expovariate(rate))
        self._pause = pause_outside
        try:
            yield
        finally:
            self._pause = None

    def reached(self, *_: object) -> None:
        """Somebody is between two bytecodes."""
        if self._left:
            self._left -= 1
        elif self._pause is not None:
            self._pause()


@contextmanager
def switching(files: frozenset[str]) -> Iterator[Points]:
    """In this block the points lie between any two bytecodes of code in the *files*."""
    points = Points()
    if not files:
        yield points
    elif sys.version_info >= (3, 12):
        with _monitoring(points, files):
            yield points
    else:
        with _tracing(points, files):
            yield points


if sys.version_info >= (3, 12):

    @contextmanager
    def _monitoring(points: Points, files: frozenset[str]) -> Iterator[None]:
        monitoring = sys.monitoring
        events = monitoring.events
        tool = next(number for number in range(5, -1, -1) if monitoring.get_tool(number) is None)
        watched: list[CodeType] = []

        def begin(code: CodeType, _: int) -> Any:
            if code.co_filename in files:
                monitoring.set_local_events(tool, code, events.INSTRUCTION)
                watched.append(code)
            return monitoring.DISABLE

        # A generator may have been started before: then it only resumes here.
        entries = (events.PY_START, events.PY_RESUME)
        monitoring.use_tool_id(tool, _NAME)
        try:
            for event in entries:
                monitoring.register_callback(tool, event, begin)
            monitoring.register_callback(tool, events.INSTRUCTION, points.reached)
            monitoring.set_events(tool, events.PY_START | events.PY_RESUME)
            monitoring.restart_events()
            yield
        finally:
            monitoring.set_events(tool, 0)
            for code in watched:
                monitoring.set_local_events(tool, code, 0)
            for event in (*entries, events.INSTRUCTION):
                monitoring.register_callback(tool, event, None)
            monitoring.free_tool_id(tool)


@contextmanager
def _tracing(points: Points, files: frozenset[str]) -> Iterator[None]:
    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            points.reached()
        return trace

    def begin(*_: object) -> None:
        """Each greenlet begins without a trace function; this is called in the one that goes on."""
        sys.settrace(trace)

    before = sys.gettrace(), greenlet.settrace(begin)
    sys.settrace(trace)
    try:
        yield
    finally:
        greenlet.settrace(before[1])
        sys.settrace(before[0])
