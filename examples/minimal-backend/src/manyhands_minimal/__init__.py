"""The minimal backend: three small files that keep the whole contract, for whoever writes a backend of their own."""

from ._backend import MinimalBackend

__all__ = ["MinimalBackend"]
