"""
Which of CPython's tests do not fit our objects, and why; everything else runs.

They are named ``MODULE.CLASS.METHOD``, with the class that defines the method, or ``MODULE.CLASS``.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["LEFT_OUT", "SLOW", "LeftOut", "every_suite", "names_of_tests", "reason"]


class LeftOut(NamedTuple):
    """A test of theirs that one or several classes of ours leave out."""

    #: Pattern of the names of our classes.
    ours: str
    theirs: str
    reason: str
    #: The first Python whose every release has it.
    since: tuple[int, int] = (3, 11)


_REPR: Final = "compares the repr with that of the standard library's class"
_FORK: Final = "calls the private method _at_fork_reinit"
_THREADS: Final = "reads the private attribute _threads"
_WORDS: Final = "compares the words of an error with the standard library's; its class is the same"
_PROCESSES: Final = "about the standard library's process pool"
_INTERPRETERS: Final = "about the standard library's interpreter pool"
_CANCELLED: Final = "a future that was cancelled counts as done here as soon as done() says so"
_LIMIT: Final = "about a queue with a limit"

LEFT_OUT: Final = (
    # Waiting.
    LeftOut("OurWaitTests", "test_concurrent_futures.WaitTests.test_first_completed", _CANCELLED),
    LeftOut("OurWaitTests", "test_concurrent_futures.WaitTests.test_first_exception_some_already_complete", _CANCELLED),
    # Locks.
    LeftOut("Hosted*", "lock_tests.BaseLockTests.test_repr", _REPR),
    LeftOut("Hosted*", "lock_tests.BaseLockTests.test_locked_repr", _REPR),
    LeftOut("Hosted*", "lock_tests.LockTests.test_at_fork_reinit", _FORK),
    LeftOut("Hosted*", "lock_tests.RLockTests.test_repr_count", _REPR, (3, 14)),
    LeftOut("Hosted*", "lock_tests.RLockTests.test_release_save_unacquired", "calls the private method _release_save"),
    LeftOut("Hosted*", "lock_tests.RLockTests.test__is_owned", "calls the private method _is_owned"),
    LeftOut(
        "Hosted*", "lock_tests.RLockTests.test_recursion_count", "calls the private method _recursion_count", (3, 12)
    ),
    LeftOut(
        "NativeConditionAsRLockTests",
        "lock_tests.RLockTests.test_recursion_count",
        "calls the private method _recursion_count, which a condition does not have",
        (3, 12),
    ),
    LeftOut(
        "NativeConditionAsRLockTests",
        "lock_tests.BaseLockTests.test_constructor_noargs",
        "a condition takes an argument: its lock",
        (3, 15),
    ),
    LeftOut("Hosted*", "lock_tests.ConditionTests.test_nan_timeout", "reads the private attribute _waiters", (3, 15)),
    LeftOut("Hosted*", "lock_tests.SemaphoreTests.test_repr", _REPR),
    LeftOut("Hosted*", "lock_tests.BoundedSemaphoreTests.test_repr", _REPR),
    LeftOut("*", "lock_tests.EventTests.test_repr", _REPR),
    LeftOut("*", "lock_tests.EventTests.test_at_fork_reinit", _FORK),
    LeftOut("Hosted*", "lock_tests.BarrierTests.test_repr", _REPR),
    # Queues.
    LeftOut(
        "Hosted*",
        "test_queue.BaseQueueTestMixin.test_shrinking_queue",
        "assigns the attribute maxsize: the size of a hosted queue is fixed",
    ),
    LeftOut("Hosted*", "test_queue.FailingQueueTest", "overrides the private methods _put and _get"),
    LeftOut("*", "test_queue.CSimpleQueueTest.test_is_default", "about which of two classes is SimpleQueue"),
    LeftOut(
        "Hosted*",
        "test_queue.CSimpleQueueTest.test_reentrancy",
        "the order it expects needs a put that allocates nothing and so never starts the collector",
    ),
    LeftOut("*", "test_queue.CSimpleQueueTest.test_simplequeue_sizeof", "about the memory of the C class", (3, 15)),
    LeftOut("NativeSimpleQueueAsQueueTests", "test_queue.BaseQueueTestMixin.test_basic", _LIMIT),
    LeftOut("NativeSimpleQueueAsQueueTests", "test_queue.BaseQueueTestMixin.test_nowait", _LIMIT),
    LeftOut("NativeSimpleQueueAsQueueTests", "test_queue.BaseQueueTestMixin.test_shrinking_queue", _LIMIT),
    LeftOut(
        "NativeSimpleQueueAsQueueTests",
        "test_queue.BaseQueueTestMixin.test_negative_timeout_raises_exception",
        "the put of a simple queue never waits and takes any timeout",
    ),
    # Executors.
    LeftOut("*", "test_concurrent_futures.ExecutorTest.test_max_workers_negative", _WORDS),
    LeftOut("*", "test_concurrent_futures.ExecutorTest.test_map_buffersize_value_validation", _WORDS, (3, 14)),
    LeftOut(
        "*",
        "test_concurrent_futures.ExecutorTest.test_map_buffersize_without_iterable",
        "map without an iterable is a TypeError here",
        (3, 14),
    ),
    LeftOut(
        "*",
        "test_concurrent_futures.ThreadPoolExecutorTest.test_default_workers",
        "reads the private attribute _max_workers",
    ),
    LeftOut("*", "test_concurrent_futures.ThreadPoolExecutorTest.test_saturation", _THREADS),
    LeftOut("*", "test_concurrent_futures.ThreadPoolExecutorTest.test_idle_thread_reuse", _THREADS),
    LeftOut("*", "test_concurrent_futures.ExecutorShutdownTest.test_submit_after_interpreter_shutdown", _WORDS),
    LeftOut("*", "test_concurrent_futures.ThreadPoolShutdownTest.test_threads_terminate", _THREADS),
    LeftOut("*", "test_concurrent_futures.ThreadPoolShutdownTest.test_context_manager_shutdown", _THREADS),
    LeftOut("*", "test_concurrent_futures.ThreadPoolShutdownTest.test_del_shutdown", _THREADS),
    LeftOut("*", "test_concurrent_futures.ThreadPoolShutdownTest.test_shutdown_no_wait", _THREADS),
    LeftOut("*", "test_concurrent_futures.ThreadPoolShutdownTest.test_thread_names_assigned", _THREADS),
    LeftOut("*", "test_concurrent_futures.ThreadPoolShutdownTest.test_thread_names_default", _THREADS),
    LeftOut("*", "test_concurrent_futures.FailingInitializerMixin", "reads the private attribute _broken"),
    LeftOut("*", "test_concurrent_futures.FailingInitializerResourcesTest", _PROCESSES, (3, 12)),
    LeftOut("*", "test_concurrent_futures.ProcessPoolExecutorTest", _PROCESSES),
    LeftOut("*", "test_concurrent_futures.ProcessPoolShutdownTest", _PROCESSES),
    LeftOut("*", "test_concurrent_futures.ExecutorDeadlockTest", _PROCESSES),
    LeftOut("*", "test_concurrent_futures.InterpreterPoolExecutorTest", _INTERPRETERS, (3, 14)),
    LeftOut("*", "test_concurrent_futures.AsyncioTest", _INTERPRETERS, (3, 14)),
    # Futures.
    LeftOut(
        "*",
        "test_concurrent_futures.FutureTests.test_exception_with_success",
        "writes the private attribute _state",
    ),
)

#: ``CLASS.METHOD`` of ours that take more than 5 s in some Python.
SLOW: Final = frozenset({"ExecutorTests.test_map_timeout", "OurWaitTests.test_timeout", "WaitTests.test_timeout"})


def reason(ours: type, method: str) -> str | None:
    """Why the class *ours* leaves out a *method* of CPython's; None when it is to run."""
    for base in ours.__mro__:
        if method in vars(base) and base.__module__.startswith("test."):
            theirs = f"{base.__module__.split('.')[1]}.{base.__name__}.{method}"
            return next(
                (row.reason for row in LEFT_OUT if row.theirs == theirs and fnmatchcase(ours.__name__, row.ours)), None
            )
    return None


def every_suite() -> dict[tuple[int, int], Path]:
    """Where the package ``test`` lies, for this Python and for each that is found by its name."""
    found = {}
    for minor in range(11, 16):
        own = sys.version_info[:2] == (3, minor)
        python = sys.executable if own else shutil.which(f"python3.{minor}")
        if python is None:
            continue
        asked = subprocess.run(
            [python, "-c", "import test; print(test.__path__[0])"],
            env={**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", "") if own else ""},
            capture_output=True,
            text=True,
        )
        if asked.returncode == 0:
            found[3, minor] = Path(asked.stdout.strip())
    return found


def names_of_tests(suite: Path) -> set[str]:
    """``MODULE.CLASS.METHOD`` of every test in the modules that we take from *suite*."""
    files = [suite / "lock_tests.py", suite / "test_queue.py", suite / "test_sched.py"]
    files += [suite / "test_concurrent_futures.py", *(suite / "test_concurrent_futures").glob("*.py")]
    return {name for file in files if file.is_file() for name in _tests_in(file, suite)}


def _tests_in(file: Path, suite: Path) -> Iterator[str]:
    module = file.relative_to(suite).with_suffix("").parts[0]
    for kind in ast.parse(file.read_bytes()).body:
        if isinstance(kind, ast.ClassDef):
            for method in kind.body:
                if isinstance(method, ast.FunctionDef) and method.name.startswith("test"):
                    yield f"{module}.{kind.name}.{method.name}"
