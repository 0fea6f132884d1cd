"""What reaches tasks as a reference, on every backend."""

import sys
from typing import Any

__all__ = ["travels_by_reference"]


def travels_by_reference(obj: Any) -> bool:
    """
    Whether *obj* is shared with the tasks that it is passed to, however far away these are.

    That is what a backend hands out to be shared: primitives, state, ends of pipes, proxies, executors,
    and the backend itself. Their classes say so by ``travels_by_reference = True``; the ctypes objects of
    ``backend.value`` and ``backend.array`` belong to it, too. All else is copied where it cannot be shared.
    """
    if getattr(type(obj), "travels_by_reference", False):
        return True
    ctypes, sharedctypes = sys.modules.get("_ctypes"), sys.modules.get("multiprocessing.sharedctypes")
    if ctypes is None or sharedctypes is None:  # then nobody has made one
        return False
    kinds = (ctypes._SimpleCData, ctypes.Array, ctypes.Structure, ctypes.Union, sharedctypes.SynchronizedBase)
    return isinstance(obj, kinds)
