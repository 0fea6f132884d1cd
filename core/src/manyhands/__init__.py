"""
Many hands: one executor interface for Python, with the backend chosen by config.

The names are loaded when first used (PEP 562), so that importing the package costs nothing.
"""

TYPE_CHECKING = False  # as in typing, whose import would cost more than this whole module
if TYPE_CHECKING:
    from concurrent.futures import (
        ALL_COMPLETED as ALL_COMPLETED,
        FIRST_COMPLETED as FIRST_COMPLETED,
        FIRST_EXCEPTION as FIRST_EXCEPTION,
        BrokenExecutor as BrokenExecutor,
        CancelledError as CancelledError,
        InvalidStateError as InvalidStateError,
        TimeoutError as TimeoutError,
    )
    from threading import BrokenBarrierError as BrokenBarrierError
    from typing import Any

    from ._here import ActivityState as ActivityState, activity_slot as activity_slot
    from ._log import *
    from ._references import *
    from .backend import *
    from .commands import *
    from .config import *
    from .errors import *
    from .executor import (
        Executor as Executor,
        ExecutorStats as ExecutorStats,
        Worker as Worker,
        as_completed as as_completed,
        current_backend as current_backend,
        current_task as current_task,
        wait as wait,
    )
    from .future import *
    from .hooks import *
    from .options import *
    from .primitives import (
        Empty as Empty,
        Full as Full,
        LocalHost as LocalHost,
        ShutDown as ShutDown,
        ThreadParker as ThreadParker,
    )
    from .protocols import *
    from .registry import *

#: Where each public name lives.
_HOMES = {
    "_log": "get_logger",
    "_references": "travels_by_reference",
    "_here": "ActivityState activity_slot",
    "errors": """
        BackendLoadError CommandError CommandTimeoutError ConfigError DeadlockError ExecutorBrokenError
        ExecutorClosedError InitializerError ManyhandsError ManyhandsWarning ProtocolError RemoteError ResourceError
        SerializationError TaskTimeoutError UnknownBackendError UnsupportedError WorkerLostError WorkerStartError
    """,
    "options": "BackendOptions Capabilities ExecutorOptions TaskOptions duration setting",
    "hooks": "hookimpl observe",
    "protocols": "ActivityHandle Barrier Condition Engine Event Host Lock Queue Runnable Semaphore WorkerInfo",
    "future": "Future",
    "primitives": "Empty Full LocalHost ShutDown ThreadParker",
    "executor": "Executor ExecutorStats Worker as_completed current_backend current_task wait",
    "registry": "CONTRACT BackendInfo backends",
    "config": "configured",
    "backend": "Activity Backend Candidate Explanation Timer explain open_backend open_executor",
    "commands": "Command CompletedCommand RunningCommand pipeline shell_command",
    "concurrent.futures": """
        ALL_COMPLETED FIRST_COMPLETED FIRST_EXCEPTION BrokenExecutor CancelledError InvalidStateError TimeoutError
    """,
    "threading": "BrokenBarrierError",
}
_FOREIGN = ("concurrent.futures", "threading")
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> "Any":
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home if home in _FOREIGN else f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
