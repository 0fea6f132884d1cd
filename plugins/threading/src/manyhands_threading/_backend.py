"""The class that the entry point names."""

import sys
import threading
from typing import Any, ClassVar

from manyhands import Activity, Backend, Capabilities, ExecutorOptions, LocalHost

from . import _sync
from ._activity import ThreadActivity
from ._engine import ThreadingEngine
from ._options import ThreadingOptions

__all__ = ["ThreadingBackend"]


def _has_gil() -> bool:
    """Whether threads take turns in running Python code (free-threaded builds came with 3.13)."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


class ThreadingBackend(Backend[ThreadingOptions]):
    """
    Tasks run in threads of this process.

    Its locks and queues are the standard library's own objects, or fill in what some Pythons lack:
    as fast as those, and they stay valid after ``close``.
    """

    name = "threading"
    contract = 1
    capabilities: ClassVar[Capabilities] = Capabilities(
        in_process=True, shared_memory=True, parallel_cpu=not _has_gil()
    )
    options_type: ClassVar[type[ThreadingOptions]] = ThreadingOptions

    def make_engine(self, options: ExecutorOptions) -> ThreadingEngine:
        return ThreadingEngine(options)

    def make_host(self) -> LocalHost:
        return LocalHost()

    def start_activity(self, activity: Activity) -> ThreadActivity:
        return ThreadActivity(activity)

    # Native primitives.

    def lock(self) -> Any:
        self.check_open()
        return threading.Lock()

    def rlock(self) -> Any:
        self.check_open()
        return _sync.RLock()

    def condition(self, lock: Any = None) -> Any:
        self.check_open()
        return _sync.Condition(self.rlock() if lock is None else lock)

    def semaphore(self, value: int = 1) -> Any:
        self.check_open()
        return threading.Semaphore(value)

    def bounded_semaphore(self, value: int = 1) -> Any:
        self.check_open()
        return threading.BoundedSemaphore(value)

    def event(self) -> Any:
        self.check_open()
        return _sync.Event()

    def barrier(self, parties: int, action: Any = None, timeout: float | None = None) -> Any:
        self.check_open()
        if parties < 1:  # before 3.13 the interpreter's own takes it
            raise ValueError(f"parties must be at least 1, got {parties}")
        return threading.Barrier(parties, action, timeout)

    def queue(self, maxsize: int = 0) -> Any:
        self.check_open()
        return _sync.Queue(_size(maxsize))

    def lifo_queue(self, maxsize: int = 0) -> Any:
        self.check_open()
        return _sync.LifoQueue(_size(maxsize))

    def priority_queue(self, maxsize: int = 0) -> Any:
        self.check_open()
        return _sync.PriorityQueue(_size(maxsize))

    def simple_queue(self) -> Any:
        self.check_open()
        return _sync.SimpleQueue()


def _size(maxsize: object) -> int:
    if not isinstance(maxsize, int):
        raise TypeError(f"maxsize must be an integer, got {maxsize!r}")
    return maxsize
