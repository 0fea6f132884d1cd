"""An activity is a thread."""

import os
import threading
from typing import Any

from manyhands import ResourceError, UnsupportedError

__all__ = ["ThreadActivity"]


class ThreadActivity:
    """A started thread (see :class:`manyhands.ActivityHandle`)."""

    def __init__(self, activity: Any) -> None:
        self._code: int | None = None
        self._main = activity.main
        self._thread = threading.Thread(target=self._run, name=activity.name, daemon=activity.daemon)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise ResourceError(f"no thread can be started for activity {activity.name!r}: {error}") from error

    def _run(self) -> None:
        main, self._main = self._main, None
        self._code = main(self)

    @property
    def ident(self) -> int | None:
        return self._thread.ident

    @property
    def native_id(self) -> int | None:
        return self._thread.native_id

    @property
    def pid(self) -> int:
        return os.getpid()

    @property
    def exitcode(self) -> int | None:
        return self._code

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        self._thread.join(timeout)

    def stop(self, *, kill: bool) -> None:
        raise UnsupportedError("threading", "ending an activity from outside", capability="cancel_running")
