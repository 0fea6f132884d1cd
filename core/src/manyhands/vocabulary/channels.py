"""Pipes within this process, and the standard library's listeners and clients."""

import io
import itertools
import os
import select
import socket
import struct
import tempfile
import time
import weakref
from collections.abc import Callable
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


class TurnTakingConnection(Connection):
    """
    A connection whose calls let others run where everything shares one thread.

    *sleep* does that; without one the system blocks the caller's thread, as in the standard library.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        sleep: Callable[[float], None] | None,
        readable: bool = True,
        writable: bool = True,
    ) -> None:
        super().__init__(descriptor, readable, writable)
        self._sleep = sleep

    def _recv(self, size: int) -> io.BytesIO:
        received: Any = super()
        data: io.BytesIO = received._recv(size) if self._sleep is None else received._recv(size, self._read)
        return data

    def _send(self, data: bytes) -> None:
        sent: Any = super()
        sent._send(data) if self._sleep is None else sent._send(data, self._write)

    def _poll(self, timeout: float | None) -> bool:
        if self._sleep is None:
            return bool(connection.wait([self], timeout))
        return _let_others_run(self.fileno(), select.POLLIN, self._sleep, timeout)

    def _read(self, descriptor: int, size: int) -> bytes:
        _let_others_run(descriptor, select.POLLIN, self._sleep)
        return os.read(descriptor, size)

    def _write(self, descriptor: int, data: bytes) -> int:
        _let_others_run(descriptor, select.POLLOUT, self._sleep)
        return os.write(descriptor, data[: select.PIPE_BUF])  # there is room for so much


def _let_others_run(descriptor: int, event: int, sleep: Any, timeout: float | None = None) -> bool:
    """Until *event* has come to *descriptor*, at most *timeout* seconds; whether it has."""
    until = None if timeout is None else time.monotonic() + timeout
    look, pause = select.poll(), 0.0001
    look.register(descriptor, event)
    while not look.poll(0):
        if until is not None and time.monotonic() >= until:
            return False
        try:
            sleep(pause)
        except ExecutorClosedError:
            if not look.poll(0):  # else the close of the backend has reached this, too, and it says so itself
                raise
        pause = min(2 * pause, 0.01)
    return True


def _sleep_of(backend: "Backend[Any] | None") -> Callable[[float], None] | None:
    """What lets others run while one waits; None where each has a thread to be blocked."""
    return None if backend is None or backend.parker_type is ThreadParker else backend.sleep


class LocalConnection(TurnTakingConnection):
    """
    One end of a pipe within this process; a :class:`multiprocessing.connection.Connection`.

    ``send`` hands the object over as it is: it need not be picklable, and the receiver has the same
    object. All else goes through the descriptor, so that polling and waiting work, and everything
    arrives in the order in which it was sent. Mixed use is as if ``send`` had pickled: ``recv``
    unpickles what ``send_bytes`` sent, ``recv_bytes`` gives the pickle of what ``send`` sent.

    An end that is passed to a task is the same end there: whoever closes it closes it for all.
    """

    # What typeshed leaves out.
    _check_readable: Callable[[], None]
    _check_writable: Callable[[], None]

    def __init__(
        self,
        descriptor: int,
        inbox: dict[int, Any],
        outbox: dict[int, Any],
        *,
        readable: bool,
        writable: bool,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(descriptor, readable=readable, writable=writable, sleep=sleep)
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

    def __init__(
        self,
        address: Any,
        family: str | None,
        backlog: int,
        authkey: bytes,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._sleep = sleep
        folder = None
        if not address and (family or connection.default_family) == "AF_UNIX":  # type: ignore[attr-defined]
            folder = _Folder()
            address = os.path.join(folder.path, "listener")
        super().__init__(address, family, backlog, authkey)
        self._listener._folder = folder  # it goes after the socket, which is in it

    def accept(self) -> Connection:
        """The next connection; OSError when the listener is closed, also while waiting, AuthenticationError."""
        try:
            accepted: Connection = super().accept() if self._sleep is None else self._accept_in_turn(self._sleep)
        except OSError:
            if self._listener is None:
                raise OSError("the listener is closed") from None
            raise
        return accepted

    def _accept_in_turn(self, sleep: Callable[[float], None]) -> Connection:
        if self._listener is None:
            raise OSError
        _let_others_run(self._listener._socket.fileno(), select.POLLIN, sleep)
        if self._listener is None:
            raise OSError
        accepted = _take_over(self._listener.accept(), sleep)
        connection.deliver_challenge(accepted, self._authkey)  # type: ignore[attr-defined]
        connection.answer_challenge(accepted, self._authkey)  # type: ignore[attr-defined]
        return accepted

    def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener._socket.shutdown(socket.SHUT_RDWR)
            listener.close()


def _take_over(made: Any, sleep: Callable[[float], None]) -> TurnTakingConnection:
    """The same connection, to be used in turns."""
    descriptor, made._handle = made._handle, None
    return TurnTakingConnection(descriptor, sleep=sleep)


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
    See ``Backend.pipe``; whoever waits at an end lets others of the *backend* run.

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
    sleep = _sleep_of(backend)
    return (
        LocalConnection(one, back, there, readable=True, writable=duplex, sleep=sleep),
        LocalConnection(other, there, back, readable=duplex, writable=True, sleep=sleep),
    )


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
    made = Listener(address, family, backlog, _key(authkey), _sleep_of(backend))
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
    key, sleep = _key(authkey), _sleep_of(backend)
    made: Any
    if sleep is None:
        made = connection.Client(address, family, key)
    else:
        made = _take_over(connection.Client(address, family), sleep)
        connection.answer_challenge(made, key)
        connection.deliver_challenge(made, key)
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
