"""What the tests share: guards around every test, and the backend under test."""

from .occupying import occupied
from .scripts import Finished, Script, run_script
from .threads import Background, in_threads
from .waiting import DEADLOCK_S, eventually

__all__ = ["DEADLOCK_S", "Background", "Finished", "Script", "eventually", "in_threads", "occupied", "run_script"]
