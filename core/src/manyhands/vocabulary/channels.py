"""Pipes within this process, and the standard library's listeners and clients."""

import io
import itertools
import os
import select
import socket
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, Final

from .._parking import ThreadParker
from ..errors import ConfigError, ExecutorClosedError, ResourceError, SerializationError
from .state import keep

if TYPE_CHECKING:
    from ..backend import Backend

__all__ = ["Connection", "Listener", "LocalConnection", "client", "listener", "pipe"]

#: In the standard library a frame begins with its length (4 bytes, signed), or -1 and the length in 8
#: bytes. Here any other negative number stands for an object that is handed over beside the descriptor.
_LENGTH: Final = struct.Struct("!i")
_LONG_LENGTH: Final = struct.Struct("!Q")
_FIRST_TICKET: Final = -2
_MOST_TICKETS: Final = 2**31 - 2


class ParkedConnection(Connection):
    """A :class:`multiprocessing.connection.Connection` whose users block as their backend does."""

    #: See ``Backend.wait_ready``; None: to block a thread will do.
    _wait_ready: Callable[..., list[tuple[int, int]]] | None = None
    # What typeshed leaves out.
    _recv: Callable[..., io.BytesIO]
    _send: Callable[..., None]

    def _recv(self, size: int, read: Any = None) -> io.BytesIO:  # type: ignore[no-redef]
        return super()._recv(size, read or (os.read if self._wait_ready is None else self._read))  # type: ignore[misc,no-any-return]

    def _send(self, buf: Any, write: Any = None) -> None:  # type: ignore[no-redef]
        super()._send(buf, write or (os.write if self._wait_ready is None else self._write))  # type: ignore[misc]

    def _read(self, descriptor: int, size: int) -> bytes:
        self._wait(descriptor, select.POLLIN, None)
        return os.read(descriptor, size)

    def _write(self, descriptor: int, data: Any) -> int:
        self._wait(descriptor, select.POLLOUT, None)
        return os.write(descriptor, memoryview(data)[: select.PIPE_BUF])  # so much surely does not block

    def _poll(self, timeout: float | None) -> bool:
        if self._wait_ready is None:
            return bool(super()._poll(timeout))  # type: ignore[misc]
        return bool(self._wait(self.fileno(), select.POLLIN, timeout))

    def _wait(self, descriptor: int, event: int, timeout: float | None) -> list[tuple[int, int]]:
        assert self._wait_ready is not None
        return self._wait_ready({descriptor: event}, timeout)


class LocalConnection(ParkedConnection):
    """
    One end of a pipe within this process; a :class:`multiprocessing.connection.Connection`.

    ``send`` hands the object over as it is: it need not be picklable, and the receiver has the same
    object. All else goes through the descriptor, so that polling and waiting work, and everything
    arrives in the order in which it was sent. Mixed use is as if ``send`` had pickled: ``recv``
    unpickles what ``send_bytes`` sent, ``recv_bytes`` gives the pickle of what ``send`` sent.

    An end that is passed to a task is the same end there: whoever closes it closes it for all.
    """

    travels_by_reference = True
    # What typeshed leaves out.
    _check_readable: Callable[[], None]
    _check_writable: Callable[[], None]

    def __init__(
        self, descriptor: int, inbox: dict[int, Any], outbox: dict[int, Any], *, readable: bool, writable: bool
    ) -> None:
        super().__init__(descriptor, readable, writable)
        self._inbox = inbox
        self._outbox = outbox
        self._tickets = itertools.count()
        self._pid = os.getpid()

    def send(self, obj: Any) -> None:
        self._check_closed()
        self._check_writable()
        ticket = next(self._tickets) % _MOST_TICKETS
        self._outbox[ticket] = obj
        try:
            self._send(_LENGTH.pack(_FIRST_TICKET - ticket))
        except BaseException:
            self._outbox.pop(ticket, None)
            raise

    def recv(self) -> Any:
        self._check_closed()
        self._check_readable()
        length = self._recv_length()
        if length <= _FIRST_TICKET:
            return self._inbox.pop(_FIRST_TICKET - length)
        return ForkingPickler.loads(self._recv(length).getbuffer())

    def _recv_bytes(self, maxsize: int | None = None) -> io.BytesIO | None:
        """The next message, the position at its end; None when it is longer than *maxsize*."""
        length = self._recv_length()
        if length <= _FIRST_TICKET:
            data = ForkingPickler.dumps(self._inbox.pop(_FIRST_TICKET - length))
            message = io.BytesIO()
            message.write(data)
            return None if maxsize is not None and len(data) > maxsize else message
        if maxsize is not None and length > maxsize:
            return None
        return self._recv(length)

    def _wait(self, descriptor: int, event: int, timeout: float | None) -> list[tuple[int, int]]:
        assert self._wait_ready is not None
        return self._wait_ready({descriptor: event}, timeout, local=True)

    def _recv_length(self) -> int:
        (length,) = _LENGTH.unpack(self._recv(_LENGTH.size).getbuffer())
        if length == -1:
            (length,) = _LONG_LENGTH.unpack(self._recv(_LONG_LENGTH.size).getbuffer())
        return int(length)

    def _check_closed(self) -> None:
        if self._pid != os.getpid():
            raise ExecutorClosedError("the end of a pipe was inherited through fork: make a new pipe in this process")
        super()._check_closed()  # type: ignore[misc]

    def _close(self) -> None:
        super()._close()  # type: ignore[misc]
        self._inbox.clear()  # nobody will receive that

    def __reduce__(self) -> Any:
        raise SerializationError("the end of a pipe can only be passed to tasks of its backend, not pickled")


class Listener(connection.Listener):
    """A :class:`multiprocessing.connection.Listener` that leaves nothing behind, and nobody waiting in ``accept``."""

    _listener: Any
    _authkey: bytes | None

    #: See ``Backend.wait_ready``; None: to block a thread will do.
    _wait_ready: Callable[..., list[tuple[int, int]]] | None = None

    def __init__(
        self,
        address: Any,
        family: str | None,
        backlog: int,
        authkey: bytes,
        *,
        wait_ready: Callable[..., list[tuple[int, int]]] | None = None,
    ) -> None:
        folder = None
        if not address and (family or connection.default_family) == "AF_UNIX":  # type: ignore[attr-defined]
            folder = _Folder()
            address = os.path.join(folder.path, "listener")
        super().__init__(address, family, backlog, authkey)
        self._listener._folder = folder  # it goes after the socket, which is in it
        self._wait_ready = wait_ready

    def accept(self) -> Connection:
        """The next connection; OSError when the listener is closed, also while waiting, AuthenticationError."""
        wait_ready = self._wait_ready
        try:
            accepted: Connection = super().accept() if wait_ready is None else self._accept_parked(wait_ready)
        except OSError:
            if self._listener is None:
                raise OSError("the listener is closed") from None
            raise
        return accepted

    def _accept_parked(self, wait_ready: Callable[..., list[tuple[int, int]]]) -> Connection:
        if self._listener is not None:
            wait_ready({self._listener._socket.fileno(): select.POLLIN})
        if self._listener is None:
            raise OSError
        made = _parked(self._listener.accept(), wait_ready)
        try:
            if self._authkey is not None:
                connection.deliver_challenge(made, self._authkey)
                connection.answer_challenge(made, self._authkey)
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener._socket.shutdown(socket.SHUT_RDWR)
            listener.close()


class _Folder:
    """A folder that nobody else may look into; it goes with this object."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="manyhands-")

    def __del__(self) -> None:
        with suppress(OSError):
            os.rmdir(self.path)


class _HangUp:
    """
    Ends a connection for the backend: who waits in it or reads from it gets EOFError.

    It does not close the descriptor: another thread may be about to read from it, and would read
    from whatever gets that number next.
    """

    def __init__(self, made: Connection) -> None:
        self._made = weakref.ref(made)

    def close(self) -> None:
        made = self._made()
        if made is not None and not made.closed:
            with suppress(OSError), socket.socket(fileno=os.dup(made.fileno())) as line:
                line.shutdown(socket.SHUT_RDWR)


def pipe(duplex: bool = True, *, backend: "Backend[Any] | None" = None) -> tuple[LocalConnection, LocalConnection]:
    """
    See ``Backend.pipe``.

    Raises:
        ResourceError: the process has no more descriptors.
    """
    there: dict[int, Any] = {}
    back: dict[int, Any] = {}
    try:
        if duplex:
            one, other = (end.detach() for end in socket.socketpair())
        else:
            one, other = os.pipe()
    except OSError as error:
        raise ResourceError(f"no pipe can be made: {error}", errno=error.errno) from error
    ends = (
        LocalConnection(one, back, there, readable=True, writable=duplex),
        LocalConnection(other, there, back, readable=duplex, writable=True),
    )
    for end in ends:
        end._wait_ready = _parked_wait(backend)
    return ends


def _parked_wait(backend: "Backend[Any] | None") -> Callable[..., list[tuple[int, int]]] | None:
    """How activities of *backend* wait for descriptors; None where blocking their thread will do."""
    return None if backend is None or backend.parker_type is ThreadParker else backend.wait_ready


def _parked(made: Any, wait_ready: Callable[..., list[tuple[int, int]]]) -> ParkedConnection:
    """The connection *made* by the standard library, as one whose users block by *wait_ready*."""
    descriptor, made._handle = made._handle, None
    parked = ParkedConnection(descriptor)
    parked._wait_ready = wait_ready
    return parked


def wait(objects: Iterable[Any], timeout: float | None = None, *, backend: "Backend[Any]") -> list[Any]:
    """:func:`multiprocessing.connection.wait`, blocking as *backend* does."""
    wait_ready = _parked_wait(backend)
    if wait_ready is None:
        return list(connection.wait(objects, timeout))
    listed = list(objects)
    numbers = [one if isinstance(one, int) else one.fileno() for one in listed]
    local = all(isinstance(one, LocalConnection) for one in listed)
    limit = None if timeout is None else max(0.0, timeout)
    ready = {number for number, _ in wait_ready(dict.fromkeys(numbers, select.POLLIN), limit, local=local)}
    return [one for one, number in zip(listed, numbers, strict=True) if number in ready]


def listener(
    address: Any = None,
    family: str | None = None,
    backlog: int = 1,
    authkey: bytes | None = None,
    *,
    backend: "Backend[Any] | None" = None,
) -> Listener:
    """
    See ``Backend.listener``; *backend* closes it when it closes. What it accepted is the caller's.

    Raises:
        TypeError: *authkey* is not bytes, or the address is of no known kind.
        ConfigError: *authkey* is empty.
        ValueError: the address or the family is unknown here.
        OSError: the system refuses the address.
    """
    made = Listener(address, family, backlog, _key(authkey), wait_ready=_parked_wait(backend))
    if backend is not None:
        keep(backend, made)
    return made


def client(
    address: Any,
    family: str | None = None,
    authkey: bytes | None = None,
    *,
    backend: "Backend[Any] | None" = None,
) -> Connection:
    """
    See ``Backend.client``; *backend* hangs up when it closes.

    Raises:
        multiprocessing.AuthenticationError: the other side has another key.
        TypeError, ConfigError, ValueError, OSError: as for :func:`listener`.
    """
    key, wait_ready = _key(authkey), _parked_wait(backend)
    if wait_ready is None:
        made: Any = connection.Client(address, family, key)
    else:
        made = _parked(connection.Client(address, family), wait_ready)
        try:
            connection.answer_challenge(made, key)
            connection.deliver_challenge(made, key)
        except BaseException:
            made.close()
            raise
    if backend is not None:
        made._hang_up = _HangUp(made)  # lives as long as the connection
        keep(backend, made._hang_up)
    return made  # type: ignore[no-any-return]


def _key(authkey: bytes | None) -> bytes:
    """A message must not show a key."""
    from multiprocessing import process

    if authkey is None:
        return process.current_process().authkey
    if not isinstance(authkey, bytes):
        raise TypeError(f"authkey must be bytes, got {type(authkey).__name__}")
    if not authkey:
        raise ConfigError("authkey must not be empty")
    return authkey
