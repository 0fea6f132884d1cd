"""
The guidelines for programs that use ``multiprocessing``, and what has become of them here.

``docs/guidelines.md`` goes through them one by one and names these tests. What holds only because
tasks share the caller's process asks for that.
"""

import gc
import io
import pickle
import sys
from collections.abc import Iterator
from typing import Any, Final

import pytest

from manyhands import Executor

from .support import DEADLOCK_S, Beside, eventually, leaks, run_script

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability

SETTING = "as imported"


def what_is_set() -> str:
    return SETTING


def take_later(lock: Any, go: Any, out: Any) -> None:
    go.wait(DEADLOCK_S)
    out.put(lock.acquire(timeout=DEADLOCK_S))
    lock.release()


def numbers() -> Iterator[int]:
    yield from range(3)


def is_picklable(thing: object) -> bool:
    try:
        pickle.dumps(thing)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


@pytest.mark.contract("manyhands.Backend")
@covers("programming-guidelines", "all-start-methods")
class TestAllStartMethods:
    @capability("in_process")
    def test_methods_of_proxies_take_what_cannot_be_pickled(self, backend: Any) -> None:
        """Picklability: the arguments arrive as they are."""
        double = lambda x: 2 * x  # noqa: E731
        with backend.manager() as manager:
            functions = manager.dict()
            functions["double"] = double

            assert not is_picklable(double)
            assert functions["double"](4) == 8

    @capability("not deterministic")
    def test_a_proxy_may_be_used_from_any_thread(self, backend: Any, beside: Beside) -> None:
        """Thread safety of proxies: eight threads use one at once, without a lock."""
        with backend.manager() as manager:
            shared = manager.list()
            beside.together(8, lambda n: [shared.append((n, i)) for i in range(100)])

            assert sorted(shared) == [(n, i) for n in range(8) for i in range(100)]

    def test_what_has_ended_leaves_nothing_although_nobody_joins_it(self, backend: Any) -> None:
        """Joining zombie processes: neither a thread nor a process is left."""
        out = backend.queue()
        before = leaks.take_stock()
        for n in range(5):
            backend.Activity(target=out.put, args=(n,)).start()

        assert sorted(out.get(timeout=DEADLOCK_S) for _ in range(5)) == list(range(5))
        assert eventually(lambda: not leaks.take_stock().beyond(before), on=backend)

    def test_a_producer_ends_before_anybody_takes_what_it_put(self, backend: Any) -> None:
        """Joining processes that use queues: joining first is no deadlock, and nothing is lost."""
        queue = backend.queue()
        producer = backend.Activity(target=queue.put, args=("x" * 1_000_000,))
        producer.start()
        producer.join(DEADLOCK_S)

        assert not producer.is_alive()
        assert queue.get(timeout=DEADLOCK_S) == "x" * 1_000_000

    def test_an_argument_lives_as_long_as_somebody_uses_it(self, backend: Any) -> None:
        """Explicitly passing resources: the caller may forget it at once."""
        lock, go, out = backend.lock(), backend.event(), backend.queue()
        activity = backend.Activity(target=take_later, args=(lock, go, out))
        activity.start()
        del lock
        gc.collect()
        go.set()

        assert out.get(timeout=DEADLOCK_S) is True
        activity.join(DEADLOCK_S)

    @capability("in_process")
    def test_a_replaced_stdin_is_the_tasks_too(self, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
        """Replacing sys.stdin: tasks read from the same object, and nobody closes it."""
        monkeypatch.setattr(sys, "stdin", io.StringIO("first\nsecond\n"))

        assert executor.submit(lambda: sys.stdin.readline()).result(DEADLOCK_S) == "first\n"
        assert sys.stdin.readline() == "second\n"


@pytest.mark.contract("manyhands.Backend")
@covers("programming-guidelines", "the-spawn-and-forkserver-start-methods")
@capability("in_process")
class TestSpawnAndForkserver:
    def test_targets_and_arguments_need_not_be_picklable(self, backend: Any) -> None:
        """More picklability: a lambda, and a generator for it."""
        out, target, argument = backend.queue(), lambda numbers: out.put(sum(numbers)), numbers()
        activity = backend.Activity(target=target, args=(argument,))
        activity.start()

        assert out.get(timeout=DEADLOCK_S) == 3
        assert not is_picklable(target)
        assert not is_picklable(argument)
        activity.join(DEADLOCK_S)

    def test_a_subclass_need_not_be_picklable(self, backend: Any) -> None:
        """More picklability: an instance with a file and a class that nobody can import."""
        out = backend.queue()

        class Reader(backend.Activity):
            def __init__(self, file: io.StringIO) -> None:
                super().__init__()
                self.lines = iter(file)

            def run(self) -> None:
                out.put(next(self.lines))

        reader = Reader(io.StringIO("a line"))
        reader.start()

        assert out.get(timeout=DEADLOCK_S) == "a line"
        assert not is_picklable(reader)
        reader.join(DEADLOCK_S)

    def test_globals_are_the_same_for_all(self, executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
        """Global variables: a task sees them as they are when it looks."""
        before = executor.submit(what_is_set).result(DEADLOCK_S)
        monkeypatch.setitem(globals(), "SETTING", "as changed")

        assert (before, executor.submit(what_is_set).result(DEADLOCK_S)) == ("as imported", "as changed")

    def test_the_main_module_is_not_imported_again(self, backend: Any) -> None:
        """Safe importing of the main module: without the ``if`` around it, it runs once."""
        finished = run_script(
            """
            import sys
            import manyhands

            print("here")
            with manyhands.open_executor(sys.argv[1]) as executor:
                print(executor.submit(pow, 2, 5).result())
            """,
            backend.name,
        )

        assert (finished.stdout.splitlines(), finished.stderr) == (["here", "32"], "")
