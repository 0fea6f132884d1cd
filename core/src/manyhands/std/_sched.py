"""``sched``."""

import sched
from typing import Any

from ._face import Face, factory

__all__ = ["FACES"]


def _names(face: Face) -> dict[str, Any]:
    return {
        "scheduler": factory(face, "scheduler", face._backend.scheduler),
        "Event": sched.Event,
    }


FACES = {"sched": _names}
