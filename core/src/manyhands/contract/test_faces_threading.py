"""``threading`` and ``_thread`` over a backend: what differs from a table of names."""

import contextvars
import sys
import threading
from typing import Any, Final

import pytest

from manyhands import ResourceError

from .support import DEADLOCK_S, Background, eventually

pytestmark: Final = pytest.mark.contract("manyhands.Backend.as_module")


@pytest.fixture
def face(backend: Any) -> Any:
    """The module."""
    return backend.as_module("threading")


def run(thread: Any) -> Any:
    """Start it, wait for its end, and give it back."""
    thread.start()
    thread.join()
    return thread


# Life of a thread.


@pytest.mark.covers("thread-objects")
def test_a_thread_is_known_while_it_runs(face: Any) -> None:
    """``is_alive`` and ``native_id`` are right inside of it, and ``ident`` is there, from the first moment."""
    seen: list[object] = []

    class Curious(face.Thread):
        def run(self) -> None:
            seen.append((self.is_alive(), type(self.ident), self.native_id))
            seen.append((True, int, threading.get_native_id()))

    for _ in range(50):
        run(Curious())
        assert seen[0] == seen[1]
        seen.clear()


@pytest.mark.covers("thread-objects")
def test_a_thread_starts_once(face: Any) -> None:
    """A second start is a RuntimeError."""
    thread = run(face.Thread())

    with pytest.raises(RuntimeError, match="can only be started once"):
        thread.start()


@pytest.mark.covers("thread-objects")
def test_a_thread_is_joined_after_its_start(face: Any) -> None:
    """Before it, join is a RuntimeError."""
    with pytest.raises(RuntimeError, match="before it is started"):
        face.Thread().join()


@pytest.mark.covers("thread-objects")
def test_a_thread_cannot_join_itself(face: Any) -> None:
    """It is a RuntimeError, as it would never return."""
    errors: list[Any] = []
    face.excepthook = errors.append

    run(face.Thread(target=lambda: face.current_thread().join()))

    assert [error.exc_type for error in errors] == [RuntimeError]


@pytest.mark.covers("thread-objects")
def test_join_gives_up_after_its_timeout(face: Any) -> None:
    """And the thread is alive."""
    release = face.Event()
    thread = face.Thread(target=release.wait)
    thread.start()

    thread.join(0.001)

    assert thread.is_alive()
    release.set()
    thread.join()


@pytest.mark.covers("thread-objects")
def test_a_constructor_that_was_forgotten_is_named(face: Any) -> None:
    """A subclass whose ``__init__`` does not call the base's cannot be started."""

    class Forgetful(face.Thread):
        def __init__(self) -> None:
            pass

    with pytest.raises(RuntimeError, match=r"Forgetful\.__init__\(\) was not called"):
        Forgetful().start()


@pytest.mark.covers("thread-objects")
def test_threads_are_numbered(face: Any) -> None:
    """The name says the number and the target."""
    first, second = face.Thread(), face.Thread(target=divmod)

    assert (first.name, second.name) == ("Thread-1", "Thread-2 (divmod)")


@pytest.mark.covers("thread-objects")
def test_a_thread_of_a_daemon_is_a_daemon(face: Any) -> None:
    """Unless it is told otherwise; one of the main thread is not."""
    made: list[Any] = []

    run(face.Thread(target=lambda: made.extend([face.Thread(), face.Thread(daemon=False)]), daemon=True))

    assert [thread.daemon for thread in [*made, face.Thread()]] == [True, False, False]


@pytest.mark.covers("thread-objects")
def test_the_old_names_of_attributes_are_there(face: Any) -> None:
    """``getName`` and the like."""
    thread = face.Thread()
    thread.setName("renamed")
    thread.setDaemon(True)

    assert (thread.getName(), thread.name) == ("renamed", "renamed")
    assert (thread.isDaemon(), thread.daemon) == (True, True)


@pytest.mark.covers("thread-objects")
def test_a_thread_runs_in_the_context_it_was_given(face: Any) -> None:
    """``context=``, which the standard library has from 3.14 on."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    context = contextvars.copy_context()
    context.run(variable.set, "mine")
    seen: list[str] = []

    run(face.Thread(target=lambda: seen.append(variable.get()), context=context))

    assert seen == ["mine"]


@pytest.mark.covers("thread-objects")
def test_no_thread_to_be_had_is_a_runtime_error(backend: Any) -> None:
    """The error that old programs expect, with the backend's as its cause."""

    class Full(type(backend)):  # type: ignore[misc]
        def start_activity(self, activity: Any) -> Any:
            raise ResourceError("there are no more threads")

    with Full(backend.options) as full, pytest.raises(RuntimeError, match="no more threads") as caught:
        full.as_module("threading").Thread().start()

    assert isinstance(caught.value.__cause__, ResourceError)


# Errors that nobody caught.


@pytest.mark.covers("thread-objects")
def test_an_error_reaches_the_hook_of_the_module(face: Any) -> None:
    """With its traceback and the Thread."""
    seen: list[Any] = []
    face.excepthook = seen.append

    thread = run(face.Thread(target=divmod, args=(1, 0)))

    (args,) = seen
    assert (args.exc_type, type(args.exc_value), args.thread) == (ZeroDivisionError, ZeroDivisionError, thread)
    assert args.exc_traceback is not None


@pytest.mark.covers("thread-objects")
def test_without_a_hook_the_interpreters_is_called(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that is set when the error comes."""
    seen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", seen.append)

    run(face.Thread(target=divmod, args=(1, 0)))

    assert [args.exc_type for args in seen] == [ZeroDivisionError]


@pytest.mark.covers("thread-objects")
def test_a_hook_that_fails_is_reported(face: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ``sys.excepthook``, as in the standard library."""
    seen: list[Any] = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: seen.append(args[0]))

    def fail(_args: Any) -> None:
        raise LookupError

    face.excepthook = fail
    run(face.Thread(target=divmod, args=(1, 0)))

    assert seen == [LookupError]


@pytest.mark.covers("thread-objects")
@pytest.mark.parametrize("leave", [SystemExit, lambda: SystemExit(3)])
def test_a_thread_that_exits_is_not_reported(face: Any, leave: Any) -> None:
    """SystemExit is a way to end."""
    seen: list[Any] = []
    face.excepthook = seen.append

    def target() -> None:
        raise leave()

    run(face.Thread(target=target))

    assert seen == []


# Who is there.


@pytest.mark.covers("threading")
@pytest.mark.capability("not deterministic")
def test_a_foreign_thread_is_the_interpreters(face: Any) -> None:
    """In a thread that the module did not make, ``current_thread`` is the standard library's."""
    assert isinstance(Background(face.current_thread).outcome(), threading.Thread)


@pytest.mark.covers("threading")
def test_every_thread_is_listed_once(face: Any) -> None:
    """A thread of the module is there as such, and its host is not."""
    release = face.Event()
    threads = [face.Thread(target=release.wait) for _ in range(3)]
    for thread in threads:
        thread.start()

    listed = face.enumerate()

    release.set()
    for thread in threads:
        thread.join()
    assert sorted(thread.name for thread in listed).count("MainThread") == 1
    assert len(listed) == len({thread.ident for thread in listed})
    assert set(threads) <= set(listed)


@pytest.mark.covers("threading")
def test_a_thread_that_nobody_holds_is_listed(face: Any, backend: Any) -> None:
    """As long as it runs."""
    release = face.Event()
    face.Thread(target=release.wait, name="forgotten").start()

    assert "forgotten" in {thread.name for thread in face.enumerate()}
    release.set()
    assert eventually(lambda: "forgotten" not in {thread.name for thread in face.enumerate()}, on=backend)


@pytest.mark.covers("timer-objects")
def test_a_timer_is_a_thread(face: Any) -> None:
    """It has a name and is the current thread of what it calls."""
    seen: list[Any] = []
    timer = run(face.Timer(0.001, lambda: seen.append(face.current_thread())))

    assert isinstance(timer, face.Thread)
    assert seen == [timer]


@pytest.mark.covers("timer-objects")
def test_a_cancelled_timer_calls_nothing(face: Any) -> None:
    """It ends at once."""
    called: list[int] = []
    timer = face.Timer(DEADLOCK_S, called.append, (1,))
    timer.start()

    timer.cancel()
    timer.join(DEADLOCK_S)

    assert not timer.is_alive()
    assert called == []


# _thread


@pytest.mark.covers("_thread")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1, ()), "the first argument must be callable, got 1"),
        ((print, [1]), r"the second argument must be a tuple, got \[1\]"),
        ((print, (), [1]), r"the third argument must be a dictionary, got \[1\]"),
    ],
)
def test_a_low_level_thread_checks_its_arguments(backend: Any, args: tuple[Any, ...], message: str) -> None:
    """In the caller, not in the thread."""
    with pytest.raises(TypeError, match=f"^{message}$"):
        backend.as_module("_thread").start_new_thread(*args)


@pytest.mark.covers("_thread")
def test_a_low_level_thread_dies_with_the_program(backend: Any) -> None:
    """It is a daemon: nobody waits for it."""
    low, seen = backend.as_module("_thread"), backend.queue()

    low.start_new_thread(lambda: seen.put(backend.as_module("threading").current_thread().daemon), ())

    assert seen.get(timeout=DEADLOCK_S) is True


@pytest.mark.covers("_thread")
def test_an_error_of_a_low_level_thread_reaches_the_hook(backend: Any) -> None:
    """That of ``threading``."""
    seen = backend.queue()
    backend.as_module("threading").excepthook = seen.put

    backend.as_module("_thread").start_new_thread(divmod, (1,), {})

    assert seen.get(timeout=DEADLOCK_S).exc_type is TypeError
