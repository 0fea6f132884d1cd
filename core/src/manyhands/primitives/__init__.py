"""Each primitive once, as a state machine without I/O; hosts for them; and their faces."""

from .._parking import ThreadParker
from .faces import (
    HostedBarrier,
    HostedCondition,
    HostedEvent,
    HostedLock,
    HostedQueue,
    HostedRLock,
    HostedSemaphore,
    Primitive,
)
from .host import LocalHost
from .machine import WAIT, Machine, Request
from .queues import Empty, Full, LifoQueue, PriorityQueue, Queue, ShutDown
from .sync import Barrier, Condition, Event, Lock, RLock, Semaphore

__all__ = [
    "WAIT",
    "Barrier",
    "Condition",
    "Empty",
    "Event",
    "Full",
    "HostedBarrier",
    "HostedCondition",
    "HostedEvent",
    "HostedLock",
    "HostedQueue",
    "HostedRLock",
    "HostedSemaphore",
    "LifoQueue",
    "LocalHost",
    "Lock",
    "Machine",
    "Primitive",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Request",
    "Semaphore",
    "ShutDown",
    "ThreadParker",
]
