"""What the tests share: guards around every test, and the backend under test."""

from .beside import Background, Beside, in_threads
from .occupying import occupied
from .scripts import Finished, Script, run_script
from .waiting import DEADLOCK_S, eventually

__all__ = [
    "DEADLOCK_S",
    "Background",
    "Beside",
    "Finished",
    "Script",
    "eventually",
    "in_threads",
    "occupied",
    "run_script",
]
