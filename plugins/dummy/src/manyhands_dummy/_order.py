"""Orders that a seed decides."""

import random
from collections import deque
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from ._hub import Fiber, Order

__all__ = ["ORDERS", "make_order"]

#: With so many points to lower a priority at, most races of a few steps have a chance in each run.
_CHANGES: Final = 3
#: Those points are drawn among the first so many switches: few for some seeds and many for others, as programs
#: are short and long.
_HORIZONS: Final = tuple(2**power for power in range(3, 12))


class RandomOrder:
    """At each point one of those that could run, any of them as likely as the others."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def choose(self, fibers: deque[Fiber]) -> Fiber:
        at = self._random.randrange(len(fibers))
        fiber = fibers[at]
        del fibers[at]
        return fiber


class PriorityOrder:
    """
    Always the one with the highest priority, which is drawn when it comes; at a few points, drawn too, the one
    that runs gets the lowest.

    Finds what needs one fiber to stay behind for long, which equal chances at each point hardly ever give
    (Burckhardt and others, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010).
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._horizon = self._random.choice(_HORIZONS)
        self._changes = {self._random.randrange(self._horizon) for _ in range(_CHANGES)}
        self._switches = 0
        self._lowest = 0.0
        self._priorities: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    def choose(self, fibers: deque[Fiber]) -> Fiber:
        for fiber in fibers:
            if fiber.state not in self._priorities:
                self._priorities[fiber.state] = self._random.random()
        self._switches += 1
        first = max(fibers, key=lambda fiber: self._priorities[fiber.state])
        if self._switches in self._changes or self._switches % _HORIZONS[-1] == 0:
            # Also now and then, or one that only asks and asks would keep the others out for ever.
            self._lowest -= 1
            self._priorities[first.state] = self._lowest
        fibers.remove(first)
        return first


class TurnOrder:
    """Everybody in turn, a step each; the seed says who is first, the first few times that there is a choice."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def choose(self, fibers: deque[Fiber]) -> Fiber:
        self._seed, skip = divmod(self._seed, len(fibers))
        fibers.rotate(-skip)
        return fibers.popleft()


#: The strategies by name.
ORDERS: Final[dict[str, Callable[[int], Order]]] = {
    "random": RandomOrder,
    "priorities": PriorityOrder,
    "turns": TurnOrder,
}


def make_order(name: str, seed: int) -> Order:
    """The order *name* with that *seed*."""
    return ORDERS[name](seed)
