"""The primitives, each with its model and with what tasks do to it."""

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

import attrs

import manyhands
from manyhands.primitives import faces, host, machine, queues, sync
from manyhands_dummy import Failure, explore

from .linear import DEADLOCK, Op, Program, answer, groups
from .models import BarrierModel, ConditionModel, EventModel, LockModel, QueueModel, RLockModel, SemaphoreModel

__all__ = ["KINDS", "MODULES", "Hosted", "Kind", "check", "hosted_on"]

#: Where the primitives are made.
MODULES: tuple[ModuleType, ...] = (faces, host, machine, queues, sync)

Phrase = Sequence[Op]


def timed(name: str, *args: Any) -> Op:
    """An operation that may wait; on virtual time the second is over only when nobody else can go on."""
    return Op(name, args, 1.0)


@attrs.frozen
class Kind:
    """A primitive in some state."""

    #: Makes it on a backend.
    make: Callable[[Any], Any]
    model: Any
    #: What a task may do to it.
    phrases: tuple[Phrase, ...]
    #: What can be seen of it at the end.
    final: Callable[[Any], Any]

    def programs(self, size: int, *, early: bool = False) -> Iterator[Program]:
        """Each choice of *size* phrases as a program, if it cannot come to a standstill."""
        for tasks in groups(self.phrases, size):
            program = Program(self.make, self.model, tasks, self.final, early=early)
            if DEADLOCK not in program.allowed:
                yield program


def lock_of(name: str, held: bool) -> Callable[[Any], Any]:
    """Makes a lock that the main program has, or nobody."""

    def make(backend: Any) -> Any:
        lock = getattr(backend, name)()
        if held:
            lock.acquire()
        return lock

    return make


TAKE = timed("acquire")
TRY = Op("acquire", (False,))
RELEASE = Op("release")
LOCKING: tuple[Phrase, ...] = (
    (TAKE,),
    (TRY,),
    (RELEASE,),
    (Op("locked"),),
    (TAKE, RELEASE),
    (TRY, RELEASE),
    (TAKE, TAKE, RELEASE),
)
WAITING: tuple[Phrase, ...] = (
    (TAKE, timed("wait"), RELEASE),
    (TAKE, TAKE, timed("wait"), RELEASE, RELEASE),
    (TAKE, Op("notify"), RELEASE),
    (TAKE, Op("notify", (2,)), RELEASE),
    (TAKE, Op("notify_all"), RELEASE),
    (TRY, Op("notify"), timed("wait"), RELEASE),
    (timed("wait"),),
    (Op("notify"),),
)
COUNTING: tuple[Phrase, ...] = (
    (TAKE,),
    (TRY,),
    (RELEASE,),
    (Op("release", (2,)),),
    (TAKE, RELEASE),
    (TAKE, TAKE, RELEASE, RELEASE),
)
FLAGGING: tuple[Phrase, ...] = (
    (timed("wait"),),
    (Op("set"),),
    (Op("clear"),),
    (Op("is_set"),),
    (Op("set"), Op("clear")),
    (timed("wait"), Op("clear"), timed("wait")),
)
MEETING: tuple[Phrase, ...] = (
    (timed("wait"),),
    (Op("abort"),),
    (Op("reset"),),
    (Op("n_waiting"),),
    (timed("wait"), timed("wait")),
    (timed("wait"), Op("reset"), timed("wait")),
)
QUEUEING: tuple[Phrase, ...] = (
    (timed("put", 5),),
    (Op("put", (4, False)),),
    (timed("get"),),
    (Op("get", (False,)),),
    (Op("task_done"),),
    (Op("join"),),
    (Op("qsize"),),
    (Op("full"),),
    (Op("shutdown"),),
    (Op("shutdown", (True,)),),
    (timed("put", 3), timed("get"), Op("task_done")),
    (timed("get"), Op("task_done"), timed("get"), Op("task_done")),
)


def _is_locked(lock: Any) -> Any:
    return lock.locked()


def _free(lock: Any) -> Any:
    """Whether the main program can have it."""
    return not lock.acquire(False)


def _units(semaphore: Any) -> int:
    units = 0
    while semaphore.acquire(False):
        units += 1
    return units


def _left(queue: Any) -> Any:
    """The items that are left, and how many are unfinished."""
    items = []
    while isinstance(item := answer(queue.get_nowait), int):
        items.append(item)
    unfinished = 0
    while answer(queue.task_done) is None:
        unfinished += 1
    return tuple(items), unfinished


def _queue_of(kind: str, maxsize: int, items: tuple[int, ...]) -> Callable[[Any], Any]:
    def make(backend: Any) -> Any:
        queue = getattr(backend, kind)(*([maxsize] if maxsize else []))
        for item in items:
            queue.put(item)
        return queue

    return make


class Meeting:
    """A barrier with an action that is counted."""

    def __init__(self, backend: Any) -> None:
        self.actions = 0
        self.barrier = backend.barrier(2, self.act)

    def act(self) -> None:
        self.actions += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self.barrier, name)


def _queues() -> Iterator[tuple[str, Kind]]:
    states: dict[str, tuple[tuple[int, tuple[int, ...]], ...]] = {
        "queue": ((1, ()), (1, (1,)), (2, (2, 1)), (0, ()), (0, (2, 1))),
        "lifo_queue": ((1, (1,)), (0, (2, 1))),
        "priority_queue": ((1, (1,)), (0, (2, 1))),
        "simple_queue": ((0, ()),),
    }
    for kind in states:
        for maxsize, items in states[kind]:
            made = Kind(_queue_of(kind, maxsize, items), QueueModel(kind, maxsize, items), QUEUEING, _left)
            yield f"{kind}({maxsize}) with {list(items)}", made


KINDS: dict[str, Kind] = {
    "lock": Kind(lock_of("lock", False), LockModel(), LOCKING, _is_locked),
    "lock, held": Kind(lock_of("lock", True), LockModel(True), LOCKING, _is_locked),
    "rlock": Kind(lock_of("rlock", False), RLockModel(), LOCKING, _is_locked),
    "rlock, held": Kind(lock_of("rlock", True), RLockModel(True), LOCKING, _is_locked),
    "condition": Kind(lambda backend: backend.condition(), ConditionModel(), WAITING, _free),
    "semaphore(1)": Kind(lambda backend: backend.semaphore(1), SemaphoreModel(1), COUNTING, _units),
    "semaphore(0)": Kind(lambda backend: backend.semaphore(0), SemaphoreModel(0), COUNTING, _units),
    "bounded_semaphore(1)": Kind(lambda backend: backend.bounded_semaphore(1), SemaphoreModel(1, 1), COUNTING, _units),
    "bounded_semaphore(2)": Kind(lambda backend: backend.bounded_semaphore(2), SemaphoreModel(2, 2), COUNTING, _units),
    "event": Kind(lambda backend: backend.event(), EventModel(), FLAGGING, lambda event: event.is_set()),
    "barrier(2)": Kind(lambda backend: backend.barrier(2), BarrierModel(2), MEETING, lambda it: (it.broken, 0)),
    "barrier(1)": Kind(lambda backend: backend.barrier(1), BarrierModel(1), MEETING, lambda it: (it.broken, 0)),
    "barrier(2) with an action": Kind(Meeting, BarrierModel(2, True), MEETING, lambda it: (it.broken, it.actions)),
    **dict(_queues()),
}


class Hosted(manyhands.Backend[manyhands.BackendOptions]):
    """
    The core's own primitives, hosted as a backend with threads hosts them; it runs nothing.

    All that their host needs of threads it has from another backend, so that this one's schedules are its own.
    """

    name = "hosted"
    contract = 1
    capabilities = manyhands.Capabilities(in_process=True)

    def __init__(self, backend: Any, parker: Callable[[], Any] | None = None) -> None:
        self._under = backend
        self._parker = parker or backend.parker_type
        super().__init__(manyhands.BackendOptions())

    def make_host(self) -> Any:
        under = self._under
        return manyhands.LocalHost(
            client=under._host._client, parker=self._parker, mutex=under.rlock, monotonic=under.monotonic
        )

    def make_engine(self, options: Any) -> Any:
        raise NotImplementedError

    def start_activity(self, activity: Any) -> Any:
        raise NotImplementedError


class Hasty:
    """A parker whose time may be over before anybody else could do anything, or after some have."""

    def __init__(self, backend: Any, numbers: random.Random) -> None:
        self._backend = backend
        self._numbers = numbers
        self._parker = backend.parker_type()
        self._woken = False

    def wait(self, timeout: float | None) -> bool:
        if timeout is None:
            return bool(self._parker.wait(None))
        for _ in range(self._numbers.randrange(4)):
            if not self._woken:
                self._backend._hub.pause()
        return self._woken

    def wake(self) -> None:
        self._woken = True
        self._parker.wake()


def hosted_on(make: Callable[[Any], Any], *, hasty: bool = False) -> Callable[[Any], Any]:
    """*make*, on a :class:`Hosted` backend over the one that it is given."""

    def on_host(backend: Any) -> Any:
        numbers = random.Random(backend.options.seed)
        parker = functools.partial(Hasty, backend, numbers) if hasty else None
        return make(Hosted(backend, parker))

    return on_host


def check(program: Program, seeds: int, **options: Any) -> None:
    """Nothing but what the model says comes out, under so many schedules."""
    failure: Failure | None = explore(program, seeds, **options)
    assert failure is None, f"{program}\n{failure}"
