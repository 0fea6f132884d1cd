"""The host for one process: a mutex around the machines, a parker for each call that waits."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from itertools import starmap
from typing import Any

from .._parking import ThreadParker
from ..errors import ExecutorClosedError
from .machine import WAIT, Machine, Request

__all__ = ["LocalHost"]


class LocalHost:
    """
    Hosts primitives in this process (see :class:`manyhands.Host`).

    As it is, it serves threads. A backend whose activities are something else says what differs:

    Args:
        client: Names the activity that calls.
        parker: Makes what blocks the calling activity: ``wait(timeout) -> bool`` and ``wake()``.
        mutex: Makes what keeps others out during an operation.
        monotonic: The clock that ``wait`` counts on, in seconds.
    """

    def __init__(
        self,
        *,
        client: Callable[[], Hashable] = threading.get_ident,
        parker: Callable[[], Any] = ThreadParker,
        mutex: Callable[[], AbstractContextManager[Any]] = threading.RLock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.monotonic = monotonic
        self._client = client
        self._parker = parker
        self._make_mutex = mutex
        self._mutex = mutex()
        self._waiting: dict[Request, Machine] = {}
        self._machines: weakref.WeakSet[Machine] = weakref.WeakSet()
        self._closed: ExecutorClosedError | None = None
        self._inside = False
        self._later: deque[tuple[Machine, str, Request, tuple[Any, ...]]] = deque()

    def adopt(self, machine: Machine) -> Machine:
        """The reference is the machine itself; it lives as long as somebody refers to it."""
        self._machines.add(machine)
        return machine

    def call(self, machine: Machine, operation: str, args: tuple[Any, ...] = (), timeout: float | None = None) -> Any:
        """See :meth:`Host.call`."""
        request = Request(self._client())
        try:
            answer = self._ask(machine, operation, request, args)
        except BaseException:
            if request.answered or request in self._waiting:  # interrupted after that: nobody gets the answer
                self._take_back(machine, request)
            raise
        return answer if answer is not WAIT else self._wait(machine, request, timeout)

    def _ask(self, machine: Machine, operation: str, request: Request, args: tuple[Any, ...]) -> Any:
        with self._mutex:
            if self._closed is not None:
                raise self._closed.copy()
            if self._inside and operation in machine.answerless:
                # A signal handler or finalizer has come into the middle of another operation of its
                # own thread: that one does it when it is through.
                self._later.append((machine, operation, request, args))
                return None
            outer, self._inside = self._inside, True
            try:
                # Not called but unpacked: after a call the interpreter looks for signals, and an interrupt
                # would lose the answer.
                (answer,) = starmap(getattr(machine, operation), ((request, *args),))
                if answer is WAIT:
                    self._waiting[request] = machine
                    request.parker = self._parker()
                else:
                    request.answered, request.value = True, answer
            finally:
                self._inside = outer  # before any call: an interrupt cannot come in between
                try:
                    self._wake(machine)
                except BaseException:  # once more, or those whom it has not reached would wait for ever
                    self._wake(machine)
                    raise
                finally:
                    if not outer:
                        self._catch_up()
            return answer

    def _catch_up(self) -> None:
        while self._later:
            machine, operation, request, args = self._later.popleft()
            getattr(machine, operation)(request, *args)
            self._wake(machine)

    def _wait(self, machine: Machine, request: Request, timeout: float | None) -> Any:
        try:
            in_time = request.answered or request.parker.wait(timeout)
        except BaseException:
            self._take_back(machine, request)
            raise
        if not in_time:
            answer = self._settle(machine, request, machine.give_up)
            if answer is not WAIT:
                return answer
            request.parker.wait(None)
        if request.error is not None:
            raise request.error
        return request.value

    def _take_back(self, machine: Machine, request: Request) -> None:
        """Its caller was interrupted and will not look for the answer."""
        if request.parker is None:
            request.parker = self._parker()
        if self._settle(machine, request, machine.retract) is WAIT:
            request.parker.wait(None)

    def _settle(self, machine: Machine, request: Request, end: Callable[[Request], Any]) -> Any:
        """End the wait as *end* does; WAIT when the answer has come meanwhile, or is still to come."""
        with self._mutex:
            if request.answered and end == machine.give_up:
                return WAIT
            answer = None
            try:
                answer = end(request)
            finally:
                if answer is not WAIT:
                    self._waiting.pop(request, None)
                self._wake(machine)
            return answer

    def _wake(self, machine: Machine) -> None:
        granted = machine.granted
        while granted:
            request = granted[0]
            if request in self._waiting:
                if request.parker is not None:  # else it is about to wait, and will see that it was answered
                    request.parker.wake()
                self._waiting.pop(request, None)  # after it was woken: interrupted in between, it is woken again
            if granted and granted[0] is request:
                del granted[0]

    def abandon(self, client: Hashable) -> None:
        """See :meth:`Host.abandon`."""
        with self._mutex:
            for machine in tuple(self._machines):
                machine.abandon(client)
                self._wake(machine)

    def close(self, error: ExecutorClosedError) -> None:
        """See :meth:`Host.close`."""
        with self._mutex:
            self._closed = error
            for request, machine in tuple(self._waiting.items()):
                machine.forget(request)
                machine.refuse(request, error.copy())
                self._wake(machine)

    def inherit(self, error: ExecutorClosedError) -> None:
        """In a forked child: whoever was inside at the fork is not here."""
        self._mutex = self._make_mutex()
        self._closed = error
