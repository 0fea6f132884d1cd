"""
The frame of every state machine: requests in, grants out.

A machine holds the state of one primitive and nothing else: no lock, no clock, no thread. A host
calls one operation at a time with a :class:`Request`; the operation answers at once, raises, or
returns ``WAIT`` and keeps the request. Later operations of others may answer it: the machine then
puts it into ``granted``, which the host empties to wake whoever waits. When a wait times out the
host calls ``give_up``, when the waiter was interrupted ``retract``, when a client died ``abandon``.
"""

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Any, Final

__all__ = ["WAIT", "Machine", "Request"]


class _Wait:
    def __repr__(self) -> str:
        return "WAIT"


#: What an operation returns when the answer comes later.
WAIT: Final = _Wait()


class Request:
    """One call of one client: its answer is *value*, or *error* raised."""

    __slots__ = ("answered", "client", "error", "note", "parker", "value")

    def __init__(self, client: Hashable) -> None:
        #: The activity that asks; what it holds is held in its name.
        self.client: Hashable = client
        self.answered: bool = False
        self.value: Any = None
        self.error: BaseException | None = None
        #: What the machine wants to remember about it.
        self.note: Any = None
        #: How the host wakes it.
        self.parker: Any = None


class Machine:
    """State of one primitive; operations are methods that take the request first."""

    #: Operations that answer nothing and never wait: they may be done a little later.
    answerless: frozenset[str] = frozenset()

    def __init__(self) -> None:
        #: Requests that were answered since the host last looked.
        self.granted: list[Request] = []

    def queues(self) -> "tuple[deque[Request], ...]":
        """Where requests wait, in the order in which they came."""
        raise NotImplementedError

    def waiting(self) -> Iterator[Request]:
        """Every request that waits."""
        for line in self.queues():
            yield from line

    def grant(self, request: Request, value: Any = None) -> None:
        """Answer a request that waited."""
        request.value = value
        request.answered = True
        self.granted.append(request)

    def refuse(self, request: Request, error: BaseException) -> None:
        """Answer it with an error."""
        request.error = error
        self.grant(request)

    def forget(self, request: Request) -> bool:
        """Take it out of its line; False when it waits in none."""
        for line in self.queues():
            if request in line:
                line.remove(request)
                return True
        return False

    def give_up(self, request: Request) -> Any:
        """Its time is over: answers what the operation answers then (None: nothing but that), raises, or WAIT."""
        self.forget(request)
        return False

    def retract(self, request: Request) -> Any:
        """Its caller was interrupted: undo it as far as can be; WAIT when something must be had back first."""
        if not self.forget(request) and request.answered:
            self.undo(request)
        return None

    def undo(self, request: Request) -> None:
        """Take back an answer that nobody received."""

    def abandon(self, client: Hashable) -> None:
        """*client* is dead: forget its waits, hand on what it holds."""
        for request in [request for request in self.waiting() if request.client == client]:
            self.forget(request)

    def holders(self) -> tuple[Hashable, ...]:
        """The clients that the waiting ones wait for, where one can say."""
        return ()
