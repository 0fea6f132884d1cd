"""What is to be done with each input: a function found by its name, or a command."""

import inspect
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module, util
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Any, Final

from ._end import End

__all__ = ["CommandTarget", "FunctionTarget", "ItemError", "encode"]

_ALLOWED: Final = "it must be package.module:function or path/file.py:function"


class ItemError(Exception):
    """What went wrong with one item: the name of a type and a message, which any worker can send home."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(type_name, message)
        self.type_name = type_name
        self.message = message

    @classmethod
    def of(cls, error: BaseException) -> "ItemError":
        """The facts of *error*; one that cannot say what it has to say is as harmless as any other."""
        try:
            message = str(error)
        except Exception:
            message = "(its text cannot be shown)"
        return cls(type(error).__name__, message)


def _plain(value: object) -> Any:
    """What stands for an object that JSON has no word for: a path is its text, a set a sorted list."""
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"there is no JSON for an object of type {type(value).__name__}")


#: JSON as everybody reads it: without NaN, in ASCII whatever the terminal can show.
encode: Final[Callable[[Any], str]] = json.JSONEncoder(allow_nan=False, default=_plain).encode


class FunctionTarget:
    """
    A function given as ``package.module:function`` or ``path/file.py:function``, to be called with one input.

    Pickled by its name alone, and found again by whoever unpickles it: so it reaches every worker,
    whatever kind of callable it is. What it returns and raises travels as text for the same reason.

    Raises:
        End: the name is malformed, or leads to nothing that can be called.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._place, _, self._path = name.rpartition(":")
        is_file = self._place.endswith(".py")
        parts = self._path.split(".") + ([] if is_file else self._place.split("."))
        if not self._place or not all(part.isidentifier() for part in parts):
            raise _problem(name, f"is malformed, {_ALLOWED}")
        if is_file:
            self._place = os.path.abspath(self._place)
        self.__qualname__ = self._path
        self._function = self._load(_from_file if is_file else _from_module)

    @property
    def job(self) -> dict[str, Any]:
        """What a journal says about it."""
        return {"function": f"{self._place}:{self._path}"}

    def __call__(self, value: Any) -> str:
        """The result for *value* as JSON; everything that goes wrong is an :class:`ItemError`."""
        try:
            result = self._function(value)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            failure = ItemError.of(error)
        else:
            try:
                return encode(result)
            except Exception as error:  # RecursionError, and whatever a path's __fspath__ raises
                failure = ItemError(type(error).__name__, f"the result is not JSON: {error}")
        raise failure  # out here, where the task's own exception is not its context and kept alive

    def __reduce__(self) -> Any:
        return FunctionTarget, (f"{self._place}:{self._path}",)

    def _load(self, load: Callable[[str, str], ModuleType]) -> Callable[[Any], Any]:
        found: Any = load(self.name, self._place)
        where = f"module {found.__name__!r}"
        for part in self._path.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                guess = _similar(part, found)
                raise _problem(self.name, f"leads nowhere: {where} has no attribute {part!r}{guess}") from None
            where = repr(part)
        if not callable(found):
            raise _problem(self.name, f"cannot be called: it is of type {type(found).__name__}")
        if inspect.iscoroutinefunction(found) or inspect.isasyncgenfunction(found):
            raise _problem(self.name, "is a coroutine function, which needs an event loop: give a plain function")
        return found  # type: ignore[no-any-return]


class CommandTarget:
    """
    A command to be run for one input, which takes the place of ``{}`` in its arguments, or is the last of them.

    Args:
        words: The program and its arguments.
        timeout: Seconds that it may run.
    """

    def __init__(self, words: Sequence[str], *, timeout: float | None) -> None:
        self.words = list(words) if any("{}" in word for word in words) else [*words, "{}"]
        self.timeout = timeout
        #: Seconds that it is given to comply when it has to stop.
        self.grace = 1.0
        self.__qualname__ = os.path.basename(words[0])

    @property
    def job(self) -> dict[str, Any]:
        """What a journal says about it."""
        return {"command": self.words}

    def __call__(self, value: Any) -> str:
        """Its exit code and outputs as JSON; everything that goes wrong is an :class:`ItemError`."""
        from ..commands import Command

        text = value if isinstance(value, str) else encode(value)
        words = [word.replace("{}", text) for word in self.words]
        try:
            completed = Command(words, timeout=self.timeout, grace=self.grace)()
        except Exception as error:
            raise ItemError.of(error) from None
        outputs = {name: getattr(completed, name).decode("utf-8", "backslashreplace") for name in ("stdout", "stderr")}
        return encode({"returncode": completed.returncode, **outputs})


def _problem(name: str, problem: str) -> End:
    from ..options import shorten

    return End(2, f"target {shorten(name)} {problem}")


def _similar(name: str, owner: object) -> str:
    import difflib

    close = difflib.get_close_matches(name, dir(owner), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _from_module(name: str, module: str) -> ModuleType:
    def load() -> ModuleType:
        _open_working_directory(module.partition(".")[0])
        return import_module(module)

    return _imported(name, module, load)


def _open_working_directory(package: str) -> None:
    """
    Have modules found in the working directory if *package* is there and nowhere else.

    ``python -m`` always does this. Here only a user who names something in the directory trusts it,
    and even then it comes last, so that its files hide nothing.
    """
    if util.find_spec(package) is None and PathFinder.find_spec(package, [os.getcwd()]) is not None:
        sys.path.append(os.getcwd())


def _from_file(name: str, path: str) -> ModuleType:
    if not os.path.isfile(path):
        raise _problem(name, f"leads nowhere: there is no file {path!r}")
    folder, stem = os.path.dirname(path), os.path.basename(path).removesuffix(".py")
    if folder not in sys.path:
        sys.path.append(folder)  # what lies beside it can be imported, and hides nothing

    def load() -> ModuleType:
        if _origin(stem) == os.path.realpath(path):
            return import_module(stem)
        return _load_aside(f"{stem} ({path})", path)  # its own name means something else

    return _imported(name, path, load)


def _origin(module: str) -> str | None:
    """The file that ``import module`` would use."""
    if module in sys.modules:
        origin = getattr(sys.modules[module], "__file__", None)
    else:
        spec = util.find_spec(module) if module.isidentifier() else None
        origin = spec and spec.origin
    return origin and os.path.realpath(origin)


def _load_aside(module_name: str, path: str) -> ModuleType:
    """The module in the file *path* under a name that collides with nothing."""
    if module_name in sys.modules:
        return sys.modules[module_name]
    spec = util.spec_from_file_location(module_name, path)
    assert spec is not None  # for it ends in .py
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


def _imported(name: str, what: str, load: Callable[[], ModuleType]) -> ModuleType:
    try:
        return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and not _raised_inside(error):
            raise _problem(name, f"leads nowhere: there is no module named {error.name!r}") from None
        text = ItemError.of(error)
        raise _problem(name, f"cannot be imported: {what} raised {text.type_name}: {text.message}") from error


def _raised_inside(error: BaseException) -> bool:
    """Whether code of the module raised it, and not the search for the module."""
    trace = error.__traceback__
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__", "")
        if module != __name__ and module.partition(".")[0] != "importlib":
            return True
        trace = trace.tb_next
    return False
