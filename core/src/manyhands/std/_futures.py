"""``concurrent.futures``, with the documented classes of its submodules ``thread`` and ``process``."""

import concurrent.futures
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ExecutorBrokenError
from ..executor import Executor, as_completed, wait
from ..options import shorten
from ._face import Face, factory

__all__ = ["FACES"]

#: These are the standard library's own: any executor's futures are instances, and its errors are caught.
_SHARED = (
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "BrokenExecutor",
    "CancelledError",
    "Executor",
    "Future",
    "InvalidStateError",
    "TimeoutError",
)


def _names(face: Face) -> dict[str, Any]:
    """What kind of workers there are is the backend's to say, whichever executor a program asks for."""

    def make_executor(max_workers: int | None, initializer: Any, initargs: Iterable[Any], **options: Any) -> Executor:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if max_workers is not None:  # else the config decides
            options["max_workers"] = max_workers
        executor: Executor = face._backend.executor(initializer=initializer, initargs=tuple(initargs), **options)
        return executor

    def thread_pool(
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
    ) -> Executor:
        """An executor of the backend, made as a ThreadPoolExecutor is."""
        options = {"worker_name_prefix": thread_name_prefix} if thread_name_prefix else {}
        return make_executor(max_workers, initializer, initargs, **options)

    def process_pool(
        max_workers: int | None = None,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: Iterable[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
    ) -> Executor:
        """
        An executor of the backend, made as a ProcessPoolExecutor is.

        A *mp_context* has to come from the module ``multiprocessing`` over the same backend.
        """
        if mp_context is not None and mp_context is not face.sibling("multiprocessing"):
            raise face.unsupported(f"ProcessPoolExecutor(mp_context={shorten(mp_context)}): it is not of this backend")
        if max_tasks_per_child is not None and max_tasks_per_child <= 0:
            raise ValueError("max_tasks_per_child must be >= 1")
        options = {} if max_tasks_per_child is None else {"max_tasks_per_worker": max_tasks_per_child}
        return make_executor(max_workers, initializer, initargs, **options)

    def is_executor() -> type:
        return Executor

    return {
        **{name: getattr(concurrent.futures, name) for name in _SHARED},
        "ThreadPoolExecutor": factory(face, "ThreadPoolExecutor", thread_pool, is_executor),
        "InterpreterPoolExecutor": factory(face, "InterpreterPoolExecutor", thread_pool, is_executor),
        "ProcessPoolExecutor": factory(face, "ProcessPoolExecutor", process_pool, is_executor),
        "as_completed": as_completed,
        "wait": wait,
    }


def _submodule(executor: str, error: str) -> Callable[[Face], dict[str, Any]]:
    def names(face: Face) -> dict[str, Any]:
        # Whatever breaks, it is the error of the backend's executors that is to be caught by that name.
        return {executor: getattr(face.sibling("concurrent.futures"), executor), error: ExecutorBrokenError}

    return names


FACES = {
    "concurrent.futures": _names,
    "concurrent.futures.process": _submodule("ProcessPoolExecutor", "BrokenProcessPool"),
    "concurrent.futures.thread": _submodule("ThreadPoolExecutor", "BrokenThreadPool"),
}
