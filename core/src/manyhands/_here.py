"""What belongs to the activity that runs in this thread, in one place."""

import threading
from typing import Any, Final

__all__ = ["here"]


class _Here(threading.local):
    #: The worker of this thread.
    worker: Any = None
    #: The backend whose activity runs here.
    backend: Any = None
    #: The futures whose callbacks this thread still has to call; None when it calls none.
    deliveries: Any = None


here: Final = _Here()
