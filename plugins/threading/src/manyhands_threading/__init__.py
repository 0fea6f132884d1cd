"""The threading backend of manyhands: tasks run in threads of this process."""

from ._backend import ThreadingBackend
from ._options import ThreadingOptions

__all__ = ["ThreadingBackend", "ThreadingOptions"]
