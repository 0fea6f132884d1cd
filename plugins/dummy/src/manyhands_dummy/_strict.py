"""
Tasks as if their workers were other processes: what goes in and what comes out is copied.

Arguments are encoded in ``submit`` and decoded in the worker, results and exceptions on the way back.
Primitives and all else that a backend hands out travel by reference, as they do everywhere. What a task
changed of its own copies would be lost elsewhere, too: it is told so.
"""

import io
import pickle
import sys
import traceback
import warnings
from typing import Any
from weakref import WeakKeyDictionary

from manyhands import (
    ConfigError,
    ExecutorOptions,
    ManyhandsWarning,
    RemoteError,
    Runnable,
    SerializationError,
    travels_by_reference,
)

from ._engine import DummyEngine
from ._hub import Hub

__all__ = ["StrictEngine", "cloudpickle_or_error"]


def cloudpickle_or_error() -> Any:
    """The package that encodes lambdas and closures; ConfigError when it is not installed."""
    try:
        import cloudpickle
    except ImportError:
        raise ConfigError(
            "DummyOptions.strict needs the package cloudpickle: pip install manyhands-dummy[strict]"
        ) from None
    return cloudpickle


class StrictEngine(DummyEngine):
    """The engine whose tasks share nothing with their caller."""

    shares_memory = False

    def __init__(self, hub: Hub, options: ExecutorOptions) -> None:
        super().__init__(hub, options)
        self._calls: WeakKeyDictionary[Runnable, _Parcel] = WeakKeyDictionary()

    def start(self, task: Runnable) -> None:
        if task not in self._calls:  # else it is tried again, with what it was submitted with
            self._calls[task] = _encode_call(task)
        super().start(_StrictTask(task, self._calls[task]))


class _StrictTask:
    """A task whose call is a copy."""

    def __init__(self, task: Any, call: "_Parcel") -> None:
        self._task = task
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def run(self, worker: Any = None) -> None:
        """See :meth:`manyhands.Runnable.run`."""
        task = self._task
        if not task.claim(worker):
            return
        try:
            fn, args, kwargs = call = self._call.open()
            before = _Parcel(call)
            try:
                value = fn(*args, **kwargs) if task.context is None else task.context.run(fn, *args, **kwargs)
            finally:
                _tell_changes(task, before, call)
            outcome = _encode(value, task, "encode-result").open()
        except BaseException as error:
            task.fail(_copied(error))
        else:
            task.finish(outcome)


class _Parcel:
    """An object on its way: bytes, and what travels by reference."""

    def __init__(self, value: Any) -> None:
        stream = io.BytesIO()
        pickler = _pickler(stream)
        pickler.dump(value)
        self.data = stream.getvalue()
        self.references: list[Any] = pickler.references

    def open(self) -> Any:
        """A copy of the object."""
        unpickler = _Unpickler(io.BytesIO(self.data))
        unpickler.references = self.references
        return unpickler.load()


def _pickler(stream: io.BytesIO) -> Any:
    base: Any = cloudpickle_or_error().Pickler

    class Pickler(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(stream, protocol=5)
            self.references: list[Any] = []
            self._places: dict[int, int] = {}

        def persistent_id(self, obj: Any) -> int | None:
            if not travels_by_reference(obj):
                return None
            if id(obj) not in self._places:
                self._places[id(obj)] = len(self.references)
                self.references.append(obj)
            return self._places[id(obj)]

    return Pickler()


class _Unpickler(pickle.Unpickler):
    references: list[Any]

    def persistent_load(self, place: Any) -> Any:
        return self.references[place]


def _encode_call(task: Runnable) -> _Parcel:
    try:
        return _Parcel((task.fn, task.args, task.kwargs))
    except Exception:
        named = {f"args[{place}]": value for place, value in enumerate(task.args)}
        named |= {f"kwargs[{name!r}]": value for name, value in task.kwargs.items()}
        try:
            for path, value in {"the function": task.fn, **named}.items():
                _encode(value, task, "encode-args", path)
            raise
        finally:
            task.withdraw()


def _encode(value: Any, task: Runnable, phase: str, path: str = "") -> _Parcel:
    try:
        return _Parcel(value)
    except Exception as error:
        problem = f"task {task.id} ({task.name}) has a {type(value).__name__} that cannot be encoded: {error}"
        raise SerializationError(problem, phase=phase, path=path) from error


def _copied(error: BaseException) -> BaseException:
    """*error* as it would arrive: a copy, or what stands in for one that cannot be rebuilt."""
    try:
        copy: BaseException = _Parcel(error).open()
    except Exception:
        text = "".join(traceback.format_exception(error))
        copy = RemoteError(type(error).__qualname__, str(error), traceback_text=text)
    return copy.with_traceback(error.__traceback__)


def _tell_changes(task: Runnable, before: _Parcel, call: tuple[Any, ...]) -> None:
    try:
        after = _Parcel(call)
    except Exception:  # it put something in that cannot travel: a change, too
        changed = True
    else:
        changed = after.data != before.data
    if changed:
        code = getattr(task.fn, "__code__", None)
        place = (code.co_filename, code.co_firstlineno) if code else (sys.modules[__name__].__file__ or "", 0)
        warnings.warn_explicit(
            f"task {task.id} ({task.name}) changed its function or its arguments: with workers in other processes"
            " its caller would not see that; return the new value, or use the backend's shared state",
            ManyhandsWarning,
            *place,
        )
