"""Options of the dummy backend."""

import attrs

from manyhands import BackendOptions, setting

__all__ = ["DummyOptions"]


@attrs.frozen(kw_only=True)
class DummyOptions(BackendOptions):
    """How the dummy backend runs a program."""

    #: Decides who goes first at each switch; without one everything runs at once, in the order it was submitted.
    seed: int | None = setting(None, int)
    #: Time stands still while anybody can run, and then jumps to the next timeout.
    virtual_time: bool = setting(False, bool)
