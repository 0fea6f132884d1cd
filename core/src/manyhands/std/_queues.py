"""``queue``."""

from typing import Any

from ..primitives import Empty, Full, ShutDown
from ._face import Face, factory

__all__ = ["FACES"]


def _names(face: Face) -> dict[str, Any]:
    backend = face._backend
    return {
        "Queue": factory(face, "Queue", backend.queue),
        "LifoQueue": factory(face, "LifoQueue", backend.lifo_queue),
        "PriorityQueue": factory(face, "PriorityQueue", backend.priority_queue),
        "SimpleQueue": factory(face, "SimpleQueue", backend.simple_queue),
        "Empty": Empty,
        "Full": Full,
        "ShutDown": ShutDown,
    }


FACES = {"queue": _names}
