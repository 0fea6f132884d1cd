"""
Programs in the manner of the chapter's examples, which know nothing of backends.

A program is a function that takes modules by the names that it would import. Those that need
no processes run on the standard library's own modules too, which shows that they are right.
"""

import importlib
import inspect
from collections.abc import Callable
from typing import Any, Final

import pytest

from .support import DEADLOCK_S

pytestmark: Final = pytest.mark.contract("manyhands.Backend.as_module")

Program = Callable[..., Any]


# With threads.


def connection_pool(threading: Any) -> int:
    """No more than three of ten use a connection at the same time; says how many that were at most."""
    connections, guard = threading.BoundedSemaphore(3), threading.Lock()
    using: list[str] = []
    most = 0

    def work() -> None:
        nonlocal most
        with connections:
            with guard:
                using.append(threading.current_thread().name)
                most = max(most, len(using))
            with guard:
                using.remove(threading.current_thread().name)

    workers = [threading.Thread(target=work, name=f"user-{n}") for n in range(10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return len(using) + (most > 3)


def queue_fed_threads(threading: Any, queue: Any) -> list[int]:
    """Two workers take jobs until they get None; the main thread waits for all to be done."""
    jobs, results = queue.Queue(maxsize=2), queue.Queue()

    def work() -> None:
        while (job := jobs.get()) is not None:
            results.put(job * job)
            jobs.task_done()
        jobs.task_done()

    workers = [threading.Thread(target=work, daemon=True) for _ in range(2)]
    for worker in workers:
        worker.start()
    for job in (1, 2, 3, 4, None, None):
        jobs.put(job)
    jobs.join()
    for worker in workers:
        worker.join()
    return sorted(results.get_nowait() for _ in range(4))


def thread_subclass(threading: Any) -> tuple[list[int], bool]:
    """A subclass with a constructor of its own and its own ``run``."""

    class Summer(threading.Thread):
        def __init__(self, upto: int) -> None:
            super().__init__(name="summer")
            self.upto = upto
            self.total = 0

        def run(self) -> None:
            assert threading.current_thread() is self
            self.total = sum(range(self.upto))

    summers = [Summer(n) for n in (3, 4)]
    for summer in summers:
        summer.start()
    for summer in summers:
        summer.join()
    return [summer.total for summer in summers], any(summer.is_alive() for summer in summers)


def repeating_timer(threading: Any) -> int:
    """A subclass of Timer that goes on until it is cancelled."""

    class Repeating(threading.Timer):
        def run(self) -> None:
            while not self.finished.wait(self.interval):
                self.function(*self.args, **self.kwargs)

    ticks: list[int] = []
    enough = threading.Event()

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            enough.set()

    timer = Repeating(0.001, tick)
    timer.start()
    enough.wait(DEADLOCK_S)
    timer.cancel()
    timer.join()
    return min(3, len(ticks))


def handing_over(threading: Any) -> list[str]:
    """Two threads take turns, told by a condition."""
    condition = threading.Condition()
    said: list[str] = []

    def speak(word: str, turn: int) -> None:
        for n in range(2):
            with condition:
                condition.wait_for(lambda n=n: len(said) == 2 * n + turn, DEADLOCK_S)
                said.append(word)
                condition.notify_all()

    speakers = [threading.Thread(target=speak, args=(word, turn)) for turn, word in enumerate(("ping", "pong"))]
    for speaker in speakers:
        speaker.start()
    for speaker in speakers:
        speaker.join()
    return said


def own_numbers(threading: Any) -> list[int]:
    """Each thread counts for itself in a subclass of ``local``."""

    class Counter(threading.local):
        def __init__(self, start: int) -> None:
            self.n = start

    counter, results = Counter(10), []

    def count(times: int) -> None:
        for _ in range(times):
            counter.n += 1
        results.append(counter.n)

    threads = [threading.Thread(target=count, args=(times,)) for times in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(results)


def low_level_threads(_thread: Any) -> list[int]:
    """Locks tell that threads have ended."""
    done: list[int] = []
    locks = [_thread.allocate_lock() for _ in range(3)]

    def work(n: int, lock: Any) -> None:
        done.append(n)
        lock.release()
        if n == 1:
            _thread.exit()

    for n, lock in enumerate(locks):
        lock.acquire()
        _thread.start_new_thread(work, (n, lock))
    for lock in locks:
        lock.acquire()
    return sorted(done)


def appointments(sched: Any) -> list[str]:
    """Events happen by time, then by priority; one is cancelled."""
    said: list[str] = []
    scheduler = sched.scheduler()
    start = scheduler.timefunc()
    scheduler.enterabs(start + 0.002, 2, said.append, ("less important",))
    scheduler.enterabs(start + 0.002, 1, said.append, ("important",))
    cancelled = scheduler.enter(0.001, 1, said.append, ("never",))
    scheduler.enterabs(start, 1, said.append, kwargs={}, argument=("at once",))
    scheduler.cancel(cancelled)
    scheduler.run()
    return said


def several_requests(concurrent_futures: Any) -> dict[str, int]:
    """Many calls at once, looked at as they come; one of them fails."""
    with concurrent_futures.ThreadPoolExecutor(max_workers=3) as executor:
        calls = {executor.submit(int, text): text for text in ("1", "22", "three")}
        results = {}
        for future in concurrent_futures.as_completed(calls):
            try:
                results[calls[future]] = future.result()
            except ValueError:
                results[calls[future]] = -1
    return results


def pool_of_threads(multiprocessing_dummy: Any) -> list[int]:
    """The pool of ``multiprocessing.dummy``."""
    with multiprocessing_dummy.Pool(2) as pool:
        return pool.map(lambda x: x * x, range(4))  # type: ignore[no-any-return]


WITH_THREADS: list[Any] = [
    pytest.param(connection_pool, 0, marks=pytest.mark.covers("semaphore-example")),
    pytest.param(queue_fed_threads, [1, 4, 9, 16], marks=pytest.mark.covers("queue")),
    pytest.param(thread_subclass, ([3, 6], False), marks=pytest.mark.covers("thread-objects")),
    pytest.param(repeating_timer, 3, marks=pytest.mark.covers("timer-objects")),
    pytest.param(handing_over, ["ping", "pong"] * 2, marks=pytest.mark.covers("condition-objects")),
    pytest.param(own_numbers, [11, 12], marks=pytest.mark.covers("thread-local-data")),
    pytest.param(low_level_threads, [0, 1, 2], marks=pytest.mark.covers("_thread")),
    pytest.param(appointments, ["at once", "important", "less important"], marks=pytest.mark.covers("sched")),
    pytest.param(
        several_requests, {"1": 1, "22": 22, "three": -1}, marks=pytest.mark.covers("threadpoolexecutor-example")
    ),
]


# With processes.


def square(x: int) -> int:
    return x * x


def put_letters(queue: Any, letters: str) -> None:
    for letter in letters:
        queue.put(letter)
    queue.close()
    queue.join_thread()


def put_hello(connection: Any) -> None:
    connection.send([42, None, "hello"])
    connection.close()


def add_to_all(number: Any, numbers: Any, lock: Any) -> None:
    with lock:
        number.value += 1.5
        for index in range(len(numbers)):
            numbers[index] = -numbers[index]


def fill(shared: Any, items: Any) -> None:
    shared[1] = "1"
    shared["two"] = 2
    items.reverse()


def answer(tasks: Any, results: Any) -> None:
    for fn, args in iter(tasks.get, "STOP"):
        results.put(fn(*args))


def put_deep(where: dict[str, list[Any]], item: object) -> None:
    where["queues"][0].put(item)


def first_steps(multiprocessing: Any) -> tuple[list[int], object, int]:
    """A pool that maps a function over data, and a process that is used as a thread is."""
    with multiprocessing.Pool(5) as pool:
        squares = pool.map(square, [1, 2, 3])
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=put_deep, args=({"queues": [queue]},), kwargs={"item": "bob"})
    process.start()
    process.join()
    return squares, queue.get(timeout=DEADLOCK_S), process.exitcode


def pool_of_workers(multiprocessing: Any) -> list[object]:
    """The ways to call a pool."""
    with multiprocessing.Pool(processes=2) as pool:
        squares = pool.map(square, range(4))
        unordered = sorted(pool.imap_unordered(square, range(4)))
        one = pool.apply_async(square, (20,)).get(timeout=DEADLOCK_S)
        many = pool.starmap(pow, [(2, 3), (3, 2)])
    return [squares, unordered, one, many]


def exchanging_objects(multiprocessing: Any) -> tuple[list[str], object]:
    """A queue and a pipe."""
    context = multiprocessing.get_context()
    queue = context.Queue()
    writer = context.Process(target=put_letters, args=(queue, "abc"))
    writer.start()
    letters = [queue.get(timeout=DEADLOCK_S) for _ in range(3)]
    writer.join()
    here, there = context.Pipe()
    greeter = context.Process(target=put_hello, args=(there,))
    greeter.start()
    greeting = here.recv()
    greeter.join()
    here.close()
    return letters, greeting


def sharing_state(multiprocessing: Any) -> tuple[float, list[int]]:
    """A number and an array in shared memory, under a lock."""
    number, numbers = multiprocessing.Value("d", 0.0), multiprocessing.Array("i", range(3))
    lock = multiprocessing.Lock()
    children = [multiprocessing.Process(target=add_to_all, args=(number, numbers, lock)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    return number.value, numbers[:]


def sharing_by_a_manager(multiprocessing: Any) -> tuple[dict[object, object], list[int]]:
    """A dict and a list that a manager keeps."""
    with multiprocessing.Manager() as manager:
        shared, items = manager.dict(), manager.list(range(3))
        child = multiprocessing.Process(target=fill, args=(shared, items))
        child.start()
        child.join()
        return dict(shared.items()), list(items)


def queue_fed_workers(multiprocessing: Any) -> list[int]:
    """Tasks through one queue, results through another."""
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=answer, args=(tasks, results)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for n in range(5):
        tasks.put((square, (n,)))
    found = sorted(results.get(timeout=DEADLOCK_S) for _ in range(5))
    for _ in workers:
        tasks.put("STOP")
    for worker in workers:
        worker.join()
    return found


#: The standard library would start processes for them, and leave some.
WITH_PROCESSES: list[Any] = [
    pytest.param(pool_of_threads, [0, 1, 4, 9], marks=pytest.mark.covers("module-multiprocessing.dummy")),
    pytest.param(first_steps, ([1, 4, 9], "bob", 0), marks=pytest.mark.covers("introduction", "the-process-class")),
    pytest.param(
        pool_of_workers, [[0, 1, 4, 9], [0, 1, 4, 9], 400, [8, 9]], marks=pytest.mark.covers("using-a-pool-of-workers")
    ),
    pytest.param(
        exchanging_objects,
        (["a", "b", "c"], [42, None, "hello"]),
        marks=pytest.mark.covers("exchanging-objects-between-processes"),
    ),
    pytest.param(sharing_state, (4.5, [0, -1, -2]), marks=pytest.mark.covers("sharing-state-between-processes")),
    pytest.param(sharing_by_a_manager, ({1: "1", "two": 2}, [2, 1, 0]), marks=pytest.mark.covers("managers")),
    pytest.param(queue_fed_workers, [0, 1, 4, 9, 16], marks=pytest.mark.covers("examples")),
]


def modules_of(program: Program) -> list[str]:
    """What it would import."""
    names = inspect.signature(program).parameters
    return [name if name.startswith("_") else name.replace("_", ".") for name in names]


@pytest.mark.parametrize(("program", "expected"), WITH_THREADS)
def test_a_program_with_threads_runs_on_the_standard_library(program: Program, expected: object) -> None:
    """The program is right."""
    assert program(*map(importlib.import_module, modules_of(program))) == expected


@pytest.mark.covers("examples")
@pytest.mark.parametrize(("program", "expected"), [*WITH_THREADS, *WITH_PROCESSES])
def test_a_program_runs_on_the_backend(backend: Any, program: Program, expected: object) -> None:
    """It does the same with the modules of the backend."""
    assert program(*map(backend.as_module, modules_of(program))) == expected


@pytest.mark.covers("dummy_threading")
@pytest.mark.parametrize("program", [connection_pool, handing_over, own_numbers])
def test_a_program_with_threads_runs_with_dummy_threading(backend: Any, program: Program) -> None:
    """One changed import takes it from ``threading`` to ``dummy_threading``."""
    assert program(backend.as_module("dummy_threading")) == program(backend.as_module("threading"))
