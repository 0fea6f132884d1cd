"""Every public name of every module, one test each: it works on the backend, or says that it is not offered."""

import concurrent.futures
import contextlib
import ctypes
import importlib
import logging
import multiprocessing.managers
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from manyhands import ExecutorBrokenError, UnsupportedError

from .support import DEADLOCK_S, Beside

pytestmark: Final = pytest.mark.contract("manyhands.Backend.as_module")

Use = Callable[[Any], object]


# What can be asked of things that several modules have.


def is_taken_and_given_back(lock: Any) -> None:
    with lock:
        assert not lock.acquire(False)
    assert lock.acquire(False)
    lock.release()


def is_taken_twice(lock: Any) -> None:
    with lock, lock:
        pass
    with pytest.raises((RuntimeError, AssertionError)):
        lock.release()


def wakes_a_waiter(condition: Any, activity: Any) -> None:
    ready: list[bool] = []

    def tell() -> None:
        with condition:
            ready.append(True)
            condition.notify()

    with condition:
        teller = activity(target=tell)
        teller.start()
        assert condition.wait_for(lambda: ready, DEADLOCK_S)
    teller.join()


def counts_to_two(semaphore: Any) -> None:
    assert [semaphore.acquire(False) for _ in range(3)] == [True, True, False]
    semaphore.release()
    semaphore.release()


def has_a_bound(semaphore: Any) -> None:
    with pytest.raises(ValueError):
        semaphore.release()


def is_set_by_another(event: Any, activity: Any) -> None:
    setter = activity(target=event.set)
    setter.start()
    assert event.wait(DEADLOCK_S)
    assert event.is_set()
    setter.join()


def meets_another(barrier: Any, activity: Any) -> None:
    other = activity(target=barrier.wait)
    other.start()
    assert barrier.wait(DEADLOCK_S) in (0, 1)
    other.join()


def gives_items(queue: Any, *expected: object) -> None:
    for item in (2, 3, 1):
        queue.put(item)
    assert tuple(queue.get() for _ in range(3)) == expected
    assert queue.empty()


def says_hello_through(pipe: Any) -> None:
    one, other = pipe
    with one, other:
        one.send("hello")
        assert other.recv() == "hello"


def runs(activity: Any) -> None:
    done: list[int] = []
    made = activity(target=done.append, args=(1,))
    made.start()
    made.join()
    assert done == [1]
    assert not made.is_alive()


def maps(pool: Any) -> None:
    with pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]


def is_exactly(original: str) -> Use:
    """The very object that is found in the standard library as *original*, ``module:name``."""
    module, _, name = original.partition(":")

    def check(face: Any) -> None:
        assert getattr(face, name) is getattr(importlib.import_module(module), name)

    return check


def is_true(question: Callable[[Any], object]) -> Use:
    """Something that a module answers with yes."""

    def check(face: Any) -> None:
        assert question(face)

    return check


def is_refused(face: Any, name: str) -> None:
    """The call says that the backend has no such thing."""
    with pytest.raises(UnsupportedError, match=rf"^backend '\w+' does not offer {face.__name__}\.{name}\(\)"):
        getattr(face, name)()


# threading


def uses_local(face: Any) -> None:
    data = face.local()
    data.x = 1
    seen: list[bool] = []
    runs_seen = face.Thread(target=lambda: seen.append(hasattr(data, "x")))
    runs_seen.start()
    runs_seen.join()
    assert seen == [False]


def uses_timer(face: Any) -> None:
    fired = face.Event()
    timer = face.Timer(0.001, fired.set)
    timer.start()
    assert fired.wait(DEADLOCK_S)
    timer.join()


def uses_excepthook(face: Any) -> None:
    seen: list[Any] = []
    face.excepthook = seen.append
    thread = face.Thread(target=divmod, args=(1, 0))
    thread.start()
    thread.join()
    assert [(args.exc_type, args.thread) for args in seen] == [(ZeroDivisionError, thread)]


def inside(face: Any, ask: Callable[[], object]) -> tuple[Any, object]:
    """A thread, and what *ask* answered in it."""
    answers: list[object] = []
    thread = face.Thread(target=lambda: answers.append(ask()))
    thread.start()
    thread.join()
    return thread, answers[0]


def uses_current_thread(face: Any) -> None:
    thread, answer = inside(face, face.current_thread)
    assert answer is thread
    assert face.current_thread() is threading.main_thread()


def uses_identifier(name: str, attribute: str) -> Use:
    def check(face: Any) -> None:
        thread, answer = inside(face, getattr(face, name))
        assert answer == getattr(thread, attribute)
        assert getattr(face, name)() == getattr(threading, name)()

    return check


def uses_enumerate(face: Any) -> None:
    thread, answer = inside(face, face.enumerate)
    assert isinstance(answer, list)
    assert thread in answer
    assert threading.main_thread() in answer
    assert thread not in face.enumerate()


def uses_active_count(face: Any) -> None:
    before = face.active_count()
    assert inside(face, face.active_count)[1] == before + 1


def traces(setter: str, getter: str, module_setter: str) -> Use:
    """What is set sees the calls of a thread that starts later."""

    def check(face: Any) -> None:
        events: list[str] = []

        def note(_frame: Any, event: str, _arg: Any) -> None:
            events.append(event)

        before, before_here = getattr(face, getter)(), getattr(sys, f"get{module_setter.removeprefix('set')}")()
        getattr(face, setter)(note)
        try:
            assert getattr(face, getter)() is note
            runs(face.Thread)
        finally:
            getattr(face, setter)(before)
            getattr(sys, module_setter)(before_here)
        assert "call" in events

    return check


def uses_stack_size(face: Any) -> None:
    before = face.stack_size(1 << 20)
    try:
        assert face.stack_size() == 1 << 20
    finally:
        face.stack_size(before)


def uses_iterator(wrap: Callable[[Any], Any]) -> Use:
    def check(face: Any) -> None:
        assert list(wrap(face)) == [1, 2]

    return check


THREADING: dict[str, Use] = {
    "Barrier": lambda face: meets_another(face.Barrier(2), face.Thread),
    "BoundedSemaphore": lambda face: has_a_bound(face.BoundedSemaphore(2)),
    "BrokenBarrierError": is_exactly("threading:BrokenBarrierError"),
    "Condition": lambda face: wakes_a_waiter(face.Condition(face.Lock()), face.Thread),
    "Event": lambda face: is_set_by_another(face.Event(), face.Thread),
    "ExceptHookArgs": is_exactly("threading:ExceptHookArgs"),
    "Lock": lambda face: is_taken_and_given_back(face.Lock()),
    "RLock": lambda face: is_taken_twice(face.RLock()),
    "Semaphore": lambda face: counts_to_two(face.Semaphore(2)),
    "TIMEOUT_MAX": is_exactly("threading:TIMEOUT_MAX"),
    "Thread": lambda face: runs(face.Thread),
    "ThreadError": is_exactly("threading:ThreadError"),
    "Timer": uses_timer,
    "activeCount": is_true(lambda face: face.activeCount() == face.active_count()),
    "active_count": uses_active_count,
    "concurrent_tee": uses_iterator(lambda face: face.concurrent_tee([1, 2])[0]),
    "currentThread": is_true(lambda face: face.currentThread is face.current_thread),
    "current_thread": uses_current_thread,
    "enumerate": uses_enumerate,
    "excepthook": uses_excepthook,
    "get_ident": uses_identifier("get_ident", "ident"),
    "get_native_id": uses_identifier("get_native_id", "native_id"),
    "getprofile": traces("setprofile", "getprofile", "setprofile"),
    "gettrace": traces("settrace", "gettrace", "settrace"),
    "local": uses_local,
    "main_thread": lambda face: face.main_thread().join,
    "serialize_iterator": uses_iterator(lambda face: face.serialize_iterator([1, 2])),
    "setprofile": traces("setprofile", "getprofile", "setprofile"),
    "setprofile_all_threads": traces("setprofile_all_threads", "getprofile", "setprofile"),
    "settrace": traces("settrace", "gettrace", "settrace"),
    "settrace_all_threads": traces("settrace_all_threads", "gettrace", "settrace"),
    "stack_size": uses_stack_size,
    "synchronized_iterator": uses_iterator(lambda face: face.synchronized_iterator(lambda: iter([1, 2]))()),
}


#: They steer threads of the interpreter: a backend whose activities are something else refuses them.
NEED_THREADS = {
    "concurrent_tee",
    "getprofile",
    "gettrace",
    "interrupt_main",
    "serialize_iterator",
    "setprofile",
    "setprofile_all_threads",
    "settrace",
    "settrace_all_threads",
    "stack_size",
    "synchronized_iterator",
}


# _thread


def uses_start_new_thread(face: Any) -> None:
    done = face.allocate_lock()
    done.acquire()
    assert face.start_new_thread(lambda lock: lock.release(), (done,)) != face.get_ident()
    assert done.acquire(timeout=DEADLOCK_S)


def uses_exit(face: Any) -> None:
    with pytest.raises(SystemExit):
        face.exit()


def uses_interrupt_main(face: Any) -> None:
    def be_interrupted() -> None:
        face.start_new_thread(face.interrupt_main, (signal.SIGINT,))
        threading.Event().wait(DEADLOCK_S)

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()


LOW_LEVEL: dict[str, Use] = {
    "LockType": is_true(lambda face: isinstance(face.allocate_lock(), face.LockType)),
    "TIMEOUT_MAX": is_exactly("_thread:TIMEOUT_MAX"),
    "allocate_lock": lambda face: is_taken_and_given_back(face.allocate_lock()),
    "error": is_exactly("_thread:error"),
    "exit": uses_exit,
    "get_ident": is_true(lambda face: face.get_ident() == threading.get_ident()),
    "get_native_id": is_true(lambda face: face.get_native_id() == threading.get_native_id()),
    "interrupt_main": uses_interrupt_main,
    "stack_size": uses_stack_size,
    "start_new_thread": uses_start_new_thread,
}


# queue and sched

QUEUE: dict[str, Use] = {
    "Empty": is_exactly("manyhands:Empty"),
    "Full": is_exactly("manyhands:Full"),
    "LifoQueue": lambda face: gives_items(face.LifoQueue(), 1, 3, 2),
    "PriorityQueue": lambda face: gives_items(face.PriorityQueue(), 1, 2, 3),
    "Queue": lambda face: gives_items(face.Queue(3), 2, 3, 1),
    "ShutDown": is_exactly("manyhands:ShutDown"),
    "SimpleQueue": lambda face: gives_items(face.SimpleQueue(), 2, 3, 1),
}


def uses_scheduler(face: Any) -> None:
    said: list[str] = []
    scheduler = face.scheduler()
    scheduler.enter(0.002, 1, said.append, ("second",))
    scheduler.enter(0.001, 1, said.append, ("first",))
    scheduler.run()
    assert said == ["first", "second"]


SCHED: dict[str, Use] = {
    "Event": is_exactly("sched:Event"),
    "scheduler": uses_scheduler,
}


# concurrent.futures


def submits_and_maps(make: Callable[[Any], Any]) -> Use:
    def check(face: Any) -> None:
        with make(face) as executor:
            assert executor.submit(pow, 2, 3).result() == 8
            assert list(executor.map(pow, (2, 3), (2, 2))) == [4, 9]

    return check


def two_futures(face: Any) -> Iterator[Any]:
    with face.ThreadPoolExecutor(2) as executor:
        yield [executor.submit(pow, 2, n) for n in (3, 4)]


def uses_wait(face: Any) -> None:
    for futures in two_futures(face):
        done, pending = face.wait(futures, DEADLOCK_S, face.ALL_COMPLETED)
        assert (done, pending) == (set(futures), set())


def uses_as_completed(face: Any) -> None:
    for futures in two_futures(face):
        assert {future.result() for future in face.as_completed(futures)} == {8, 16}


def uses_future(face: Any) -> None:
    for futures in two_futures(face):
        assert all(isinstance(future, face.Future) for future in futures)


FUTURES: dict[str, Use] = {
    **{
        name: is_exactly(f"concurrent.futures:{name}")
        for name in concurrent.futures.__all__
        if name.isupper() or (name.endswith(("Error", "Executor")) and "Pool" not in name)
    },
    "InvalidStateError": is_exactly("concurrent.futures:InvalidStateError"),
    "Future": uses_future,
    "InterpreterPoolExecutor": submits_and_maps(lambda face: face.InterpreterPoolExecutor(2)),
    "ProcessPoolExecutor": submits_and_maps(lambda face: face.ProcessPoolExecutor(2, max_tasks_per_child=5)),
    "ThreadPoolExecutor": submits_and_maps(lambda face: face.ThreadPoolExecutor(2, thread_name_prefix="mine")),
    "as_completed": uses_as_completed,
    "wait": uses_wait,
}


# subprocess

ECHO = [sys.executable, "-c", "print('said')"]


def uses_popen(face: Any) -> None:
    with face.Popen(ECHO, stdout=face.PIPE, stderr=face.DEVNULL, text=True) as process:
        assert process.communicate() == ("said\n", None)


def uses_check_call(face: Any) -> None:
    with pytest.raises(face.CalledProcessError):
        face.check_call([sys.executable, "-c", "raise SystemExit(3)"])


SUBPROCESS: dict[str, Use] = {
    **{name: is_exactly(f"subprocess:{name}") for name in subprocess.__all__ if name[0].isupper() and name != "Popen"},
    "Popen": uses_popen,
    "call": is_true(lambda face: face.call([sys.executable, "-c", "raise SystemExit(3)"]) == 3),
    "check_call": uses_check_call,
    "check_output": is_true(lambda face: face.check_output(ECHO, text=True) == "said\n"),
    "getoutput": is_true(lambda face: face.getoutput("echo said") == "said"),
    "getstatusoutput": is_true(lambda face: face.getstatusoutput("echo said; exit 3") == (3, "said")),
    "list2cmdline": is_true(lambda face: face.list2cmdline(["a b", "c"]) == '"a b" c'),
    "run": is_true(lambda face: face.run(ECHO, capture_output=True, text=True, check=True).stdout == "said\n"),
}


# multiprocessing


def tells_its_value(semaphore: Any) -> None:
    assert semaphore.get_value() == 2
    assert semaphore.acquire(block=True, timeout=0)
    assert semaphore.get_value() == 1
    semaphore.release()


def ends_without_ado(queue: Any) -> None:
    queue.put(1)
    queue.close()
    assert queue.get() == 1


def is_joined(queue: Any) -> None:
    queue.put(1)
    queue.get()
    queue.task_done()
    queue.join()
    queue.close()
    queue.join_thread()


def says_its_name(face: Any) -> None:
    names: list[str] = []
    child = face.Process(target=lambda: names.append(face.current_process().name), name="child")
    child.start()
    child.join()
    assert names == ["child"]
    assert face.current_process().name == "MainProcess"


def knows_its_parent(face: Any) -> None:
    parents: list[Any] = []
    child = face.Process(target=lambda: parents.append(face.parent_process()))
    child.start()
    child.join()
    assert parents == [face.current_process()]
    assert face.parent_process() is None


def knows_its_children(face: Any) -> None:
    release = face.Event()
    child = face.Process(target=release.wait)
    child.start()
    assert face.active_children() == [child]
    release.set()
    child.join()
    assert face.active_children() == []


def uses_value(face: Any) -> None:
    value = face.Value("i", 3)
    with value.get_lock():
        value.value += 1
    assert value.value == 4


def uses_array(face: Any) -> None:
    array = face.Array("i", [1, 2, 3], lock=face.Lock())
    array[0] = 5
    assert array[:] == [5, 2, 3]


def uses_manager(face: Any) -> None:
    with face.Manager() as manager:
        shared = manager.list([1])
        child = face.Process(target=shared.append, args=(2,))
        child.start()
        child.join()
        assert list(shared) == [1, 2]


@contextlib.contextmanager
def logger_as_before() -> Iterator[None]:
    logger = logging.getLogger("manyhands")
    level, handlers = logger.level, logger.handlers[:]
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.handlers[:] = handlers


def uses_log_to_stderr(face: Any) -> None:
    with logger_as_before():
        logger = face.log_to_stderr(logging.INFO)
        assert face.log_to_stderr() is logger is face.get_logger()
        assert logger.level == logging.INFO
        assert [type(handler) for handler in logger.handlers].count(logging.StreamHandler) == 1


def uses_get_context(face: Any) -> None:
    runs(face.get_context().Process)
    with pytest.raises(ValueError, match="cannot find context for 'teleport'"):
        face.get_context("teleport")


def uses_set_start_method(face: Any) -> None:
    face.set_start_method(None)
    if face.get_start_method(allow_none=True) is None:
        with pytest.raises(UnsupportedError, match=r"\.set_start_method\('spawn'\): its activities are not"):
            face.set_start_method("spawn")


def uses_get_start_method(face: Any) -> None:
    if face.get_start_method(allow_none=True) is None:
        is_refused(face, "get_start_method")
    else:
        assert face.get_start_method() in face.get_all_start_methods()


ERRORS = ("AuthenticationError", "BufferTooShort", "ProcessError", "TimeoutError")

MULTIPROCESSING: dict[str, Use] = {
    **{name: is_exactly(f"multiprocessing:{name}") for name in (*ERRORS, "cpu_count", "reducer")},
    "Array": uses_array,
    "Barrier": lambda face: meets_another(face.Barrier(2), face.Process),
    "BoundedSemaphore": lambda face: has_a_bound(face.BoundedSemaphore(2)),
    "Condition": lambda face: wakes_a_waiter(face.Condition(), face.Process),
    "Event": lambda face: is_set_by_another(face.Event(), face.Process),
    "JoinableQueue": lambda face: is_joined(face.JoinableQueue()),
    "Lock": lambda face: is_taken_and_given_back(face.Lock()),
    "Manager": uses_manager,
    "Pipe": lambda face: says_hello_through(face.Pipe()),
    "Pool": lambda face: maps(face.Pool(2)),
    "Process": lambda face: runs(face.Process),
    "Queue": lambda face: ends_without_ado(face.Queue()),
    "RLock": lambda face: is_taken_twice(face.RLock()),
    "RawArray": is_true(lambda face: list(face.RawArray("i", 3)) == [0, 0, 0]),
    "RawValue": is_true(lambda face: face.RawValue(ctypes.c_double, 1.5).value == 1.5),
    "Semaphore": lambda face: tells_its_value(face.Semaphore(2)),
    "SimpleQueue": lambda face: ends_without_ado(face.SimpleQueue()),
    "Value": uses_value,
    "active_children": knows_its_children,
    "allow_connection_pickling": is_true(lambda face: face.allow_connection_pickling() is None),
    "current_process": says_its_name,
    "freeze_support": is_true(lambda face: face.freeze_support() is None),
    "get_all_start_methods": is_true(lambda face: isinstance(face.get_all_start_methods(), list)),
    "get_context": uses_get_context,
    "get_logger": is_true(lambda face: face.get_logger() is logging.getLogger("manyhands")),
    "get_start_method": uses_get_start_method,
    "log_to_stderr": uses_log_to_stderr,
    "parent_process": knows_its_parent,
    "set_executable": lambda face: is_refused(face, "set_executable"),
    "set_forkserver_preload": lambda face: is_refused(face, "set_forkserver_preload"),
    "set_start_method": uses_set_start_method,
}


# The submodules of multiprocessing


def children_of_dummy(face: Any) -> None:
    release = face.Event()
    child = face.Process(target=release.wait)
    child.start()
    assert face.active_children() == [child]
    release.set()
    child.join()
    assert face.active_children() == []


DUMMY: dict[str, Use] = {
    "Array": is_true(lambda face: face.Array("i", [1, 2])[:] == [1, 2]),
    "Barrier": lambda face: meets_another(face.Barrier(2), face.Process),
    "BoundedSemaphore": lambda face: has_a_bound(face.BoundedSemaphore(2)),
    "Condition": lambda face: wakes_a_waiter(face.Condition(), face.Process),
    "Event": lambda face: is_set_by_another(face.Event(), face.Process),
    "JoinableQueue": lambda face: gives_items(face.JoinableQueue(), 2, 3, 1),
    "Lock": lambda face: is_taken_and_given_back(face.Lock()),
    "Manager": is_true(lambda face: face.Manager().dict(a=1) == {"a": 1}),
    "Namespace": is_true(lambda face: face.Namespace(a=1).a == 1),
    "Pipe": lambda face: says_hello_through(face.Pipe()),
    "Pool": lambda face: maps(face.Pool(2)),
    "Process": lambda face: runs(face.Process),
    "Queue": lambda face: gives_items(face.Queue(), 2, 3, 1),
    "RLock": lambda face: is_taken_twice(face.RLock()),
    "Semaphore": lambda face: counts_to_two(face.Semaphore(2)),
    "Value": is_true(lambda face: face.Value("i", 3).value == 3),
    "active_children": children_of_dummy,
    "current_process": is_true(lambda face: face.current_process() is threading.main_thread()),
    "dict": is_exactly("builtins:dict"),
    "freeze_support": is_true(lambda face: face.freeze_support() is None),
    "list": is_exactly("builtins:list"),
    "shutdown": is_true(lambda face: face.shutdown() is None),
}


def starts_a_server(make: Callable[[Any], Any]) -> Use:
    def check(face: Any) -> None:
        with make(face) as manager:
            assert manager.address

    return check


def shares_a_dict(face: Any) -> None:
    with face.SyncManager() as manager:
        shared = manager.dict(a=1)
        assert isinstance(shared, face.BaseProxy)
        assert shared["a"] == 1
        del shared


def shares_memory(face: Any) -> None:
    with face.SharedMemoryManager() as manager:
        memory, items = manager.SharedMemory(10), manager.ShareableList([1, "two"])
        assert {memory.name, items.shm.name} <= set(os.listdir("/dev/shm"))
        assert list(items) == [1, "two"]
        memory.close()
        items.shm.close()
    assert not {memory.name, items.shm.name} & set(os.listdir("/dev/shm"))


PROXIES = [
    name
    for name, value in vars(multiprocessing.managers).items()
    if name.endswith("Proxy") and not name.startswith("_") and isinstance(value, type)
]
MANAGERS: dict[str, Use] = {
    **{name: is_exactly(f"multiprocessing.managers:{name}") for name in (*PROXIES, "Namespace", "Token")},
    "BaseManager": starts_a_server(lambda face: face.BaseManager()),
    "SharedMemoryManager": shares_memory,
    "SyncManager": shares_a_dict,
}


def connects(face: Any, beside: Beside) -> None:
    with face.Listener(("localhost", 0)) as listener:
        accepting = beside(listener.accept)
        with face.Client(listener.address) as client, accepting.outcome() as server:
            assert isinstance(server, face.Connection)
            client.send("hello")
            assert face.wait([server], DEADLOCK_S) == [server]
            assert server.recv() == "hello"


def challenges(face: Any, beside: Beside) -> None:
    one, other = face.Pipe()
    with one, other:
        answering = beside(face.answer_challenge, other, b"key")
        face.deliver_challenge(one, b"key")
        assert answering.outcome() is None


CONNECTION: dict[str, Callable[..., object]] = {
    **dict.fromkeys(("Client", "Connection", "Listener", "wait"), connects),
    **dict.fromkeys(("answer_challenge", "deliver_challenge"), challenges),
    "Pipe": lambda face: says_hello_through(face.Pipe(duplex=True)),
}


def attaches_by_name(face: Any) -> None:
    made = face.SharedMemory(create=True, size=10)
    try:
        attached = face.SharedMemory(made.name, track=False)
        attached.buf[:2] = b"hi"
        assert bytes(made.buf[:2]) == b"hi"
        assert attached.size == made.size == 10
        attached.close()
        made.close()
    finally:
        made.unlink()
    with pytest.raises(FileNotFoundError):
        face.SharedMemory(made.name)


def attaches_to_a_list(face: Any) -> None:
    made = face.ShareableList([1, 2.5, "three", b"four", True, None])
    attached = face.ShareableList(name=made.shm.name)
    assert list(attached) == [1, 2.5, "three", b"four", True, None]
    assert isinstance(attached, face.ShareableList)
    attached.shm.close()
    made.shm.close()
    made.shm.unlink()


SHARED_MEMORY: dict[str, Use] = {"ShareableList": attaches_to_a_list, "SharedMemory": attaches_by_name}


def copies(face: Any) -> None:
    original = face.RawValue("i", 3)
    twin = face.copy(original)
    twin.value = 4
    assert original.value == 3


def synchronizes(face: Any) -> None:
    value = face.synchronized(face.RawValue("i", 3))
    with value.get_lock():
        value.value += 1
    assert value.get_obj().value == 4


SHAREDCTYPES: dict[str, Use] = {
    **{name: MULTIPROCESSING[name] for name in ("RawArray", "RawValue", "Value")},
    "Array": is_true(lambda face: face.Array("c", b"text").value == b"text"),
    "copy": copies,
    "synchronized": synchronizes,
}

PRIMITIVES = ("Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore")
QUEUES = ("JoinableQueue", "Queue", "SimpleQueue")


def part(of: str, *names: str) -> dict[str, Use]:
    """Names of a submodule that are those of the module *of*."""

    def same(name: str) -> Use:
        return is_true(lambda face: getattr(face, name) is getattr(face.sibling(of), name))

    return {name: same(name) for name in names}


POOL: dict[str, Use] = {
    "AsyncResult": is_true(lambda face: issubclass(face.AsyncResult, object)),
    "Pool": lambda face: maps(face.Pool(2)),
    "ThreadPool": lambda face: maps(face.ThreadPool(2)),
}

#: For each module the names and what is asked of them.
MODULES: dict[str, dict[str, Use]] = {
    "threading": THREADING,
    "dummy_threading": THREADING,
    "_thread": LOW_LEVEL,
    "_dummy_thread": LOW_LEVEL,
    "queue": QUEUE,
    "sched": SCHED,
    "concurrent.futures": FUTURES,
    "concurrent.futures.process": {
        **part("concurrent.futures", "ProcessPoolExecutor"),
        "BrokenProcessPool": is_true(lambda face: face.BrokenProcessPool is ExecutorBrokenError),
    },
    "concurrent.futures.thread": {
        **part("concurrent.futures", "ThreadPoolExecutor"),
        "BrokenThreadPool": is_true(lambda face: face.BrokenThreadPool is ExecutorBrokenError),
    },
    "subprocess": SUBPROCESS,
    "multiprocessing": MULTIPROCESSING,
    "multiprocessing.connection": CONNECTION,
    "multiprocessing.context": part("multiprocessing", "Process", *ERRORS),
    "multiprocessing.dummy": DUMMY,
    "multiprocessing.managers": MANAGERS,
    "multiprocessing.pool": POOL,
    "multiprocessing.process": {
        **part("multiprocessing", "active_children", "current_process", "parent_process"),
        "BaseProcess": is_true(lambda face: face.BaseProcess is face.sibling("multiprocessing").Process),
    },
    "multiprocessing.queues": part("multiprocessing", *QUEUES),
    "multiprocessing.shared_memory": SHARED_MEMORY,
    "multiprocessing.sharedctypes": SHAREDCTYPES,
    "multiprocessing.synchronize": part("multiprocessing", *PRIMITIVES),
}


def standard_names(module: str) -> set[str]:
    """The public names of the standard library's module on this Python; removed ones have those of their heirs."""
    heirs = {"dummy_threading": "threading", "_dummy_thread": "_thread"}
    original = importlib.import_module(heirs.get(module, module))
    return set(getattr(original, "__all__", ()))


def known_names(module: str) -> set[str]:
    """Those, and what else a table has, except what this Python's threading does not have yet."""
    too_new = NEED_THREADS - set(threading.__all__) if module.endswith("threading") else set()
    return standard_names(module) | (set(MODULES[module]) - too_new)


CASES = [(module, name) for module in MODULES for name in sorted(known_names(module))]


@pytest.mark.covers("threading", "thread-local-data", "_thread", "_dummy_thread", "dummy_threading", "queue", "sched")
@pytest.mark.covers("module-functions", "exception-classes", "contexts-and-start-methods", "miscellaneous", "logging")
@pytest.mark.covers("process-and-exceptions", "module-multiprocessing.sharedctypes", "module-multiprocessing.dummy")
@pytest.mark.covers("synchronization-primitives", "older-high-level-api", "legacy-shell-invocation-functions")
@pytest.mark.parametrize(("module", "name"), CASES, ids=[f"{module}.{name}" for module, name in CASES])
def test_a_name_works_or_is_refused(backend: Any, beside: Beside, module: str, name: str) -> None:
    """Each public name does what it is for, or its call raises UnsupportedError with backend, module and name."""
    face = backend.as_module(module)

    if name in NEED_THREADS and (backend.capabilities.deterministic or not backend.capabilities.in_process):
        is_refused(face, name)
    else:
        use: Callable[..., object] = MODULES[module][name]
        use(face, beside) if use in (connects, challenges) else use(face)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_no_name_that_nobody_has_tried(backend: Any, module: str) -> None:
    """``__all__`` is what the test above goes through."""
    names = set(backend.as_module(module).__all__)

    assert names == known_names(module)


def test_there_is_a_table_for_every_module(backend: Any) -> None:
    """The error for an unknown module lists exactly those that are tested here."""
    with pytest.raises(UnsupportedError) as caught:
        backend.as_module("asyncio")

    listed = str(caught.value).partition("there are ")[2].split(", ")
    assert listed == sorted(MODULES)
