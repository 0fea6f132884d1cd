"""
State that tasks share: ctypes objects, memory, lists of fixed length, arrays.

Where tasks run in this process, shared memory is memory: an object is passed on as it is. Only what
has a name leaves a trace in the system, for processes that are not ours.
"""

import itertools
import mmap
import operator
import os
import struct
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ..errors import ResourceError, SerializationError
from ..options import shorten

if TYPE_CHECKING:
    from ..backend import Backend

__all__ = [
    "ShareableList",
    "SharedMemory",
    "array",
    "copy",
    "keep",
    "raw_array",
    "raw_value",
    "share",
    "shareable_list",
    "shared_array",
    "shared_memory",
    "synchronized",
    "value",
]

T = TypeVar("T")


def keep(backend: "Backend[Any]", resource: Any) -> None:
    """
    Have ``resource.close()`` called when *backend* closes, unless the resource is gone by then.

    Raises:
        ExecutorClosedError: the backend was closed; so is the resource.
    """
    with backend._mutex:
        if backend._closed is None:
            backend.__dict__.setdefault("_resources", weakref.WeakSet()).add(resource)
            return
    resource.close()
    backend.check_open()


# ctypes objects.


def raw_value(typecode_or_type: Any, *args: Any) -> Any:
    """
    A ctypes object of that type or typecode without a lock, zero or made from *args*.

    Raises:
        TypeError: it is neither a typecode nor a ctypes type.
    """
    return _ctype(typecode_or_type)(*args)


def raw_array(typecode_or_type: Any, size_or_initializer: Any) -> Any:
    """
    A ctypes array without a lock: of that many zeros, or of the items of an iterable.

    Raises:
        TypeError: the first argument is neither a typecode nor a ctypes type.
        ValueError: the size is negative.
    """
    kind = _ctype(typecode_or_type)
    if isinstance(size_or_initializer, int):
        if size_or_initializer < 0:
            raise ValueError(f"the size of an array must be 0 or more, got {size_or_initializer}")
        return (kind * size_or_initializer)()
    items = tuple(size_or_initializer)
    return (kind * len(items))(*items)


def value(backend: "Backend[Any]", typecode_or_type: Any, args: tuple[Any, ...], lock: Any) -> Any:
    """See ``Backend.value``; AttributeError, as in the standard library, when *lock* is none."""
    backend.check_open()
    return _guarded(backend, raw_value(typecode_or_type, *args), lock)


def array(backend: "Backend[Any]", typecode_or_type: Any, size_or_initializer: Any, lock: Any) -> Any:
    """See ``Backend.array``; AttributeError, as in the standard library, when *lock* is none."""
    backend.check_open()
    return _guarded(backend, raw_array(typecode_or_type, size_or_initializer), lock)


def synchronized(backend: "Backend[Any]", obj: Any, lock: Any = None) -> Any:
    """The standard library's wrapper of a ctypes object, with *lock* or an rlock of *backend*."""
    from multiprocessing import sharedctypes

    # With a context given it does not settle the process's start method.
    make: Any = sharedctypes.synchronized
    return make(obj, backend.rlock() if lock is None else lock, ctx=backend)


def copy(obj: Any) -> Any:
    """A new ctypes object with the same content."""
    return type(obj).from_buffer_copy(obj)


def _ctype(typecode_or_type: Any) -> Any:
    import ctypes
    from multiprocessing import sharedctypes

    codes: dict[str, Any] = sharedctypes.typecode_to_type  # type: ignore[attr-defined]
    kind: Any = codes.get(typecode_or_type) if isinstance(typecode_or_type, str) else typecode_or_type
    try:
        ctypes.sizeof(kind)
    except TypeError:
        raise TypeError(
            f"a type must be a ctypes type or one of the typecodes {', '.join(codes)}, got {shorten(typecode_or_type)}"
        ) from None
    return kind


def _guarded(backend: "Backend[Any]", obj: Any, lock: Any) -> Any:
    if lock is False:
        return obj
    if lock is True or lock is None:
        return synchronized(backend, obj)
    if not hasattr(lock, "acquire"):
        raise AttributeError(f"lock must be True, False or a lock, got {shorten(lock)}, which has no method 'acquire'")
    return synchronized(backend, obj, lock)


# Memory.


class SharedMemory:
    """
    Bytes that tasks share, with the interface of :class:`multiprocessing.shared_memory.SharedMemory`.

    Without a name it is memory of this process. With one, any process of the same user can attach
    to it by the standard library's class, until it is closed, unlinked or dropped or the backend is
    closed. (Before Python 3.13 such a process removes the name itself when it ends, unless it
    unregisters it from its resource tracker; with 3.13 it passes ``track=False``.)
    """

    travels_by_reference = True

    def __init__(self, backend: "Backend[Any]", size: int, name: str | None = None) -> None:
        if not isinstance(size, int) or isinstance(size, bool):
            raise TypeError(f"the size of shared memory must be an integer, got {shorten(size)}")
        if size < 1:
            raise ValueError(f"the size of shared memory must be at least 1 byte, got {size}")
        self.name = name
        self.size = size
        self._entry: _Name | None = None
        if name is None:
            self._map: mmap.mmap | None = _anonymous(size)
        else:
            self._entry, self._map = _named(backend, name, size)
        self._buf: memoryview | None = memoryview(self._map)

    @property
    def buf(self) -> memoryview:
        """Its content; None when it is closed."""
        return self._buf  # type: ignore[return-value]

    def close(self) -> None:
        """
        Give it back, its name included; may be called again.

        Raises:
            BufferError: somebody still has a view of it; the name is gone all the same.
        """
        self.unlink()
        if self._buf is not None:
            self._buf.release()
            self._buf = None
        if self._map is not None:
            self._map.close()
            self._map = None

    def unlink(self) -> None:
        """Remove the name, if it has one; who is attached keeps the memory. May be called again."""
        if self._entry is not None:
            self._entry.close()

    def __reduce__(self) -> Any:
        raise SerializationError("shared memory can only be passed to tasks of its backend, not pickled")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, size={self.size})"


class _Name:
    """A name in the system, gone when this is closed or dropped; never by a forked child."""

    def __init__(self, backend: "Backend[Any]", path: str, unlink: Callable[[str], None]) -> None:
        self._backend = backend  # not to be dropped before: it closes this at the interpreter's exit
        self._path: str | None = path
        self._unlink = unlink
        self._owner = os.getpid()

    def close(self) -> None:
        path, self._path = self._path, None
        if path is not None and os.getpid() == self._owner:
            with suppress(FileNotFoundError):  # who was attached has removed it
                self._unlink(path)

    __del__ = close  # not weakref.finalize: that does nothing any more late in the exit


def _anonymous(size: int) -> mmap.mmap:
    try:
        return mmap.mmap(-1, size)
    except (OSError, OverflowError) as error:
        raise ResourceError(
            f"there is no shared memory of {size} bytes to be had: {error}", errno=getattr(error, "errno", None)
        ) from error


def _named(backend: "Backend[Any]", name: str, size: int) -> tuple[_Name, mmap.mmap]:
    import _posixshmem  # the module beneath multiprocessing.shared_memory; by itself it starts no tracker process

    if not isinstance(name, str):
        raise TypeError(f"the name of shared memory must be a text, got {shorten(name)}")
    if not name or "/" in name or "\0" in name:
        raise ValueError(f"the name of shared memory must be a text without '/' and NUL, got {shorten(name)}")
    path = "/" + name
    descriptor = _posixshmem.shm_open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode=0o600)
    entry = _Name(backend, path, _posixshmem.shm_unlink)
    try:
        # Have it at once: otherwise the first write where there is none is a SIGBUS.
        os.posix_fallocate(descriptor, 0, size)
        memory = mmap.mmap(descriptor, size)
        keep(backend, entry)
    except (OSError, OverflowError) as error:
        entry.close()
        raise ResourceError(
            f"there is no shared memory of {size} bytes to be had for the name {name!r}: {error}",
            errno=getattr(error, "errno", None),
        ) from error
    finally:
        os.close(descriptor)
    return entry, memory


def shared_memory(backend: "Backend[Any]", size: int, name: str | None = None) -> SharedMemory:
    """
    See ``Backend.shared_memory``.

    Raises:
        TypeError, ValueError: the size or the name is not allowed.
        FileExistsError: there is something of that name already.
        ResourceError: there is not that much memory.
    """
    backend.check_open()
    return SharedMemory(backend, size, name)


# Lists.


class ShareableList:
    """
    A list of fixed length over shared memory: int, float, bool, str, bytes and None.

    Everything is as in :class:`multiprocessing.shared_memory.ShareableList`, the layout included, so
    that the two read and write each other's lists: integers have 64 bits; a text or bytes may be
    replaced by one that fits into the room of the first, its length rounded up to the next multiple
    of 8; trailing NULs are lost. (There, the room for a text counts characters, here UTF-8 bytes: no
    text is cut.)

    Args:
        shm: The memory; :meth:`room_for` says how much is needed.
        values: What to store; None takes what is there.
    """

    travels_by_reference = True

    # The layout, in machine words of 8 bytes: how many values (n); n + 1 offsets of their rooms in the
    # data; the data; n struct formats; and n bytes that say how to read the value.

    def __init__(self, shm: Any, values: Iterable[Any] | None = None) -> None:
        self.shm = shm
        if values is None:
            self._length: int = struct.unpack_from("q", shm.buf)[0]
            self._offsets: tuple[int, ...] = struct.unpack_from(f"{self._length + 1}q", shm.buf, 8)
            return
        rows = [_encode(item) for item in values]
        self._length = len(rows)
        self._offsets = (0, *itertools.accumulate(struct.calcsize(form) for form, _, _ in rows))
        struct.pack_into(f"{len(rows) + 2}q", shm.buf, 0, len(rows), *self._offsets)
        for position, row in enumerate(rows):
            self._store(position, *row)

    @staticmethod
    def room_for(values: Iterable[Any]) -> int:
        """How many bytes a list of *values* needs; TypeError, ValueError for values that cannot be in it."""
        return 16 + sum(17 + struct.calcsize(_encode(item)[0]) for item in values)

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, position: int) -> Any:
        position = self._checked(position)
        (code,) = struct.unpack_from("b", self.shm.buf, self._codes + position)
        (item,) = struct.unpack_from(self._format(position), self.shm.buf, self._data + self._offsets[position])
        if code == _NONE:
            return None
        if code == _TEXT:
            return item.rstrip(b"\0").decode()
        return item.rstrip(b"\0") if code == _BYTES else item

    def __setitem__(self, position: int, item: Any) -> None:
        position = self._checked(position)
        room = self._offsets[position + 1] - self._offsets[position]
        form, code, data = _encode(item)
        if code in (_TEXT, _BYTES):
            form = f"{room}s"
        if len(data) > room:
            raise ValueError(f"{len(data)} bytes do not fit into the {room} bytes of position {position}")
        self._store(position, form, code, data)

    def __iter__(self) -> Iterator[Any]:
        return (self[position] for position in range(self._length))

    def count(self, value: Any) -> int:
        """How often *value* is in it."""
        return sum(value == item for item in self)

    def index(self, value: Any) -> int:
        """The first position of *value*; ValueError if it is not in it."""
        for position, item in enumerate(self):
            if value == item:
                return position
        raise ValueError(f"{shorten(value)} is not in the list")

    @property
    def format(self) -> str:
        """The :mod:`struct` formats of the values."""
        return "".join(self._format(position) for position in range(self._length))

    def __reduce__(self) -> Any:
        raise SerializationError("a shareable list can only be passed to tasks of its backend, not pickled")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)}, name={self.shm.name!r})"

    # Where things are.

    @property
    def _data(self) -> int:
        return 8 * (self._length + 2)

    @property
    def _formats(self) -> int:
        return self._data + self._offsets[-1]

    @property
    def _codes(self) -> int:
        return self._formats + 8 * self._length

    def _checked(self, position: int) -> int:
        position = operator.index(position)
        if not -self._length <= position < self._length:
            raise IndexError(f"position {position} is not in a list of {self._length}")
        return position % self._length

    def _format(self, position: int) -> str:
        (form,) = struct.unpack_from("8s", self.shm.buf, self._formats + 8 * position)
        return str(form.rstrip(b"\0"), "ascii")

    def _store(self, position: int, form: str, code: int, data: bytes) -> None:
        room = struct.calcsize(form)
        struct.pack_into(f"{room}s", self.shm.buf, self._data + self._offsets[position], data)
        struct.pack_into("8s", self.shm.buf, self._formats + 8 * position, form.encode())
        struct.pack_into("b", self.shm.buf, self._codes + position, code)


#: How a value is read: as struct gives it, as a text, as bytes, as nothing.
_PLAIN, _TEXT, _BYTES, _NONE = range(4)
_SCALARS: Final = {
    int: ("q", _PLAIN),
    float: ("d", _PLAIN),
    bool: ("xxxxxxx?", _PLAIN),
    type(None): ("xxxxxx?x", _NONE),
}


def _encode(item: Any) -> tuple[str, int, bytes]:
    """The struct format of *item*, how it is read, and its bytes."""
    if type(item) in _SCALARS:
        form, code = _SCALARS[type(item)]
        return form, code, struct.pack(form, item)
    if type(item) not in (str, bytes):
        raise TypeError(f"a shareable list holds int, float, bool, str, bytes and None, got {shorten(item)}")
    data = item.encode() if type(item) is str else item
    form = f"{8 * (len(data) // 8 + 1)}s"
    if len(form) > 8:
        raise ValueError(f"an item of a shareable list may have at most 9999991 bytes, got {len(data)}")
    return form, _TEXT if type(item) is str else _BYTES, data


def shareable_list(backend: "Backend[Any]", sequence: Iterable[Any], name: str | None = None) -> ShareableList:
    """See ``Backend.shareable_list``; with a *name* other processes can attach to it."""
    backend.check_open()
    values = list(sequence)
    return ShareableList(SharedMemory(backend, ShareableList.room_for(values), name), values)


# Arrays.


def shared_array(backend: "Backend[Any]", shape: Any, dtype: Any = float) -> Any:
    """See ``Backend.shared_array``; TypeError for a *dtype* of Python objects, ImportError without numpy."""
    import numpy

    backend.check_open()
    kind = numpy.dtype(dtype)
    if kind.hasobject:
        raise TypeError(f"a shared array cannot hold Python objects, got the dtype {kind}")
    return numpy.zeros(shape, kind)


def share(backend: "Backend[Any]", obj: T) -> T:
    """See ``Backend.share``: in this process nothing needs to be copied."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(obj, numpy.ndarray):
        return obj
    view: Any = obj.view()
    view.flags.writeable = False
    return view  # type: ignore[no-any-return]
