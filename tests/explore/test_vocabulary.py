"""What stands on the primitives: values, manager objects, pools, timers, timed calls and activities, by two at once."""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from types import ModuleType
from typing import Any

import pytest

from manyhands.backend import activity
from manyhands.vocabulary import manager, pool, state, timing
from manyhands_dummy import explore

from .engines import CORE
from .linear import answer
from .test_engines import beside

pytestmark = pytest.mark.timeout(240, method="thread")

#: Not ``backend.base``: the backend explored on was made before, with locks of the standard library.
MODULES: tuple[ModuleType, ...] = (*CORE, activity, manager, pool, state, timing)


def in_some_order(make: Callable[[], Any], calls: Sequence[Callable[[Any], Any]], see: Callable[[Any], Any]) -> Any:
    """What the *calls* give on an object of plain Python, for each of the two orders."""
    for order in ((0, 1), (1, 0)):
        subject, answers = make(), [None, None]
        for place in order:
            answers[place] = answer(lambda: calls[place](subject))  # noqa: B023
        yield answers, see(subject)


def value_under_its_lock(backend: Any) -> None:
    """Nothing is lost where its lock is held."""
    value = backend.value("i", 0)

    def add() -> None:
        for _ in range(3):
            with value.get_lock():
                value.value += 1

    beside(backend, add, add)
    assert value.value == 6


def array_under_its_lock(backend: Any) -> None:
    """Nor in an array."""
    array = backend.array("i", 2)

    def add() -> None:
        for place in (0, 1):
            with array:
                array[place] += 1

    beside(backend, add, add)
    assert list(array) == [2, 2]


ON_DICTS: dict[str, Callable[[Any], Any]] = {
    "set": lambda it: it.__setitem__("a", 1),
    "get": lambda it: it.get("a"),
    "pop": lambda it: it.pop("a"),
    "setdefault": lambda it: it.setdefault("a", 2),
    "update": lambda it: it.update(a=3, b=3),
    "clear": lambda it: it.clear(),
    "popitem": lambda it: it.popitem(),
    "len": len,
    "items": lambda it: sorted(it.items()),
}
ON_LISTS: dict[str, Callable[[Any], Any]] = {
    "append": lambda it: it.append(1),
    "extend": lambda it: it.extend([2, 3]),
    "pop": lambda it: it.pop(),
    "insert": lambda it: it.insert(0, 4),
    "reverse": lambda it: it.reverse(),
    "copy": lambda it: list(it),
    "index": lambda it: it.index(1),
}


def manager_objects(kind: Callable[[], Any], calls: dict[str, Callable[[Any], Any]]) -> Callable[[Any], None]:
    """Each pair of methods of a manager's object does what it does one after the other."""

    def program(backend: Any) -> None:
        with backend.manager() as made:
            for one, other in combinations_with_replacement(calls.values(), 2):
                shared = getattr(made, kind.__name__)()
                got = beside(backend, lambda: one(shared), lambda: other(shared))  # noqa: B023
                plain = dict if kind is dict else list
                seen = sorted(shared.items()) if kind is dict else list(shared)

                def see(it: Any) -> Any:
                    return sorted(it.items()) if isinstance(it, dict) else list(it)

                assert (got, seen) in list(in_some_order(plain, (one, other), see)), (got, seen)

    program.__name__ = f"manager_{kind.__name__}"
    return program


def namespace_and_value(backend: Any) -> None:
    """A manager's namespace and value."""
    with backend.manager() as made:
        space, value, lock = made.Namespace(n=0), made.Value("i", 0), made.Lock()

        def add() -> None:
            with lock:
                space.n += 1
                value.value += 1

        beside(backend, add, add)
        assert (space.n, value.value) == (2, 2)


def pool_closed_while_used(backend: Any) -> None:
    """What a pool has accepted when it is closed is done."""
    with backend.pool(2) as made:
        one, other, _ = beside(
            backend, lambda: made.apply_async(abs, (-1,)), lambda: made.map_async(abs, [-2, -3]), made.close
        )
        made.join()
    assert one == "ValueError" or one.get(100) == 1
    assert other == "ValueError" or other.get(100) == [2, 3]


def pool_in_any_order(backend: Any) -> None:
    """Everything comes, once, also where two ask."""
    with backend.pool(2) as made:
        first, second = beside(
            backend, lambda: sorted(made.imap_unordered(abs, range(-4, 0))), lambda: list(made.imap(abs, range(-3, 0)))
        )
    assert (first, second) == ([1, 2, 3, 4], [3, 2, 1])


def timer_cancelled(backend: Any) -> None:
    """It calls once, or not at all where it was cancelled in time; after its end nothing happens any more."""
    called: list[int] = []
    timer = backend.timer(1, called.append, (1,))
    timer.start()
    beside(backend, lambda: backend.sleep(1), lambda: (backend.sleep(1), timer.cancel()))
    timer.join()
    assert called in ([], [1])
    assert timer.finished.is_set()
    assert not timer.is_alive()


def after_cancelled(backend: Any) -> None:
    """It was called and gives a result, or was not and is cancelled."""
    called: list[int] = []
    future = backend.after(1, called.append, 1)
    cancelled, got = beside(
        backend, lambda: (backend.sleep(1), future.cancel())[1], lambda: answer(lambda: future.result(100))
    )
    assert cancelled is (not called)
    assert got == (None if called else "CancelledError")


def every_cancelled(backend: Any) -> None:
    """After ``cancel`` returned no call begins."""
    calls: list[float] = []
    future = backend.every(1, lambda: calls.append(backend.monotonic()))

    def cancel() -> int:
        backend.sleep(3)
        assert future.cancel()
        return len(calls)

    (before,) = beside(backend, cancel)
    backend.sleep(5)
    assert before in (2, 3)
    assert len(calls) - before <= 1  # the one that was handed over
    assert calls == [1.0, 2.0, 3.0][: len(calls)]


def timed_calls_when_closed(backend: Any) -> None:
    """Those that wait are cancelled when the clock closes, none is forgotten."""
    backend.after(0, abs, 0).result()  # so that there is a clock: it is made under a lock of the standard library
    futures = beside(backend, lambda: backend.after(1, abs, -1), lambda: backend.after(1000, abs, -2))
    clock = backend._timers
    beside(backend, clock.close, lambda: backend.sleep(1))
    backend.sleep(2)
    assert all(future.done() for future in futures)


def activity_joined_by_two(backend: Any) -> None:
    """Both return when it has ended, and a second start is refused."""
    ran: list[int] = []
    made = backend.Activity(target=ran.append, args=(1,))
    answers = beside(backend, made.start, made.start)
    made.join()
    beside(backend, made.join, made.join)
    assert ran == [1]
    assert sorted(map(str, answers)) == ["None", "RuntimeError"]


PROGRAMS: tuple[Callable[[Any], None], ...] = (
    value_under_its_lock,
    array_under_its_lock,
    manager_objects(dict, ON_DICTS),
    manager_objects(list, ON_LISTS),
    namespace_and_value,
    pool_closed_while_used,
    pool_in_any_order,
    timer_cancelled,
    after_cancelled,
    every_cancelled,
    timed_calls_when_closed,
    activity_joined_by_two,
)
programs = pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)


def check(program: Callable[[Any], None], seeds: int) -> None:
    failure = explore(program, seeds, switch_in=MODULES)
    assert failure is None, str(failure)


@programs
def test_by_two(program: Callable[[Any], None]) -> None:
    """Holds under every schedule."""
    check(program, 10)


@pytest.mark.soak
@programs
def test_by_two_thoroughly(program: Callable[[Any], None]) -> None:
    """Holds under every schedule, far more of them."""
    check(program, 500)
