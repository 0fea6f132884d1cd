"""
Making things go wrong on purpose: fixtures for fault tests, of our backends and of other people's.

A pytest plugin that nothing loads by itself: use ``-p manyhands.contract.injection``, or import the
fixtures into a ``conftest.py``. What a fixture gives is an ordinary function of this module, so that
a script which a test starts can call it as well.
"""

import itertools
import os
import signal
import sys
import threading
from _thread import interrupt_main
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import attrs
import pytest

__all__ = [
    "FailedCall",
    "Storm",
    "Sweep",
    "failing_calls",
    "install_dist",
    "interrupt_sweep",
    "rlimits",
    "signal_storm",
]

#: A scenario that makes more calls than this has no end.
_MOST_CALLS: Final = 1000


# A call of the operating system fails.


@attrs.define
class FailedCall:
    """Which call is to fail this time, and whether it came to that."""

    number: int
    happened: bool = False


def failing_calls(owner: Any, name: str, error: int | BaseException, *, lasting: bool = False) -> Iterator[FailedCall]:
    """
    Let the first, second, ... call of ``owner.name`` fail, until a round passes in which none did.

    Run the scenario once per round::

        for failed in fail_call(threading.Thread, "start", RuntimeError("can't start new thread")):
            scenario()

    Args:
        owner: The module or class that has the function.
        name: Its name there.
        error: What is raised: an errno makes an OSError, an exception is raised as a copy.
        lasting: All calls after that one fail, too.
    """
    original = getattr(owner, name)
    for number in range(1, _MOST_CALLS + 1):
        failed = FailedCall(number)
        numbers = itertools.count(1)

        def call(*args: Any, _numbers: Iterator[int] = numbers, _failed: FailedCall = failed, **kwargs: Any) -> Any:
            now = next(_numbers)
            if now == _failed.number or (lasting and now > _failed.number):
                _failed.happened = True
                raise OSError(error, os.strerror(error)) if isinstance(error, int) else type(error)(*error.args)
            return original(*args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, call)
            yield failed
        if not failed.happened:
            return
    raise AssertionError(f"the scenario still calls {name} after {_MOST_CALLS} rounds")


@pytest.fixture
def fail_call() -> Iterator[Callable[..., Iterator[FailedCall]]]:
    """:func:`failing_calls`; a round that is left by an exception is undone at the end of the test."""
    rounds: list[Any] = []

    def begin(*args: Any, **kwargs: Any) -> Iterator[FailedCall]:
        rounds.append(failing_calls(*args, **kwargs))
        return rounds[-1]  # type: ignore[no-any-return]

    yield begin
    for each in rounds:
        each.close()


# Signals.


@attrs.define
class Storm:
    """How many signals were handled so far."""

    handled: int = 0


@contextmanager
def signal_storm(milliseconds: float, handler: Callable[[], object] | None = None) -> Iterator[Storm]:
    """
    In this block, SIGALRM every so many *milliseconds*, handled in Python: system calls return early.

    Only in the main thread. *handler* is called by each signal.
    """
    storm = Storm()

    def handle(*_: object) -> None:
        storm.handled += 1
        if handler is not None:
            handler()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, milliseconds / 1000, milliseconds / 1000)
    try:
        yield storm
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture
def itimer_storm() -> Callable[..., Any]:
    """:func:`signal_storm`."""
    return signal_storm


@attrs.frozen(kw_only=True)
class Sweep:
    """What a sweep came to."""

    #: How many bytecodes of ours the operation runs when nobody interrupts it.
    length: int
    #: At how many of them a signal was sent.
    points: int
    #: How often KeyboardInterrupt came out of the operation; a callback or a finalizer may swallow it.
    raised: int


def interrupt_sweep(
    operation: Callable[[], object],
    check: Callable[[], object] = lambda: None,
    *,
    points: int,
    inside: str = "manyhands",
    handler: Callable[[], object] | None = None,
) -> Sweep:
    """
    Run *operation* again and again, each time with a SIGINT at another bytecode.

    The signal becomes pending just before the bytecode, and the interpreter handles it where it
    next looks for signals: so it comes nowhere where a real Ctrl-C could not. Only in the main thread.

    Args:
        operation: What is interrupted; it must come to its end by itself, since a signal that
            comes just before a call that blocks is noticed when that call returns.
        check: Called after each time, with nothing pending: raises if something was left broken.
        points: At how many bytecodes, spread evenly over the operation.
        inside: Counts only bytecodes of packages whose names begin so.
        handler: Called by the signal, instead of KeyboardInterrupt.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        if handler is None:
            signal.default_int_handler(number, frame)
        else:
            handler()

    raised = sent = 0
    before = signal.signal(signal.SIGINT, handle)
    try:
        operation()  # what is done only once is not counted
        check()
        rehearsal = _Countdown(inside, None)
        rehearsal.run(operation)
        check()
        length = max(1, rehearsal.passed)
        for point in range(points):
            countdown = _Countdown(inside, 1 + (point * length // points if points < length else point % length))
            try:
                countdown.run(operation)
            except KeyboardInterrupt:
                raised += 1
            sent += countdown.sent
            check()
    finally:
        signal.signal(signal.SIGINT, before)
    return Sweep(length=length, points=sent, raised=raised)


class _Countdown:
    """Counts the bytecodes of some packages in this thread, and makes SIGINT pending at one of them."""

    def __init__(self, inside: str, at: int | None) -> None:
        self._inside = inside
        self._at = at
        self._thread = threading.get_ident()
        self.passed = 0
        self.sent = False

    def counts(self, frame: FrameType) -> bool:
        """Whether bytecodes of this frame count."""
        module = str(frame.f_globals.get("__name__", ""))
        return module.startswith(self._inside) and module != __name__

    def count(self, stop: Callable[[], object]) -> None:
        """A bytecode; *stop* ends the counting before the signal, which would be noticed in its midst."""
        if self.sent or threading.get_ident() != self._thread:
            return
        self.passed += 1
        if self.passed == self._at:
            self.sent = True
            stop()
            # Not called but unpacked: after a call the interpreter would look for signals right here.
            (_,) = map(interrupt_main, (signal.SIGINT,))

    if sys.version_info >= (3, 12):

        def run(self, operation: Callable[[], object]) -> None:
            """Run *operation* and count."""
            monitoring, watched = sys.monitoring, set[CodeType]()
            tool = next(number for number in range(5, -1, -1) if monitoring.get_tool(number) is None)

            def stop() -> None:
                monitoring.set_events(tool, 0)
                for code in watched:
                    monitoring.set_local_events(tool, code, 0)
                watched.clear()

            def begin(code: CodeType, _: int) -> Any:
                if not self.sent and self.counts(sys._getframe(1)):
                    watched.add(code)
                    monitoring.set_local_events(tool, code, monitoring.events.INSTRUCTION)
                return monitoring.DISABLE

            def between(_code: CodeType, _: int) -> None:
                self.count(stop)

            monitoring.use_tool_id(tool, __name__)
            try:
                monitoring.register_callback(tool, monitoring.events.PY_START, begin)
                monitoring.register_callback(tool, monitoring.events.INSTRUCTION, between)
                monitoring.set_events(tool, monitoring.events.PY_START)
                monitoring.restart_events()
                _run_out(operation)
            finally:
                stop()
                monitoring.free_tool_id(tool)

    else:

        def run(self, operation: Callable[[], object]) -> None:
            """Run *operation* and count."""

            def stop() -> None:
                sys.settrace(before)

            def trace(frame: FrameType, event: str, _: object) -> Any:
                if event == "call":
                    if not self.counts(frame):
                        return None
                    frame.f_trace_opcodes, frame.f_trace_lines = True, False
                elif event == "opcode":
                    self.count(stop)
                return trace

            before = sys.gettrace()
            sys.settrace(trace)
            try:
                _run_out(operation)
            finally:
                stop()


def _run_out(operation: Callable[[], object]) -> None:
    """Run *operation*; a signal that comes with its last bytecode is handled in here as well."""
    try:
        operation()
    finally:
        for _ in range(2):
            pass


@pytest.fixture
def sigint_sweep() -> Callable[..., Sweep]:
    """:func:`interrupt_sweep`."""
    return interrupt_sweep


# Plugins.


def install_dist(
    folder: Path,
    name: str,
    version: str,
    entry_points: Mapping[str, Mapping[str, str]],
    modules: Mapping[str, str],
    *,
    metadata: str | None = None,
) -> Path:
    """
    Install a distribution into *folder* as an installer would; returns its ``.dist-info``.

    Args:
        folder: To be put on ``sys.path``.
        name: The name of the distribution.
        version: Its version.
        entry_points: Values by name, by group.
        modules: Sources by name.
        metadata: All of the file METADATA, instead of one in order.
    """
    folder.mkdir(parents=True, exist_ok=True)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    lines = [
        f"[{group}]\n" + "".join(f"{point} = {value}\n" for point, value in points.items())
        for group, points in entry_points.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    if metadata is None:
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not a header\n"
    (info / "METADATA").write_text(metadata)
    for module, source in modules.items():
        (folder / f"{module}.py").write_text(source)
    return info


@pytest.fixture
def fake_dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """
    :func:`install_dist` without the folder: into one that is on ``sys.path`` during the test.

    Modules imported from there are forgotten afterwards.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(*args: Any, folder: Path = site, **kwargs: Any) -> Path:
        return install_dist(folder, *args, **kwargs)

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


# Limits.


def rlimits(*, nofile: int | None = None, as_: int | None = None, fsize: int | None = None) -> None:
    """
    Limit this process for the rest of its life: for a script that a test starts.

    Args:
        nofile: Descriptors that may be open.
        as_: Bytes of memory that may be mapped.
        fsize: Bytes that a file may have.
    """
    import resource

    for which, limit in (
        (resource.RLIMIT_NOFILE, nofile),
        (resource.RLIMIT_AS, as_),
        (resource.RLIMIT_FSIZE, fsize),
    ):
        if limit is not None:
            resource.setrlimit(which, (limit, resource.getrlimit(which)[1]))
