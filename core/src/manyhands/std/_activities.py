"""What Thread and Process have in common: who runs here, and which ones run."""

import itertools
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

from ..backend import Activity
from ..protocols import ActivityHandle
from ._face import Face

__all__ = ["Listed", "Roll", "bind"]

C = TypeVar("C", bound=type)


class Roll:
    """The activities of one face, which keeps it as ``_roll``."""

    def __init__(self, backend: Any) -> None:
        self.numbers = itertools.count(1)
        self._here = backend.local()
        self._started: weakref.WeakSet[Any] = weakref.WeakSet()
        self._mutex = threading.RLock()  # a set that grows cannot be looped over

    @property
    def current(self) -> Any:
        """The one that this code runs in; None elsewhere."""
        return getattr(self._here, "activity", None)

    def add(self, activity: "Listed") -> None:
        """It is about to start."""
        with self._mutex:
            self._started.add(activity)

    def alive(self) -> list[Any]:
        """Those that run."""
        with self._mutex:
            started = list(self._started)
        return [activity for activity in started if activity.is_alive()]

    @contextmanager
    def running(self, activity: "Listed") -> Iterator[None]:
        """Make it the current one."""
        self._here.activity = activity
        try:
            yield
        finally:
            del self._here.activity


class Listed(Activity):
    """An activity that its face knows of; unless told otherwise it is a daemon if the one that makes it is."""

    _face: ClassVar[Face]

    def __init__(self, *args: Any, daemon: bool | None = None, **kwargs: Any) -> None:
        if daemon is None:
            parent = self._roll.current
            daemon = parent is not None and parent.daemon
        super().__init__(*args, daemon=daemon, **kwargs)

    @property
    def _roll(self) -> Roll:
        return self._face._roll  # type: ignore[no-any-return]

    def start(self) -> None:
        if not hasattr(self, "_handle"):
            raise RuntimeError(f"{type(self).__name__}.__init__() was not called")
        self._roll.add(self)
        super().start()

    def main(self, handle: ActivityHandle) -> int:
        with self._roll.running(self):
            return super().main(handle)


def bind(face: Face, kind: C, *bases: type, **names: Any) -> C:
    """*kind* as a class of *face*: its instances run on the backend of the face."""
    namespace = {"__module__": face.__name__, "__doc__": kind.__doc__, "_face": face, **names}
    return type(kind)(kind.__name__, (kind, *bases), namespace)
