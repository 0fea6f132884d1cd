"""What blocks a caller that waits is for the backend to say."""

import threading
from collections.abc import Callable
from typing import Any, Final

import pytest

import manyhands
from manyhands import Executor, Future, ThreadParker

from .support import DEADLOCK_S

pytestmark: Final = pytest.mark.contract("manyhands.Backend.parker_type")


@pytest.mark.capability("in_process", "not deterministic")
@pytest.mark.parametrize(
    "wait",
    [
        lambda executor, hold, future: future.result(),
        lambda executor, hold, future: manyhands.wait([future]),
        lambda executor, hold, future: list(manyhands.as_completed([future])),
        lambda executor, hold, future: list(executor.map(hold, range(2))),
        lambda executor, hold, future: list(executor.map(hold, range(2), chunksize=1)),
        lambda executor, hold, future: list(executor.map_unordered(hold, range(2), chunksize=1)),
        lambda executor, hold, future: executor.submit(hold, 1).result(),
    ],
    ids=["result", "wait", "as_completed", "map", "map by tasks", "map_unordered", "max_pending"],
)
def test_it_blocks_in_the_backends_parker(
    backend: Any, request: pytest.FixtureRequest, wait: Callable[[Executor, Any, Future[Any]], object]
) -> None:
    """The work goes on only when somebody waits in a parker of the backend's own kind."""
    waited = threading.Event()

    class Parker(ThreadParker):
        def wait(self, timeout: float | None, *, outside: bool = False) -> bool:
            waited.set()
            return super().wait(timeout, outside=outside)

    class Told(type(backend)):  # type: ignore[misc]
        parker_type = property(lambda self: Parker)

    def hold(_: object) -> bool:
        return waited.wait(DEADLOCK_S)

    limit = 1 if "max_pending" in request.node.name else None
    with Told(backend.options) as told, told.executor(max_workers=1, max_pending=limit) as executor:
        future = executor.submit(hold, 0)
        wait(executor, hold, future)

        assert future.result() is True
