"""Switch points at every bytecode of chosen files."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

from ._hub import Hub

__all__ = ["switching"]

_NAME = "manyhands"


@contextmanager
def switching(hub: Hub, files: frozenset[str]) -> Iterator[None]:
    """In this block any fiber may go on between two bytecodes of code in the *files*."""
    if not files:
        yield
    elif sys.version_info >= (3, 12):
        with _monitoring(hub, files):
            yield
    else:
        with _tracing(hub, files):
            yield


if sys.version_info >= (3, 12):

    @contextmanager
    def _monitoring(hub: Hub, files: frozenset[str]) -> Iterator[None]:
        monitoring = sys.monitoring
        events = monitoring.events
        tool = next(number for number in range(5, -1, -1) if monitoring.get_tool(number) is None)
        watched: list[CodeType] = []

        def begin(code: CodeType, _: int) -> Any:
            if code.co_filename in files:
                monitoring.set_local_events(tool, code, events.INSTRUCTION)
                watched.append(code)
            return monitoring.DISABLE

        def between(code: CodeType, _: int) -> None:
            hub.pause()

        monitoring.use_tool_id(tool, _NAME)
        try:
            monitoring.register_callback(tool, events.PY_START, begin)
            monitoring.register_callback(tool, events.INSTRUCTION, between)
            monitoring.set_events(tool, events.PY_START)
            monitoring.restart_events()
            yield
        finally:
            monitoring.set_events(tool, 0)
            for code in watched:
                monitoring.set_local_events(tool, code, 0)
            monitoring.free_tool_id(tool)


@contextmanager
def _tracing(hub: Hub, files: frozenset[str]) -> Iterator[None]:
    def trace(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            hub.pause()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
