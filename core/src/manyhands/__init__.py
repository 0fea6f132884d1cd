"""
Many hands: one executor interface for Python, with the backend chosen by config.

The names are loaded when first used (PEP 562), so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import (
        ALL_COMPLETED as ALL_COMPLETED,
    )
    from concurrent.futures import (
        FIRST_COMPLETED as FIRST_COMPLETED,
    )
    from concurrent.futures import (
        FIRST_EXCEPTION as FIRST_EXCEPTION,
    )
    from concurrent.futures import (
        BrokenExecutor as BrokenExecutor,
    )
    from concurrent.futures import (
        CancelledError as CancelledError,
    )
    from concurrent.futures import (
        InvalidStateError as InvalidStateError,
    )
    from concurrent.futures import (
        TimeoutError as TimeoutError,
    )
    from threading import (
        BrokenBarrierError as BrokenBarrierError,
    )

    from ._log import (
        get_logger as get_logger,
    )
    from .backend import (
        Activity as Activity,
    )
    from .backend import (
        Backend as Backend,
    )
    from .backend import (
        Candidate as Candidate,
    )
    from .backend import (
        Explanation as Explanation,
    )
    from .backend import (
        Timer as Timer,
    )
    from .backend import (
        explain as explain,
    )
    from .backend import (
        open_backend as open_backend,
    )
    from .backend import (
        open_executor as open_executor,
    )
    from .commands import (
        Command as Command,
    )
    from .commands import (
        CompletedCommand as CompletedCommand,
    )
    from .commands import (
        RunningCommand as RunningCommand,
    )
    from .commands import (
        pipeline as pipeline,
    )
    from .commands import (
        shell_command as shell_command,
    )
    from .config import (
        configured as configured,
    )
    from .errors import (
        BackendLoadError as BackendLoadError,
    )
    from .errors import (
        CommandError as CommandError,
    )
    from .errors import (
        CommandTimeoutError as CommandTimeoutError,
    )
    from .errors import (
        ConfigError as ConfigError,
    )
    from .errors import (
        DeadlockError as DeadlockError,
    )
    from .errors import (
        ExecutorBrokenError as ExecutorBrokenError,
    )
    from .errors import (
        ExecutorClosedError as ExecutorClosedError,
    )
    from .errors import (
        InitializerError as InitializerError,
    )
    from .errors import (
        ManyhandsError as ManyhandsError,
    )
    from .errors import (
        ManyhandsWarning as ManyhandsWarning,
    )
    from .errors import (
        ProtocolError as ProtocolError,
    )
    from .errors import (
        RemoteError as RemoteError,
    )
    from .errors import (
        ResourceError as ResourceError,
    )
    from .errors import (
        SerializationError as SerializationError,
    )
    from .errors import (
        TaskTimeoutError as TaskTimeoutError,
    )
    from .errors import (
        UnknownBackendError as UnknownBackendError,
    )
    from .errors import (
        UnsupportedError as UnsupportedError,
    )
    from .errors import (
        WorkerLostError as WorkerLostError,
    )
    from .errors import (
        WorkerStartError as WorkerStartError,
    )
    from .executor import (
        Executor as Executor,
    )
    from .executor import (
        ExecutorStats as ExecutorStats,
    )
    from .executor import (
        Worker as Worker,
    )
    from .executor import (
        as_completed as as_completed,
    )
    from .executor import (
        current_backend as current_backend,
    )
    from .executor import (
        current_task as current_task,
    )
    from .executor import (
        wait as wait,
    )
    from .future import (
        Future as Future,
    )
    from .hooks import (
        hookimpl as hookimpl,
    )
    from .hooks import (
        observe as observe,
    )
    from .options import (
        BackendOptions as BackendOptions,
    )
    from .options import (
        Capabilities as Capabilities,
    )
    from .options import (
        ExecutorOptions as ExecutorOptions,
    )
    from .options import (
        TaskOptions as TaskOptions,
    )
    from .options import (
        duration as duration,
    )
    from .options import (
        setting as setting,
    )
    from .primitives import (
        Empty as Empty,
    )
    from .primitives import (
        Full as Full,
    )
    from .primitives import (
        LocalHost as LocalHost,
    )
    from .primitives import (
        ShutDown as ShutDown,
    )
    from .primitives import (
        ThreadParker as ThreadParker,
    )
    from .protocols import (
        ActivityHandle as ActivityHandle,
    )
    from .protocols import (
        Barrier as Barrier,
    )
    from .protocols import (
        Condition as Condition,
    )
    from .protocols import (
        Engine as Engine,
    )
    from .protocols import (
        Event as Event,
    )
    from .protocols import (
        Host as Host,
    )
    from .protocols import (
        Lock as Lock,
    )
    from .protocols import (
        Queue as Queue,
    )
    from .protocols import (
        Runnable as Runnable,
    )
    from .protocols import (
        Semaphore as Semaphore,
    )
    from .protocols import (
        WorkerInfo as WorkerInfo,
    )
    from .registry import (
        CONTRACT as CONTRACT,
    )
    from .registry import (
        BackendInfo as BackendInfo,
    )
    from .registry import (
        backends as backends,
    )

#: Where each public name lives.
_HOMES = {
    "_log": """
        get_logger
    """,
    "errors": """
        BackendLoadError CommandError CommandTimeoutError ConfigError DeadlockError ExecutorBrokenError
        ExecutorClosedError InitializerError ManyhandsError ManyhandsWarning ProtocolError RemoteError ResourceError
        SerializationError TaskTimeoutError UnknownBackendError UnsupportedError WorkerLostError WorkerStartError
    """,
    "options": """
        BackendOptions Capabilities ExecutorOptions TaskOptions duration setting
    """,
    "hooks": """
        hookimpl observe
    """,
    "protocols": """
        ActivityHandle Barrier Condition Engine Event Host Lock Queue Runnable Semaphore WorkerInfo
    """,
    "future": """
        Future
    """,
    "primitives": """
        Empty Full LocalHost ShutDown ThreadParker
    """,
    "executor": """
        Executor ExecutorStats Worker as_completed current_backend current_task wait
    """,
    "registry": """
        CONTRACT BackendInfo backends
    """,
    "config": """
        configured
    """,
    "backend": """
        Activity Backend Candidate Explanation Timer explain open_backend open_executor
    """,
    "commands": """
        Command CompletedCommand RunningCommand pipeline shell_command
    """,
    "concurrent.futures": """
        ALL_COMPLETED FIRST_COMPLETED FIRST_EXCEPTION BrokenExecutor CancelledError InvalidStateError TimeoutError
    """,
    "threading": """
        BrokenBarrierError
    """,
}
_FOREIGN = ("concurrent.futures", "threading")
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = list(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


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
