"""``multiprocessing.dummy``: the names of multiprocessing for what ``threading`` has."""

from multiprocessing import dummy
from typing import Any

from ._activities import bind
from ._face import Face
from ._threading import Thread

__all__ = ["FACES"]


class Process(Thread):
    """A thread with the methods of a process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parent = self._face.current_thread()


def _names(face: Face) -> dict[str, Any]:
    threading, multiprocessing = face.sibling("threading"), face.sibling("multiprocessing")
    process = bind(face, Process, threading.Thread, _face=threading)

    def active_children() -> list[Any]:
        """The processes that the current one made and that run."""
        current = threading.current_thread()
        return [one for one in threading.enumerate() if isinstance(one, process) and one._parent is current]

    def manager() -> Face:
        """Give this module: its dict, list and other classes need no server."""
        return face

    primitives = ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event", "Barrier")
    return {
        **{name: getattr(threading, name) for name in primitives},
        "Process": process,
        "current_process": threading.current_thread,
        "active_children": active_children,
        "freeze_support": dummy.freeze_support,
        "Queue": face.sibling("queue").Queue,
        "JoinableQueue": face.sibling("queue").Queue,
        "Pool": face.sibling("multiprocessing.pool").ThreadPool,
        "Pipe": multiprocessing.Pipe,
        "Manager": manager,
        "Namespace": dummy.Namespace,
        "Value": multiprocessing.Value,
        "Array": multiprocessing.Array,
        "dict": dict,
        "list": list,
        "shutdown": dummy.shutdown,
    }


FACES = {"multiprocessing.dummy": _names}
