"""State that tasks share: ctypes objects, memory, lists of fixed length, arrays."""

import ctypes
import errno
import gc
import os
import pickle
import stat
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from typing import Any, Final

import pytest

from manyhands import ExecutorClosedError, ResourceError, SerializationError
from manyhands.vocabulary import state

from .support import DEADLOCK_S, run_script

pytestmark: Final = pytest.mark.contract("manyhands.Backend.value")

with suppress(ImportError):
    import numpy  # here, because it starts threads  # noqa: F401

ctypes_objects: Final = pytest.mark.covers(
    "sharing-state-between-processes", "shared-ctypes-objects", "module-multiprocessing.sharedctypes"
)
memory: Final = pytest.mark.covers("shared_memory")


class Point(ctypes.Structure):
    """A structure."""

    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double)]


@pytest.fixture
def name() -> str:
    """A name for shared memory that nobody else has."""
    return f"manyhands-test-{os.getpid()}-{threading.get_native_id()}"


def exists(name: str) -> bool:
    return Path("/dev/shm", name).exists()


def attach(code: str, name: str) -> str:
    """What *code* prints in a process that is not ours, with ``memory`` attached to *name*."""
    program = f"""
        from multiprocessing import resource_tracker, shared_memory

        def attached(kind):
            memory = kind(name={name!r})
            resource_tracker.unregister("/{name}", "shared_memory")  # else it removes the name at its end
            return memory

        {code}
    """
    finished = run_script(program)
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout.strip()


# value and array


@ctypes_objects
def test_value_is_a_ctypes_object_with_a_lock(backend: Any) -> None:
    """Reading and writing ``value`` goes under the lock, which is there for more."""
    number = backend.value("i", 5)
    with number.get_lock():
        number.value += 1

    assert number.value == 6
    assert isinstance(number.get_obj(), ctypes.c_int)


@ctypes_objects
def test_value_is_zero_unless_told(backend: Any) -> None:
    """No arguments, all zeros."""
    assert backend.value("d").value == 0.0
    assert backend.value(ctypes.c_bool).value is False
    assert list(backend.array("i", 3)) == [0, 0, 0]


@ctypes_objects
def test_tasks_share_values_and_arrays(backend: Any, executor: Any) -> None:
    """What tasks change, everybody sees; under the lock nothing is lost."""
    number, numbers = backend.value("l", 0), backend.array("l", 2)

    def work() -> None:
        for _ in range(200):
            with number.get_lock():
                number.value += 1
            with numbers:
                numbers[1] += 1

    for future in [executor.submit(work) for _ in range(4)]:
        future.result(DEADLOCK_S)

    assert (number.value, numbers[:]) == (800, [0, 800])


@ctypes_objects
def test_values_and_arrays_are_arguments(backend: Any, executor: Any) -> None:
    """Nested, too."""
    number, numbers = backend.value("i", 1), backend.array("i", [1, 2])
    executor.submit(
        lambda given: setattr(given["v"][0], "value", sum(given["a"])), {"v": [number], "a": numbers}
    ).result()

    assert number.value == 3


@ctypes_objects
def test_raw_forms_have_no_lock(backend: Any) -> None:
    """``lock=False`` gives the bare ctypes object."""
    assert type(backend.value("i", 7, lock=False)) is ctypes.c_int
    assert type(backend.array("h", [1, 2], lock=False)) is ctypes.c_short * 2


@ctypes_objects
def test_a_lock_of_ones_own(backend: Any) -> None:
    """Several objects may share a lock."""
    lock = backend.lock()
    number, numbers = backend.value("i", lock=lock), backend.array("i", 2, lock=lock)

    assert number.get_lock() is lock
    assert numbers.get_lock() is lock
    assert number.acquire()
    number.release()


@ctypes_objects
def test_structures(backend: Any) -> None:
    """Fields are attributes, under the lock."""
    point = backend.value(Point, 1.5, 2.5)
    point.x += 1

    assert (point.x, point.y) == (2.5, 2.5)
    assert isinstance(point.get_obj(), Point)


@ctypes_objects
def test_arrays_of_structures(backend: Any) -> None:
    """Made from tuples; each element is the structure."""
    points = backend.array(Point, [(1, 2), (3, 4)])
    for point in points:
        point.x, point.y = point.y, point.x

    assert [(point.x, point.y) for point in points] == [(2, 1), (4, 3)]


@ctypes_objects
def test_char_arrays(backend: Any) -> None:
    """They have ``value`` and ``raw``."""
    text = backend.array("c", b"hello world")
    text.value = text.value.upper()[:5]

    assert text.value == b"HELLO"
    assert text.raw == b"HELLO\0world"
    assert len(backend.array("c", 5).raw) == 5


@ctypes_objects
def test_arrays_have_slices_and_a_length(backend: Any) -> None:
    """As lists of fixed length."""
    numbers = backend.array("i", iter(range(5)))
    numbers[1:3] = [10, 20]

    assert (len(numbers), numbers[:]) == (5, [0, 10, 20, 3, 4])


@ctypes_objects
def test_synchronized_and_copy(backend: Any) -> None:
    """An object made before can get a lock; a copy is independent."""
    raw = state.raw_value(Point, 1, 2)
    guarded = state.synchronized(backend, raw)
    twin = state.copy(raw)
    guarded.x = 5
    lock = backend.lock()

    assert (raw.x, twin.x, twin.y) == (5, 1, 2)
    assert state.synchronized(backend, twin, lock).get_lock() is lock
    assert list(state.copy(state.raw_array("i", [1, 2]))) == [1, 2]


@ctypes_objects
def test_using_ctypes_objects_settles_nothing(backend: Any) -> None:
    """The process's start method can still be chosen, and no process was started."""
    finished = run_script(
        f"""
        import manyhands, multiprocessing
        with manyhands.open_backend({backend.name!r}) as backend:
            backend.value("i", 1), backend.array("i", 3), backend.shared_memory(10)
        multiprocessing.set_start_method("spawn")
        """
    )

    assert (finished.returncode, finished.stderr) == (0, "")


@ctypes_objects
@pytest.mark.parametrize("kind", ["x", "", None, int, 5])
def test_what_is_no_ctypes_type(backend: Any, kind: Any) -> None:
    """TypeError with the typecodes and the value."""
    for make in (backend.value, lambda kind: backend.array(kind, 3)):
        with pytest.raises(TypeError, match=r"must be a ctypes type or one of the typecodes c, u, b, .*, got "):
            make(kind)


@ctypes_objects
def test_bad_sizes_and_locks(backend: Any) -> None:
    """ValueError for a negative size; AttributeError, as in the standard library, for what is no lock."""
    with pytest.raises(ValueError, match="size of an array must be 0 or more, got -1"):
        backend.array("i", -1)
    make: Callable[[], object]
    for make in (lambda: backend.value("i", lock="no"), lambda: backend.array("i", 3, lock="no")):
        with pytest.raises(AttributeError, match="True, False or a lock, got 'no', which has no method 'acquire'"):
            make()


# shared_memory


@memory
def test_memory_is_zero_and_of_that_size(backend: Any) -> None:
    """``size`` bytes, in ``buf``."""
    block = backend.shared_memory(1000)

    assert (block.size, len(block.buf), bytes(block.buf)) == (1000, 1000, bytes(1000))
    assert "size=1000" in repr(block)
    block.close()


@memory
def test_tasks_share_memory(backend: Any, executor: Any) -> None:
    """What a task writes, everybody reads."""
    block = backend.shared_memory(10)
    executor.submit(lambda block: block.buf.__setitem__(slice(0, 2), b"ok"), block).result(DEADLOCK_S)

    assert bytes(block.buf[:2]) == b"ok"


@memory
def test_memory_without_a_name_leaves_no_trace(backend: Any) -> None:
    """There is nothing to unlink, and no tracker process."""
    before = os.listdir("/dev/shm")
    block = backend.shared_memory(10)

    assert block.name is None
    assert os.listdir("/dev/shm") == before
    block.unlink()
    assert len(block.buf) == 10


@memory
@pytest.mark.orphans  # the standard library's tracker process in there
def test_a_process_that_is_not_ours_attaches_by_name(backend: Any, name: str) -> None:
    """By the standard library's class; both sides see what the other writes."""
    block = backend.shared_memory(10, name=name)
    block.buf[0] = 7
    code = "memory = attached(shared_memory.SharedMemory); print(memory.buf[0], memory.size); memory.buf[1] = 8"
    printed = attach(code, name)

    assert printed == "7 10"
    assert block.buf[1] == 8


@memory
def test_named_memory_is_for_its_user_only(backend: Any, name: str) -> None:
    """Mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        block = backend.shared_memory(10, name=name)
    finally:
        os.umask(before)

    assert stat.S_IMODE(os.stat(f"/dev/shm/{name}").st_mode) == 0o600
    block.close()


@memory
def test_a_name_that_is_taken(backend: Any, name: str) -> None:
    """FileExistsError; the first one is unharmed."""
    block = backend.shared_memory(10, name=name)
    with pytest.raises(FileExistsError, match=name):
        backend.shared_memory(10, name=name)

    assert exists(name)
    block.close()


@memory
@pytest.mark.parametrize("end", ["close", "unlink"])
def test_the_name_goes_with_the_memory(backend: Any, name: str, end: str) -> None:
    """With ``close`` and with ``unlink``, once and for all."""
    block = backend.shared_memory(10, name=name)
    for _ in range(2):
        getattr(block, end)()

        assert not exists(name)


@memory
def test_the_name_goes_when_the_memory_is_dropped(backend: Any, name: str) -> None:
    """Nobody can have forgotten it."""
    block = backend.shared_memory(10, name=name)
    view = block.buf[:1]
    del block
    gc.collect()

    assert not exists(name)
    assert bytes(view) == b"\0"


@memory
def test_the_name_goes_with_the_backend(backend: Any, name: str) -> None:
    """The memory itself stays valid for who has it."""
    block = backend.shared_memory(10, name=name)
    backend.close()

    assert not exists(name)
    assert bytes(block.buf) == bytes(10)
    block.close()


@memory
@pytest.mark.parametrize("keep_backend", [True, False])
def test_the_name_goes_at_exit(backend: Any, name: str, keep_backend: bool) -> None:
    """Also when nobody closed anything, and when the backend was dropped."""
    finished = run_script(
        f"""
        import ctypes, manyhands, os
        backend = manyhands.open_backend({backend.name!r})
        block = backend.shared_memory(10, name={name!r})
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(block))  # it will never be collected
        {"" if keep_backend else "del backend; import gc; gc.collect()"}
        print(os.path.exists("/dev/shm/{name}"))
        """
    )

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "True\n", "")
    assert not exists(name)


@memory
@pytest.mark.fault(44)
def test_a_forked_child_leaves_the_name_alone(backend: Any, name: str) -> None:
    """Its exit is not the owner's."""
    finished = run_script(
        f"""
        import manyhands, os
        with manyhands.open_backend({backend.name!r}) as backend:
            block = backend.shared_memory(10, name={name!r})
            pid = os.fork()
            if not pid:
                block.close()
                raise SystemExit
            os.waitpid(pid, 0)
            print(os.path.exists("/dev/shm/{name}"))
        """,
        env={"PYTHONWARNINGS": "ignore"},
    )

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "True\n", "")


@memory
def test_an_owner_whose_name_was_removed_closes_in_peace(backend: Any, name: str) -> None:
    """Before 3.13 a process that was attached removes it when it ends."""
    block = backend.shared_memory(10, name=name)
    os.unlink(f"/dev/shm/{name}")

    block.close()
    assert block.buf is None


@memory
def test_close_with_a_view_in_use(backend: Any, name: str) -> None:
    """BufferError, as in the standard library; the name is gone, and closing again works."""
    block = backend.shared_memory(10, name=name)
    view = block.buf[2:4]
    with pytest.raises(BufferError):
        block.close()

    assert not exists(name)
    view.release()
    block.close()
    assert block.buf is None


@memory
def test_no_tracker_process_is_started(backend: Any, name: str) -> None:
    """The standard library would start one for each segment's first owner."""
    backend.shared_memory(10, name=name).close()
    backend.shareable_list([1])

    assert resource_tracker._resource_tracker._pid is None  # type: ignore[attr-defined]


@memory
@pytest.mark.parametrize(
    ("size", "error", "problem"),
    [
        (0, ValueError, "must be at least 1 byte, got 0"),
        (-5, ValueError, "must be at least 1 byte, got -5"),
        (1.5, TypeError, "must be an integer, got 1.5"),
        ("8", TypeError, "must be an integer, got '8'"),
        (True, TypeError, "must be an integer, got True"),
    ],
)
def test_bad_sizes(backend: Any, size: Any, error: type[Exception], problem: str) -> None:
    """The message has the value."""
    with pytest.raises(error, match=f"the size of shared memory {problem}"):
        backend.shared_memory(size)


@memory
@pytest.mark.parametrize(
    ("bad", "error"), [("", ValueError), ("a/b", ValueError), ("a\0b", ValueError), (5, TypeError)]
)
def test_bad_names(backend: Any, bad: Any, error: type[Exception]) -> None:
    """The message says what a name may be."""
    with pytest.raises(error, match=r"the name of shared memory must be a text.*, got "):
        backend.shared_memory(10, name=bad)


@memory
@pytest.mark.fault(77)
def test_more_memory_than_there_is(backend: Any, name: str) -> None:
    """ResourceError at once, not a bus error later; no name is left."""
    there_is = os.statvfs("/dev/shm")
    size = 2 * there_is.f_blocks * there_is.f_frsize
    with pytest.raises(ResourceError, match="no shared memory of 4611686018427387904 bytes to be had"):
        backend.shared_memory(2**62)
    with pytest.raises(
        ResourceError, match=f"no shared memory of {size} bytes to be had for the name '{name}'"
    ) as caught:
        backend.shared_memory(size, name=name)

    assert caught.value.errno == errno.ENOSPC
    assert not exists(name)


@memory
def test_nothing_is_made_after_close(backend: Any, name: str) -> None:
    """Every kind of state asks first."""
    backend.close()
    make: Callable[[], object]
    for make in (
        lambda: backend.value("i", lock=False),
        lambda: backend.array("i", 3, lock=False),
        lambda: backend.shared_memory(10, name=name),
        lambda: backend.shareable_list([1]),
        lambda: backend.share([1]),
    ):
        with pytest.raises(ExecutorClosedError, match="was closed"):
            make()


@memory
def test_memory_and_lists_cannot_be_pickled(backend: Any) -> None:
    """They can be passed to tasks; the error says so."""
    for made in (backend.shared_memory(10), backend.shareable_list([1])):
        with pytest.raises(SerializationError, match="can only be passed to tasks of its backend, not pickled"):
            pickle.dumps(made)


# shareable_list

VALUES: list[Any] = [1, -(2**63), 2.5, True, False, None, "", "text", "grün", b"", b"bytes", "x" * 100]


@memory
def test_every_type_of_value(backend: Any) -> None:
    """int, float, bool, str, bytes and None come back as they were, with their types."""
    values = backend.shareable_list(VALUES)

    assert list(values) == VALUES
    assert [type(value) for value in values] == [type(value) for value in VALUES]
    assert len(values) == len(VALUES)
    assert (values[-1], values[0]) == (VALUES[-1], 1)


@memory
def test_tasks_share_a_list(backend: Any, executor: Any) -> None:
    """What a task stores, everybody reads."""
    values = backend.shareable_list([0, "text"])
    executor.submit(lambda values: values.__setitem__(1, "other"), values).result(DEADLOCK_S)

    assert values[1] == "other"


@memory
def test_values_may_change_their_type(backend: Any) -> None:
    """As long as they fit."""
    values = backend.shareable_list(["text", 5, b"bytes"])
    values[0], values[1], values[2] = None, "8 bytes!", 7
    values[-1] = "back"

    assert list(values) == [None, "8 bytes!", "back"]


@memory
def test_what_does_not_fit_changes_nothing(backend: Any) -> None:
    """ValueError for texts, struct.error for integers beyond 64 bits, TypeError for other types."""
    values = backend.shareable_list(["text", 5])
    with pytest.raises(ValueError, match="9 bytes do not fit into the 8 bytes of position 0"):
        values[0] = "nine long"
    with pytest.raises(struct.error):
        values[1] = 2**63
    with pytest.raises(TypeError, match=r"holds int, float, bool, str, bytes and None, got \[1\]"):
        values[1] = [1]
    with pytest.raises(TypeError, match="holds int, float, bool, str, bytes and None, got"):
        backend.shareable_list([object()])
    with pytest.raises(ValueError, match="at most 9999991 bytes, got 9999992"):
        backend.shareable_list(["x" * 9_999_992])

    assert list(values) == ["text", 5]


@memory
def test_count_index_and_format(backend: Any) -> None:
    """The list's methods, and what struct calls the values."""
    values = backend.shareable_list([1, "a", 1, 2.0])

    assert (values.count(1), values.count("b"), values.index("a")) == (2, 0, 1)
    assert values.format == "q8sqd"
    with pytest.raises(ValueError, match="'b' is not in the list"):
        values.index("b")


@memory
def test_positions_that_are_not_there(backend: Any) -> None:
    """IndexError on both sides, for reading and writing; TypeError for slices."""
    values = backend.shareable_list([1, 2])
    for position in (2, -3):
        with pytest.raises(IndexError, match=f"position {position} is not in a list of 2"):
            values[position]
        with pytest.raises(IndexError, match=f"position {position} is not in a list of 2"):
            values[position] = 1
    with pytest.raises(TypeError):
        values[0:1]


@memory
def test_an_empty_list(backend: Any) -> None:
    """Nothing in it, and nothing wrong with it."""
    values = backend.shareable_list()

    assert (len(values), list(values), values.format) == (0, [], "")
    assert repr(values) == "ShareableList([], name=None)"


@memory
def test_room_is_that_of_the_standard_library(backend: Any) -> None:
    """The same values take the same bytes."""
    for values in ([], [1], [*VALUES[:6], b"bytes", "x" * 8]):
        theirs = shared_memory_like(values)
        ours = backend.shareable_list(values)

        assert bytes(ours.shm.buf) == theirs
        assert ours.shm.size == state.ShareableList.room_for(values)


def shared_memory_like(values: list[Any]) -> bytes:
    """The bytes of the standard library's list, made without a segment and its tracker."""
    made: list[bytearray] = []

    class Memory:
        def __init__(self, name: str | None, create: bool, size: int) -> None:
            made.append(bytearray(size))
            self.buf = memoryview(made[0])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_memory, "SharedMemory", Memory)
        shared_memory.ShareableList(values)
    return bytes(made[0])


@memory
@pytest.mark.orphans
def test_a_process_that_is_not_ours_reads_and_writes_a_named_list(backend: Any, name: str) -> None:
    """By the standard library's class."""
    values = state.shareable_list(backend, ["grün", 5, None], name=name)
    code = "values = attached(shared_memory.ShareableList); print(list(values)); values[1] = 6; values[2] = 'there'"
    printed = attach(code, name)

    assert printed == "['grün', 5, None]"
    assert list(values) == ["grün", 6, "there"]


@memory
def test_a_list_takes_what_is_there(backend: Any) -> None:
    """Over memory that holds one."""
    values = backend.shareable_list(VALUES)

    assert list(state.ShareableList(values.shm)) == VALUES


# Arrays and share


def test_share_gives_the_same_object_where_it_need_not_be_copied(backend: Any, executor: Any) -> None:
    """In this process tasks see the object itself."""
    for obj in ([1], b"bytes", bytearray(b"bytes"), {"a": 1}, memoryview(b"x")):
        shared = backend.share(obj)

        assert shared == obj
        assert executor.submit(lambda given: given, shared).result(DEADLOCK_S) is shared


def test_shared_array(backend: Any, executor: Any) -> None:
    """Zeros of that shape and type, which tasks change in place."""
    numpy = pytest.importorskip("numpy")
    numbers = backend.shared_array((2, 3), "int32")

    assert (numbers.shape, numbers.dtype, numbers.any()) == ((2, 3), numpy.int32, numpy.False_)
    executor.submit(lambda numbers: numbers.__setitem__((1, 2), 5), numbers).result(DEADLOCK_S)
    assert numbers[1, 2] == 5
    assert backend.shared_array(4).dtype == float


def test_shared_array_of_objects(backend: Any) -> None:
    """They could not be shared everywhere, so nowhere."""
    pytest.importorskip("numpy")
    with pytest.raises(TypeError, match="cannot hold Python objects, got the dtype object"):
        backend.shared_array(3, object)


def test_a_shared_array_is_a_read_only_view(backend: Any) -> None:
    """Equal, without a copy; the original can still be written."""
    numpy = pytest.importorskip("numpy")
    numbers = numpy.arange(5)
    shared = backend.share(numbers)
    numbers[0] = 9

    assert shared[0] == 9
    assert numpy.shares_memory(shared, numbers)
    with pytest.raises(ValueError, match="read-only"):
        shared[0] = 1


def test_state_needs_no_numpy() -> None:
    """Nothing of it is imported unless asked for, and ``share`` does not either."""
    finished = run_script(
        """
        import manyhands, sys
        with manyhands.open_backend("threading") as backend:
            backend.share(b"x"), backend.shared_memory(1)
        print([name for name in ("numpy", "multiprocessing", "ctypes") if name in sys.modules])
        """
    )

    assert (finished.stdout, finished.stderr) == ("[]\n", "")
