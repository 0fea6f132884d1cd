"""What every face is made of: the module object, and classes whose instances come from the backend."""

from collections.abc import Callable, Mapping
from functools import cache
from types import GenericAlias, ModuleType
from typing import Any, NoReturn

from ..errors import UnsupportedError

__all__ = ["Face", "Factory", "factory", "refusal"]


class Face(ModuleType):
    """
    A module-shaped object: the names of a module of the standard library, over a backend.

    Names are used as attributes (``threading = backend.as_module("threading")``). Its submodules
    are there without an import of their own. Passed to a task, it arrives as the same module over
    the same backend.
    """

    def __init__(self, backend: Any, name: str) -> None:
        super().__init__(name, f"The names of the standard library's module {name}, over backend {backend.name}.")
        self._backend = backend

    def fill(self, names: Mapping[str, Any]) -> None:
        """Take in the *names*; those that are public make up ``__all__``."""
        self.__dict__.update(names)
        self.__dict__["__all__"] = sorted(name for name in names if not name.startswith("_"))

    def sibling(self, name: str) -> "Face":
        """The face *name* over the same backend."""
        from . import as_module

        return as_module(self._backend, name)

    def unsupported(self, what: str) -> UnsupportedError:
        """The error that says that this backend has no *what* of this module."""
        return UnsupportedError(self._backend.name, f"{self.__name__}.{what}")

    def __getattr__(self, name: str) -> Any:
        try:
            return self.sibling(f"{self.__name__}.{name}")
        except UnsupportedError:
            message = f"module {self.__name__!r} over backend {self._backend.name!r} has no attribute {name!r}"
            raise AttributeError(message) from None

    def __reduce__(self) -> Any:
        from . import as_module

        return as_module, (self._backend, self.__name__)

    def __repr__(self) -> str:
        return f"<module {self.__name__!r} over backend {self._backend.name!r}>"


class Factory(type):
    """
    The class of classes whose instances are objects of the backend; :func:`factory` makes them.

    Calling one makes an object of the backend, and it may stand in annotations. ``isinstance`` is
    as exact as the backend's classes are: where a lock and an rlock are of one class, each is an
    instance of both. It cannot be subclassed: the backend would not make the subclass's objects.
    """

    _face: Face
    _make: Callable[..., Any]
    _kind: Callable[[], type]

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> "Factory":
        for base in bases:
            if isinstance(base, Factory):
                raise base._face.unsupported(f"{base.__name__} as a base class")
        return super().__new__(cls, name, bases, namespace)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._make(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls._kind())


def factory(face: Face, name: str, make: Callable[..., Any], kind: Callable[[], type] | None = None) -> Factory:
    """
    The class *name* of *face*.

    Args:
        face: The module that it is in.
        name: Its name there.
        make: Makes an instance from the standard library's arguments.
        kind: The class of the instances, asked for when somebody wants to know; else an instance
            is made without arguments and looked at.
    """
    namespace: dict[str, Any] = {
        "__module__": face.__name__,
        "__doc__": make.__doc__,
        "__class_getitem__": classmethod(GenericAlias),
        "_face": face,
        "_make": staticmethod(make),
        "_kind": staticmethod(kind or cache(lambda: type(make()))),
    }
    return Factory(name, (), namespace)


def refusal(face: Face, name: str, why: str) -> Callable[..., NoReturn]:
    """The function *name* of *face* where the backend has no such thing; *why* follows its name in the message."""

    def refuse(*_args: Any, **_kwargs: Any) -> NoReturn:
        raise face.unsupported(f"{name}(): {why}")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__module__ = face.__name__
    return refuse
