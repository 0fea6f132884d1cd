"""``strict=True``: tasks fail for the reasons that another process would have."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import manyhands
from manyhands import ManyhandsWarning, RemoteError, SerializationError

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")
pytest.importorskip("cloudpickle", reason="cloudpickle is not installed")


def numbers() -> Iterator[int]:
    yield 1


class Stubborn(Exception):
    """Cannot be rebuilt from what it says."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


@pytest.fixture
def backend() -> Any:
    with manyhands.open_backend("dummy", strict=True, max_workers=2) as backend:
        yield backend


@pytest.fixture
def executor(backend: Any) -> Any:
    with backend.executor() as executor:
        yield executor


def test_a_result_is_a_copy(executor: Any) -> None:
    """What comes back is equal, and not the same."""
    mine = [1, [2]]

    def same(theirs: Any) -> Any:
        return theirs

    result = executor.submit(same, mine).result()
    assert result == mine
    assert result is not mine


def test_changes_after_submit_are_not_seen(backend: Any, executor: Any) -> None:
    """Arguments are what they were in submit."""
    go, mine = backend.event(), [1]

    def late(theirs: list[int]) -> list[int]:
        go.wait()
        return theirs

    future = executor.submit(late, mine)
    mine.append(2)
    go.set()
    assert future.result() == [1]


def test_who_relies_on_sharing_is_told(executor: Any) -> None:
    """A task that changes its argument is told, at its own definition."""
    mine: list[int] = []

    def collect(theirs: list[int]) -> None:
        theirs.append(1)

    with pytest.warns(ManyhandsWarning, match=r"task 1 \(.*collect\) changed its function or its arguments") as told:
        executor.submit(collect, mine).result()

    assert mine == []
    assert (told[0].filename, told[0].lineno) == (__file__, collect.__code__.co_firstlineno)


def test_who_changes_a_closure_is_told(executor: Any) -> None:
    """A list that a function closes over is an argument, too."""
    mine: list[int] = []
    with pytest.warns(ManyhandsWarning, match="changed its function or its arguments"):
        executor.submit(lambda: mine.append(1)).result()

    assert mine == []


def test_primitives_are_shared(backend: Any, executor: Any) -> None:
    """Nested anywhere, a primitive is the same one in the task."""
    queue, lock, number = backend.queue(), backend.lock(), backend.value("i", 0)

    def work(parts: dict[str, Any]) -> Any:
        with parts["lock"]:
            parts["numbers"][0].value += 1
        parts["queue"].put("from the task")
        return parts["queue"]

    assert executor.submit(work, {"queue": queue, "lock": lock, "numbers": [number]}).result() is queue
    assert (queue.get(), number.value) == ("from the task", 1)


def test_map(executor: Any) -> None:
    """``map`` copies items and results one by one."""
    items = [[1], [2]]

    results = list(executor.map(lambda item: item, items))
    assert results == items
    assert results[0] is not items[0]


@pytest.mark.parametrize(
    ("args", "kwargs", "path"),
    [
        ((1, threading.Lock()), {}, "args[1]"),
        ((), {"lock": threading.Lock()}, "kwargs['lock']"),
        ((numbers(),), {}, "args[0]"),
    ],
)
def test_an_argument_that_cannot_travel(executor: Any, args: Any, kwargs: Any, path: str) -> None:
    """``submit`` raises, and the error leads to the culprit; nothing was started."""
    with pytest.raises(SerializationError, match=r"task 1 \(dict\) has a \w+ that cannot be encoded") as caught:
        executor.submit(dict, *args, **kwargs)

    assert (caught.value.phase, caught.value.path) == ("encode-args", path)
    assert executor.stats().pending == 0
    assert executor.submit(len, "ab").result() == 2


def test_a_result_that_cannot_travel(executor: Any) -> None:
    """It is the future that fails."""
    with pytest.raises(SerializationError, match=r"task 1 \(\w+\) has a lock that cannot be encoded") as caught:
        executor.submit(threading.Lock).result()

    assert caught.value.phase == "encode-result"


def test_an_exception_that_cannot_travel(executor: Any) -> None:
    """Another one stands in for it, with its words and its traceback."""

    def fail() -> None:
        raise Stubborn(1, 2)

    with pytest.raises(RemoteError, match="Stubborn: 1 and 2") as caught:
        executor.submit(fail).result()

    assert "raise Stubborn(1, 2)" in caught.value.traceback_text


def test_retries_have_the_first_arguments(executor: Any) -> None:
    """Another try gets what was submitted, not what the first one made of it."""
    seen = executor.backend.queue()

    def fail_once(theirs: list[int]) -> int:
        theirs.append(1)
        seen.put(len(theirs))
        if seen.qsize() < 2:
            raise ValueError
        return len(theirs)

    with pytest.warns(ManyhandsWarning):
        assert executor.with_options(retries=1).submit(fail_once, []).result() == 1


def test_without_cloudpickle(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install."""
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(manyhands.ConfigError, match=r"pip install manyhands-dummy\[strict\]"):
        manyhands.open_backend("dummy", strict=True)
