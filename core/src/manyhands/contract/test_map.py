"""map and its sisters: order, laziness, chunks, errors at their place, and fairness."""

import gc
import itertools
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Final

import pytest

import manyhands
from manyhands import Executor

from .support import DEADLOCK_S, Beside, eventually, occupied

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault
bad_input: Final = pytest.mark.bad_input

#: The ways in which items are handed out.
WAYS: tuple[dict[str, Any], ...] = (
    {},
    {"chunksize": 1},
    {"chunksize": 7},
    {"buffersize": 5},
    {"buffersize": 50, "chunksize": 3},
    {"buffersize": 1},
)
ways: Final = pytest.mark.parametrize("way", WAYS, ids=str)
with_a_window: Final = pytest.mark.parametrize("way", [way for way in WAYS if "buffersize" in way], ids=str)
without_a_window: Final = pytest.mark.parametrize("way", [way for way in WAYS if "buffersize" not in way], ids=str)
METHODS = ("map", "map_unordered", "starmap")


def square(number: int) -> int:
    return number * number


def add(one: int, other: int) -> int:
    return one + other


def fail_at(bad: int, number: int) -> int:
    if number == bad:
        raise ValueError(f"item {number}")
    return number


def fail_at_13(number: int) -> int:
    return fail_at(13, number)


def fail_at_every_fifth(number: int) -> int:
    if number % 5 == 0:
        raise ValueError(number)
    return number


def stop_iteration_at_3(number: int) -> int:
    if number == 3:
        raise StopIteration
    return number


class Ended(BaseException):
    """What no ``except Exception`` catches."""


def end_at_3(number: int) -> int:
    if number == 3:
        raise Ended(number)
    return number


def meet_at(number: int, meeting: tuple[int, ...], barrier: Any) -> int:
    """Those items that are to meet do so; the others return at once."""
    if number in meeting:
        barrier.wait(DEADLOCK_S)
    return number


def block_at(number: int, blocked: int, started: Any, release: Any) -> int:
    if number == blocked:
        started.set()
        assert release.wait(DEADLOCK_S)
    return number


def record(number: int, seen: Any) -> int:
    seen.put(number)
    return number


class Source:
    """An input that knows how far it was read, and may fail or block."""

    def __init__(self, end: int | None = None, error: BaseException | None = None) -> None:
        self.taken: int = 0
        self.threads: set[int] = set()
        self._end = end
        self._error = error

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.threads.add(threading.get_ident())
        if self.taken == self._end:
            raise self._error or StopIteration
        self.taken += 1
        return self.taken - 1


@pytest.mark.contract("manyhands.Executor.map")
class TestResults:
    @covers("executor-objects")
    @ways
    def test_they_come_in_the_order_of_the_input(self, executor: Executor, way: dict[str, Any]) -> None:
        """Whatever finishes first."""
        assert list(executor.map(square, range(500), **way)) == [n * n for n in range(500)]

    @ways
    def test_several_iterables_are_the_arguments(self, executor: Executor, way: dict[str, Any]) -> None:
        """The shortest ends it."""
        assert list(executor.map(add, range(100), itertools.count(1000), **way)) == [1000 + 2 * n for n in range(100)]

    @ways
    def test_starmap_takes_the_arguments_from_each_item(self, executor: Executor, way: dict[str, Any]) -> None:
        """Items may be any iterable of arguments."""
        items = [(n, 1) if n % 2 else [n, 1] for n in range(100)]

        assert list(executor.starmap(add, items, **way)) == list(range(1, 101))

    @ways
    def test_map_unordered_gives_each_once(self, executor: Executor, way: dict[str, Any]) -> None:
        """In any order."""
        assert sorted(executor.map_unordered(square, range(500), **way)) == [n * n for n in range(500)]

    @ways
    def test_map_unordered_takes_several_iterables(self, executor: Executor, way: dict[str, Any]) -> None:
        """As ``map`` does."""
        assert sorted(executor.map_unordered(add, range(50), range(50), **way)) == [2 * n for n in range(50)]

    @capability("not deterministic")
    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"buffersize": 30}], ids=str)
    def test_map_unordered_does_not_wait_for_the_slow_one(
        self, executor: Executor, backend: Any, way: dict[str, Any]
    ) -> None:
        """All others are there while the first is still held."""
        started, release = backend.event(), backend.event()
        results = executor.map_unordered(
            block_at, range(30), [0] * 30, [started] * 30, [release] * 30, timeout=DEADLOCK_S, **way
        )
        first = {next(results) for _ in range(29)}
        release.set()

        assert first == set(range(1, 30))
        assert list(results) == [0]

    @ways
    @pytest.mark.parametrize("method", METHODS)
    def test_an_empty_input_gives_nothing(self, executor: Executor, method: str, way: dict[str, Any]) -> None:
        """At once."""
        assert list(getattr(executor, method)(square, [], **way)) == []

    @ways
    def test_items_and_results_may_be_anything(self, executor: Executor, way: dict[str, Any]) -> None:
        """None, exceptions, things that are false, and things that compare oddly are ordinary values."""
        items: list[Any]
        items = [None, False, 0, "", [], ValueError("a value"), StopIteration, float("nan"), NotImplemented] * 5

        got = list(executor.map(identity, items, **way))

        assert [repr(value) for value in got] == [repr(value) for value in items]

    @ways
    def test_what_compares_in_its_own_way_is_never_compared(self, executor: Executor, way: dict[str, Any]) -> None:
        """As an array does, whose ``==`` is no truth."""
        assert [type(value) for value in executor.map(identity, [_Touchy() for _ in range(20)], **way)] == [
            _Touchy
        ] * 20

    @ways
    def test_the_iterator_stays_at_its_end(self, executor: Executor, way: dict[str, Any]) -> None:
        """``next`` after the last result raises StopIteration each time."""
        results = executor.map(square, [1], **way)
        assert next(results) == 1

        for _ in range(3):
            with pytest.raises(StopIteration):
                next(results)

    @ways
    def test_two_maps_at_once(self, executor: Executor, way: dict[str, Any]) -> None:
        """Each gets its own results, whichever is read first."""
        one = executor.map(square, range(100), **way)
        other = executor.map(abs, range(-100, 0), **way)
        got = [(next(one), next(other)) for _ in range(100)]

        assert got == [(n * n, 100 - n) for n in range(100)]

    def test_results_can_be_read_in_another_thread(self, executor: Executor, beside: Beside) -> None:
        """One at a time."""
        results = executor.map(square, range(100))
        reader = beside(list, results)

        assert reader.outcome() == [n * n for n in range(100)]


def identity(value: Any) -> Any:
    return value


class _Touchy:
    """Its comparisons are errors."""

    def __eq__(self, other: object) -> bool:
        raise ValueError("the truth of this comparison is ambiguous")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("the truth of this value is ambiguous")


@pytest.mark.contract("manyhands.Executor.map")
class TestErrors:
    @ways
    def test_the_error_comes_at_its_place(self, executor: Executor, way: dict[str, Any]) -> None:
        """After the results before it, as it is."""
        results = executor.map(fail_at_13, range(40), **way)
        got = []
        with pytest.raises(ValueError, match="item 13"):  # noqa: PT012
            for result in results:
                got.append(result)

        assert got == list(range(13))

    @ways
    def test_after_the_error_it_is_at_its_end(self, executor: Executor, way: dict[str, Any]) -> None:
        """As in the standard library."""
        results = executor.map(fail_at_13, range(40), **way)
        with pytest.raises(ValueError, match="item 13"):
            list(results)

        assert list(results) == []

    @ways
    def test_return_exceptions_puts_them_among_the_results(self, executor: Executor, way: dict[str, Any]) -> None:
        """In the order of the input, and the rest goes on."""
        got: list[int | Exception]
        got = list(executor.map(fail_at_every_fifth, range(40), return_exceptions=True, **way))

        assert [type(value) is ValueError for value in got] == [n % 5 == 0 for n in range(40)]
        assert [value for value in got if type(value) is int] == [n for n in range(40) if n % 5]

    @ways
    def test_return_exceptions_in_map_unordered_and_starmap(self, executor: Executor, way: dict[str, Any]) -> None:
        """Alike."""
        unordered: list[int | Exception]
        starred: list[int | Exception]
        unordered = list(executor.map_unordered(fail_at_every_fifth, range(40), return_exceptions=True, **way))
        starred = list(executor.starmap(fail_at_every_fifth, ((n,) for n in range(40)), return_exceptions=True, **way))

        assert sum(type(value) is ValueError for value in unordered) == 8
        assert [n for n, value in enumerate(starred) if type(value) is ValueError] == list(range(0, 40, 5))

    @ways
    def test_map_unordered_raises_the_error(self, executor: Executor, way: dict[str, Any]) -> None:
        """When it meets it."""
        with pytest.raises(ValueError, match="item 13"):
            list(executor.map_unordered(fail_at_13, range(40), **way))

    @ways
    def test_a_stop_iteration_of_the_function_does_not_cut_the_results(
        self, executor: Executor, way: dict[str, Any]
    ) -> None:
        """It arrives as an error of its item; nothing behind it is taken for the end."""
        got = list(executor.map(stop_iteration_at_3, range(20), return_exceptions=True, **way))

        assert [type(value) for value in got] == [int] * 3 + [StopIteration] + [int] * 16

    @ways
    def test_a_stop_iteration_is_raised_as_an_error(self, executor: Executor, way: dict[str, Any]) -> None:
        """And not taken for the end of the results."""
        with pytest.raises((RuntimeError, StopIteration)):  # noqa: PT012
            results = executor.map(stop_iteration_at_3, range(20), **way)
            got = [next(results) for _ in range(20)]
            pytest.fail(f"no error: {got}")

    @ways
    def test_what_is_no_exception_arrives_too(self, executor: Executor, way: dict[str, Any]) -> None:
        """An error that no ``except Exception`` would catch harms no worker."""
        with pytest.raises(Ended):
            list(executor.map(end_at_3, range(20), **way))

        assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    @fault(73)
    @with_a_window
    def test_an_input_that_fails_with_a_window(self, executor: Executor, way: dict[str, Any]) -> None:
        """The error of the input comes after the results of what was read before it."""
        results = executor.map(square, Source(7, OSError("the input broke")), **way)
        got = []
        with pytest.raises(OSError, match="the input broke"):  # noqa: PT012
            for result in results:
                got.append(result)

        assert got == [n * n for n in range(7)]

    @fault(73)
    @without_a_window
    def test_an_input_that_fails_without_a_window(self, executor: Executor, way: dict[str, Any]) -> None:
        """It is read at the call, so the error is raised there, and nothing runs on."""
        with pytest.raises(OSError, match="the input broke"):
            executor.map(square, Source(7, OSError("the input broke")), **way)

        assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4

    @capability("in_process")
    @ways
    def test_an_error_does_not_hold_the_items(self, executor: Executor, way: dict[str, Any]) -> None:
        """After the error and the end of the iterator nothing of the map is left."""
        things = [Thing(number) for number in range(20)]
        gone = [weakref.ref(thing) for thing in things]
        results = executor.map(fail_with_thing, things, **way)
        del things
        with pytest.raises(KeyError):
            next(results)
        del results
        gc.collect()

        assert eventually(lambda: all(ref() is None for ref in gone), seconds=2, on=executor.backend)

    @ways
    def test_many_errors_do_not_slow_down(self, executor: Executor, way: dict[str, Any]) -> None:
        """Ten thousand failures are ten thousand values."""
        got: list[float | Exception]
        got = list(executor.map(divide_by_zero, range(10_000), return_exceptions=True, **way))

        assert {type(value) for value in got} == {ZeroDivisionError}
        assert len(got) == 10_000


def divide_by_zero(number: int) -> float:
    return number / 0


class Thing:
    """Something that a weak reference can follow."""

    def __init__(self, number: int) -> None:
        self.number = number


def fail_with_thing(thing: Thing) -> None:
    raise KeyError(thing.number)


def keep_nothing(thing: Thing) -> int:
    return thing.number


@pytest.mark.contract("manyhands.Executor.map")
class TestLaziness:
    @covers("executor-objects")
    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"chunksize": 7}], ids=str)
    def test_without_a_window_everything_runs_although_nobody_looks(
        self, executor: Executor, backend: Any, way: dict[str, Any]
    ) -> None:
        """The input is read at the call, as in the standard library."""
        seen, source = backend.queue(), Source(100)
        results = executor.map(record, source, itertools.repeat(seen), **way)

        assert source.taken == 100
        assert eventually(lambda: seen.qsize() == 100, on=backend)
        assert list(results) == list(range(100))

    @fault(73)
    @pytest.mark.parametrize("window", [1, 2, 10])
    @pytest.mark.parametrize("chunksize", [None, 1, 4])
    def test_with_a_window_no_more_is_read_than_fits(
        self, executor: Executor, window: int, chunksize: int | None
    ) -> None:
        """At no moment are more items taken than results plus the window."""
        source = Source(200)
        results = executor.map(square, source, buffersize=window, chunksize=chunksize)
        ahead = [source.taken]
        for index, _ in enumerate(results):
            ahead.append(source.taken - index)

        assert max(ahead) <= window + 1

    @fault(73)
    @covers("executor-objects")
    @pytest.mark.parametrize("method", ["map", "map_unordered"])
    @pytest.mark.parametrize("chunksize", [None, 1, 4])
    def test_the_input_may_be_endless(self, executor: Executor, method: str, chunksize: int | None) -> None:
        """With a window results come for ever."""
        results = getattr(executor, method)(square, itertools.count(), buffersize=10, chunksize=chunksize)

        assert len(list(itertools.islice(results, 300))) == 300

    @ways
    def test_the_input_is_read_in_the_consumers_thread(self, executor: Executor, way: dict[str, Any]) -> None:
        """So it need not be safe for threads."""
        source = Source(100)
        list(executor.map(square, source, **way))

        assert source.threads == {threading.get_ident()}

    @fault(73)
    @capability("not deterministic")
    @pytest.mark.parametrize("chunksize", [None, 1])
    def test_results_are_given_before_the_input_is_asked_for_more(
        self, executor: Executor, chunksize: int | None, beside: Beside
    ) -> None:
        """An input that blocks holds back none of the results of what it gave before."""
        gate = threading.Event()

        def source() -> Iterator[int]:
            yield from range(10)
            gate.wait(DEADLOCK_S)
            yield 10

        results = executor.map(square, source(), buffersize=5, chunksize=chunksize)
        reader = beside(lambda: [next(results) for _ in range(5)])
        try:
            assert eventually(lambda: not reader.running(), seconds=5, on=executor.backend), (
                "the results that are there are held back"
            )
        finally:
            gate.set()
        reader.outcome()

    @fault(73)
    @pytest.mark.parametrize(
        "way", [{}, {"chunksize": 1}, {"buffersize": 5}, {"buffersize": 5, "chunksize": 1}], ids=str
    )
    @pytest.mark.parametrize("method", ["map", "map_unordered"])
    def test_leaving_early_cancels_what_has_not_started(self, backend: Any, method: str, way: dict[str, Any]) -> None:
        """Whoever drops the iterator after a result has nothing more started; the executor is free for others."""
        seen, started, release = backend.queue(), backend.event(), backend.event()
        with backend.executor(max_workers=1) as executor:
            results = getattr(executor, method)(
                block_from_1_on, range(100), *map(itertools.repeat, (seen, started, release)), **way
            )
            assert next(results) == 0
            assert started.wait(DEADLOCK_S)
            del results
            gc.collect()
            after = executor.submit(pow, 2, 2)
            release.set()

            assert after.result(DEADLOCK_S) == 4
            assert seen.qsize() == 2

    @fault(73)
    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"buffersize": 50}], ids=str)
    @capability("not deterministic", reason="one thread cannot leave work for later: a task runs when it is submitted")
    def test_an_error_that_is_seen_cancels_the_rest(self, backend: Any, way: dict[str, Any]) -> None:
        """Whoever lets the error end the loop does not pay for the rest of the input."""
        seen = backend.queue()
        with backend.executor(max_workers=1) as executor:
            with pytest.raises(ValueError, match="item 0"):
                list(executor.map(fail_at_0_else_pause, range(1000), itertools.repeat(seen), **way))

        assert seen.qsize() < 1000

    @capability("in_process")
    def test_items_are_let_go_as_they_are_done(self, executor: Executor) -> None:
        """While the results are still being read."""
        things = [Thing(number) for number in range(20)]
        gone = [weakref.ref(thing) for thing in things]
        results = executor.map(keep_nothing, things)
        del things
        next(results)

        assert eventually(lambda: all(ref() is None for ref in gone), seconds=2, on=executor.backend)
        assert list(results) == list(range(1, 20))

    @capability("in_process")
    @ways
    def test_results_are_let_go_as_they_are_taken(self, executor: Executor, way: dict[str, Any]) -> None:
        """The consumer is the only one who holds them."""
        results = executor.map(Thing, range(20), **way)
        gone = []
        for result in results:
            gone.append(weakref.ref(result))
            del result
            if len(gone) == 15:
                break

        # A chunk is given up when the next one is begun.
        assert eventually(lambda: sum(ref() is None for ref in gone) >= 8, seconds=2, on=executor.backend)
        del results
        gc.collect()
        assert eventually(lambda: all(ref() is None for ref in gone), seconds=2, on=executor.backend)

    @capability("in_process")
    def test_the_items_of_an_endless_map_are_let_go(self, executor: Executor) -> None:
        """While it goes on, and without the collector."""
        gc.collect()
        gc.disable()
        try:
            things = (Thing(number) for number in itertools.count())
            first = next(things)
            gone = weakref.ref(first)
            results = executor.map(keep_nothing, begin_with([first], things), buffersize=4)
            del first
            assert [next(results) for _ in range(10)] == list(range(10))
            assert eventually(lambda: gone() is None, seconds=2, on=executor.backend)
        finally:
            gc.enable()


def block_from_1_on(number: int, seen: Any, started: Any, release: Any) -> int:
    seen.put(number)
    if number:
        started.set()
        assert release.wait(DEADLOCK_S)
    return number


def fail_at_0_else_pause(number: int, seen: Any) -> int:
    seen.put(number)
    if number == 0:
        raise ValueError("item 0")
    time.sleep(0.001)  # so that the rest would take a second
    return number


@pytest.mark.contract("manyhands.Executor.map")
class TestFairness:
    """An item that another worker could start never waits in somebody's chunk."""

    @pytest.mark.parametrize("first", [0, 1, 50, 997, 998])
    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"buffersize": 100}], ids=str)
    def test_neighbours_can_meet(self, executor: Executor, backend: Any, first: int, way: dict[str, Any]) -> None:
        """Two items side by side wait for each other, early or late in a long input of quick ones."""
        barrier = backend.barrier(2)
        results = executor.map(
            meet_at,
            range(1000),
            itertools.repeat((first, first + 1)),
            itertools.repeat(barrier),
            timeout=DEADLOCK_S,
            **way,
        )

        assert list(results) == list(range(1000))

    @pytest.mark.parametrize("blocked", [0, 1, 700])
    def test_one_that_blocks_holds_back_nobody(self, executor: Executor, backend: Any, blocked: int) -> None:
        """All the others are done while it still runs; none waits behind it."""
        started, release, seen = backend.event(), backend.event(), backend.queue()
        results = executor.map(
            block_and_record,
            range(1000),
            *map(itertools.repeat, (blocked, started, release, seen)),
            timeout=DEADLOCK_S,
        )
        others = eventually(lambda: seen.qsize() == 999, on=backend)
        release.set()

        assert others, f"only {seen.qsize()} of 999 were done"
        assert list(results) == list(range(1000))

    def test_as_many_run_at_once_as_there_are_workers(self, backend: Any) -> None:
        """Four items meet, although the first ones of a map are alone in their chunks."""
        barrier = backend.barrier(4)
        with backend.executor(max_workers=4) as executor:
            results = executor.map(meet_at, range(40), [tuple(range(40))] * 40, [barrier] * 40, timeout=DEADLOCK_S)

            assert list(results) == list(range(40))

    def test_an_executor_that_grows_lets_more_run(self, backend: Any) -> None:
        """Also for a map that has begun."""
        barrier = backend.barrier(3)
        with backend.executor(max_workers=1) as executor:
            results = executor.map(meet_at, range(3), [tuple(range(3))] * 3, [barrier] * 3, timeout=DEADLOCK_S)
            executor.resize(3)

            assert list(results) == list(range(3))

    @capability("not deterministic", reason="one thread cannot leave work for later: a task runs when it is submitted")
    def test_other_tasks_get_their_turn(self, backend: Any) -> None:
        """A task that is submitted while a long map runs does not wait for its end."""
        seen = backend.queue()
        with backend.executor(max_workers=1) as executor:
            results = executor.map(record_and_pause, range(2000), itertools.repeat(seen))
            assert eventually(lambda: seen.qsize() > 0, on=backend)
            before_the_end = executor.submit(seen.qsize).result(DEADLOCK_S)
            list(results)

        assert before_the_end < 2000

    def test_a_slow_start_does_not_make_later_chunks_unfair(self, executor: Executor, backend: Any) -> None:
        """A thousand quick items, then some that must all meet in pairs."""
        barrier = backend.barrier(2)
        meeting = tuple(range(1000, 1010))
        results = executor.map(
            meet_at, range(1010), itertools.repeat(meeting), itertools.repeat(barrier), timeout=DEADLOCK_S
        )

        assert list(results) == list(range(1010))


def block_and_record(number: int, blocked: int, started: Any, release: Any, seen: Any) -> int:
    block_at(number, blocked, started, release)
    seen.put(number)
    return number


def record_and_pause(number: int, seen: Any) -> int:
    seen.put(number)
    time.sleep(0.0005)  # so that the whole takes a second
    return number


@pytest.mark.contract("manyhands.Executor.map")
class TestChunks:
    def test_a_fixed_size_is_kept(self, backend: Any) -> None:
        """One worker sees items in the order of the input, whatever the size."""
        seen = backend.queue()
        with backend.executor(max_workers=1) as executor:
            list(executor.map(record, range(50), itertools.repeat(seen), chunksize=8))

        assert [seen.get_nowait() for _ in range(50)] == list(range(50))

    @bad_input(30)
    @pytest.mark.parametrize("name", ["chunksize", "buffersize"])
    @pytest.mark.parametrize("method", METHODS)
    def test_a_size_below_one_is_refused(self, executor: Executor, name: str, method: str) -> None:
        """ValueError at the call, with the value."""
        for size in (0, -1):
            with pytest.raises(ValueError, match=f"{name} must be at least 1, got {size}"):
                getattr(executor, method)(square, [1], **{name: size})

    @bad_input(30)
    @pytest.mark.parametrize("name", ["chunksize", "buffersize"])
    @pytest.mark.parametrize("size", [1.5, "2", True])
    def test_a_size_that_is_no_integer_is_refused(self, executor: Executor, name: str, size: Any) -> None:
        """TypeError at the call."""
        with pytest.raises(TypeError, match=f"{name} must be an integer or None"):
            executor.map(square, [1], **{name: size})

    @bad_input(30)
    @pytest.mark.parametrize("method", ["map", "map_unordered"])
    def test_no_iterable_is_refused(self, executor: Executor, method: str) -> None:
        """TypeError at the call."""
        with pytest.raises(TypeError, match=f"{method} needs at least one iterable"):
            getattr(executor, method)(square)

    @bad_input(30)
    @pytest.mark.parametrize("method", METHODS)
    def test_what_is_not_iterable_is_refused(self, executor: Executor, method: str) -> None:
        """TypeError at the call, not at the first result."""
        with pytest.raises(TypeError):
            getattr(executor, method)(square, 3)

    @bad_input(26)
    @pytest.mark.parametrize("method", METHODS)
    def test_what_is_not_callable_is_refused(self, executor: Executor, method: str) -> None:
        """TypeError at the call."""
        with pytest.raises(TypeError, match="must be callable"):
            getattr(executor, method)(3, [1])


@pytest.mark.contract("manyhands.Executor.map")
class TestTimeout:
    @covers("executor-objects")
    @pytest.mark.parametrize("method", ["map", "map_unordered"])
    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"buffersize": 2}], ids=str)
    def test_it_counts_from_the_call(self, backend: Any, method: str, way: dict[str, Any]) -> None:
        """TimeoutError when a result is not there in time; what had not started is cancelled."""
        started, release = backend.event(), backend.event()
        with backend.executor(max_workers=1) as executor:
            results = getattr(executor, method)(
                block_at, range(3), [0] * 3, [started] * 3, [release] * 3, timeout=0.05, **way
            )
            with pytest.raises(TimeoutError):
                next(results)
            release.set()

    @without_a_window
    def test_results_that_are_there_are_given_after_it(self, executor: Executor, way: dict[str, Any]) -> None:
        """Time that the consumer took is not held against what is done."""
        results = executor.map(square, range(20), timeout=0.3, **way)
        assert eventually(lambda: executor.stats().pending == executor.stats().running == 0, on=executor.backend)
        time.sleep(0.35)  # until the time is over

        assert list(results) == [n * n for n in range(20)]

    @bad_input(12)
    def test_infinity_is_no_limit(self, executor: Executor) -> None:
        """Nor is None; not a number is an error."""
        assert list(executor.map(square, [2], timeout=float("inf"))) == [4]
        with pytest.raises(ValueError, match="nan"):
            executor.map(square, [2], timeout=float("nan"))


@pytest.mark.contract("manyhands.Executor.map")
class TestWithOthers:
    @fault(71)
    def test_map_inside_of_a_map(self, executor: Executor) -> None:
        """Each call maps over the same executor."""
        results = executor.map(sum_of_squares, range(10), itertools.repeat(executor), timeout=DEADLOCK_S)

        assert list(results) == [sum(n * n for n in range(m)) for m in range(10)]

    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}, {"buffersize": 3}], ids=str)
    def test_shutdown_cancels_what_nobody_started(self, backend: Any, way: dict[str, Any]) -> None:
        """With ``cancel_futures`` the consumer gets CancelledError and does not wait for ever."""
        executor = backend.executor(max_workers=1)
        with occupied(executor, 1):
            results = executor.map(square, range(100), timeout=DEADLOCK_S, **way)
            executor.shutdown(wait=False, cancel_futures=True)
        with pytest.raises((manyhands.CancelledError, manyhands.ExecutorClosedError)):
            list(results)
        executor.shutdown()

    @pytest.mark.parametrize("way", [{}, {"chunksize": 1}], ids=str)
    def test_retries_are_for_each_item(self, backend: Any, way: dict[str, Any]) -> None:
        """An item that fails once is tried again, the others are not."""
        tried = backend.queue()
        with backend.executor(max_workers=2) as executor:
            results = executor.with_options(retries=1).map(fail_once, range(10), itertools.repeat(tried), **way)

            assert list(results) == list(range(10))
        assert tried.qsize() == 11


def sum_of_squares(count: int, executor: Executor) -> int:
    return sum(executor.map(square, range(count), timeout=DEADLOCK_S))


def fail_once(number: int, tried: Any) -> int:
    tried.put(number)
    task = manyhands.current_task()
    if number == 5 and task is not None and task.attempt == 1:
        raise OSError("once")
    return number


def begin_with(first: list[Any], rest: Iterator[Any]) -> Iterator[Any]:
    """Unlike ``itertools.chain`` it lets the first items go."""
    while first:
        yield first.pop(0)
    yield from rest
