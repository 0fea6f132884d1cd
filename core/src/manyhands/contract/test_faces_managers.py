"""``multiprocessing.managers`` and ``.connection`` over a backend, also with programs that know nothing of it."""

import gc
import multiprocessing
import os
import threading
from collections.abc import Iterator
from multiprocessing import managers
from pathlib import Path
from typing import Any, Final

import pytest

from manyhands import ExecutorClosedError

from .support import DEADLOCK_S, Beside, Script, eventually, run_script

pytestmark: Final = pytest.mark.contract("manyhands.Backend.as_module")

KEY = b"a key of ours"


class Calculator:
    """Something to share."""

    def __init__(self) -> None:
        self.sum: int = 0

    def add(self, n: int) -> int:
        self.sum += n
        return self.sum

    def fail(self) -> None:
        raise LookupError("as asked for")

    def numbers(self) -> Iterator[int]:
        return iter([1, 2])

    def _secret(self) -> None: ...


@pytest.fixture
def face(backend: Any) -> Any:
    """The module of managers."""
    return backend.as_module("multiprocessing.managers")


@pytest.fixture
def kind(face: Any) -> Any:
    """A class of managers of one's own."""

    class CalculatorManager(face.BaseManager):
        pass

    CalculatorManager.register("Calculator", Calculator, method_to_typeid={"numbers": "Numbers"})
    CalculatorManager.register("Numbers", proxytype=face.IteratorProxy, create_method=False)
    return CalculatorManager


# Managers of one's own.


@pytest.mark.covers("customized-managers")
def test_registered_objects_are_shared(kind: Any, beside: Beside) -> None:
    """A subclass of BaseManager gets a method for each."""
    with kind() as manager:
        calculator = manager.Calculator()
        calculator.add(1)

        assert beside(calculator.add, 2).outcome() == 3
        del calculator


@pytest.mark.covers("proxy-objects")
def test_an_error_of_the_referent_is_raised_by_the_proxy(kind: Any) -> None:
    """As it is."""
    with kind() as manager:
        with pytest.raises(LookupError, match="as asked for"):
            manager.Calculator().fail()


@pytest.mark.covers("customized-managers")
def test_a_result_may_be_shared_in_turn(kind: Any) -> None:
    """``method_to_typeid``."""
    with kind() as manager:
        assert list(manager.Calculator().numbers()) == [1, 2]


@pytest.mark.covers("proxy-objects")
def test_private_methods_are_not_exposed(kind: Any) -> None:
    """The proxy does not have them."""
    with kind() as manager:
        assert not hasattr(manager.Calculator(), "_secret")


@pytest.mark.covers("proxy-objects")
def test_proxies_can_be_nested(face: Any) -> None:
    """A list in a dict changes where it is."""
    with face.SyncManager() as manager:
        inner = manager.list([1])
        outer = manager.dict(inner=inner)
        outer["inner"].append(2)

        assert list(inner) == [1, 2]
        del inner, outer


_SERVES_IN_THREADS = pytest.mark.capability(
    "not deterministic", reason="one thread cannot serve others: a manager's server answers each in a thread"
)


@_SERVES_IN_THREADS
@pytest.mark.covers("managers")
def test_a_pool_of_a_manager_is_the_backends(face: Any) -> None:
    """No process is started."""
    with face.SyncManager() as manager:
        pool = manager.Pool(2)

        assert pool.map(abs, [-1, -2]) == [1, 2]
        assert multiprocessing.active_children() == []
        pool.terminate()
        del pool


@pytest.mark.covers("managers")
def test_an_initializer_is_called_at_the_start(kind: Any) -> None:
    """Once."""
    seen: list[int] = []
    manager = kind()
    manager.start(seen.append, (1,))
    manager.shutdown()

    assert seen == [1]


@pytest.mark.covers("managers")
def test_an_initializer_must_be_callable(kind: Any) -> None:
    """Else nothing is started."""
    with pytest.raises(TypeError, match="initializer must be a callable, got 3"):
        kind().start(3)


@pytest.mark.covers("managers")
def test_a_manager_starts_once(kind: Any) -> None:
    """A second start is a ProcessError that says why."""
    with kind() as manager:
        with pytest.raises(multiprocessing.ProcessError, match="was started already"):
            manager.start()
    with pytest.raises(multiprocessing.ProcessError, match="was shut down already"):
        manager.start()


@pytest.mark.covers("managers")
def test_a_manager_of_a_closed_backend_does_not_start(backend: Any) -> None:
    """It says where that was closed."""
    with type(backend)(backend.options) as other:
        manager = other.as_module("multiprocessing.managers").BaseManager()

    with pytest.raises(ExecutorClosedError, match="was closed"):
        manager.start()


@pytest.mark.covers("cleanup")
def test_the_server_ends_with_the_manager(kind: Any, backend: Any) -> None:
    """Its threads too, though clients are connected; a call after it is an error."""
    before = set(threading.enumerate())
    with kind() as manager:
        calculator = manager.Calculator()
        calculator.add(1)

    assert eventually(lambda: set(threading.enumerate()) <= before, on=backend)
    with pytest.raises((EOFError, OSError)):
        calculator.add(1)


@pytest.mark.covers("cleanup")
def test_the_server_ends_with_the_backend(backend: Any, kind: Any) -> None:
    """A manager that nobody shut down leaves no thread and no socket."""
    before = set(threading.enumerate())
    with type(backend)(backend.options) as other:
        manager = other.as_module("multiprocessing.managers").BaseManager()
        manager.start()
        path = Path(manager.address)
        assert path.exists()

    assert eventually(lambda: set(threading.enumerate()) <= before, on=backend)
    assert not path.parent.exists()


@pytest.mark.covers("cleanup")
def test_the_server_ends_when_a_client_asks_for_it(kind: Any) -> None:
    """The message that the standard library's managers send."""
    manager: Any = kind()
    manager.start()

    connection = manager._Client(manager.address, authkey=manager._authkey)
    managers.dispatch(connection, None, "shutdown")  # type: ignore[attr-defined]
    connection.close()

    manager.join(DEADLOCK_S)
    with pytest.raises(OSError):
        manager._Client(manager.address, authkey=manager._authkey)
    manager.shutdown()


@pytest.mark.covers("cleanup")
def test_a_referent_goes_with_its_last_proxy(kind: Any, backend: Any) -> None:
    """The manager counts them."""
    with kind() as manager:
        calculator = manager.Calculator()
        before = manager._number_of_objects()
        del calculator

        assert eventually(lambda: manager._number_of_objects() == before - 1, on=backend)


# The garbage collector may drop a proxy in any thread, and a dropped proxy calls the server and waits for the answer.


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Garbage stays until somebody collects it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def throw_away(proxy: Any) -> None:
    """Make it garbage that only the collector finds."""
    cycle = [proxy]
    cycle.append(cycle)


@pytest.mark.covers("cleanup")
def test_a_proxy_may_be_dropped_under_the_lock_of_the_server(kind: Any, no_collector: None) -> None:
    """That is held while the referent is made, which here collects the garbage."""
    kind.register("Collected", lambda: Calculator() if gc.collect() else None)

    with kind() as manager:
        throw_away(manager.Calculator())

        assert manager.Collected().add(1) == 1


@pytest.mark.covers("cleanup")
def test_a_proxy_may_be_dropped_in_a_thread_that_accepts(kind: Any, no_collector: None, backend: Any) -> None:
    """The other one accepts meanwhile."""
    with kind() as manager:
        accept = manager._server.listener.accept
        manager._server.listener.accept = lambda: (gc.collect(), accept())[1]
        throw_away(manager.Calculator())

        assert eventually(lambda: manager._number_of_objects() == 0, on=backend)


@pytest.mark.covers("cleanup")
def test_a_proxy_may_be_dropped_under_the_lock_of_threading(kind: Any, no_collector: None, backend: Any) -> None:
    """That is held while a thread starts or ends: no other can do so meanwhile."""
    with kind() as manager:
        throw_away(manager.Calculator())
        with threading._active_limbo_lock:  # type: ignore[attr-defined]
            gc.collect()

        assert eventually(lambda: manager._number_of_objects() == 0, on=backend)


# Programs that do not know each other.


@_SERVES_IN_THREADS
@pytest.mark.covers("using-a-remote-manager")
def test_three_programs_meet_at_a_server(backend: Any, tmp_path: Path) -> None:
    """One serves a queue, one writes into it, one reads."""
    common = """
        import sys
        import manyhands

        backend = manyhands.open_backend(sys.argv[1])
        managers = backend.as_module("multiprocessing.managers")

        class QueueManager(managers.BaseManager): pass
        """
    arguments = backend.name, str(tmp_path / "address")
    serve = """
        waiting = backend.as_module("queue").Queue()
        QueueManager.register("get_queue", callable=lambda: waiting)
        server = QueueManager(address=sys.argv[2], authkey=b"a key of ours").get_server()
        print("serving")
        server.serve_forever()
        """
    connect = """
        QueueManager.register("get_queue")
        manager = QueueManager(address=sys.argv[2], authkey=b"a key of ours")
        manager.connect()
        """

    with Script(common + serve, *arguments) as server:
        server.wait_for("serving")
        with Script(common + connect + "\n        print(manager.get_queue().get())", *arguments) as reader:
            writer = run_script(common + connect + "\n        manager.get_queue().put('hello')", *arguments)
            assert (writer.returncode, writer.stderr) == (0, "")
            assert reader.finish().stdout == "hello\n"


@pytest.mark.covers("using-a-remote-manager", "authentication-keys")
def test_a_wrong_key_is_an_authentication_error(kind: Any) -> None:
    """For the client; the server serves on."""
    with kind(authkey=KEY) as manager:
        with pytest.raises(multiprocessing.AuthenticationError):
            kind(address=manager.address, authkey=b"another").connect()

        client = kind(address=manager.address, authkey=KEY)
        client.connect()
        assert client.Calculator().add(1) == 1


@pytest.mark.covers("using-a-remote-manager")
def test_a_manager_of_the_standard_library_connects(kind: Any) -> None:
    """From a program that does not know us."""
    with kind(authkey=KEY) as manager:
        finished = run_script(
            """
            import sys
            from multiprocessing.managers import BaseManager

            class CalculatorManager(BaseManager): pass

            CalculatorManager.register("Calculator")
            manager = CalculatorManager(address=sys.argv[1], authkey=b"a key of ours")
            manager.connect()
            print(manager.Calculator().add(5))
            """,
            manager.address,
        )

    assert (finished.stdout, finished.stderr) == ("5\n", "")


@pytest.mark.covers("using-a-remote-manager")
def test_a_server_of_the_standard_library_is_connected_to(face: Any, tmp_path: Path) -> None:
    """In a program that does not know us."""
    address = str(tmp_path / "address")
    source = """
        import sys
        from multiprocessing.managers import BaseManager

        BaseManager.register("text", callable=lambda: "shared text")
        server = BaseManager(address=sys.argv[1], authkey=b"a key of ours").get_server()
        print("serving")
        server.serve_forever()
        """

    class TextManager(face.BaseManager):
        pass

    TextManager.register("text", exposed=["upper"])
    with Script(source, address) as server:
        server.wait_for("serving")
        manager = TextManager(address=address, authkey=KEY)
        manager.connect()

        text = manager.text()
        assert text.upper() == "SHARED TEXT"
        del text


# Connections.


@pytest.mark.covers("module-multiprocessing.connection", "address-formats")
@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
def test_a_client_of_the_standard_library_is_accepted(backend: Any, tmp_path: Path, family: str) -> None:
    """From a program that does not know us, over both kinds of addresses."""
    address: Any = ("localhost", 0) if family == "AF_INET" else str(tmp_path / "address")
    source = """
        import ast, sys
        from multiprocessing.connection import Client

        with Client(ast.literal_eval(sys.argv[1]), authkey=b"a key of ours") as connection:
            connection.send(["hello", connection.recv_bytes()])
        """

    with backend.as_module("multiprocessing.connection").Listener(address, family, 1, KEY) as listener:
        with Script(source, repr(listener.address)) as client, listener.accept() as connection:
            connection.send_bytes(b"bytes")
            assert connection.recv() == ["hello", b"bytes"]
            assert client.finish().stderr == ""


@pytest.mark.covers("module-multiprocessing.connection")
def test_a_listener_of_the_standard_library_is_connected_to(backend: Any, tmp_path: Path) -> None:
    """In a program that does not know us."""
    address = str(tmp_path / "address")
    source = """
        import sys
        from multiprocessing.connection import Listener

        with Listener(sys.argv[1], authkey=b"a key of ours") as listener:
            print("listening")
            with listener.accept() as connection:
                connection.send(connection.recv()[::-1])
        """

    with Script(source, address) as listener:
        listener.wait_for("listening")
        with backend.as_module("multiprocessing.connection").Client(address, authkey=KEY) as connection:
            connection.send("hello")
            assert connection.recv() == "olleh"
        assert listener.finish().stderr == ""


@pytest.mark.covers("authentication-keys")
def test_a_client_with_another_key_is_turned_away(backend: Any, beside: Beside) -> None:
    """On both sides."""
    face = backend.as_module("multiprocessing.connection")

    with face.Listener(("localhost", 0), authkey=KEY) as listener:
        accepting = beside(listener.accept)
        with pytest.raises(multiprocessing.AuthenticationError):
            face.Client(listener.address, authkey=b"another")
        assert isinstance(accepting.outcome(), multiprocessing.AuthenticationError)


@pytest.mark.covers("authentication-keys")
def test_without_a_key_it_is_that_of_the_process(backend: Any, beside: Beside) -> None:
    """Unlike in the standard library, where nothing is checked then."""
    face = backend.as_module("multiprocessing.connection")
    key = bytes(multiprocessing.current_process().authkey)

    with face.Listener(("localhost", 0)) as listener:
        accepting = beside(listener.accept)
        with face.Client(listener.address, authkey=key), accepting.outcome() as connection:
            assert connection.fileno() in map(int, os.listdir("/proc/self/fd"))
