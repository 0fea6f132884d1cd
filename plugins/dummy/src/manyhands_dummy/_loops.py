"""
asyncio beside the fibers: a loop that runs in one of them lets the others run in between.

As far as asyncio knows the running loop belongs to a thread; here it belongs to a fiber.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._hub import Fiber, Hub

__all__ = ["Pump"]

#: How often descriptors are looked at while a loop runs, in seconds.
_LOOK_S = 0.005


class Pump:
    """Has a loop that runs in a fiber let the others run."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        #: The loop that ran last.
        self._loop: Any = None
        self._due: Any = None

    def exchange(self, leaves: "Fiber", comes: "Fiber") -> None:
        """Each fiber sees the loop that runs in it and no other."""
        asyncio: Any = sys.modules.get("asyncio.events")
        if asyncio is None:
            return
        leaves.loop = asyncio._get_running_loop()
        if leaves.loop is not None:
            self._loop = leaves.loop
        if leaves.loop is not comes.loop:
            asyncio._set_running_loop(comes.loop)

    def attend(self) -> None:
        """Somebody can run, or will be able to: the loop, if there is one, is to see to it."""
        asyncio: Any = sys.modules.get("asyncio.events")
        if asyncio is None:
            return
        loop = asyncio._get_running_loop() or self._loop
        if loop is None or not loop.is_running():
            self._loop = None
        elif self._due is None or self._loop is not loop:
            self._loop = loop
            self._due = loop.call_soon(self._run)

    def _run(self) -> None:
        hub, loop = self._hub, self._loop
        self._due = None
        hub.drain()
        if self._due is not None:
            return
        if hub.timeouts:
            left = hub.timeouts[0][0] - hub.clock.now()
            if not hub.clock.runs:
                hub.clock.wait_until(hub.timeouts[0][0])
                left = 0.0
            self._due = loop.call_later(min(left, _LOOK_S) if hub.outside.expected else left, self._run)
        elif hub.outside.expected:
            self._due = loop.call_later(_LOOK_S, self._run)
