"""What the tests share: guards around every test, and the backend under test."""

from .occupying import occupied
from .scripts import Finished, Script, run_script
from .waiting import DEADLOCK_S, eventually

__all__ = ["DEADLOCK_S", "Finished", "Script", "eventually", "occupied", "run_script"]
