"""A backend that keeps the contract, and breaks it in one way when the variable ``TOY_DEFECT`` names one."""

import os
import threading
from collections.abc import Callable
from typing import Any

from manyhands import Capabilities, ExecutorOptions, LocalHost, Runnable
from manyhands_minimal import MinimalBackend
from manyhands_minimal._engine import MinimalEngine

__all__ = ["ToyBackend"]

DEFECT = os.environ.get("TOY_DEFECT", "")


class Tampered:
    """A task whose end is not told as it was."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def run(self, worker: Any = None) -> None:
        task = self._task
        call, args = task.fn, task.args
        if DEFECT == "loses an exception":
            task.fn = _silenced(call)
        elif DEFECT == "callback skipped" and task._followers is not None:
            del task._followers.callbacks[1:]
        task.run(worker)
        if DEFECT == "completes twice":
            task.finish("once more")
        elif DEFECT == "cancel lies" and task.cancelled():
            call(*args)


def _silenced(call: Callable[..., Any]) -> Callable[..., Any]:
    def silenced(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **kwargs)
        except Exception:
            return None

    return silenced


class ToyEngine(MinimalEngine):
    """Some defects are those of an engine."""

    def start(self, task: Runnable) -> None:
        if DEFECT in ("loses an exception", "completes twice", "callback skipped", "cancel lies"):
            task = Tampered(task)
        super().start(task)

    def close(self, *, cancel: bool, deadline: float | None) -> bool:
        if DEFECT == "hangs in shutdown" and cancel:
            threading.Event().wait()
        ended = super().close(cancel=cancel, deadline=deadline)
        if DEFECT == "leaks a thread" and not cancel:
            threading.Thread(target=threading.Event().wait, name="left over", daemon=True).start()
        return ended


class ToyHost(LocalHost):
    """And some are those of a host."""

    _items = 0

    def call(self, machine: Any, operation: str, args: tuple[Any, ...] = (), timeout: float | None = None) -> Any:
        if DEFECT == "drops a queue item" and operation == "put":
            self._items += 1
            if self._items % 7 == 0:
                return None
        if DEFECT == "early timeout" and timeout is not None:
            timeout /= 2
        return super().call(machine, operation, args, timeout)


class ToyBackend(MinimalBackend):
    """Nearly the minimal backend."""

    name = "toy"
    capabilities = Capabilities(in_process=True, cancel_running=DEFECT == "lies about a capability")

    def make_engine(self, options: ExecutorOptions) -> ToyEngine:
        return ToyEngine(options)

    def make_host(self) -> LocalHost:
        return ToyHost()

    def queue(self, maxsize: int = 0) -> Any:
        return self.lifo_queue(maxsize) if DEFECT == "wrong first in first out" else super().queue(maxsize)
