"""``multiprocessing`` over a backend: what differs from a table of names."""

import os
import pickle
from pathlib import Path
from typing import Any, Final

import pytest

from manyhands import UnsupportedError

from .support import DEADLOCK_S, Beside, eventually, run_script

pytestmark: Final = pytest.mark.contract("manyhands.Backend.as_module")


@pytest.fixture
def face(backend: Any) -> Any:
    """The module."""
    return backend.as_module("multiprocessing")


# Processes.


@pytest.mark.covers("the-process-class")
def test_an_exit_code_says_how_it_ended(face: Any) -> None:
    """0, the code of ``sys.exit``, and None before."""
    release = face.Event()

    def leave() -> None:
        release.wait()
        raise SystemExit(3)

    process = face.Process(target=leave)
    process.start()
    before = process.exitcode
    release.set()
    process.join()

    assert (before, process.exitcode) == (None, 3)


@pytest.mark.covers("the-process-class")
@pytest.mark.capability("in_process")
def test_without_processes_the_number_is_the_programs(face: Any) -> None:
    """``pid`` and ``ident``, from within and from without."""
    seen: list[Any] = []
    process = face.Process(target=lambda: seen.append((face.current_process().pid, face.current_process().ident)))
    assert process.pid is None
    process.start()
    process.join()

    assert seen == [(os.getpid(), os.getpid())]
    assert process.pid == os.getpid()


@pytest.mark.covers("the-process-class")
@pytest.mark.capability("not cancel_running")
@pytest.mark.parametrize("method", ["terminate", "kill", "interrupt"])
def test_what_cannot_be_ended_from_outside_says_so(backend: Any, face: Any, method: str) -> None:
    """An UnsupportedError that names the backend."""
    release = face.Event()
    process = face.Process(target=release.wait)
    process.start()

    try:
        with pytest.raises(UnsupportedError, match=f"^backend '{backend.name}' does not offer"):
            getattr(process, method)()
    finally:
        release.set()
        process.join()


@pytest.mark.covers("the-process-class")
def test_a_process_may_be_subclassed(face: Any) -> None:
    """With ``run`` and a constructor of its own."""

    class Doubler(face.Process):
        def __init__(self, results: Any) -> None:
            super().__init__(name="doubler")
            self.results = results

        def run(self) -> None:
            self.results.put((self.name, self is face.current_process()))

    results = face.Queue()
    process = Doubler(results)
    process.start()

    assert results.get(timeout=DEADLOCK_S) == ("doubler", True)
    process.join()


@pytest.mark.covers("miscellaneous")
def test_a_child_has_its_own_children(face: Any) -> None:
    """``active_children`` shows those that the current process has made."""
    seen: list[Any] = []
    looked, release = face.Event(), face.Event()

    def parent() -> None:
        child = face.Process(target=release.wait, daemon=True)
        child.start()
        seen.extend([child, face.active_children()])
        looked.set()
        release.wait()

    process = face.Process(target=parent, daemon=True)
    process.start()
    assert looked.wait(DEADLOCK_S)
    outer = face.active_children()
    release.set()
    process.join()

    child, inner = seen
    child.join()
    assert (inner, outer) == ([child], [process])


# Locks and queues with the arguments of multiprocessing.


@pytest.mark.covers("synchronization-between-processes")
@pytest.mark.parametrize("make", ["Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore"])
def test_acquire_takes_block_and_timeout(face: Any, make: str, beside: Beside) -> None:
    """By name; a negative timeout is none, and without *block* a timeout has no meaning."""
    lock = getattr(face, make)()
    assert lock.acquire(block=True, timeout=None)

    outcomes = beside(
        lambda: [
            lock.acquire(block=True, timeout=0.001),
            lock.acquire(block=True, timeout=-1),
            lock.acquire(block=False, timeout=5),
        ]
    ).outcome()

    assert outcomes == [False, False, False]
    lock.release()


@pytest.mark.covers("synchronization-primitives")
def test_a_condition_shares_a_lock_of_the_module(face: Any) -> None:
    """Who has the lock may notify."""
    lock = face.Lock()
    condition = face.Condition(lock)

    with lock:
        condition.notify_all()

    with pytest.raises(RuntimeError):
        condition.notify_all()


@pytest.mark.covers("synchronization-primitives")
def test_kinds_of_locks_are_told_apart(face: Any) -> None:
    """Each is an instance of its own class."""
    kinds = [face.Lock, face.RLock, face.Condition, face.Semaphore, face.Queue, face.Event]

    for kind in kinds:
        assert [isinstance(kind(), other) for other in kinds] == [other is kind for other in kinds]


@pytest.mark.covers("synchronization-primitives")
def test_a_shape_is_as_equal_as_what_it_stands_for(face: Any) -> None:
    """Two shapes of one lock are equal and have one hash, of two locks they are not."""
    lock = face.Lock()
    twin = type(lock)(lock._inner)

    assert (lock == twin, hash(lock) == hash(twin), lock == face.Lock()) == (True, True, False)


@pytest.mark.covers("synchronization-primitives")
def test_a_shape_is_pickled_as_what_it_stands_for(face: Any) -> None:
    """So it may go wherever the backend's own may, and is refused where that is."""
    with pytest.raises((pickle.PickleError, TypeError)):
        pickle.dumps(face.Lock())


@pytest.mark.covers("synchronization-primitives")
def test_a_shape_has_no_other_private_attributes(face: Any) -> None:
    """Protocols that ask for them, like copy, get an answer."""
    assert not hasattr(face.Lock(), "_nothing")


@pytest.mark.covers("pipes-and-queues")
def test_a_queue_that_one_has_closed_serves_the_others(face: Any, beside: Beside) -> None:
    """``close`` speaks for the activity that calls it, and what it put is there."""
    queue = face.Queue()
    queue.put("first")
    queue.close()
    queue.join_thread()
    queue.cancel_join_thread()

    beside(queue.put, "second").outcome()

    assert [queue.get(), queue.get(), queue.empty()] == ["first", "second", True]


@pytest.mark.covers("pipes-and-queues")
def test_a_queue_has_the_size_that_was_asked_for(face: Any) -> None:
    """``maxsize``, by position or by name."""
    for queue in (face.Queue(1), face.JoinableQueue(maxsize=1)):
        queue.put("first")
        assert queue.full()
        with pytest.raises(face.sibling("queue").Full):
            queue.put_nowait("second")


@pytest.mark.covers("shared-ctypes-objects")
def test_a_value_may_share_a_lock_of_the_module(face: Any) -> None:
    """``get_lock`` gives the lock that was passed."""
    lock = face.Lock()

    assert face.Value("i", 0, lock=lock).get_lock() is lock


# The rest.


@pytest.mark.covers("contexts-and-start-methods")
@pytest.mark.capability("in_process")
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_without_processes_there_is_no_start_method(backend: Any, face: Any, method: str) -> None:
    """The error names backend, function and method."""
    message = rf"'{backend.name}' does not offer multiprocessing\.get_context\('{method}'\): its activities are not"

    with pytest.raises(UnsupportedError, match=message):
        face.get_context(method)


@pytest.mark.covers("contexts-and-start-methods")
def test_the_start_method_is_the_backends() -> None:
    """A backend with the option ``start_method`` accepts that one and names it when another is asked for."""
    finished = run_script(
        """
        import attrs
        from manyhands import BackendOptions, Capabilities, LocalHost, Backend, UnsupportedError

        @attrs.frozen(kw_only=True)
        class Options(BackendOptions):
            start_method: str = "spawn"

        class Spawning(Backend):
            name, contract, capabilities, options_type = "spawning", 1, Capabilities(), Options
            make_engine = start_activity = None
            def make_host(self): return LocalHost()

        mp = Spawning(Options()).as_module("multiprocessing")
        assert mp.get_start_method() == "spawn"
        assert mp.get_context("spawn") is mp
        assert "spawn" in mp.get_all_start_methods()
        mp.set_start_method("spawn")
        try:
            mp.set_start_method("fork")
        except UnsupportedError as error:
            print(error)
        """
    )

    assert finished.stderr == ""
    assert finished.stdout.endswith("multiprocessing.set_start_method('fork'): its option start_method is 'spawn'\n")


@pytest.mark.covers("logging")
def test_log_events_are_printed(backend: Any) -> None:
    """``log_to_stderr`` shows what the backend's log says."""
    finished = run_script(
        """
        import logging, sys
        import manyhands

        with manyhands.open_backend(sys.argv[1], max_workers=1) as backend:
            backend.as_module("multiprocessing").log_to_stderr(logging.INFO)
            manyhands.get_logger("manyhands.example").warning("worker.lost", worker=2)
        """,
        backend.name,
    )

    assert finished.stderr == "[WARNING/MainProcess] worker.lost worker=2\n"


@pytest.mark.covers("module-multiprocessing.dummy")
def test_a_dummy_process_is_a_thread(backend: Any) -> None:
    """It is the current thread of what it runs, and its errors reach the hook of ``threading``."""
    dummy, threading = backend.as_module("multiprocessing.dummy"), backend.as_module("threading")
    errors: list[Any] = []
    threading.excepthook = errors.append

    process = dummy.Process(target=divmod, args=(1, 0))
    process.start()
    process.join()

    assert isinstance(process, threading.Thread)
    assert [error.thread for error in errors] == [process]
    assert process.exitcode == 1


# Shared memory.


@pytest.mark.covers("shared_memory")
def test_memory_is_kept_until_it_is_unlinked(backend: Any) -> None:
    """Who made it may close it before others attach."""
    face = backend.as_module("multiprocessing.shared_memory")
    made = face.SharedMemory(create=True, size=3)
    made.buf[:] = b"abc"
    made.close()

    attached = face.SharedMemory(made.name)

    assert bytes(attached.buf) == b"abc"
    attached.close()
    attached.unlink()


@pytest.mark.covers("shared_memory")
def test_memory_that_nobody_unlinked_goes_with_the_backend(backend: Any) -> None:
    """No name stays in the system."""
    with type(backend)(backend.options) as other:
        memory = other.as_module("multiprocessing.shared_memory").SharedMemory(create=True, size=3)
        path = Path("/dev/shm", memory.name)
        assert path.exists()
    memory.close()

    assert not path.exists()


@pytest.mark.covers("shared_memory")
def test_a_program_that_knows_nothing_of_us_attaches_by_name(backend: Any) -> None:
    """With the standard library."""
    memory = backend.as_module("multiprocessing.shared_memory").SharedMemory(create=True, size=3)
    finished = run_script(
        """
        import sys
        from multiprocessing import resource_tracker, shared_memory

        resource_tracker.register = lambda *args: None  # it would remove the name with this program
        memory = shared_memory.SharedMemory(sys.argv[1])
        memory.buf[:3] = b"abc"
        memory.close()
        """,
        memory.name,
    )

    assert finished.stderr == ""
    assert bytes(memory.buf) == b"abc"
    memory.close()
    memory.unlink()


@pytest.mark.covers("shared_memory")
def test_memory_made_by_others_can_be_unlinked(backend: Any) -> None:
    """By whoever is attached to it."""
    face = backend.as_module("multiprocessing.shared_memory")
    with type(backend)(backend.options) as other:
        made = other.as_module("multiprocessing.shared_memory").SharedMemory(create=True, size=3)
        attached = face.SharedMemory(made.name)
        attached.unlink()

        assert not Path("/dev/shm", made.name).exists()
        attached.close()
        made.close()


@pytest.mark.covers("shared_memory")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"create": True}, "the size of shared memory must be at least 1 byte, got 0"),
        ({}, "the name of shared memory can only be left out when it is created"),
    ],
)
def test_memory_needs_a_size_or_a_name(backend: Any, arguments: dict[str, Any], message: str) -> None:
    """The standard library's class of error."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        backend.as_module("multiprocessing.shared_memory").SharedMemory(**arguments)


@pytest.mark.covers("shared_memory")
def test_closed_memory_has_no_content(backend: Any) -> None:
    """And may be closed again."""
    memory = backend.as_module("multiprocessing.shared_memory").SharedMemory(create=True, size=3)
    memory.close()
    memory.close()

    assert memory.buf is None
    memory.unlink()


@pytest.mark.covers("shared_memory")
def test_no_process_tracks_memory(backend: Any) -> None:
    """Making, attaching and unlinking starts no helper process."""
    from multiprocessing import resource_tracker

    memory = backend.as_module("multiprocessing.shared_memory").SharedMemory(create=True, size=3)
    memory.close()
    memory.unlink()

    assert eventually(lambda: resource_tracker._resource_tracker._pid is None, on=backend)  # type: ignore[attr-defined]
