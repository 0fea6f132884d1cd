"""``multiprocessing.shared_memory`` and ``multiprocessing.sharedctypes``."""

import ctypes
import mmap
import os
import secrets
from collections.abc import Iterable
from typing import Any, ClassVar

from ..vocabulary import state
from ._activities import bind
from ._face import Face, factory

__all__ = ["FACES"]


class SharedMemory:
    """
    :class:`multiprocessing.shared_memory.SharedMemory`: a segment of the system that has a name.

    Any process can attach to it. A name that was made here goes with ``unlink``, or else when the
    backend is closed; so there is nothing to track, and *track* changes nothing.
    """

    _face: ClassVar[Face]
    #: The names that were made here and not unlinked.
    _made: ClassVar[dict[str, Any]]

    def __init__(self, name: str | None = None, create: bool = False, size: int = 0, *, track: bool = True) -> None:
        if create:
            if size <= 0:
                raise ValueError(f"the size of shared memory must be at least 1 byte, got {size}")
            name = name or f"psm_{secrets.token_hex(8)}"
            self._made[name], memory = state._named(self._face._backend, name, size)
        elif name is None:
            raise ValueError("the name of shared memory can only be left out when it is created")
        else:
            memory = _attach(name)
        self.name = name
        self.size = len(memory)
        self.buf: memoryview | None = memoryview(memory)
        self._map: mmap.mmap | None = memory

    def close(self) -> None:
        """Give it back; others keep it, and its name stays. May be called again."""
        if self.buf is not None:
            self.buf.release()
            self.buf = None
        if self._map is not None:
            self._map.close()
            self._map = None

    def unlink(self) -> None:
        """Remove the name; who is attached keeps the memory."""
        made = self._made.pop(self.name, None)
        if made is None:
            import _posixshmem

            _posixshmem.shm_unlink(f"/{self.name}")
        else:
            made.close()

    def __reduce__(self) -> Any:
        return _rebuild, (self._face, self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, size={self.size})"


def _rebuild(face: Any, name: str) -> Any:
    return face.SharedMemory(name)


def _attach(name: str) -> mmap.mmap:
    import _posixshmem  # the module beneath the standard library's; by itself it starts no tracker process

    descriptor = _posixshmem.shm_open(f"/{name}", os.O_RDWR, mode=0o600)
    try:
        return mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def _memory_names(face: Face) -> dict[str, Any]:
    memory: Any = bind(face, SharedMemory, _made={})

    def shareable_list(sequence: Iterable[Any] | None = None, *, name: str | None = None) -> state.ShareableList:
        """A list of fixed length in shared memory; without *sequence*, the one of that *name*."""
        if sequence is None:
            return state.ShareableList(memory(name))
        values = list(sequence)
        return state.ShareableList(memory(name, create=True, size=state.ShareableList.room_for(values)), values)

    return {
        "SharedMemory": memory,
        "ShareableList": factory(face, "ShareableList", shareable_list, lambda: state.ShareableList),
    }


def _ctypes_names(face: Face) -> dict[str, Any]:
    backend = face._backend
    multiprocessing = face.sibling("multiprocessing")

    def copy(obj: Any) -> Any:
        """A new shared object with the content of the ctypes object *obj*."""
        twin = backend.value(type(obj), lock=False)
        ctypes.memmove(ctypes.addressof(twin), ctypes.addressof(obj), ctypes.sizeof(obj))
        return twin

    def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> Any:
        """The ctypes object *obj* under *lock*, or under an rlock of its own."""
        return state.synchronized(backend, obj, lock)

    names = ("Value", "Array", "RawValue", "RawArray")
    return {
        **{name: getattr(multiprocessing, name) for name in names},
        "copy": copy,
        "synchronized": synchronized,
    }


FACES = {"multiprocessing.shared_memory": _memory_names, "multiprocessing.sharedctypes": _ctypes_names}
