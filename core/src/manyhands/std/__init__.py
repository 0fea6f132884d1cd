"""Module-shaped faces of the standard library: the names of one of its modules, over a backend."""

from importlib import import_module
from typing import Any

from ..errors import UnsupportedError
from ..options import shorten
from ._face import Face

__all__ = ["Face", "as_module"]

#: Which module of this package makes which faces; each has a table ``FACES`` of functions.
_HOMES = {
    "_threading": ("threading", "dummy_threading"),
    "_low_level": ("_thread", "_dummy_thread"),
    "_queues": ("queue",),
    "_sched": ("sched",),
    "_futures": ("concurrent.futures", "concurrent.futures.thread", "concurrent.futures.process"),
    "_subprocess": ("subprocess",),
    "_multiprocessing": (
        "multiprocessing",
        "multiprocessing.connection",
        "multiprocessing.context",
        "multiprocessing.pool",
        "multiprocessing.process",
        "multiprocessing.queues",
        "multiprocessing.synchronize",
    ),
    "_dummy": ("multiprocessing.dummy",),
    "_managers": ("multiprocessing.managers",),
    "_state": ("multiprocessing.shared_memory", "multiprocessing.sharedctypes"),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def as_module(backend: Any, name: str) -> Face:
    """
    The face of the standard library's module *name* over *backend*; the same one each time.

    Raises:
        UnsupportedError: there is none for that module.
    """
    faces: dict[str, Face] = backend.__dict__.setdefault("_faces", {})
    face = faces.get(name)
    if face is None:
        home = _HOME.get(name)
        if home is None:
            raise UnsupportedError(backend.name, f"module {shorten(name)}: there are {', '.join(sorted(_HOME))}")
        face = Face(backend, name)
        face.fill(import_module(f".{home}", __name__).FACES[name](face))
        face = faces.setdefault(name, face)
    return face
