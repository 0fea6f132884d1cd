"""
Observers: objects whose methods are told what happens, through pluggy.

pluggy is imported when the first observer comes; until then nothing is called and nothing costs.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ._log import get_logger

if TYPE_CHECKING:
    from pluggy import HookimplMarker

__all__ = ["hookimpl", "observe"]

log: Final = get_logger("manyhands.hooks")
_manager: Any = None
hookimpl: "HookimplMarker"


class Specifications:
    """The hooks; an observer has any of these methods, marked with ``manyhands.hookimpl``."""

    def manyhands_backend_opened(self, backend: Any) -> None:
        """A backend was opened."""

    def manyhands_backend_closed(self, backend: Any) -> None:
        """A backend was closed."""

    def manyhands_worker_started(self, worker: Any) -> None:
        """A worker is ready for tasks."""

    def manyhands_worker_exited(self, worker: Any, exitcode: int | None) -> None:
        """A worker has ended; *exitcode* is 0, an exit code, ``-signal``, or None if nobody knows."""

    def manyhands_task_submitted(self, executor: Any, task: Any) -> None:
        """A task was accepted; called in the thread that submits."""

    def manyhands_task_started(self, task: Any, worker: Any) -> None:
        """A task starts."""

    def manyhands_task_finished(self, task: Any, worker: Any, outcome: str, duration_s: float) -> None:
        """A task ended; *outcome* is ``done``, ``failed`` or ``cancelled``, *duration_s* counts from its start."""


def manager() -> Any:
    """The plugin manager, made when first asked for."""
    global _manager
    if _manager is None:
        import pluggy

        specify = pluggy.HookspecMarker("manyhands")
        for name, hook in vars(Specifications).items():
            if name.startswith("manyhands_"):
                specify(hook)
        made = pluggy.PluginManager("manyhands")
        made.add_hookspecs(Specifications)
        _manager = made
    return _manager


@contextmanager
def observe(observer: object) -> Iterator[None]:
    """
    Tell *observer* what happens, as long as the ``with`` block lasts.

    Hooks about tasks are bound when an executor is made: open the block first. An error in an
    observer is logged and harms nobody.

    Raises:
        ValueError: *observer* is registered already.
        pluggy.PluginValidationError: a hook of it has arguments that do not exist.
    """
    name = manager().register(observer)
    try:
        yield
    finally:
        manager().unregister(name=name)


def register(name: str, load: Callable[[], object]) -> None:
    """Register the observer that *load* gives, for good, unless the *name* is registered already."""
    if manager().get_plugin(name) is None:
        manager().register(load(), name=name)


def observed() -> bool:
    """Whether anybody listens at this moment."""
    return _manager is not None and any(_manager.get_hookcallers(plugin) for plugin in _manager.get_plugins())


def call(hook: str, **facts: Any) -> None:
    """Tell every observer; what it raises is logged."""
    if _manager is None:
        return
    try:
        getattr(_manager.hook, hook)(**facts)
    except Exception as error:
        log.warning("observer.failed", hook=hook, error=repr(error))


def __getattr__(name: str) -> Any:
    """``hookimpl``, the marker for observers' methods, is pluggy's: made when first asked for."""
    if name != "hookimpl":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pluggy

    globals()["hookimpl"] = marker = pluggy.HookimplMarker("manyhands")
    return marker
