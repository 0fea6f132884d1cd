"""Who runs here: the worker of this thread, and the task it runs."""

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from .. import hooks
from .._here import here

if TYPE_CHECKING:
    from .task import Task

__all__ = ["Worker", "current_backend", "current_task", "current_worker"]


class Worker:
    """
    One worker as engines keep it and observers see it.

    An engine whose workers share this process calls ``settle`` in the worker's thread once, and
    passes the worker to ``task.run``.
    """

    __slots__ = ("__weakref__", "_phase", "name", "pid", "tasks")

    def __init__(self, name: str = "", pid: int | None = None) -> None:
        self.name: str = name
        self.pid: int = os.getpid() if pid is None else pid
        self._phase = "starting"
        #: What it runs; more than one only when a task runs another one itself.
        self.tasks: deque[Task[Any]] = deque()

    @property
    def task(self) -> "Task[Any] | None":
        """The task it runs; None when it is idle."""
        try:
            return self.tasks[-1]
        except IndexError:
            return None

    @property
    def state(self) -> str:
        """``starting``, ``idle``, ``busy``, ``ended`` or ``lost``."""
        return self._phase or ("busy" if self.tasks else "idle")

    def settle(self) -> None:
        """Make this the worker of the calling thread."""
        here.activity.worker = self

    def announce(self) -> None:
        """Tell observers that it has started."""
        self._phase = ""
        hooks.call("manyhands_worker_started", worker=self)

    def farewell(self, exitcode: int | None = 0) -> None:
        """Tell observers that it has ended; *exitcode* is 0, ``-signal``, or None if nobody knows."""
        self._phase = "lost" if exitcode else "ended"
        hooks.call("manyhands_worker_exited", worker=self, exitcode=exitcode)

    def __repr__(self) -> str:
        return f"<Worker {self.name} pid={self.pid} {self.state}>"


def current_worker() -> Worker:
    """The worker of this thread; one is made for a thread that is nobody's worker yet."""
    worker: Worker | None = here.activity.worker
    if worker is None:
        worker = Worker(threading.current_thread().name)
        worker.settle()
    return worker


def current_task() -> "Task[Any] | None":
    """
    The task that this code runs in; None outside of tasks.

    It has ``id``, ``name``, ``attempt`` and ``cancel_requested``; a long task looks at the last
    now and then and returns early when somebody asks it to.
    """
    worker: Worker | None = here.activity.worker
    return None if worker is None else worker.task


def enter_backend(backend: Any) -> None:
    """Make *backend* the current one of this thread."""
    here.activity.backend = backend


def current_backend() -> Any:
    """
    The backend that this code runs on, to make primitives with.

    Raises:
        RuntimeError: this is neither a task nor an activity.
    """
    task = current_task()
    backend = here.activity.backend if task is None else task._executor.backend
    if backend is None:
        raise RuntimeError("there is no current backend: this is neither a task nor an activity of one")
    return backend
