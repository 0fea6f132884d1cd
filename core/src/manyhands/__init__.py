"""
Many hands: one executor interface for Python, with the backend chosen by config.

The names are loaded when first used (PEP 562), so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import (
        ALL_COMPLETED,
        FIRST_COMPLETED,
        FIRST_EXCEPTION,
        BrokenExecutor,
        CancelledError,
        InvalidStateError,
        TimeoutError,
    )
    from threading import BrokenBarrierError

    from ._log import get_logger
    from .backend import (
        Activity,
        Backend,
        Candidate,
        Explanation,
        Timer,
        explain,
        open_backend,
        open_executor,
    )
    from .commands import Command, CompletedCommand, RunningCommand, pipeline, shell_command
    from .config import configured
    from .errors import (
        BackendLoadError,
        CommandError,
        CommandTimeoutError,
        ConfigError,
        DeadlockError,
        ExecutorBrokenError,
        ExecutorClosedError,
        InitializerError,
        ManyhandsError,
        ManyhandsWarning,
        ProtocolError,
        RemoteError,
        ResourceError,
        SerializationError,
        TaskTimeoutError,
        UnknownBackendError,
        UnsupportedError,
        WorkerLostError,
        WorkerStartError,
    )
    from .executor import Executor, ExecutorStats, Worker, as_completed, current_backend, current_task, wait
    from .future import Future
    from .hooks import hookimpl, observe
    from .options import BackendOptions, Capabilities, ExecutorOptions, TaskOptions, duration, setting
    from .primitives import Empty, Full, LocalHost, ShutDown, ThreadParker
    from .protocols import (
        ActivityHandle,
        Barrier,
        Condition,
        Engine,
        Event,
        Host,
        Lock,
        Queue,
        Runnable,
        Semaphore,
        WorkerInfo,
    )
    from .registry import CONTRACT, BackendInfo, backends

#: Where each public name lives.
_HOMES = {
    "_log": ("get_logger",),
    "backend": (
        "Activity",
        "Backend",
        "Candidate",
        "Explanation",
        "Timer",
        "explain",
        "open_backend",
        "open_executor",
    ),
    "commands": ("Command", "CompletedCommand", "RunningCommand", "pipeline", "shell_command"),
    "concurrent.futures": (
        "ALL_COMPLETED",
        "FIRST_COMPLETED",
        "FIRST_EXCEPTION",
        "BrokenExecutor",
        "CancelledError",
        "InvalidStateError",
        "TimeoutError",
    ),
    "config": ("configured",),
    "errors": (
        "BackendLoadError",
        "CommandError",
        "CommandTimeoutError",
        "ConfigError",
        "DeadlockError",
        "ExecutorBrokenError",
        "ExecutorClosedError",
        "InitializerError",
        "ManyhandsError",
        "ManyhandsWarning",
        "ProtocolError",
        "RemoteError",
        "ResourceError",
        "SerializationError",
        "TaskTimeoutError",
        "UnknownBackendError",
        "UnsupportedError",
        "WorkerLostError",
        "WorkerStartError",
    ),
    "executor": ("Executor", "ExecutorStats", "Worker", "as_completed", "current_backend", "current_task", "wait"),
    "future": ("Future",),
    "hooks": ("hookimpl", "observe"),
    "options": ("BackendOptions", "Capabilities", "ExecutorOptions", "TaskOptions", "duration", "setting"),
    "primitives": ("Empty", "Full", "LocalHost", "ShutDown", "ThreadParker"),
    "protocols": (
        "ActivityHandle",
        "Barrier",
        "Condition",
        "Engine",
        "Event",
        "Host",
        "Lock",
        "Queue",
        "Runnable",
        "Semaphore",
        "WorkerInfo",
    ),
    "registry": ("CONTRACT", "BackendInfo", "backends"),
    "threading": ("BrokenBarrierError",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_FOREIGN = ("concurrent.futures", "threading")

__all__ = [
    "ALL_COMPLETED",
    "CONTRACT",
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "Activity",
    "ActivityHandle",
    "Backend",
    "BackendInfo",
    "BackendLoadError",
    "BackendOptions",
    "Barrier",
    "BrokenBarrierError",
    "BrokenExecutor",
    "CancelledError",
    "Candidate",
    "Capabilities",
    "Command",
    "CommandError",
    "CommandTimeoutError",
    "CompletedCommand",
    "Condition",
    "ConfigError",
    "DeadlockError",
    "Empty",
    "Engine",
    "Event",
    "Executor",
    "ExecutorBrokenError",
    "ExecutorClosedError",
    "ExecutorOptions",
    "ExecutorStats",
    "Explanation",
    "Full",
    "Future",
    "Host",
    "InitializerError",
    "InvalidStateError",
    "LocalHost",
    "Lock",
    "ManyhandsError",
    "ManyhandsWarning",
    "ProtocolError",
    "Queue",
    "RemoteError",
    "ResourceError",
    "Runnable",
    "RunningCommand",
    "Semaphore",
    "SerializationError",
    "ShutDown",
    "TaskOptions",
    "TaskTimeoutError",
    "ThreadParker",
    "TimeoutError",
    "Timer",
    "UnknownBackendError",
    "UnsupportedError",
    "Worker",
    "WorkerInfo",
    "WorkerLostError",
    "WorkerStartError",
    "as_completed",
    "backends",
    "configured",
    "current_backend",
    "current_task",
    "duration",
    "explain",
    "get_logger",
    "hookimpl",
    "observe",
    "open_backend",
    "open_executor",
    "pipeline",
    "setting",
    "shell_command",
    "wait",
]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home if home in _FOREIGN else f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
