"""An activity is a thread that runs ``activity.main``."""

import os
import threading

from manyhands import Activity, ResourceError, UnsupportedError

__all__ = ["MinimalActivity"]


class MinimalActivity(threading.Thread):
    """A started thread: it has nearly all that :class:`manyhands.ActivityHandle` asks for."""

    #: None while it runs.
    exitcode: int | None = None

    def __init__(self, activity: Activity) -> None:
        super().__init__(name=activity.name, daemon=activity.daemon)
        self._main = activity.main
        try:
            self.start()
        except RuntimeError as error:
            raise ResourceError(f"no thread can be started for activity {activity.name!r}: {error}") from error

    def run(self) -> None:
        main = self._main
        del self._main  # this handle lives as long as the activity: not also the other way round
        self.exitcode = main(self)

    @property
    def pid(self) -> int:
        return os.getpid()

    def stop(self, *, kill: bool) -> None:
        raise UnsupportedError("minimal", "ending an activity from outside", capability="cancel_running")
