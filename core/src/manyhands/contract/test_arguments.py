"""Every primitive is a legal task argument: in whatever it is wrapped, and on whatever way it comes."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from .support import DEADLOCK_S

pytestmark: Final = [
    pytest.mark.contract("manyhands.Backend"),
    pytest.mark.covers("exchanging-objects-between-processes", "synchronization-between-processes"),
]


def use(kind: str, thing: Any) -> Any:
    """What a task does with a thing of that *kind*: something that its caller can see."""
    return USES[kind](thing)


def use_wrapped(kind: str, wrapped: Any) -> Any:
    return use(kind, wrapped["a list"][0][0])


def use_taken(kind: str, queue: Any) -> Any:
    return use(kind, queue.get(timeout=DEADLOCK_S))


def use_received(kind: str, end: Any) -> Any:
    return use(kind, end.recv()["thing"])


def use_and_tell(kind: str, thing: Any, out: Any) -> None:
    out.put(use(kind, thing))


def set_first(thing: Any) -> None:
    thing[0] = 7


def set_value(thing: Any) -> None:
    thing.value = 7


def set_attribute(thing: Any) -> bool:
    thing.mine = 7
    return hasattr(thing, "mine")


def notify(thing: Any) -> bool:
    return bool(thing.acquire(blocking=False))


USES: dict[str, Callable[[Any], Any]] = {
    "lock": lambda lock: lock.acquire(timeout=DEADLOCK_S),
    "rlock": lambda lock: lock.acquire(blocking=False),
    "condition": notify,
    "semaphore": lambda semaphore: semaphore.release(),
    "bounded_semaphore": lambda semaphore: semaphore.release(),
    "event": lambda event: event.set(),
    "barrier": lambda barrier: barrier.abort(),
    "local": set_attribute,
    "queue": lambda queue: queue.put(7),
    "lifo_queue": lambda queue: queue.put(7),
    "priority_queue": lambda queue: queue.put(7),
    "simple_queue": lambda queue: queue.put(7),
    "value": set_value,
    "array": set_first,
    "shareable_list": set_first,
    "shared object": list,
    "proxy": lambda proxy: proxy.append(7),
    "end of a pipe": lambda end: end.send(7),
    "backend": lambda backend: backend.name,
    "executor": lambda executor: executor.submit(pow, 2, 3).result(DEADLOCK_S),
}


class Made:
    """A thing of that *kind*, and how its maker sees what a task has done with it."""

    def __init__(self, kind: str, backend: Any) -> None:
        self.thing: Any
        self.seen: Callable[[Any], bool] = lambda answer: True
        if kind in ("lock", "event", "semaphore", "bounded_semaphore", "rlock", "condition", "local"):
            self.thing = thing = getattr(backend, kind)(*([0] if kind == "semaphore" else []))
            if kind in ("bounded_semaphore", "rlock", "condition"):
                assert thing.acquire()
            self.seen = {
                "lock": lambda answer: answer and thing.locked(),
                "event": lambda answer: thing.is_set(),
                "semaphore": lambda answer: thing.acquire(blocking=False),
                "bounded_semaphore": lambda answer: thing.acquire(blocking=False),
                "rlock": lambda answer: answer is False,
                "condition": lambda answer: answer is False,
                "local": lambda answer: answer and not hasattr(thing, "mine"),
            }[kind]
        elif kind.endswith("queue"):
            self.thing = queue = getattr(backend, kind)()
            self.seen = lambda answer: bool(queue.get(timeout=DEADLOCK_S) == 7)
        elif kind == "barrier":
            self.thing = barrier = backend.barrier(2)
            self.seen = lambda answer: bool(barrier.broken)
        elif kind == "value":
            self.thing = value = backend.value("i", 0)
            self.seen = lambda answer: bool(value.value == 7)
        elif kind in ("array", "shareable_list"):
            self.thing = sequence = backend.array("i", 3) if kind == "array" else backend.shareable_list([0, 1])
            self.seen = lambda answer: bool(sequence[0] == 7)
        elif kind == "proxy":
            self.thing = proxy = backend.manager().list()
            self.seen = lambda answer: bool(proxy[:] == [7])
        elif kind == "end of a pipe":
            other, self.thing = backend.pipe()
            self.seen = lambda answer: bool(other.recv() == 7)
        else:
            self.thing = {
                "backend": lambda: backend,
                "executor": backend.executor,
                "shared object": lambda: backend.share([7]),
            }[kind]()
            expected = {"backend": backend.name, "executor": 8, "shared object": [7]}[kind]
            self.seen = lambda answer: bool(answer == expected)


def by_queue(backend: Any, executor: Any, kind: str, thing: Any) -> Any:
    queue = backend.queue()
    queue.put(thing)
    return executor.submit(use_taken, kind, queue).result(DEADLOCK_S)


def by_pipe(backend: Any, executor: Any, kind: str, thing: Any) -> Any:
    one, other = backend.pipe()
    with one, other:
        one.send({"thing": thing})
        return executor.submit(use_received, kind, other).result(DEADLOCK_S)


def by_activity(backend: Any, executor: Any, kind: str, thing: Any) -> Any:
    out = backend.queue()
    activity = backend.Activity(target=use_and_tell, args=(kind,), kwargs={"thing": thing, "out": out})
    activity.start()
    answer = out.get(timeout=DEADLOCK_S)
    activity.join(DEADLOCK_S)
    return answer


WAYS: dict[str, Callable[..., Any]] = {
    "as it is": lambda backend, executor, kind, thing: executor.submit(use, kind, thing).result(DEADLOCK_S),
    "by name": lambda backend, executor, kind, thing: executor.submit(use, kind=kind, thing=thing).result(DEADLOCK_S),
    "nested": lambda backend, executor, kind, thing: executor.submit(
        use_wrapped, kind, {"a list": [(thing, "a tuple")]}
    ).result(DEADLOCK_S),
    "by map": lambda backend, executor, kind, thing: next(executor.map(use, [kind], [thing], timeout=DEADLOCK_S)),
    "through a queue": by_queue,
    "through a pipe": by_pipe,
    "to an activity": by_activity,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", USES)
def test_what_a_task_does_with_it_is_seen_by_its_maker(backend: Any, executor: Any, kind: str, way: str) -> None:
    """There is one of it, wherever it is used; of a ``local`` each has its own."""
    made = Made(kind, backend)

    answer = WAYS[way](backend, executor, kind, made.thing)

    assert made.seen(answer)
