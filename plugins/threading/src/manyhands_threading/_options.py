"""Options of the threading backend."""

import attrs

from manyhands import BackendOptions

__all__ = ["ThreadingOptions"]


@attrs.frozen(kw_only=True)
class ThreadingOptions(BackendOptions):
    """How the threading backend makes its executors."""
