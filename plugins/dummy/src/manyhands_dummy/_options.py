"""Options of the dummy backend."""

import attrs

from manyhands import BackendOptions, ConfigError, setting

from ._order import ORDERS

__all__ = ["DummyOptions"]


@attrs.frozen(kw_only=True)
class DummyOptions(BackendOptions):
    """How the dummy backend runs a program."""

    #: Decides who goes first at each switch; without one everything runs at once, in the order it was submitted.
    seed: int | None = setting(None, int)
    #: How the seed decides: ``random``, ``priorities`` (finds what needs one to stay behind for long) or ``turns``.
    order: str | None = setting(None, str, choices=tuple(ORDERS))
    #: Arguments and results are copied as on their way to another process, so that nothing is shared by accident.
    strict: bool = setting(False, bool)
    #: Time stands still while anybody can run, and then jumps to the next timeout.
    virtual_time: bool = setting(False, bool)

    def __attrs_post_init__(self) -> None:
        if self.order is not None and self.seed is None:
            raise ConfigError(f"DummyOptions.order is {self.order!r}, and there is no seed that decides: give one too")
