"""Data of which each fiber has its own."""

from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from ._hub import Hub

__all__ = ["Local"]


class Local:
    """
    :class:`threading.local` for fibers: ``__init__`` runs once in each, with the same arguments.

    ``backend.local`` is this class bound to a hub; it may be subclassed. A worker is one fiber, so
    tasks of one worker see each other's values, as with threads.
    """

    __slots__ = ("__dict__", "__weakref__", "_arguments", "_values")

    _hub: ClassVar[Hub]
    _arguments: tuple[tuple[Any, ...], dict[str, Any]]
    _values: "WeakKeyDictionary[Any, dict[str, Any]]"

    def __new__(cls, /, *args: Any, **kwargs: Any) -> "Local":
        if (args or kwargs) and cls.__init__ is object.__init__:
            raise TypeError("local takes arguments only where a subclass has an __init__ that takes them")
        self = object.__new__(cls)
        object.__setattr__(self, "_arguments", (args, kwargs))
        values: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()
        values[cls._hub.caller().state] = {}  # here ``__init__`` is about to be called
        object.__setattr__(self, "_values", values)
        return self

    def __getattribute__(self, name: str) -> Any:
        _become_mine(self)
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__dict__":
            raise AttributeError(f"attribute '__dict__' of {type(self).__name__!r} is read-only")
        _become_mine(self)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if name == "__dict__":
            raise AttributeError(f"attribute '__dict__' of {type(self).__name__!r} is read-only")
        _become_mine(self)
        object.__delattr__(self, name)


def _become_mine(local: Local) -> None:
    """Give it the calling fiber's values."""
    get = object.__getattribute__
    values, fiber = get(local, "_values"), get(local, "_hub").caller()
    mine = values.get(fiber.state)
    fresh = mine is None
    if fresh:
        mine = values[fiber.state] = {}
    object.__setattr__(local, "__dict__", mine)
    if fresh:
        args, kwargs = get(local, "_arguments")
        type(local).__init__(local, *args, **kwargs)
        # It may have let others run, who took it for theirs.
        object.__setattr__(local, "__dict__", mine)
