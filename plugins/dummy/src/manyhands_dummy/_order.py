"""Orders that a seed decides."""

import random
from collections import deque

from ._hub import Fiber

__all__ = ["RandomOrder"]


class RandomOrder:
    """At each point one of those that could run, any of them as likely as the others."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, fibers: deque[Fiber]) -> Fiber:
        at = self._random.randrange(len(fibers))
        fiber = fibers[at]
        del fibers[at]
        return fiber
