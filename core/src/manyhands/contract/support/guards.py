"""
A pytest plugin: guards around every test.

The leak guard compares what the test process holds before and after; the hang guard prints where
every thread stands and ends the run.
"""

import contextlib
import faulthandler
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import pytest

from . import leaks
from .waiting import eventually

__all__ = ["leak_guard"]

#: How long things may take to go away before they count as left behind, in seconds.
PATIENCE_S = 2.0
#: How long a test may take, in seconds.
LIMIT_S = 30.0
#: At which part of that the stacks are printed: before pytest-timeout, where it is there, ends the run.
DUMP = 0.9

_MARKERS = (
    "covers(*entry_ids): the entries of the chapter that the test covers",
    "capability(*names, reason=''): the test needs them; 'not NAME' is for what a backend without NAME must do",
    "fault(*rows): the rows of the catalogue of faults that the test covers",
    "bad_input(*rows): the rows of the catalogue of bad input that the test covers",
    "slow: leave it out in a quick run",
    "soak: takes minutes; only the environment `slow` runs it",
    "orphans: the test makes processes that lose their parent; they are waited for here",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--manyhands-limit",
        type=float,
        default=LIMIT_S,
        metavar="SECONDS",
        help=f"how long a test may take before it hangs ({LIMIT_S:g})",
    )
    parser.addoption(
        "--switch-interval",
        type=float,
        metavar="SECONDS",
        help="let threads take turns that often, e.g. 1e-6 to find races (the interpreter's own is 0.005)",
    )


def pytest_configure(config: pytest.Config) -> None:
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)
    interval = config.getoption("--switch-interval")
    if interval:
        sys.setswitchinterval(interval)
    leaks.adopt_orphans()
    config.stash[_TEMPORARY] = _own_temporary_folder()
    config.stash[_STDERR] = _real_stderr(config)


def pytest_unconfigure(config: pytest.Config) -> None:
    faulthandler.cancel_dump_traceback_later()
    shutil.rmtree(config.stash[_TEMPORARY], ignore_errors=True)
    os.close(config.stash[_STDERR])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not any(map(config.pluginmanager.hasplugin, ("timeout", "pytest_timeout"))):  # found by itself, or with -p
        return
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(config.getoption("--manyhands-limit"), method="thread"))


@pytest.fixture(autouse=True)
def leak_guard(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test threads, descriptors, processes, shared memory, files and socket names are as before."""
    orphans = request.node.get_closest_marker("orphans") is not None
    # Its thread is one that we would count: so it is started first and stopped last.
    marker = request.node.get_closest_marker("timeout")
    limit = marker.args[0] if marker and marker.args else request.config.getoption("--manyhands-limit")
    faulthandler.dump_traceback_later(DUMP * limit, file=request.config.stash[_STDERR])
    before = leaks.take_stock()
    yield
    left: list[str] = []

    def clean() -> bool:
        if orphans:
            leaks.reap()
        left[:] = leaks.take_stock().beyond(before)
        if left:
            gc.collect()
        return not left

    if not eventually(clean, seconds=PATIENCE_S):
        pytest.fail("the test left behind:\n  " + "\n  ".join(left), pytrace=False)
    faulthandler.cancel_dump_traceback_later()


_TEMPORARY = pytest.StashKey[str]()
_STDERR = pytest.StashKey[int]()


def _own_temporary_folder() -> str:
    """Nobody else writes into this run's temporary folder; what pytest keeps for people stays where it was."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix="manyhands-tests-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    return folder


def _real_stderr(config: pytest.Config) -> int:
    """A descriptor that is not captured."""
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        return os.dup(2)
