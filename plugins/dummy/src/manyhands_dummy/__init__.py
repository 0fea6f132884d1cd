"""Everything in one thread: a backend whose order can be chosen and repeated."""

from ._backend import DummyBackend
from ._explore import Failure, explore, replay
from ._options import DummyOptions

__all__ = ["DummyBackend", "DummyOptions", "Failure", "explore", "replay"]
