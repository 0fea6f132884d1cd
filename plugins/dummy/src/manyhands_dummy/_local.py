"""Data of which each fiber has its own."""

from typing import Any

from ._hub import Hub

__all__ = ["local_of"]


def local_of(hub: Hub) -> type:
    """The class of it for the fibers of *hub*."""

    class Local:
        """As :class:`threading.local`."""

        def __new__(cls, *args: Any, **kwargs: Any) -> "Local":
            self = object.__new__(cls)
            object.__setattr__(self, "__dict__", {"_own": {hub.current.state: {}}, "_arguments": (args, kwargs)})
            return self

        def __getattribute__(self, name: str) -> Any:
            own = _own(self, hub)
            return own if name == "__dict__" else own[name] if name in own else object.__getattribute__(self, name)

        def __setattr__(self, name: str, value: Any) -> None:
            _own(self, hub)[name] = value

        def __delattr__(self, name: str) -> None:
            if _own(self, hub).pop(name, self) is self:
                raise AttributeError(name)

    return Local


def _own(local: Any, hub: Hub) -> dict[str, Any]:
    known = object.__getattribute__(local, "__dict__")
    state = hub.current.state
    if state not in known["_own"]:
        known["_own"][state] = {}
        args, kwargs = known["_arguments"]
        type(local).__init__(local, *args, **kwargs)
    return known["_own"][state]  # type: ignore[no-any-return]
