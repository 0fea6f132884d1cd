"""Have modules use a backend where they use the standard library."""

import concurrent
import importlib
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from ._backend import DummyBackend

__all__ = ["patching"]

#: Those that a backend has a face of, beside ``time``.
_MODULES = ("threading", "_thread", "queue", "sched", "concurrent.futures")
#: What a module may have made when it was imported.
_MADE: tuple[tuple[type, str], ...] = (
    (type(threading.Lock()), "lock"),
    (type(threading.RLock()), "rlock"),
    (threading.Condition, "condition"),
    (threading.Event, "event"),
)


@contextmanager
def patching(backend: DummyBackend, modules: Collection[ModuleType]) -> Iterator[None]:
    """
    In this block the *modules* find *backend*'s objects under the names of the standard library's.

    That is what they import from ``threading``, ``queue``, ``time``, ``sched`` and ``concurrent.futures``, and
    the locks, conditions and events that they made for themselves when they were imported.
    """
    ours = _replacements(backend) if modules else {}
    before = []
    for module in modules:
        names = {name: ours[id(value)] for name, value in vars(module).items() if id(value) in ours}
        for kind, make in _MADE:
            names.update(
                {name: getattr(backend, make)() for name, value in vars(module).items() if type(value) is kind}
            )
        before.append((vars(module), {name: vars(module)[name] for name in names}))
        vars(module).update(names)
    try:
        yield
    finally:
        for namespace, names in before:
            namespace.update(names)


def _replacements(backend: DummyBackend) -> dict[int, Any]:
    """By the ``id`` of an object of the standard library what stands for it."""
    found: dict[int, Any] = {}
    for name in _MODULES:
        face = backend.as_module(name)
        _replace(importlib.import_module(name), face, face.__all__, found)
    clock = _clock(backend)
    _replace(time, _like(time, clock), clock, found)
    found[id(concurrent)] = _like(concurrent, {"futures": backend.as_module("concurrent.futures")})
    return found


def _replace(module: ModuleType, face: ModuleType, names: Iterable[str], found: dict[int, Any]) -> None:
    found[id(module)] = face
    for name in names:
        theirs = getattr(module, name, None)
        ours = getattr(face, name)
        if theirs is not None and theirs is not ours:
            found[id(theirs)] = ours


def _like(module: ModuleType, changes: Mapping[str, Any]) -> ModuleType:
    copy = ModuleType(module.__name__, module.__doc__)
    vars(copy).update({**vars(module), **changes})
    return copy


def _clock(backend: DummyBackend) -> dict[str, Callable[..., Any]]:
    """What ``time`` has of clocks, all on the one that the backend has."""

    def nanoseconds() -> int:
        return round(backend.monotonic() * 1e9)

    seconds = dict.fromkeys(("monotonic", "perf_counter", "time"), backend.monotonic)
    return {"sleep": backend.sleep, **seconds, **{f"{name}_ns": nanoseconds for name in seconds}}
