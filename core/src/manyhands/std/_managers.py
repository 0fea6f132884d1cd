"""
``multiprocessing.managers``: managers that any program can connect to.

They are the standard library's, and so are their proxies and what goes over the wire; but the
server that ``start`` starts is not a process: threads of this process serve it, on every backend,
because the clients may be programs that know nothing of the backend.
"""

import _thread
import os
import queue
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import ProcessError, managers, util
from typing import Any, ClassVar

from ..options import shorten
from ..vocabulary.state import keep
from ._activities import bind
from ._face import Face

__all__ = ["FACES"]

#: The untyped insides of the standard library's.
_std: Any = managers


class Server(_std.Server):  # type: ignore[misc]
    """
    A server that shares its process with its clients, and leaves nothing behind when it ends.

    A proxy that goes calls its server, and the garbage collector may have it go in any thread, one
    at a time: in one that accepts, in one that makes a referent, in one that holds the lock for
    starting threads. Such a call must be answered while that thread stands still. So there are two
    that accept, the threads for calls are started without that lock, and yet another thread waits
    for the server's lock to drop what was given up.
    """

    def __init__(self, registry: Any, address: Any, authkey: bytes, serializer: str) -> None:
        super().__init__(registry, address, authkey, serializer)
        self.stop_event = threading.Event()
        #: What is to be done at the end.
        self.endings: list[Callable[[], object]] = []
        #: The connections, each with a lock that is released when it is served to its end.
        self._clients: dict[Any, Any] = {}
        self._given_up: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=target, name="manyhands-manager", daemon=True)
            for target in (self._accept, self._accept, self._drop)
        ]
        for thread in self._threads:
            thread.start()

    def _accept(self) -> None:
        while not self.stop_event.is_set():
            try:
                client = self.listener.accept()
            except OSError:  # it is closed; or there are no descriptors, and maybe there are some soon
                self.stop_event.wait(0.05)
                continue
            served = self._clients[client] = _thread.allocate_lock()
            served.acquire()
            try:
                _thread.start_new_thread(self.handle_request, (client,))
            except RuntimeError:  # there are no more threads to be had
                self._forget(client)
        for client in tuple(self._clients):
            _hang_up(client.fileno)

    def handle_request(self, conn: Any) -> None:
        """Serve one connection to its end."""
        try:
            super().handle_request(conn)
        finally:
            self._forget(conn)

    def _forget(self, client: Any) -> None:
        client.close()
        self._clients.pop(client).release()

    def accept_connection(self, c: Any, name: str) -> None:
        """Serve a proxy, in a thread that has a name."""
        served = _thread.allocate_lock()  # ``join`` would give this thread an object that stays
        served.acquire()
        threading.Thread(target=self._serve_proxy, args=(c, name, served), daemon=True).start()
        served.acquire()

    def _serve_proxy(self, client: Any, name: str, served: Any) -> None:
        try:
            with suppress(SystemExit):  # the proxy hung up
                super().accept_connection(client, name)
        finally:
            served.release()

    def decref(self, c: Any, ident: str) -> None:
        """Drop the object soon, if that was its last proxy."""
        self._given_up.put(ident)

    def _drop(self) -> None:
        while (ident := self._given_up.get()) is not None:
            with suppress(Exception):  # a client was wrong about it, and does not wait for an answer
                super().decref(None, ident)

    def shutdown(self, c: Any) -> None:
        """For a client that asks for the end."""
        super().shutdown(c)
        self.close(caller=c)

    def is_alive(self) -> bool:
        """Whether it serves; with :meth:`join` what managers ask of a server's process."""
        return any(thread.is_alive() for thread in self._threads)

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, for *timeout* seconds at most."""
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(None if end is None else max(0.0, end - time.monotonic()))

    def close(self, timeout: float = 1.0, *, caller: Any = None) -> None:
        """
        End it; whoever waits for an answer gets EOFError.

        A referent that does not return in *timeout* seconds is left to its thread, a daemon; the
        connection of the *caller* is left to whoever serves it.
        """
        end = time.monotonic() + timeout
        self.stop_event.set()
        if self.listener._listener is not None:
            _hang_up(self.listener._listener._socket.fileno)
        self.listener.close()
        self._given_up.put(None)
        self.join(timeout)
        for client, served in tuple(self._clients.items()):
            if client is not caller:
                served.acquire(timeout=max(0.0, end - time.monotonic()))
        while self.endings:
            self.endings.pop()()


def _hang_up(fileno: Callable[[], int]) -> None:
    """Wake who waits at that socket, whichever thread it is; the owner closes it."""
    with suppress(OSError), socket.socket(fileno=os.dup(fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


class BaseManager(managers.BaseManager):
    """:class:`multiprocessing.managers.BaseManager`, whose server is served by this process."""

    _face: ClassVar[Face]

    def __init__(
        self,
        address: Any = None,
        authkey: bytes | None = None,
        serializer: str = "pickle",
        ctx: Any = None,
        *,
        shutdown_timeout: float = 1.0,
    ) -> None:
        # With a context given it does not settle the process's start method.
        ctx = ctx or self._face.sibling("multiprocessing")
        super().__init__(address, authkey, serializer, ctx, shutdown_timeout=shutdown_timeout)

    def start(self, initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = ()) -> None:
        """
        Start the server, after a call of the initializer.

        Raises:
            multiprocessing.ProcessError: it was started, or shut down.
            TypeError: *initializer* is not callable.
            ExecutorClosedError: the backend was closed.
            OSError: the system refuses the address.
        """
        own: Any = self
        if own._state.value != _std.State.INITIAL:
            done = "started" if own._state.value == _std.State.STARTED else "shut down"
            raise ProcessError(f"the manager was {done} already")
        if initializer is not None:
            if not callable(initializer):
                raise TypeError(f"initializer must be a callable, got {shorten(initializer)}")
            initializer(*initargs)
        self._server = _serve(own._registry, own._address, own._authkey, own._serializer)
        keep(self._face._backend, self._server)
        own._address = self._server.address
        own._process = self._server
        own._state.value = _std.State.STARTED
        own.shutdown = util.Finalize(self, _end, args=(self._server, own._state, own._shutdown_timeout), exitpriority=0)


def _serve(registry: Any, address: Any, authkey: bytes, serializer: str) -> Server:
    """Without an address at one of its own, of which nothing stays: the standard library's folder stays to the exit."""
    if address is not None or not hasattr(socket, "AF_UNIX"):
        return Server(registry, address, authkey, serializer)
    folder = tempfile.mkdtemp(prefix="manyhands-")
    try:
        server = Server(registry, f"{folder}/manager", authkey, serializer)
    except BaseException:
        os.rmdir(folder)
        raise
    server.endings.append(lambda: os.rmdir(folder))
    return server


def _end(server: Server, state: Any, timeout: float) -> None:
    server.close(timeout)
    state.value = _std.State.SHUTDOWN
    _std.BaseProxy._address_to_local.pop(server.address, None)


class SharedMemoryManager(BaseManager):
    """Makes shared memory that goes with the manager."""

    def SharedMemory(self, size: int) -> Any:
        """Shared memory of *size* bytes."""
        return self._with_me(self._face.sibling("multiprocessing.shared_memory").SharedMemory(create=True, size=size))

    def ShareableList(self, sequence: Iterable[Any]) -> Any:
        """A list of fixed length in shared memory."""
        made = self._face.sibling("multiprocessing.shared_memory").ShareableList(sequence)
        self._with_me(made.shm)
        return made

    def _with_me(self, memory: Any) -> Any:
        def unlink() -> None:
            with suppress(FileNotFoundError):
                memory.unlink()

        self._server.endings.append(unlink)
        return memory


def _is_proxy(name: str, value: object) -> bool:
    return name.endswith("Proxy") and not name.startswith("_") and isinstance(value, type)


def _names(face: Face) -> dict[str, Any]:
    base = bind(face, BaseManager, managers.BaseManager)
    sync: Any = type("SyncManager", (base, managers.SyncManager), {"__module__": face.__name__})
    sync.register("Pool", face._backend.pool, _std.PoolProxy)
    return {
        **{name: value for name, value in vars(managers).items() if _is_proxy(name, value)},
        "BaseManager": base,
        "SyncManager": sync,
        "SharedMemoryManager": bind(face, SharedMemoryManager, base),
        "Namespace": managers.Namespace,
        "Token": managers.Token,
    }


FACES = {"multiprocessing.managers": _names}
