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
        #: The loop that will let them run, and its handle of that.
        self._loop: Any = None
        self._due: Any = None
        self._soon = False

    def leave(self, fiber: "Fiber", comes: "Fiber") -> None:
        """Before a switch: each fiber sees the loop that runs in it, and no other."""
        asyncio = _asyncio()
        if asyncio is not None:
            loop = asyncio._get_running_loop()
            fiber.loop = None if loop is None else (loop, _exchange_task(asyncio, loop, None))
            _run_loop(asyncio, comes)

    def come_back(self, fiber: "Fiber") -> None:
        """After it: not everybody who switches here says so before."""
        asyncio = _asyncio()
        if asyncio is not None:
            _run_loop(asyncio, fiber)
            self.attend()

    def attend(self) -> None:
        """Somebody can run, or will be able to: if a loop runs here, it is to see to it."""
        asyncio = _asyncio()
        loop = None if asyncio is None else asyncio._get_running_loop()
        if loop is not None and not (self._soon and self._loop is loop):
            self._have_run(loop, loop.call_soon(self._run, loop), soon=True)

    def _have_run(self, loop: Any, due: Any, *, soon: bool) -> None:
        if self._due is not None:
            self._due.cancel()
        self._loop, self._due, self._soon = loop, due, soon

    def _run(self, loop: Any) -> None:
        self._have_run(None, None, soon=False)
        hub = self._hub
        hub.drain()
        if self._due is not None or not (hub.timeouts or hub.outside.expected):
            return
        left = hub.timeouts[0][0] - hub.clock.now() if hub.timeouts else _LOOK_S
        if hub.timeouts and not hub.clock.runs:
            hub.clock.wait_until(hub.timeouts[0][0])
            hub.release_late()  # has the loop attend again
        else:
            self._have_run(
                loop, loop.call_later(min(left, _LOOK_S if hub.outside.expected else left), self._run, loop), soon=False
            )


def _asyncio() -> Any:
    """The package, once it is imported to its end."""
    package = sys.modules.get("asyncio")
    return package if hasattr(package, "__all__") else None


def _run_loop(asyncio: Any, fiber: "Fiber") -> None:
    """Make the loop that runs in *fiber*, if there is one, the running one, and its task the current one."""
    loop, task = fiber.loop or (None, None)
    if asyncio._get_running_loop() is not loop:
        asyncio._set_running_loop(loop)
    if task is not None:
        _exchange_task(asyncio, loop, task)
        fiber.loop = (loop, None)


def _exchange_task(asyncio: Any, loop: Any, task: Any) -> Any:
    """Make *task* the current one of the running *loop*, and return which one was."""
    if sys.version_info < (3, 14):  # there each loop has its own, and nothing is to be done
        return None
    return asyncio.tasks._swap_current_task(loop, task)
