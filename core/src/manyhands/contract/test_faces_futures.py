"""``concurrent.futures`` over a backend."""

import concurrent.futures
import multiprocessing
from typing import Any, Final

import pytest

from manyhands import ExecutorBrokenError, UnsupportedError

pytestmark: Final = pytest.mark.contract("manyhands.Backend.as_module")


@pytest.fixture
def face(backend: Any) -> Any:
    """The module."""
    return backend.as_module("concurrent.futures")


@pytest.mark.covers("threadpoolexecutor", "processpoolexecutor")
@pytest.mark.parametrize("name", ["ThreadPoolExecutor", "ProcessPoolExecutor", "InterpreterPoolExecutor"])
class TestEveryPool:
    """Whichever a program asks for: it is an executor of the backend."""

    def test_it_is_the_backends(self, backend: Any, face: Any, name: str) -> None:
        """So it takes primitives as arguments."""
        with getattr(face, name)(1) as executor:
            assert executor.backend is backend

    def test_it_is_an_executor(self, face: Any, name: str) -> None:
        """For those who look at the type, ours or the standard library's."""
        with getattr(face, name)() as executor:
            assert isinstance(executor, getattr(face, name))
            assert isinstance(executor, concurrent.futures.Executor)

    def test_it_has_as_many_workers_as_asked_for(self, face: Any, name: str) -> None:
        """``max_workers``."""
        with getattr(face, name)(max_workers=3) as executor:
            assert "3 workers" in repr(executor)

    def test_without_a_number_the_backend_decides(self, face: Any, name: str) -> None:
        """By its options, which here say two."""
        with getattr(face, name)() as executor:
            assert "2 workers" in repr(executor)

    def test_it_needs_a_worker(self, face: Any, name: str) -> None:
        """The standard library's error."""
        with pytest.raises(ValueError, match=r"^max_workers must be greater than 0$"):
            getattr(face, name)(0)

    def test_a_worker_is_initialized(self, face: Any, name: str) -> None:
        """``initializer`` and ``initargs``, which may be any iterable."""
        seen: list[int] = []
        with getattr(face, name)(1, initializer=seen.append, initargs=[5]) as executor:
            executor.submit(int).result()

        assert seen == [5]


@pytest.mark.capability("not deterministic", reason="one thread has one name")
@pytest.mark.covers("threadpoolexecutor")
def test_threads_are_named_as_asked_for(backend: Any, face: Any) -> None:
    """``thread_name_prefix``."""
    current_thread = backend.as_module("threading").current_thread

    with face.ThreadPoolExecutor(1, "mine") as executor:
        assert executor.submit(lambda: current_thread().name).result().startswith("mine")


@pytest.mark.covers("processpoolexecutor")
def test_a_context_of_the_backend_is_accepted(backend: Any, face: Any) -> None:
    """What ``get_context`` of its ``multiprocessing`` gives."""
    context = backend.as_module("multiprocessing").get_context()

    with face.ProcessPoolExecutor(1, mp_context=context) as executor:
        assert executor.submit(int).result() == 0


@pytest.mark.covers("processpoolexecutor")
def test_a_context_from_elsewhere_is_refused(backend: Any, face: Any) -> None:
    """It would say how processes start that are not there."""
    message = rf"'{backend.name}' does not offer concurrent\.futures\.ProcessPoolExecutor\(mp_context=.*not of this"

    with pytest.raises(UnsupportedError, match=message):
        face.ProcessPoolExecutor(mp_context=multiprocessing)


@pytest.mark.covers("processpoolexecutor")
def test_a_worker_has_at_least_one_task(face: Any) -> None:
    """The standard library's error for ``max_tasks_per_child``."""
    with pytest.raises(ValueError, match="max_tasks_per_child must be >= 1"):
        face.ProcessPoolExecutor(max_tasks_per_child=0)


@pytest.mark.covers("exception-classes")
@pytest.mark.parametrize("name", ["thread.BrokenThreadPool", "process.BrokenProcessPool"])
def test_a_broken_pool_is_caught_by_its_old_name(face: Any, name: str) -> None:
    """An initializer that fails breaks the executor."""
    module, _, error = name.partition(".")

    with face.ThreadPoolExecutor(1, initializer=divmod, initargs=(1, 0)) as executor:
        with pytest.raises(getattr(getattr(face, module), error)) as caught:
            executor.submit(int).result()

    assert isinstance(caught.value, ExecutorBrokenError)
