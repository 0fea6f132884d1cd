"""Pipes, listeners and clients."""

import os
import pickle
import resource
import socket
import weakref
from array import array
from collections.abc import Callable, Iterator
from multiprocessing import AuthenticationError, BufferTooShort, connection, current_process
from pathlib import Path
from typing import Any, Final

import pytest

from manyhands import ConfigError, ExecutorClosedError, ResourceError, SerializationError
from manyhands.vocabulary import channels

from .support import DEADLOCK_S, Background, Beside, Script, run_script

pytestmark: Final = pytest.mark.contract("manyhands.Backend.pipe")

pipes: Final = pytest.mark.covers("connection-objects", "exchanging-objects-between-processes", "pipes-and-queues")
listeners: Final = pytest.mark.covers("module-multiprocessing.connection", "address-formats", "authentication-keys")


class Message:
    """Something to send that cannot be pickled, and can be watched as it goes."""

    def __reduce__(self) -> Any:
        raise TypeError("a message cannot be pickled")


@pytest.fixture
def ends(backend: Any) -> Iterator[Any]:
    """The two ends of a pipe."""
    one, other = backend.pipe()
    with one, other:
        yield one, other


@pytest.fixture
def one_way(backend: Any) -> Iterator[Any]:
    """The receiving and the sending end."""
    reader, writer = backend.pipe(duplex=False)
    with reader, writer:
        yield reader, writer


# Objects.


@pipes
@pytest.mark.parametrize("duplex", [True, False])
def test_an_object_arrives(backend: Any, duplex: bool) -> None:
    """What one end sends, the other receives, in order."""
    reader, writer = backend.pipe(duplex)
    with reader, writer:
        for item in (1, "two", [3], None):
            writer.send(item)

        assert [reader.recv() for _ in range(4)] == [1, "two", [3], None]


@pipes
def test_a_duplex_pipe_goes_both_ways(ends: Any) -> None:
    """Each end sends and receives, without mixing."""
    one, other = ends
    one.send("there")
    other.send("back")

    assert (one.recv(), other.recv()) == ("back", "there")


@pipes
@pytest.mark.parametrize("kind", ["lock", "rlock", "event", "queue", "semaphore"])
def test_primitives_can_be_sent(backend: Any, ends: Any, kind: str) -> None:
    """The receiver has the same primitive."""
    one, other = ends
    primitive = getattr(backend, kind)()
    one.send({"nested": [primitive]})

    assert other.recv()["nested"][0] == primitive


@pipes
def test_what_cannot_be_pickled_can_be_sent(ends: Any) -> None:
    """In this process nothing is copied."""
    one, other = ends
    message = Message()
    one.send(message)

    assert other.recv() is message


@pipes
def test_ends_are_arguments(backend: Any, executor: Any) -> None:
    """Nested, too; a task's end is the caller's."""
    mine, theirs = backend.pipe()
    with mine, theirs:
        future = executor.submit(lambda given: given["end"][0].send(given["end"][0].recv() + 1), {"end": [theirs]})
        mine.send(1)

        assert mine.recv() == 2
        future.result(DEADLOCK_S)


@pipes
def test_ends_can_be_sent(backend: Any, ends: Any) -> None:
    """Through another pipe."""
    one, other = ends
    reader, writer = backend.pipe(False)
    with reader, writer:
        one.send(writer)
        other.recv().send("through")

        assert reader.recv() == "through"


@pipes
def test_a_received_object_is_forgotten(ends: Any) -> None:
    """The pipe keeps nothing alive."""
    one, other = ends
    message = Message()
    gone = weakref.ref(message)
    one.send(message)
    del message
    other.recv()

    assert gone() is None


@pipes
def test_an_object_that_nobody_receives_is_forgotten(ends: Any) -> None:
    """When the end that would have received it is closed."""
    one, other = ends
    message = Message()
    gone = weakref.ref(message)
    one.send(message)
    del message
    other.close()

    assert gone() is None


@pipes
def test_threads_may_send_at_the_same_time(ends: Any, beside: Beside) -> None:
    """Nothing is lost, each object once, those of one sender in order."""
    one, other = ends
    senders = [beside(lambda n=n: [one.send((n, k)) for k in range(500)]) for n in range(4)]
    received = [other.recv() for _ in range(2000)]
    for sender in senders:
        sender.outcome()

    for n in range(4):
        assert [k for sender, k in received if sender == n] == list(range(500))


# Bytes.


@pipes
def test_bytes_arrive(ends: Any) -> None:
    """Messages keep their borders, empty ones too; anything bytes-like may be sent."""
    one, other = ends
    for message in (b"", b"one", bytearray(b"two"), memoryview(b"three"), array("i", [1])):
        one.send_bytes(message)

    assert [other.recv_bytes() for _ in range(5)] == [b"", b"one", b"two", b"three", array("i", [1]).tobytes()]


@pipes
def test_a_large_message_arrives(ends: Any, beside: Beside) -> None:
    """It is more than the system holds at a time."""
    one, other = ends
    message = os.urandom(1 << 20)
    sending = beside(one.send_bytes, message)

    assert other.recv_bytes() == message
    sending.outcome()


@pipes
def test_send_bytes_of_a_part(ends: Any) -> None:
    """``offset`` and ``size``; ValueError when they are not in the buffer."""
    one, other = ends
    one.send_bytes(b"0123456789", 2)
    one.send_bytes(b"0123456789", 2, 3)

    assert (other.recv_bytes(), other.recv_bytes()) == (b"23456789", b"234")
    for wrong in ((-1,), (11,), (0, -1), (5, 6)):
        with pytest.raises(ValueError, match=r"offset|size"):
            one.send_bytes(b"0123456789", *wrong)


@pipes
def test_recv_bytes_with_a_limit(ends: Any) -> None:
    """A longer message is an OSError, and the end cannot be read any more, as in the standard library."""
    one, other = ends
    one.send_bytes(b"12345")
    one.send_bytes(b"12345")

    assert other.recv_bytes(5) == b"12345"
    with pytest.raises(OSError, match="bad message length"):
        other.recv_bytes(4)
    with pytest.raises(OSError, match="write-only"):
        other.recv_bytes()


@pipes
def test_recv_bytes_into_a_buffer(ends: Any) -> None:
    """At an offset; BufferTooShort has the whole message."""
    one, other = ends
    buffer = bytearray(8)
    one.send_bytes(b"abc")
    one.send_bytes(b"123456789")

    assert other.recv_bytes_into(buffer, 2) == 3
    assert buffer == b"\0\0abc\0\0\0"
    with pytest.raises(BufferTooShort) as caught:
        other.recv_bytes_into(buffer)
    assert caught.value.args == (b"123456789",)


# Both.


@pipes
def test_objects_and_bytes_keep_their_order(ends: Any) -> None:
    """Whatever the mix."""
    one, other = ends
    message = Message()
    one.send_bytes(b"first")
    one.send(message)
    one.send_bytes(b"third")
    one.send(4)

    assert other.recv_bytes() == b"first"
    assert other.recv() is message
    assert other.recv_bytes() == b"third"
    assert other.recv() == 4


@pipes
def test_receiving_the_other_kind(ends: Any) -> None:
    """As if ``send`` had pickled."""
    one, other = ends
    one.send_bytes(pickle.dumps([1]))
    one.send([2])
    one.send([3])
    buffer = bytearray(100)

    assert other.recv() == [1]
    assert pickle.loads(other.recv_bytes()) == [2]
    other.recv_bytes_into(buffer)
    assert pickle.loads(buffer) == [3]


@pipes
def test_receiving_the_bytes_of_what_has_none(ends: Any) -> None:
    """The error of pickling; the pipe goes on."""
    one, other = ends
    one.send(Message())
    one.send(2)
    with pytest.raises(TypeError, match="cannot be pickled"):
        other.recv_bytes()

    assert other.recv() == 2


@pipes
def test_the_limit_counts_for_objects_too(ends: Any) -> None:
    """The length of their pickle."""
    one, other = ends
    one.send("x" * 100)
    with pytest.raises(OSError, match="bad message length"):
        other.recv_bytes(50)


# Waiting.


@pipes
def test_poll(ends: Any) -> None:
    """Whether there is something, for objects and bytes alike."""
    one, other = ends
    send: Callable[[], object]
    for send in (lambda: one.send(1), lambda: one.send_bytes(b"1")):
        assert other.poll() is False
        assert other.poll(0.01) is False
        send()
        assert other.poll() is True
        assert other.poll(None) is True
        other.recv_bytes()


@pipes
def test_wait_over_pipes_and_sockets(backend: Any, ends: Any) -> None:
    """``multiprocessing.connection.wait`` takes them together."""
    one, other = ends
    mine, theirs = socket.socketpair()
    with mine, theirs:
        assert connection.wait([other, mine], 0.01) == []
        theirs.send(b"x")
        assert connection.wait([other, mine], DEADLOCK_S) == [mine]
        one.send(Message())
        assert set(connection.wait([other, mine], DEADLOCK_S)) == {other, mine}


@pipes
def test_recv_waits(ends: Any, beside: Beside) -> None:
    """For what is sent later."""
    one, other = ends
    receiving = beside(other.recv)
    one.send("later")

    assert receiving.outcome() == "later"


def send_later(sleep: Any, end: Any) -> None:
    sleep(0.01)
    end.send("later")


@pipes
def test_poll_waits(ends: Any, backend: Any, beside: Beside) -> None:
    """For what is sent meanwhile; it stays to be received."""
    one, other = ends
    assert other.poll(0.001) is False
    sending = beside(send_later, backend.sleep, one)

    assert other.poll(DEADLOCK_S) is True
    assert other.recv() == "later"
    sending.outcome()


# The end.


@pipes
def test_end_of_file(backend: Any, ends: Any) -> None:
    """When the other end is closed: after what was sent before, EOFError."""
    one, other = ends
    one.send(Message())
    one.send_bytes(b"last")
    one.close()

    assert isinstance(other.recv(), Message)
    assert other.recv_bytes() == b"last"
    for receive in (other.recv, other.recv_bytes):
        with pytest.raises(EOFError):
            receive()


@pipes
def test_sending_to_a_closed_end(ends: Any) -> None:
    """BrokenPipeError, and the object is not kept."""
    one, other = ends
    other.close()
    message = Message()
    gone = weakref.ref(message)
    with pytest.raises(BrokenPipeError):
        one.send(message)
    del message

    assert gone() is None


@pipes
def test_a_closed_end(ends: Any) -> None:
    """OSError from all but ``closed`` and ``close``."""
    one, _ = ends
    assert not one.closed
    one.close()
    one.close()

    assert one.closed
    for use in (one.recv, one.fileno, one.poll, one.recv_bytes, lambda: one.send(1), lambda: one.send_bytes(b"1")):
        with pytest.raises(OSError, match="handle is closed"):
            use()


@pipes
def test_a_one_way_pipe(one_way: Any) -> None:
    """OSError for the wrong direction."""
    reader, writer = one_way

    assert (reader.readable, reader.writable, writer.readable, writer.writable) == (True, False, False, True)
    use: Callable[[], object]
    for use in (lambda: reader.send(1), lambda: reader.send_bytes(b"1")):
        with pytest.raises(OSError, match="read-only"):
            use()
    for use in (writer.recv, writer.recv_bytes, writer.poll):
        with pytest.raises(OSError, match="write-only"):
            use()


@pipes
def test_pipes_outlive_the_backend(backend: Any, ends: Any) -> None:
    """They are native objects of the process."""
    one, other = ends
    backend.close()
    one.send(1)

    assert other.recv() == 1
    with pytest.raises(ExecutorClosedError, match="was closed"):
        backend.pipe()


@pipes
def test_ends_cannot_be_pickled(ends: Any) -> None:
    """The error says what can be done with them."""
    with pytest.raises(SerializationError, match="can only be passed to tasks"):
        pickle.dumps(ends[0])


@pipes
def test_ends_are_connections(ends: Any) -> None:
    """Of the standard library's class."""
    assert all(isinstance(end, connection.Connection) for end in ends)


@pipes
@pytest.mark.fault(44)
def test_in_a_forked_child(backend: Any) -> None:
    """What was inherited says so; the parent's pipe is unharmed."""
    finished = run_script(
        f"""
        import manyhands, os
        with manyhands.open_backend({backend.name!r}) as backend:
            one, other = backend.pipe()
            pid = os.fork()
            if not pid:
                try:
                    one.send(1)
                except manyhands.ExecutorClosedError as error:
                    print(error, flush=True)
                os._exit(0)
            os.waitpid(pid, 0)
            one.send(2)
            print(other.recv())
        """,
        env={"PYTHONWARNINGS": "ignore"},
    )

    assert finished.stdout == "the end of a pipe was inherited through fork: make a new pipe in this process\n2\n"
    assert finished.stderr == ""


@pipes
@pytest.mark.fault(40)
@pytest.mark.parametrize("duplex", [True, False])
def test_no_descriptors(backend: Any, duplex: bool) -> None:
    """ResourceError; nothing is kept of a half-made pipe."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 1, limits[1]))
    try:
        with pytest.raises(ResourceError, match=r"no pipe can be made: .*Too many open files"):
            backend.pipe(duplex)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# Listeners and clients.


@listeners
@pytest.mark.parametrize(
    "address", [None, ("localhost", 0), "path", "\0abstract"], ids=["none", "inet", "unix", "abstract"]
)
def test_client_and_listener(backend: Any, tmp_path: Path, address: Any, beside: Beside) -> None:
    """A client connects to the listener's address, whatever its family; both use the process's key."""
    if address == "path":
        address = str(tmp_path / "socket")
    elif address == "\0abstract":
        address += f"-{os.getpid()}"
    with backend.listener(address) as listener:
        accepting = beside(listener.accept)
        with backend.client(listener.address) as client, accepting.outcome() as accepted:
            client.send(["hello"])

            assert accepted.recv() == ["hello"]
            assert listener.last_accepted is not None or address is None or isinstance(address, str)


@listeners
def test_without_a_key_it_is_that_of_the_process(backend: Any) -> None:
    """Which the standard library's programs know as ``current_process().authkey``."""
    with backend.listener() as listener:
        # A thread in which nothing of ours runs: its calls block it.
        calling = Background(lambda: connection.Client(listener.address, authkey=current_process().authkey))
        with listener.accept() as accepted, calling.outcome():
            assert isinstance(accepted, connection.Connection)


@listeners
def test_last_accepted(backend: Any, beside: Beside) -> None:
    """The client's address."""
    with backend.listener(("localhost", 0)) as listener:
        accepting = beside(listener.accept)
        with backend.client(listener.address) as client, accepting.outcome():
            mine = socket.socket(fileno=os.dup(client.fileno()))
            with mine:
                assert listener.last_accepted == mine.getsockname()


@listeners
def test_a_key_of_ones_own(backend: Any, beside: Beside) -> None:
    """Both sides must have it."""
    with backend.listener(authkey=b"secret", family="AF_INET") as listener:
        accepting = beside(listener.accept)
        with backend.client(listener.address, "AF_INET", b"secret") as client, accepting.outcome() as accepted:
            accepted.send_bytes(b"in")

            assert client.recv_bytes() == b"in"


@listeners
def test_a_wrong_key(backend: Any, beside: Beside) -> None:
    """AuthenticationError on both sides, without a hint on the key."""
    with backend.listener(authkey=b"right") as listener:
        accepting = beside(listener.accept)
        with pytest.raises(AuthenticationError) as caught:
            backend.client(listener.address, authkey=b"wrong")

        assert isinstance(accepting.outcome(), AuthenticationError)
        assert "right" not in str(caught.value)


@listeners
def test_a_client_of_the_standard_library(backend: Any, beside: Beside) -> None:
    """In a process that is not ours."""
    with backend.listener(authkey=b"key") as listener:
        accepting = beside(listener.accept)
        with Script(
            f"""
            from multiprocessing.connection import Client
            with Client({listener.address!r}, authkey=b"key") as client:
                client.send({{"from": "there"}})
                print(client.recv())
            """
        ) as script:
            with accepting.outcome() as accepted:
                assert accepted.recv() == {"from": "there"}
                accepted.send("back")

            assert script.finish().stdout == "back\n"


@listeners
def test_a_listener_of_the_standard_library(backend: Any, tmp_path: Path) -> None:
    """In a process that is not ours."""
    address = str(tmp_path / "socket")
    with Script(
        f"""
        from multiprocessing.connection import Listener
        with Listener({address!r}, authkey=b"key") as listener:
            print("ready")
            with listener.accept() as client:
                client.send(client.recv() * 2)
        """
    ) as script:
        script.wait_for("ready")
        with backend.client(address, authkey=b"key") as client:
            client.send("ab")

            assert client.recv() == "abab"
        assert script.finish().returncode == 0


@listeners
def test_clients_and_listeners_work_in_tasks(backend: Any, executor: Any) -> None:
    """A task may connect to a listener of its caller."""
    with backend.listener() as listener:

        def connect(address: Any) -> Any:
            with backend.client(address) as client:
                return client.recv()

        future = executor.submit(connect, listener.address)
        with listener.accept() as accepted:
            accepted.send("task")

        assert future.result(DEADLOCK_S) == "task"


@listeners
def test_close_wakes_who_accepts(backend: Any, beside: Beside) -> None:
    """OSError, also afterwards."""
    listener = backend.listener()
    accepting = beside(listener.accept)
    assert not isinstance(accepting.running(), BaseException)
    listener.close()
    listener.close()

    assert "listener is closed" in str(accepting.outcome())
    with pytest.raises(OSError, match="listener is closed"):
        listener.accept()


@listeners
def test_an_address_of_its_own_is_private_and_goes(backend: Any) -> None:
    """A socket in a folder that nobody else can enter; both are gone after ``close``."""
    listener = backend.listener()
    folder = Path(listener.address).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    listener.close()

    assert not folder.exists()


@listeners
def test_a_dropped_listener_leaves_nothing(backend: Any) -> None:
    """Neither the socket nor its folder."""
    listener = backend.listener()
    folder = Path(listener.address).parent
    listener._listener._socket.close()  # the standard library's warns
    del listener

    assert not folder.exists()


@listeners
def test_listeners_and_clients_end_with_the_backend(backend: Any, beside: Beside) -> None:
    """Whoever waits in them is woken; who accepted a connection closes it."""
    listener = channels.listener(None, None, 1, None, backend=backend)
    accepting = beside(listener.accept)
    client = channels.client(listener.address, None, None, backend=backend)
    accepted = accepting.outcome()
    accepting, receiving = beside(listener.accept), beside(client.recv)
    backend.close()

    assert isinstance(accepting.outcome(), OSError)
    assert isinstance(receiving.outcome(), EOFError)
    assert not accepted.closed
    for end in (client, accepted):
        with end, pytest.raises(EOFError):
            end.recv()


@listeners
def test_a_listener_that_nobody_closed_leaves_nothing_at_exit(backend: Any) -> None:
    """Neither the socket nor its folder, nor a word."""
    finished = run_script(
        f"""
        import manyhands
        from manyhands.vocabulary import channels
        backend = manyhands.open_backend({backend.name!r})
        listener = channels.listener(backend=backend)
        print(listener.address)
        """
    )

    assert finished.stderr == ""
    assert not Path(finished.stdout.strip()).parent.exists()


@listeners
@pytest.mark.bad_input(55)
def test_bad_keys(backend: Any) -> None:
    """Refused before anything is opened, and not shown."""
    make: Callable[[object], object]
    for make in (lambda key: backend.listener(authkey=key), lambda key: backend.client("nowhere", authkey=key)):
        with pytest.raises(TypeError, match=r"^authkey must be bytes, got str$"):
            make("planted")
        with pytest.raises(ConfigError, match=r"^authkey must not be empty$"):
            make(b"")


@listeners
@pytest.mark.bad_input(56)
def test_bad_addresses(backend: Any) -> None:
    """TypeError or ValueError for what is no address, OSError for where nobody is."""
    for make in (backend.listener, backend.client):
        with pytest.raises(TypeError, match="address type of 5 unrecognized"):
            make(5)
        with pytest.raises(ValueError, match="AF_PIPE is not recognized"):
            make("x", "AF_PIPE")
    with pytest.raises(FileNotFoundError):
        backend.client("/nowhere")


@listeners
def test_nothing_is_opened_after_close(backend: Any) -> None:
    """Listeners and clients ask first; so does what registers one while the backend closes."""
    backend.close()
    with pytest.raises(ExecutorClosedError, match="was closed"):
        backend.listener()
    with pytest.raises(ExecutorClosedError, match="was closed"):
        backend.client("/nowhere")
    with pytest.raises(ExecutorClosedError, match="was closed"):
        channels.listener(backend=backend)


@pipes
def test_importing_manyhands_imports_no_multiprocessing() -> None:
    """It comes with the first pipe."""
    finished = run_script(
        """
        import manyhands, sys
        with manyhands.open_backend("threading") as backend:
            print("multiprocessing" in sys.modules)
            backend.pipe()
            print("multiprocessing" in sys.modules)
        """
    )

    assert finished.stdout == "False\nTrue\n"
