"""What belongs to the activity that runs in this thread."""

import threading
from collections import deque
from typing import Any, Final

__all__ = ["ActivityState", "here", "activity_slot"]


class ActivityState:
    """What the core keeps for each activity."""

    __slots__ = ("__weakref__", "backend", "deliveries", "worker")

    def __init__(self) -> None:
        #: The worker that it is.
        self.worker: Any = None
        #: The backend whose activity it is.
        self.backend: Any = None
        #: The futures whose callbacks it still has to call; None when it calls none.
        self.deliveries: deque[Any] | None = None


class _Here(threading.local):
    def __init__(self) -> None:
        self.activity = ActivityState()


here: Final = _Here()


def activity_slot() -> dict[str, ActivityState]:
    """
    For a backend that runs several activities in one thread: whose turn it is in the calling thread.

    At each switch it stores the :class:`ActivityState` of the one that goes on under ``"activity"``.
    """
    return here.__dict__
