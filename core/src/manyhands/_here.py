"""What belongs to the activity that runs in this thread."""

import threading
from typing import Any, Final

__all__ = ["here", "swap_activity"]


class _Here(threading.local):
    #: The worker of this thread.
    worker: Any = None
    #: The backend whose activity runs here.
    backend: Any = None
    #: The futures whose callbacks this thread still has to call; None when it calls none.
    deliveries: Any = None


here: Final = _Here()


def swap_activity(state: Any = None) -> Any:
    """
    For a backend that runs several activities in one thread, at each switch: who runs here from now on.

    Args:
        state: What this function returned when that activity ran last; None for a new one.

    Returns:
        The same of the activity that ran until now.
    """
    was = here.worker, here.backend, here.deliveries
    here.worker, here.backend, here.deliveries = (None, None, None) if state is None else state
    return was
