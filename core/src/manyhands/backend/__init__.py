"""Backend: what a plugin subclasses and what users open."""

from .activity import Activity, Timer
from .base import Backend
from .opening import Candidate, Explanation, explain, open_backend, open_executor

__all__ = [
    "Activity",
    "Backend",
    "Candidate",
    "Explanation",
    "Timer",
    "explain",
    "open_backend",
    "open_executor",
]
