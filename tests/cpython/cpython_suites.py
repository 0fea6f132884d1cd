"""
What makes CPython's own test classes run on our objects.

They come with the interpreter, in the package ``test``, so each Python brings the tests of its own
standard library. A test module of ours derives a class from each of theirs and says where its
objects come from; none of their code is here. What differs between the versions is in this module,
which tests do not fit and why is in ``cpython_left_out``.
"""

import concurrent.futures
import functools
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING, RUNNING
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

import pytest

import manyhands

#: How long their tests wait for what has to come, in seconds.
PATIENCE_S = 10.0

ThreadingBackend: Any = pytest.importorskip("manyhands_threading").ThreadingBackend


def load(name: str) -> Any:
    """
    The module ``test.NAME``; who asks for it at module level is skipped where Python has none.

    Type checkers let a class derive from one of the module's where its variable is annotated, with Any.
    """
    missing = f"this Python was installed without test.{name}"
    # What never comes shall fail its test before the hang guard ends the run; theirs is half a minute.
    pytest.importorskip("test.support", reason=missing).SHORT_TIMEOUT = PATIENCE_S
    return pytest.importorskip(f"test.{name}", reason=missing)


def load_futures(name: str) -> Any:
    """``test.test_concurrent_futures.NAME``, or the one module that it was until 3.11, with our futures in it."""
    package = load("test_concurrent_futures")
    module = load(f"test_concurrent_futures.{name}") if hasattr(package, "__path__") else package
    for key, value in tuple(vars(module).items()):
        if value is concurrent.futures.Future:
            setattr(module, key, manyhands.Future)
        elif type(value) is concurrent.futures.Future:
            setattr(module, key, _ours(value))
        elif key == "create_future":
            module.create_future = future_in
    return module


def future_in(
    state: str = PENDING, exception: BaseException | None = None, result: object = None
) -> manyhands.Future[Any]:
    """A future in that state, brought there by its public methods; theirs write its attributes."""
    future: manyhands.Future[Any] = manyhands.Future()
    if state in (CANCELLED, CANCELLED_AND_NOTIFIED):
        future.cancel()
    if state in (RUNNING, CANCELLED_AND_NOTIFIED):
        future.set_running_or_notify_cancel()
    if state == FINISHED and exception is not None:
        future.set_exception(exception)
    elif state == FINISHED:
        future.set_result(result)
    return future


@functools.cache
def _ours(theirs: Any) -> manyhands.Future[Any]:
    """The same one for a constant that several of their modules import."""
    return future_in(theirs._state, theirs._exception, theirs._result)


def replaced(module: ModuleType, **names: object) -> ModuleType:
    """A copy of *module* in which some *names* mean something else."""
    copy = ModuleType(module.__name__)
    copy.__dict__.update(vars(module))
    copy.__dict__.update(names)
    return copy


def made_by(method: str) -> property:
    """For the attribute by which their class makes its objects: *method* of the open backend."""
    return property(lambda self: getattr(self.backend, method))


class Subject:
    """Goes before a class of CPython's: opens a backend for each test."""

    #: Every class that runs tests of CPython's.
    adopted: ClassVar[list[type]] = []
    kind: ClassVar[Any]

    backend: Any
    addCleanup: Callable[..., None]
    enterContext: Callable[..., Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if any(base.__module__.startswith("test.") for base in cls.__mro__):
            Subject.adopted.append(cls)

    def setUp(self) -> None:
        self.backend = self.kind(self.kind.options_type())
        self.addCleanup(self.backend.close)
        self.adapt()
        super().setUp()  # type: ignore[misc]

    def adapt(self) -> None:
        """Before their ``setUp``: replace names that their module took from the standard library."""

    def replace(self, module: Any, name: str, value: object) -> None:
        """Replace a *name* of their *module* until the end of the test."""
        self.enterContext(mock.patch.object(module, name, value))


class HostedBackend(ThreadingBackend):
    """The threading backend with the core's hosted primitives in place of its native ones."""

    name = "hosted"
    lock = manyhands.Backend.lock
    rlock = manyhands.Backend.rlock
    condition = manyhands.Backend.condition
    semaphore = manyhands.Backend.semaphore
    bounded_semaphore = manyhands.Backend.bounded_semaphore
    event = manyhands.Backend.event
    barrier = manyhands.Backend.barrier
    queue = manyhands.Backend.queue
    lifo_queue = manyhands.Backend.lifo_queue
    priority_queue = manyhands.Backend.priority_queue
    simple_queue = manyhands.Backend.simple_queue


class Native(Subject):
    """On the primitives of the threading backend."""

    kind = ThreadingBackend


class Hosted(Subject):
    """On the hosted primitives of the core."""

    kind = HostedBackend


# Queues.


class NativeQueues(Native):
    """With the names of the module ``queue``, which their classes read from ``self.queue``."""

    @property
    def queue(self) -> SimpleNamespace:
        backend = self.backend
        return self.names(Queue=backend.queue, LifoQueue=backend.lifo_queue, PriorityQueue=backend.priority_queue)

    def names(self, **makers: object) -> SimpleNamespace:
        """The *makers* beside the rest of the module."""
        return SimpleNamespace(
            **{"SimpleQueue": self.backend.simple_queue, **makers},
            Empty=manyhands.Empty,
            Full=manyhands.Full,
            ShutDown=manyhands.ShutDown,
        )


class HostedQueues(Hosted, NativeQueues):
    """The same, with hosted queues."""

    @property
    def queue(self) -> SimpleNamespace:
        backend = self.backend
        makers = {"Queue": backend.queue, "LifoQueue": backend.lifo_queue, "PriorityQueue": backend.priority_queue}
        return self.names(**{name: functools.partial(_hosted, name, make) for name, make in makers.items()})


def _hosted(name: str, make: Callable[[int], Any], maxsize: int = 0) -> Any:
    # They know the order that is due by the name of the class.
    return watched(make(maxsize), name, unfinished=lambda q: q._ref.unfinished, shut=lambda q: q._ref.shut)


def watched(queue: Any, name: str, *, unfinished: Callable[[Any], int], shut: Callable[[Any], bool]) -> Any:
    """The *queue* with the two attributes that their tests look at beside the documented methods."""
    looks = {"unfinished_tasks": property(unfinished), "is_shutdown": property(shut)}
    queue.__class__ = type(name, (type(queue),), {"__slots__": (), **looks})
    return queue


# Executors.

#: What their scripts import, by the name of the type of ``self.executor``; and what ours do instead.
_IMPORT = re.compile(r"from concurrent\.futures import \w+")
_OURS = (
    "from manyhands_threading import ThreadingBackend, ThreadingOptions; "
    "executor = ThreadPoolExecutor = ThreadingBackend(ThreadingOptions()).executor"
)


class Executors(Native):
    """Executors of the threading backend in place of the standard library's thread pool."""

    #: Their module, whose name ``futures`` is replaced.
    theirs: ClassVar[Any]
    executor_type = made_by("executor")

    def adapt(self) -> None:
        if hasattr(self.theirs, "futures"):
            self.replace(self.theirs, "futures", replaced(concurrent.futures, ThreadPoolExecutor=self.backend.executor))
        if hasattr(self.theirs, "assert_python_ok"):
            self.replace(self.theirs, "assert_python_ok", _run_script(self.theirs.assert_python_ok))

    def create_event(self) -> Any:
        """Newer versions of their classes make the events for tasks by it."""
        return self.backend.event()


def _run_script(assert_python_ok: Callable[..., Any]) -> Callable[[str, str], Any]:
    path = os.pathsep.join(entry for entry in sys.path if entry)

    def run(option: str, script: str) -> Any:
        ours, found = _IMPORT.subn(_OURS, script)
        assert (option, found) == ("-c", 1)
        return assert_python_ok("-c", ours, PYTHONPATH=path)

    return run
