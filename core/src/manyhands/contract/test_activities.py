"""Activities: objects shaped like Thread and like Process, and timers."""

import os
import threading
import time
from typing import Any, Final

import pytest

import manyhands
from manyhands import UnsupportedError

from .support import DEADLOCK_S, Beside, eventually

covers: Final = pytest.mark.covers
capability: Final = pytest.mark.capability
fault: Final = pytest.mark.fault


def put(out: Any, *args: Any, **kwargs: Any) -> None:
    out.put((args, kwargs))


def hold(started: Any, release: Any) -> None:
    started.set()
    release.wait(DEADLOCK_S)


def put_who_runs(out: Any) -> None:
    out.put((threading.get_native_id(), os.getpid()))


def put_ident(out: Any) -> None:
    out.put(threading.get_ident())


def release_later(sleep: Any, release: Any) -> None:
    """Set it when whoever waits for it has had the time to begin."""
    sleep(0.05)
    release.set()


@pytest.fixture
def held(backend: Any) -> Any:
    """An activity that runs until the test is over."""
    started, release = backend.event(), backend.event()
    activity = backend.Activity(target=hold, args=(started, release), name="held")
    activity.start()
    assert started.wait(DEADLOCK_S)
    activity.release = release
    yield activity
    release.set()
    activity.join(DEADLOCK_S)


@pytest.mark.contract("manyhands.Activity.start")
class TestStarting:
    @covers("thread-objects", "the-process-class")
    def test_it_calls_its_target(self, backend: Any) -> None:
        """With its arguments, beside the caller."""
        out = backend.queue()
        activity = backend.Activity(target=put, args=(out, 1, 2), kwargs={"three": 3})
        assert out.empty()
        activity.start()

        assert out.get(timeout=DEADLOCK_S) == ((1, 2), {"three": 3})
        activity.join(DEADLOCK_S)

    @covers("thread-objects", "the-process-class")
    def test_it_knows_itself_from_its_first_line(self, backend: Any) -> None:
        """Also where it runs before its starter has returned."""
        out = backend.queue()

        class Introspective(backend.Activity):
            def run(self) -> None:
                out.put((self.is_alive(), self.ident, self.native_id, self.pid, self.exitcode))

        activities = [Introspective() for _ in range(20)]
        for activity in activities:
            activity.start()

        seen = [out.get(timeout=DEADLOCK_S) for _ in activities]
        assert {(alive, code) for alive, *_, code in seen} == {(True, None)}
        assert {tuple(ids) for _, *ids, _ in seen} == {(a.ident, a.native_id, a.pid) for a in activities}
        for activity in activities:
            activity.join(DEADLOCK_S)

    @covers("thread-objects", "the-process-class")
    def test_a_subclass_overrides_run(self, backend: Any) -> None:
        """With state of its own."""
        out = backend.queue()

        class Greeter(backend.Activity):
            def __init__(self, greeting: str) -> None:
                super().__init__(name="greeter")
                self.greeting = greeting

            def run(self) -> None:
                out.put(self.greeting)

        activity = Greeter("hello")
        activity.start()
        activity.join(DEADLOCK_S)

        assert out.get(timeout=DEADLOCK_S) == "hello"
        assert isinstance(activity, backend.Activity)
        assert isinstance(activity, manyhands.Activity)

    @covers("thread-objects")
    def test_it_can_be_started_once(self, held: Any) -> None:
        """RuntimeError, while it runs and after."""
        with pytest.raises(RuntimeError, match="can only be started once"):
            held.start()
        held.release.set()
        held.join(DEADLOCK_S)
        with pytest.raises(RuntimeError, match="can only be started once"):
            held.start()

    @covers("thread-objects")
    def test_before_the_start_it_is_nobody(self, backend: Any) -> None:
        """No ident, no pid, no exit code, and nothing to wait for."""
        activity = backend.Activity(target=print)

        assert (activity.ident, activity.native_id, activity.pid, activity.exitcode) == (None, None, None, None)
        assert not activity.is_alive()
        assert "initial" in repr(activity)
        for call in (activity.join, activity.terminate, activity.kill):
            with pytest.raises(RuntimeError, match="before it is started"):
                call()

    def test_without_a_target_it_does_nothing(self, backend: Any) -> None:
        """And ends well."""
        activity = backend.Activity()
        activity.start()
        activity.join(DEADLOCK_S)

        assert activity.exitcode == 0

    def test_a_group_is_not_offered(self, backend: Any) -> None:
        """As in the standard library."""
        backend.Activity(None, print)
        with pytest.raises(ValueError, match="group must be None"):
            backend.Activity("group")

    def test_two_at_once_meet(self, backend: Any) -> None:
        """They run beside each other."""
        barrier = backend.barrier(2)
        crew = [backend.Activity(target=barrier.wait, args=(DEADLOCK_S,)) for _ in range(2)]
        for member in crew:
            member.start()
        for member in crew:
            member.join(DEADLOCK_S)

        assert [member.exitcode for member in crew] == [0, 0]

    def test_it_may_start_another(self, backend: Any) -> None:
        """And knows its backend."""
        out = backend.queue()
        activity = backend.Activity(target=start_another, args=(out,))
        activity.start()

        assert out.get(timeout=DEADLOCK_S) == (("from within",), {})
        activity.join(DEADLOCK_S)

    def test_it_may_use_an_executor(self, backend: Any) -> None:
        """Of its backend."""
        out = backend.queue()
        with backend.executor(max_workers=1) as executor:
            activity = backend.Activity(target=lambda: out.put(executor.submit(pow, 2, 3).result(DEADLOCK_S)))
            activity.start()

            assert out.get(timeout=DEADLOCK_S) == 8
            activity.join(DEADLOCK_S)


def start_another(out: Any) -> None:
    inner = manyhands.current_backend().Activity(target=put, args=(out, "from within"))
    inner.start()
    inner.join(DEADLOCK_S)


@pytest.mark.contract("manyhands.ActivityHandle")
class TestWhileItRuns:
    @covers("thread-objects", "the-process-class")
    def test_it_is_somebody(self, backend: Any) -> None:
        """``native_id`` and ``pid`` are those that its code sees."""
        out = backend.queue()
        activity = backend.Activity(target=put_who_runs, args=(out,))
        activity.start()

        assert (activity.native_id, activity.pid) == out.get(timeout=DEADLOCK_S)
        activity.join(DEADLOCK_S)

    @covers("thread-objects", "the-process-class")
    @capability("not deterministic", reason="one thread cannot have an identifier for each activity")
    def test_its_ident_is_its_threads(self, backend: Any) -> None:
        """The one that its code sees."""
        out = backend.queue()
        activity = backend.Activity(target=put_ident, args=(out,))
        activity.start()

        assert activity.ident == out.get(timeout=DEADLOCK_S)
        activity.join(DEADLOCK_S)

    @covers("thread-objects", "the-process-class")
    def test_no_two_have_one_ident(self, backend: Any, held: Any) -> None:
        """While both run; the caller is somebody else, too."""
        other = backend.Activity(target=held.release.wait, args=(DEADLOCK_S,))
        other.start()

        assert len({held.ident, other.ident, threading.get_ident()}) == 3
        held.release.set()
        other.join(DEADLOCK_S)

    @covers("thread-objects")
    def test_it_is_alive(self, held: Any) -> None:
        """Until it has ended; there is no exit code yet."""
        assert held.is_alive()
        assert held.exitcode is None
        assert "started" in repr(held)
        held.release.set()
        held.join(DEADLOCK_S)
        assert not held.is_alive()
        assert "stopped" in repr(held)

    @covers("thread-objects")
    def test_join_waits_so_long(self, held: Any, beside: Beside) -> None:
        """With a timeout it returns although the activity goes on."""
        began = time.monotonic()
        assert held.join(0.02) is None
        assert time.monotonic() - began >= 0.019
        assert held.is_alive()
        joined = beside(held.join)
        held.release.set()

        assert joined.outcome() is None
        assert held.exitcode == 0

    @covers("thread-objects")
    def test_joining_oneself_is_an_error(self, backend: Any) -> None:
        """RuntimeError and no hang."""
        out, activity = backend.queue(), None

        def join_oneself() -> None:
            try:
                activity.join()  # type: ignore[attr-defined]
            except RuntimeError as error:
                out.put(str(error))

        activity = backend.Activity(target=join_oneself)
        activity.start()

        assert "join" in out.get(timeout=DEADLOCK_S)
        activity.join(DEADLOCK_S)

    def test_its_place_cannot_be_given_back(self, held: Any) -> None:
        """``close`` is ValueError while it runs."""
        with pytest.raises(ValueError, match="cannot close an activity while it runs"):
            held.close()
        held.release.set()
        held.join(DEADLOCK_S)
        held.close()

    @covers("the-process-class", "all-start-methods")
    @capability("not cancel_running")
    @pytest.mark.parametrize("how", ["terminate", "kill"])
    def test_where_it_cannot_be_ended_from_outside_that_is_said(self, backend: Any, held: Any, how: str) -> None:
        """UnsupportedError names backend and capability; it goes on."""
        with pytest.raises(UnsupportedError, match=f"backend '{backend.name}' does not offer.*'cancel_running'"):
            getattr(held, how)()
        assert held.is_alive()

    @capability("cancel_running")
    @pytest.mark.parametrize("how", ["terminate", "kill"])
    def test_it_is_ended_from_outside(self, held: Any, how: str) -> None:
        """The exit code is the signal's."""
        getattr(held, how)()
        held.join(DEADLOCK_S)

        assert held.exitcode is not None
        assert held.exitcode < 0

    @covers("the-process-class")
    def test_a_sentinel_or_the_reason_why_not(self, held: Any) -> None:
        """A descriptor, or UnsupportedError."""
        try:
            assert isinstance(held.sentinel, int)
        except UnsupportedError as error:
            assert "sentinel" in str(error)  # noqa: PT017

    @covers("the-process-class")
    def test_an_interrupt_or_the_reason_why_not(self, held: Any) -> None:
        """It gets KeyboardInterrupt, or UnsupportedError says that this cannot be."""
        try:
            held.interrupt()
        except UnsupportedError as error:
            assert "interrupt" in str(error)  # noqa: PT017
        else:
            held.join(DEADLOCK_S)
            assert held.exitcode not in (None, 0)


@pytest.mark.contract("manyhands.Activity")
class TestNames:
    @covers("thread-objects")
    def test_it_has_the_name_that_it_was_given(self, held: Any) -> None:
        """And can be renamed."""
        assert held.name == "held"
        held.name = "renamed"
        assert held.name == "renamed"
        assert "renamed" in repr(held)

    @covers("thread-objects")
    def test_without_a_name_each_has_another(self, backend: Any) -> None:
        """That starts with the class."""
        names = {backend.Activity().name for _ in range(5)}

        assert len(names) == 5
        assert all(name.startswith("Activity") for name in names)

    @covers("thread-objects")
    def test_daemon_is_set_before_the_start(self, backend: Any, held: Any) -> None:
        """Later it is a RuntimeError."""
        activity = backend.Activity(target=print, daemon=True)
        assert activity.daemon is True
        activity.daemon = False
        assert activity.daemon is False
        assert backend.Activity(target=print).daemon is False
        with pytest.raises(RuntimeError, match="before the start"):
            held.daemon = True

    @covers("authentication-keys")
    def test_it_has_the_processs_key(self, backend: Any) -> None:
        """As bytes, and never in its repr."""
        activity = backend.Activity()

        assert isinstance(activity.authkey, bytes)
        assert repr(activity.authkey) not in repr(activity)


@pytest.mark.contract("manyhands.ActivityHandle")
class TestEnds:
    @covers("the-process-class")
    def test_an_uncaught_error_reaches_the_excepthook(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """``threading.excepthook`` is told, and the exit code is 1."""
        told: list[threading.ExceptHookArgs] = []
        monkeypatch.setattr(threading, "excepthook", told.append)
        activity = backend.Activity(target=divmod, args=(1, 0))
        activity.start()
        activity.join(DEADLOCK_S)

        assert activity.exitcode == 1
        if backend.capabilities.in_process:
            assert [hook.exc_type for hook in told] == [ZeroDivisionError]

    @covers("the-process-class")
    @pytest.mark.parametrize(
        ("error", "code"), [(SystemExit(), 0), (SystemExit(None), 0), (SystemExit(7), 7), (SystemExit("words"), 1)]
    )
    def test_exiting_gives_the_code(self, backend: Any, error: BaseException, code: int) -> None:
        """Without a word to the excepthook."""
        activity = backend.Activity(target=raise_it, args=(error,))
        activity.start()
        activity.join(DEADLOCK_S)

        assert activity.exitcode == code

    @pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit])
    def test_what_is_no_exception_is_an_error_too(
        self, backend: Any, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Exit code 1; nobody else is harmed."""
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        activity = backend.Activity(target=raise_it, args=(error(),))
        activity.start()
        activity.join(DEADLOCK_S)

        assert activity.exitcode == 1

    def test_closing_the_backend_waits_for_it(self, backend_name: str) -> None:
        """Unless it is a daemon."""
        backend = manyhands.open_backend(backend_name)
        started, release = backend.event(), backend.event()
        activity = backend.Activity(target=hold, args=(started, release))
        activity.start()
        assert started.wait(DEADLOCK_S)
        Beside(backend)(release_later, backend.sleep, release)
        backend.close()

        assert (activity.is_alive(), activity.exitcode) == (False, 0)

    def test_closing_the_backend_with_cancel_does_not_wait(self, backend_name: str) -> None:
        """What waits for a hosted primitive is woken by the close."""
        backend = manyhands.open_backend(backend_name)
        started, release = backend.event(), backend.event()
        activity = backend.Activity(target=hold, args=(started, release))
        activity.start()
        assert started.wait(DEADLOCK_S)
        backend.close(cancel=True)
        try:
            release.set()
        except manyhands.ExecutorClosedError:
            pass

        activity.join(DEADLOCK_S)
        assert not activity.is_alive()

    @capability("in_process")
    def test_arguments_are_freed_when_it_has_ended(self, backend: Any) -> None:
        """Although the activity itself is still held."""
        import weakref

        thing = threading.Event()
        gone = weakref.ref(thing)
        activity = backend.Activity(target=thing.wait, args=(0,), kwargs={})
        activity.start()
        activity.join(DEADLOCK_S)
        del thing

        assert eventually(lambda: gone() is None, seconds=2, on=backend)


def raise_it(error: BaseException) -> None:
    raise error


@pytest.mark.contract("manyhands.Backend.timer")
class TestTimer:
    @covers("timer-objects")
    def test_it_calls_after_its_time(self, backend: Any) -> None:
        """Not before."""
        out = backend.queue()
        began = time.monotonic()
        timer = backend.timer(0.05, put, (out, 1), {"two": 2})
        timer.start()

        assert out.get(timeout=DEADLOCK_S) == ((1,), {"two": 2})
        assert time.monotonic() - began >= 0.049
        timer.join(DEADLOCK_S)

    @covers("timer-objects")
    def test_it_can_be_cancelled_before(self, backend: Any) -> None:
        """It ends at once and calls nothing."""
        out = backend.queue()
        timer = backend.timer(DEADLOCK_S, put, (out,))
        timer.start()
        timer.cancel()
        timer.join(DEADLOCK_S / 2)

        assert not timer.is_alive()
        assert out.empty()

    @covers("timer-objects")
    def test_cancelling_before_the_start_counts(self, backend: Any) -> None:
        """It then calls nothing."""
        out = backend.queue()
        timer = backend.timer(0, put, (out,))
        timer.cancel()
        timer.start()
        timer.join(DEADLOCK_S)

        assert out.empty()

    @covers("timer-objects")
    def test_its_arguments_are_copied_when_it_is_made(self, backend: Any) -> None:
        """What happens to the caller's list later does not matter."""
        out = backend.queue()
        args, kwargs = [out, 1], {"two": 2}
        timer = backend.timer(0.01, put, args, kwargs)
        args.append("late")
        kwargs["late"] = 3
        timer.start()

        assert out.get(timeout=DEADLOCK_S) == ((1,), {"two": 2})
        timer.join(DEADLOCK_S)

    @covers("timer-objects")
    def test_it_can_be_subclassed(self, backend: Any) -> None:
        """With ``run`` overridden, as one that repeats."""
        out = backend.queue()

        class Repeating(backend.timer):
            def run(self) -> None:
                while not self.finished.wait(self.interval):
                    self.function(*self.args, **self.kwargs)

        timer = Repeating(0.005, put, (out,))
        timer.start()
        for _ in range(3):
            out.get(timeout=DEADLOCK_S)
        timer.cancel()
        timer.join(DEADLOCK_S)

        assert not timer.is_alive()


@pytest.mark.contract("manyhands.Backend.sleep")
class TestTime:
    def test_sleep_lasts_as_long_as_the_clock_says(self, backend: Any) -> None:
        """On the backend's own clock."""
        began = backend.monotonic()
        backend.sleep(0.02)

        assert backend.monotonic() - began >= 0.0199

    @covers("sched")
    def test_a_scheduler_runs_by_that_clock(self, backend: Any) -> None:
        """In the order of time and priority."""
        seen: list[str] = []
        scheduler, now = backend.scheduler(), backend.monotonic()
        scheduler.enterabs(now + 0.02, 1, seen.append, ("third",))
        scheduler.enterabs(now + 0.01, 2, seen.append, ("second",))
        event = scheduler.enterabs(now + 0.005, 1, seen.append, ("never",))
        scheduler.enterabs(now + 0.01, 1, seen.append, ("first",))
        scheduler.cancel(event)
        scheduler.run()

        assert seen == ["first", "second", "third"]
        with pytest.raises(ValueError):
            scheduler.cancel(event)

    @fault(67)
    def test_a_jump_of_the_wall_clock_changes_nothing(self, backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """No timeout is counted on ``time.time``."""
        event, out = backend.event(), backend.queue()
        with backend.executor(max_workers=1) as executor:
            executor.submit(pow, 2, 2).result(DEADLOCK_S)
            for jump in (86_400, -86_400):
                now = time.time()
                monkeypatch.setattr(time, "time", lambda now=now, jump=jump: now + jump)
                assert event.wait(0.01) is False
                with pytest.raises(manyhands.Empty):
                    out.get(timeout=0.01)
                assert executor.submit(pow, 2, 2).result(DEADLOCK_S) == 4
                assert list(executor.map(abs, [-1], timeout=DEADLOCK_S)) == [1]
