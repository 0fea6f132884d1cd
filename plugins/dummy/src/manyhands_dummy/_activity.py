"""An activity is a fiber."""

import itertools
import os
import threading
from typing import Any

from manyhands import Activity, UnsupportedError

from ._hub import Hub

__all__ = ["DummyActivity"]

#: Numbers that no thread has: a thread's is an address.
_idents = itertools.count(1)


class DummyActivity:
    """A started fiber (see :class:`manyhands.ActivityHandle`)."""

    def __init__(self, hub: Hub, activity: Activity) -> None:
        self._hub = hub
        self._main: Any = activity.main
        self._joiners: list[Any] = []
        self._ident = next(_idents)
        self._native_id = threading.get_native_id()
        self._fiber: Any = None
        self.exitcode: int | None = None
        hub.run(self._run, activity.name, daemon=activity.daemon)

    def _run(self) -> None:
        main, self._main = self._main, None
        code = 1  # so it stays where an interrupt was in the way, and this is run once more
        if main is not None:
            self._fiber = self._hub.current
            code = main(self)
        self._fiber = None
        if self.exitcode is None:
            self.exitcode = code
        for parker in self._joiners:
            parker.wake()

    @property
    def ident(self) -> int:
        return self._ident

    @property
    def native_id(self) -> int:
        return self._native_id

    @property
    def pid(self) -> int:
        return os.getpid()

    def is_alive(self) -> bool:
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        if self._fiber is not None and self._fiber is self._hub.current:
            raise RuntimeError("cannot join current thread")
        if self.exitcode is None:
            parker = self._hub.parker()
            self._joiners.append(parker)
            parker.wait(timeout)

    def stop(self, *, kill: bool) -> None:
        raise UnsupportedError("dummy", "ending an activity from outside", capability="cancel_running")
