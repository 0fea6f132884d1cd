"""``backend.pool``: the interface of multiprocessing.pool.Pool."""

import itertools
import multiprocessing
import pickle
import weakref
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any, Final

import pytest

import manyhands
from manyhands import ConfigError, ExecutorClosedError, ResourceError, SerializationError, current_task

from .support import DEADLOCK_S, Beside, eventually

pytestmark: Final = [
    pytest.mark.covers("using-a-pool-of-workers", "module-multiprocessing.pool"),
    pytest.mark.contract("manyhands.Backend.pool"),
]


class Falsey(Exception):
    """An error that is not true."""

    def __bool__(self) -> bool:
        return False


def square(x: int) -> int:
    return x * x


def add(x: int, y: int = 0) -> int:
    return x + y


def fail(error: BaseException) -> None:
    raise error


def fail_on_three(x: int) -> int:
    if x == 3:
        raise LookupError("three")
    return x


def hold(started: Any, release: Any) -> str:
    started.release()
    release.wait(DEADLOCK_S)
    return "held"


@pytest.fixture
def pool(backend: Any) -> Iterator[Any]:
    """A pool of two workers."""
    with backend.pool(2) as pool:
        yield pool


# One call.


def test_apply_gives_the_result(pool: Any) -> None:
    """``apply`` waits for the one call, with arguments and keywords."""
    assert pool.apply(add, (1,), {"y": 2}) == 3
    assert pool.apply(add, [5]) == 5


def test_apply_raises_the_error(pool: Any) -> None:
    """The call's own exception arrives."""
    with pytest.raises(LookupError, match="three"):
        pool.apply(fail_on_three, (3,))


def test_primitives_are_arguments(backend: Any, pool: Any) -> None:
    """What a task may be given, a call of a pool may be given."""
    queue = backend.queue()
    pool.apply(queue.put, ("item",))

    assert queue.get_nowait() == "item"


def test_async_result_of_a_call_that_returns(pool: Any) -> None:
    """It is ready, successful and gives the value any number of times."""
    result = pool.apply_async(square, (3,))
    result.wait(DEADLOCK_S)

    assert result.ready()
    assert result.successful()
    assert (result.get(), result.get(timeout=0)) == (9, 9)


def test_async_result_of_a_call_that_raises(pool: Any) -> None:
    """It is ready, not successful, and raises the exception each time, the traceback not growing."""
    error = Falsey("no")
    result = pool.apply_async(fail, (error,))
    lengths = []
    for _ in range(2):
        with pytest.raises(Falsey) as caught:
            result.get(DEADLOCK_S)
        assert caught.value is error
        lengths.append(len(caught.traceback))

    assert result.ready()
    assert not result.successful()
    assert lengths[0] == lengths[1]


def test_async_result_that_is_not_ready(backend: Any, pool: Any) -> None:
    """``get`` raises multiprocessing.TimeoutError, ``successful`` ValueError, ``wait`` returns."""
    started, release = backend.semaphore(0), backend.event()
    result = pool.apply_async(hold, (started, release))

    result.wait(0.01)
    assert not result.ready()
    with pytest.raises(multiprocessing.TimeoutError, match="not there in time"):
        result.get(0.01)
    with pytest.raises(ValueError, match="is not ready"):
        result.successful()
    release.set()
    assert result.get(DEADLOCK_S) == "held"


def test_timeout_error_of_the_call_itself(pool: Any) -> None:
    """A call's own TimeoutError is no timeout of ``get``."""
    error = TimeoutError("the call's")
    with pytest.raises(TimeoutError, match="the call's"):
        pool.apply_async(fail, (error,)).get(DEADLOCK_S)


@pytest.mark.parametrize("method", ["apply_async", "map_async", "starmap_async"])
def test_callback_has_returned_before_the_result_is_ready(pool: Any, method: str) -> None:
    """It gets the value, and its effect is there when ``get`` returns."""
    arguments = {"apply_async": (square, (3,)), "map_async": (square, [1, 2, 3]), "starmap_async": (add, [(1, 2)])}
    seen: list[Any] = []
    errors: list[BaseException] = []
    result = getattr(pool, method)(*arguments[method], callback=seen.append, error_callback=errors.append)

    value = result.get(DEADLOCK_S)
    assert seen == [value]
    assert errors == []


@pytest.mark.parametrize("method", ["apply_async", "map_async", "starmap_async"])
def test_error_callback_gets_the_exception(pool: Any, method: str) -> None:
    """It is called once, and the other one is not."""
    error = LookupError("no")
    arguments = {"apply_async": (error,), "map_async": [error], "starmap_async": [(error,)]}
    seen: list[Any] = []
    errors: list[BaseException] = []
    result = getattr(pool, method)(fail, arguments[method], callback=seen.append, error_callback=errors.append)

    with pytest.raises(LookupError):
        result.get(DEADLOCK_S)
    assert errors == [error]
    assert seen == []


def test_a_callback_that_raises_harms_nobody(pool: Any, caplog: pytest.LogCaptureFixture, backend: Any) -> None:
    """It is logged; the result is there."""
    result = pool.apply_async(square, (3,), callback=lambda _: fail(LookupError("callback")))

    assert result.get(DEADLOCK_S) == 9
    assert eventually(lambda: "exception calling callback" in caplog.text, on=backend)


# Many calls.


@pytest.mark.parametrize("chunksize", [None, 1, 3, 100])
@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered"])
def test_each_item_once(pool: Any, method: str, chunksize: int | None) -> None:
    """Every result, in order where that is promised, whatever the size of the chunks."""
    results = getattr(pool, method)(square, range(50), *(() if chunksize is None else (chunksize,)))

    found = list(results)
    assert (sorted(found) if method == "imap_unordered" else found) == [square(x) for x in range(50)]


@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered", "starmap"])
def test_nothing_to_do(pool: Any, method: str) -> None:
    """An empty input gives an empty result."""
    assert list(getattr(pool, method)(square, [])) == []


def test_starmap_unpacks_each_item(pool: Any) -> None:
    """Each item is the arguments of a call."""
    assert pool.starmap(add, [(1, 2), (3,), [4, 5]]) == [3, 3, 9]
    assert pool.starmap_async(add, ((n, n) for n in range(5)), chunksize=2).get(DEADLOCK_S) == [0, 2, 4, 6, 8]


def test_map_fails_with_the_first_error(pool: Any) -> None:
    """And is ready only when every call is done."""
    with pytest.raises(LookupError, match="three"):
        pool.map(fail_on_three, range(10), chunksize=1)


def test_map_is_ready_when_all_calls_are_done(backend: Any, pool: Any) -> None:
    """An early error does not make it ready while others run, and is the one that is raised."""
    started, release = backend.semaphore(0), backend.event()

    def call(error: BaseException, late: bool) -> None:
        if late:
            hold(started, release)
        raise error

    result = pool.starmap_async(call, [(LookupError("late"), True), (LookupError("early"), False)], chunksize=1)
    assert started.acquire(timeout=DEADLOCK_S)
    pool.apply(square, (1,))

    assert not result.ready()
    release.set()
    with pytest.raises(LookupError, match="early"):
        result.get(DEADLOCK_S)


def test_a_stop_iteration_does_not_end_the_results(pool: Any) -> None:
    """It is an exception like any other, not the end of a chunk."""
    with pytest.raises(StopIteration):
        pool.map(fail, [StopIteration()])
    with pytest.raises(RuntimeError, match="raised StopIteration"):
        next(pool.imap(fail, [StopIteration()]))


def test_imap_raises_in_its_place_and_goes_on(pool: Any) -> None:
    """The results around an error are there."""
    results = pool.imap(fail_on_three, range(6))

    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError, match="three"):
        next(results)
    assert list(results) == [4, 5]


def test_imap_next_takes_a_timeout(backend: Any, pool: Any) -> None:
    """``next(timeout)`` raises multiprocessing.TimeoutError, and the result still comes."""
    started, release = backend.semaphore(0), backend.event()
    results = pool.imap(lambda _: hold(started, release), [1])

    with pytest.raises(multiprocessing.TimeoutError, match="not there in time"):
        results.next(0.01)
    release.set()
    assert results.next(timeout=DEADLOCK_S) == "held"
    with pytest.raises(StopIteration):
        results.next(0)


def test_imap_keeps_the_order(backend: Any, pool: Any) -> None:
    """A result that is there before its turn waits; ``imap_unordered`` gives it at once."""
    release = backend.event()

    def call(x: int) -> int:
        if x == 0:
            release.wait(DEADLOCK_S)
        return x

    ordered = pool.imap(call, [0, 1])
    unordered = pool.imap_unordered(call, [0, 1])
    with pytest.raises(multiprocessing.TimeoutError):
        ordered.next(0.02)
    release.set()
    assert list(ordered) == [0, 1]
    assert sorted(unordered) == [0, 1]


def test_imap_unordered_gives_what_is_there(backend: Any, pool: Any) -> None:
    """A slow call does not hold back the others."""
    release = backend.event()
    results = pool.imap_unordered(lambda x: release.wait(DEADLOCK_S) if x == 0 else x, range(5))

    assert {results.next(DEADLOCK_S) for _ in range(4)} == {1, 2, 3, 4}
    release.set()
    assert results.next(DEADLOCK_S) is True


def test_imap_runs_also_if_nobody_looks(backend: Any, pool: Any) -> None:
    """The calls are made whether or not the results are taken."""
    done = backend.semaphore(0)
    pool.imap(lambda _: done.release(), range(100))
    for _ in range(100):
        assert done.acquire(timeout=DEADLOCK_S)


def test_imap_over_an_endless_input(pool: Any) -> None:
    """It is read only as far as needed; ``terminate`` ends it."""
    results = pool.imap(square, itertools.count())

    assert [next(results) for _ in range(100)] == [square(x) for x in range(100)]


def test_imap_reads_only_a_little_ahead(backend: Any, pool: Any) -> None:
    """Not more than four items per worker that are not done, and one in the hand."""
    started, release = backend.semaphore(0), backend.event()
    read: list[int] = []

    def items() -> Iterator[int]:
        for n in itertools.count():
            read.append(n)
            yield n

    results = pool.imap(lambda _: hold(started, release), items())
    assert eventually(lambda: len(read) == 9, on=backend)
    with pytest.raises(multiprocessing.TimeoutError):
        results.next(0.05)

    assert len(read) == 9
    release.set()
    assert results.next(DEADLOCK_S) == "held"


def test_imap_without_a_helper(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When there is none to be had, the error says so and the pool can be closed all the same."""

    def refuse(activity: Any) -> None:
        raise ResourceError("no thread can be started")

    pool = backend.pool(1)
    with monkeypatch.context() as patch:
        patch.setattr(backend, "start_activity", refuse)
        with pytest.raises(ResourceError, match="no thread can be started"):
            pool.imap(square, [1])
    pool.close()
    pool.join()


def test_imap_does_not_wait_for_its_input(backend: Any, pool: Any) -> None:
    """An input that comes later, even from the results, holds up nobody."""
    queue = backend.queue()
    results = pool.imap(square, iter(queue.get, None))
    found = []
    queue.put(2)
    for _ in range(3):
        found.append(results.next(DEADLOCK_S))
        queue.put(found[-1])
    queue.put(None)

    assert found == [4, 16, 256]
    assert list(results) == [256**2]


@pytest.mark.parametrize("method", ["imap", "imap_unordered"])
def test_an_error_of_the_input_comes_in_its_place(pool: Any, method: str) -> None:
    """After the results of what was read before."""

    def items() -> Iterator[int]:
        yield from range(3)
        raise LookupError("input")

    results = getattr(pool, method)(square, items())
    found: list[Any] = []
    with pytest.raises(LookupError, match="input"):
        found.extend(iter(lambda: results.next(DEADLOCK_S), None))
    found += results
    assert sorted(found) == [0, 1, 4] if method == "imap" else set(found) <= {0, 1, 4}


@pytest.mark.bad_input(30)
def test_what_cannot_be_iterated_is_refused_at_once(pool: Any) -> None:
    """For all of them, at the call."""
    for method in ("map", "map_async", "imap", "imap_unordered", "starmap"):
        with pytest.raises(TypeError, match="not iterable"):
            getattr(pool, method)(square, 5)


@pytest.mark.bad_input(26, 27)
def test_what_cannot_be_called_is_refused_at_once(pool: Any) -> None:
    """A type error at the call, not from a worker."""

    async def coroutine() -> None: ...

    for method in ("apply", "apply_async", "map", "map_async", "imap", "imap_unordered", "starmap", "starmap_async"):
        with pytest.raises(TypeError, match="must be callable, got None"):
            getattr(pool, method)(None, [])
        with pytest.raises(TypeError, match="is a coroutine function"):
            getattr(pool, method)(coroutine, [])


@pytest.mark.parametrize("chunksize", [0, -1, 1.5, True, "2"])
@pytest.mark.bad_input(30)
def test_bad_chunksize(pool: Any, chunksize: Any) -> None:
    """ValueError with the value."""
    for method in ("map", "map_async", "imap", "imap_unordered", "starmap", "starmap_async"):
        with pytest.raises(ValueError, match=r"chunksize must be an integer of at least 1, got "):
            getattr(pool, method)(square, [1], chunksize)


# Making one.


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
@pytest.mark.bad_input(31)
def test_bad_counts(backend: Any, value: Any) -> None:
    """ValueError naming the argument, before anything starts."""
    with pytest.raises(ValueError, match="processes must be an integer of at least 1, got "):
        backend.pool(value)
    with pytest.raises(ValueError, match="maxtasksperchild must be an integer of at least 1, got "):
        backend.pool(1, maxtasksperchild=value)
    with pytest.raises(ConfigError, match="max_workers must be 1 to"):
        backend.pool(10**9)


@pytest.mark.bad_input(36)
def test_bad_initializer(backend: Any) -> None:
    """TypeError when it cannot be called, or its arguments are a text."""
    with pytest.raises(TypeError, match="initializer must be a callable, got 3"):
        backend.pool(1, 3)
    with pytest.raises(TypeError, match="initargs must be a sequence of arguments, got 'text'"):
        backend.pool(1, print, "text")


def test_initializer_runs_in_each_worker(backend: Any) -> None:
    """Before the first call, with its arguments."""
    seen = backend.queue()
    with backend.pool(1, seen.put, ["ready"]) as pool:
        pool.apply(seen.put, ("call",))

    assert [seen.get(), seen.get()] == ["ready", "call"]


def test_maxtasksperchild_replaces_workers(backend: Any) -> None:
    """A worker makes that many calls, then another one does."""
    seen = backend.queue()
    with backend.pool(1, lambda: seen.put("worker"), maxtasksperchild=2) as pool:
        for _ in range(4):
            pool.apply(square, (1,))

    assert seen.qsize() >= 2


def test_processes_of_none_takes_the_option_of_the_backend(backend: Any) -> None:
    """The backend was opened with two workers."""
    with backend.pool() as pool:
        assert "2 workers, running" in repr(pool)


def test_calls_are_accepted_beyond_the_pending_limit(backend_name: str) -> None:
    """The option ``max_pending`` is for executors: asynchronous calls of a pool return at once."""
    with manyhands.open_backend(backend_name, max_workers=1, max_pending=1) as backend, backend.pool() as pool:
        started, release = backend.semaphore(0), backend.event()
        results = [Beside(backend)(pool.apply_async, hold, (started, release)).outcome() for _ in range(3)]
        release.set()

        assert [result.get(DEADLOCK_S) for result in results] == ["held"] * 3


def test_a_call_may_wait_for_a_call_of_its_own_pool(backend: Any) -> None:
    """Who waits lends its place."""
    with backend.pool(1) as pool:
        assert pool.apply(lambda: pool.apply(square, (3,))) == 9
        assert pool.apply(lambda: list(pool.imap(square, [1, 2, 3]))) == [1, 4, 9]
        assert pool.apply(lambda: current_task() is not None)


def test_a_pool_cannot_be_pickled(pool: Any) -> None:
    """The error says what to do."""
    with pytest.raises(SerializationError, match="pass an executor"):
        pickle.dumps(pool)


# The end.


def test_closed_pool_finishes_its_work(backend: Any) -> None:
    """``close`` then ``join``: all that was accepted is done, also what ``imap`` has not read."""
    pool = backend.pool(2)
    result = pool.map_async(square, range(20))
    results = pool.imap(square, iter(range(200)))
    pool.close()
    pool.join()

    assert result.get(0) == [square(x) for x in range(20)]
    assert list(results) == [square(x) for x in range(200)]
    assert "closed" in repr(pool)


def test_closed_pool_without_join_ends_by_itself(pool: Any, backend: Any) -> None:
    """The workers end when the work is done."""
    pool.apply(square, (1,))
    pool.close()

    assert eventually(lambda: not pool._executor.stats().workers, on=backend)


def test_closed_pool_without_join_ends_after_its_input(backend: Any, pool: Any) -> None:
    """Not before ``imap`` has read what it was given."""
    queue = backend.queue()
    results = pool.imap(square, iter(queue.get, None))
    pool.close()
    queue.put(3)
    assert results.next(DEADLOCK_S) == 9
    queue.put(None)

    assert list(results) == []
    assert eventually(lambda: not pool._executor.stats().workers, on=backend)


@pytest.mark.parametrize("end", ["close", "terminate"])
def test_closed_pool_takes_no_calls(backend: Any, end: str) -> None:
    """ValueError from every method, and from ``with``."""
    pool = backend.pool(1)
    getattr(pool, end)()
    for method, *arguments in (
        ("apply", square, (1,)),
        ("apply_async", square, (1,)),
        ("map", square, [1]),
        ("map_async", square, [1]),
        ("imap", square, [1]),
        ("imap_unordered", square, [1]),
        ("starmap", square, [(1,)]),
        ("starmap_async", square, [(1,)]),
        ("__enter__",),
    ):
        with pytest.raises(ValueError, match="Pool not running"):
            getattr(pool, str(method))(*arguments)
    pool.join()


def test_join_needs_close(pool: Any) -> None:
    """ValueError while the pool runs."""
    with pytest.raises(ValueError, match="still running: close or terminate it before join"):
        pool.join()


def test_terminate_drops_what_has_not_started(backend: Any, beside: Beside) -> None:
    """It is answered with CancelledError: nobody waits for ever."""
    started, release = backend.semaphore(0), backend.event()
    pool = backend.pool(1)
    running = pool.apply_async(hold, (started, release))
    assert started.acquire(timeout=DEADLOCK_S)
    errors: list[BaseException] = []
    waiting = pool.apply_async(square, (3,), error_callback=errors.append)
    mapped = pool.map_async(square, range(100))
    lazily = pool.imap(square, itertools.count())
    terminating = beside(pool.terminate)
    for result in (waiting, mapped):
        with pytest.raises(CancelledError):
            result.get(DEADLOCK_S)
    with pytest.raises(CancelledError):
        lazily.next(DEADLOCK_S)
    with pytest.raises(StopIteration):
        lazily.next(DEADLOCK_S)
    release.set()
    terminating.outcome()
    pool.join()

    assert running.get(DEADLOCK_S) == "held"
    assert isinstance(errors[0], CancelledError)


def test_terminate_ends_an_iterator_whose_input_is_stuck(backend: Any, beside: Beside) -> None:
    """Nobody waits for an input that does not come."""
    never = backend.event()
    pool = backend.pool(1)
    results = pool.imap(square, iter(never.wait, True))
    waiting = beside(results.next)
    pool.terminate()
    pool.join()

    assert isinstance(waiting.outcome(), CancelledError)
    never.set()


def test_terminate_gives_up_on_a_worker_that_is_stuck(backend_name: str) -> None:
    """After the grace ``terminate`` and ``join`` return; its call is answered, too."""
    with manyhands.open_backend(backend_name, max_workers=1, grace=0.02) as backend:
        started, release = backend.semaphore(0), backend.event()
        ended: list[str] = []
        pool = backend.pool()
        result = pool.apply_async(lambda: ended.append(hold(started, release)))
        assert started.acquire(timeout=DEADLOCK_S)
        pool.terminate()
        pool.join()
        assert ended == []
        with pytest.raises(CancelledError):
            result.get(DEADLOCK_S)
        release.set()


def test_terminated_stays_terminated(pool: Any) -> None:
    """``close`` afterwards changes nothing."""
    pool.terminate()
    pool.close()

    assert "terminated" in repr(pool)


def test_leaving_with_terminates(backend: Any) -> None:
    """As in the standard library."""
    with backend.pool(1) as pool:
        pass

    assert "terminated" in repr(pool)


def test_closing_the_backend_finishes_the_work(backend: Any) -> None:
    """What was accepted is done and its results stay; then the pool takes nothing more."""
    pool = backend.pool(2)
    result = pool.map_async(square, range(50))
    results = pool.imap(square, [1, 2, 3])
    results.fed.wait(DEADLOCK_S)
    backend.close()

    assert result.get(0) == [square(x) for x in range(50)]
    assert list(results) == [1, 4, 9]
    with pytest.raises(ExecutorClosedError, match="was closed"):
        pool.apply(square, (1,))


@pytest.mark.capability("not deterministic", reason="one thread cannot close what it runs in from beside")
def test_an_iterator_that_is_fed_ends_with_the_backend(backend: Any, beside: Beside) -> None:
    """It says so after the results that are there."""
    results = backend.pool(2).imap(square, itertools.count())
    assert next(results) == 0
    closing = beside(backend.close)

    with pytest.raises(ExecutorClosedError):
        for _ in results:
            pass
    assert closing.outcome() is None


def test_results_keep_nothing_but_themselves(backend: Any) -> None:
    """Arguments and callbacks go when the call is done."""
    with backend.pool(1) as pool:
        argument = Falsey()
        gone = weakref.ref(argument)
        result = pool.apply_async(repr, (argument,), callback=argument.add_note)
        result.get(DEADLOCK_S)
        del argument

        assert eventually(lambda: gone() is None, on=backend)
        assert result.successful()
