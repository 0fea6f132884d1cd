"""``multiprocessing`` and those of its submodules that only give its names another place."""

import logging
import multiprocessing
import multiprocessing.connection
import multiprocessing.reduction
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing import process
from typing import Any, Final

from ..vocabulary.channels import wait
from . import _shapes
from ._activities import Listed, Roll, bind
from ._face import Face, factory, refusal

__all__ = ["FACES"]

_ERRORS: Final = ("ProcessError", "BufferTooShort", "AuthenticationError", "TimeoutError")
#: What the standard library's records on stderr look like.
_LOG_FORMAT: Final = "[%(levelname)s/%(processName)s] %(message)s"


class Process(Listed):
    """
    :class:`multiprocessing.Process`: an activity of the backend; may be subclassed.

    On a backend without processes ``pid`` is that of the program, and ``terminate``, ``kill``,
    ``interrupt`` and ``sentinel`` raise UnsupportedError.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        in_process = self._backend.capabilities.in_process
        self._parent: Any = self._face.current_process() if in_process else None
        super().__init__(*args, **kwargs)

    @property
    def ident(self) -> int | None:
        return self.pid


def _names(face: Face) -> dict[str, Any]:
    backend = face._backend
    roll = Roll(backend)

    def current_process() -> Any:
        """The Process that this runs in; the interpreter's own object for the main one."""
        return roll.current or process.current_process()

    def parent_process() -> Any:
        """The one that made the current process; None in the main one."""
        return (roll.current and roll.current._parent) or process.parent_process()

    def active_children() -> list[Any]:
        """The processes that the current one made and that run."""
        return [one for one in roll.alive() if one._parent in (None, current_process())]

    return {
        **{name: getattr(multiprocessing, name) for name in _ERRORS},
        "_roll": roll,
        "Process": bind(face, Process, backend.Activity),
        "current_process": current_process,
        "parent_process": parent_process,
        "active_children": active_children,
        "Pool": factory(face, "Pool", backend.pool, _pool_type),
        "Manager": backend.manager,
        "Pipe": backend.pipe,
        "Value": backend.value,
        "Array": backend.array,
        "RawValue": partial(backend.value, lock=False),
        "RawArray": partial(backend.array, lock=False),
        **_primitives(face),
        **_start_methods(face),
        "cpu_count": multiprocessing.cpu_count,
        "freeze_support": multiprocessing.freeze_support,
        "allow_connection_pickling": lambda: None,  # connections can be passed to tasks anyway
        "reducer": multiprocessing.reduction,
        "get_logger": get_logger,
        "log_to_stderr": log_to_stderr,
    }


def _primitives(face: Face) -> dict[str, Any]:
    backend = face._backend

    def condition(lock: Any = None) -> Any:
        return backend.condition(lock._inner if isinstance(lock, _shapes.Shape) else lock)

    def shaped(shape: type[_shapes.Shape], make: Callable[..., Any]) -> Any:
        return factory(face, shape.__name__, lambda *args, **kwargs: shape(make(*args, **kwargs)), lambda: shape)

    shapes = {
        _shapes.Lock: backend.lock,
        _shapes.RLock: backend.rlock,
        _shapes.Condition: condition,
        _shapes.Semaphore: backend.semaphore,
        _shapes.BoundedSemaphore: backend.bounded_semaphore,
        _shapes.Queue: backend.queue,
        _shapes.JoinableQueue: backend.queue,
        _shapes.SimpleQueue: backend.simple_queue,
    }
    return {
        **{shape.__name__: shaped(shape, make) for shape, make in shapes.items()},
        "Event": factory(face, "Event", backend.event),
        "Barrier": factory(face, "Barrier", backend.barrier, lambda: type(backend.barrier(1))),
    }


def _start_methods(face: Face) -> dict[str, Any]:
    """There is one start method, the backend's, chosen when it was opened; or none where nothing is started."""
    method: str | None = getattr(face._backend.options, "start_method", None)
    no_processes = "its activities are not processes"

    def check(name: str, asked: str | None) -> None:
        if asked is None or asked == method:
            return
        if asked not in ("fork", "spawn", "forkserver"):
            raise ValueError(f"cannot find context for {asked!r}")
        why = no_processes if method is None else f"its option start_method is {method!r}"
        raise face.unsupported(f"{name}({asked!r}): {why}")

    def get_context(method: str | None = None) -> Face:
        """Give this module: the backend has one context."""
        check("get_context", method)
        return face

    def set_start_method(method: str | None, force: bool = False) -> None:
        """Accept the start method that the backend has."""
        check("set_start_method", method)

    def get_start_method(allow_none: bool = False) -> str | None:
        """The start method of the backend."""
        if method is None and not allow_none:
            raise face.unsupported(f"get_start_method(): {no_processes}")
        return method

    def get_all_start_methods() -> list[str]:
        """The start methods that a backend of this kind may have."""
        return [] if method is None else multiprocessing.get_all_start_methods()

    why = no_processes if method is None else "say it to the backend when you open it"
    return {
        "get_context": get_context,
        "set_start_method": set_start_method,
        "get_start_method": get_start_method,
        "get_all_start_methods": get_all_start_methods,
        "set_executable": refusal(face, "set_executable", why),
        "set_forkserver_preload": refusal(face, "set_forkserver_preload", why),
    }


def get_logger() -> logging.Logger:
    """The logger of everything that manyhands does."""
    return logging.getLogger("manyhands")


def log_to_stderr(level: int | str | None = None) -> logging.Logger:
    """Print what :func:`get_logger`'s logger gets, from *level* on."""
    logger = get_logger()
    if not any(type(handler) is logging.StreamHandler for handler in logger.handlers):
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(_LOG_FORMAT))
        logger.addHandler(handler)
    if level:
        logger.setLevel(level)
    return logger


def _pool_type() -> type:
    from ..vocabulary.pool import Pool

    return Pool


def _pool_names(face: Face) -> dict[str, Any]:
    from ..vocabulary.pool import AsyncResult

    def thread_pool(processes: int | None = None, initializer: Any = None, initargs: Iterable[Any] = ()) -> Any:
        """A pool of the backend."""
        return face._backend.pool(processes, initializer, initargs)

    return {
        "Pool": face.sibling("multiprocessing").Pool,
        "ThreadPool": factory(face, "ThreadPool", thread_pool, _pool_type),
        "AsyncResult": AsyncResult,
    }


def _connection_names(face: Face) -> dict[str, Any]:
    """Without a key, listener and client use that of their process: the standard library then checks nothing."""
    own = multiprocessing.connection
    return {
        "Listener": factory(face, "Listener", face._backend.listener, lambda: own.Listener),
        "Client": face._backend.client,
        "Pipe": face.sibling("multiprocessing").Pipe,
        "Connection": own.Connection,
        "wait": partial(wait, backend=face._backend),
        "answer_challenge": own.answer_challenge,
        "deliver_challenge": own.deliver_challenge,
    }


def _part(*names: str, **others: str) -> Callable[[Face], dict[str, Any]]:
    """A submodule with *names* of the module, and *others* that have another name there."""

    def part(face: Face) -> dict[str, Any]:
        whole = face.sibling("multiprocessing")
        return {name: getattr(whole, of) for name, of in {**dict(zip(names, names, strict=True)), **others}.items()}

    return part


FACES = {
    "multiprocessing": _names,
    "multiprocessing.connection": _connection_names,
    "multiprocessing.context": _part(*_ERRORS, "Process"),
    "multiprocessing.pool": _pool_names,
    "multiprocessing.process": _part("current_process", "active_children", "parent_process", BaseProcess="Process"),
    "multiprocessing.queues": _part("Queue", "SimpleQueue", "JoinableQueue"),
    "multiprocessing.synchronize": _part(
        "Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier"
    ),
}
