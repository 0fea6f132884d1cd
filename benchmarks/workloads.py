"""
The workloads: each does a fixed amount of work with one contestant and returns one number.

They warm up first and leave the garbage collector on. What takes only milliseconds is done several
times; the number is the median.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contestants import Contestant

#: Workers of every pool.
WORKERS = 2
#: Seconds that only a deadlock reaches.
DEADLINE_S = 60.0


class Workload:
    """A measurement and how to read it."""

    def __init__(
        self,
        title: str,
        unit: str,
        *,
        more_is_better: bool = False,
        measure: "Callable[[Contestant], float] | None" = None,
        programs: dict[str, str] | None = None,
    ) -> None:
        self.title = title
        self.unit = unit
        self.more_is_better = more_is_better
        #: Measures a contestant from inside a fresh interpreter.
        self.measure = measure
        #: Or: what each contestant runs with ``python -c``. A program prints its number; one that
        #: prints nothing is measured from outside, in milliseconds for the whole process.
        self.programs = programs or {}


def same(item: Any) -> Any:
    """The trivial task; it can be imported, so that a process can run it too."""
    return item


def repeated(times: int, once: Callable[[], float]) -> float:
    """The median of several measurements in one interpreter."""
    return median(once() for _ in range(times))


# Tasks.


def submit_gather(contestant: "Contestant") -> float:
    """Tasks per second: all are submitted, then all results taken."""
    count = 20_000

    def once() -> float:
        began = perf_counter()
        results = contestant.gather(same, range(count))
        took = perf_counter() - began
        assert results == list(range(count))
        return count / took

    contestant.gather(same, range(1000))
    return repeated(3, once)


def latency(contestant: "Contestant") -> float:
    """Microseconds from submit to result, one task after the other."""

    def once() -> float:
        began = perf_counter()
        contestant.submit(same, 1).result()
        return (perf_counter() - began) * 1e6

    for _ in range(200):
        once()
    return repeated(3000, once)


def mapping(count: int, **options: Any) -> "Callable[[Contestant], float]":
    """Items per second through ``map``, the results as a list."""

    def measure(contestant: "Contestant") -> float:
        items = list(range(count))

        def once() -> float:
            began = perf_counter()
            results = contestant.map(same, items, **options)
            took = perf_counter() - began
            assert results == items
            return count / took

        contestant.map(same, range(1000), **options)
        return repeated(3, once)

    return measure


def future_bytes(contestant: "Contestant") -> float:
    """Bytes for each task that waits, workers being busy: future, queue entry and what belongs to them."""
    import threading
    import tracemalloc

    count = 20_000
    release = threading.Event()
    started = threading.Semaphore(0)

    def block() -> None:
        started.release()
        release.wait(DEADLINE_S)

    for future in [contestant.submit(same, item) for item in range(1000)]:
        future.result()
    blocking = [contestant.submit(block) for _ in range(WORKERS)]
    for _ in blocking:
        started.acquire()
    kept: list[Any] = [None] * count
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for index in range(count):
        kept[index] = contestant.submit(same, None)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    release.set()
    for future in kept:
        future.result()
    return used / count


# Primitives.


def lock(contestant: "Contestant") -> float:
    """Nanoseconds for acquire and release of a lock that nobody else wants."""
    count = 100_000
    primitive = contestant.lock()
    acquire, release = primitive.acquire, primitive.release

    def once() -> float:
        began = perf_counter()
        for _ in range(count):
            acquire()
            release()
        return (perf_counter() - began) / count * 1e9

    once()
    return repeated(5, once)


def queue(contestant: "Contestant") -> float:
    """Items per second from one thread to another."""
    import threading

    count = 20_000

    def once() -> float:
        channel = contestant.queue()
        taken: list[Any] = []

        def consume() -> None:
            for _ in range(count):
                taken.append(channel.get())

        consumer = threading.Thread(target=consume, daemon=True)
        consumer.start()
        began = perf_counter()
        for item in range(count):
            channel.put(item)
        consumer.join(DEADLINE_S)
        took = perf_counter() - began
        assert taken == list(range(count))
        return count / took

    once()
    return repeated(3, once)


# Fresh interpreters.

IMPORT = """
from time import perf_counter
began = perf_counter()
import {module}
print((perf_counter() - began) * 1e3)
"""

FIRST_RESULT = """
{imports}
with {pool} as executor:
    assert executor.submit(pow, 2, 5).result() == 32
"""

WORKLOADS = {
    "submit-gather": Workload("submit + gather", "tasks/s", more_is_better=True, measure=submit_gather),
    "latency": Workload("submit to result", "us", measure=latency),
    "map": Workload("map, a million items", "items/s", more_is_better=True, measure=mapping(1_000_000)),
    "map-short": Workload("map, 20,000 items", "items/s", more_is_better=True, measure=mapping(20_000)),
    "map-chunksize-1": Workload(
        "map with chunksize=1, 20,000 items", "items/s", more_is_better=True, measure=mapping(20_000, chunksize=1)
    ),
    "future-bytes": Workload("pending future", "bytes", measure=future_bytes),
    "lock": Workload("acquire + release", "ns", measure=lock),
    "queue": Workload("queue of integers", "items/s", more_is_better=True, measure=queue),
    "import": Workload(
        "import",
        "ms",
        programs={
            "manyhands": IMPORT.format(module="manyhands"),
            "cf-thread": IMPORT.format(module="concurrent.futures.thread"),
        },
    ),
    "first-result": Workload(
        "fresh interpreter to first result",
        "ms",
        programs={
            "threading": FIRST_RESULT.format(
                imports="import manyhands", pool=f'manyhands.open_executor("threading", max_workers={WORKERS})'
            ),
            "cf-thread": FIRST_RESULT.format(
                imports="from concurrent.futures import ThreadPoolExecutor", pool=f"ThreadPoolExecutor({WORKERS})"
            ),
        },
    ),
}
