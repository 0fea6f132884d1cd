"""The engines of all backends on the dummy backend's fibers: it stands where their threads would."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import manyhands
import manyhands_minimal
import manyhands_threading
from manyhands import _parking, future
from manyhands.executor import executor, mapping, task, waiting, worker
from manyhands_minimal import _activity as minimal_activity, _engine as minimal_engine
from manyhands_threading import _activity as threading_activity, _engine as threading_engine

__all__ = ["CORE", "ENGINES", "MODULES"]

CORE: tuple[ModuleType, ...] = (future, _parking, executor, mapping, task, waiting, worker)
#: What each has beside the core.
MODULES: dict[str, tuple[ModuleType, ...]] = {
    "dummy": CORE,
    "minimal": (*CORE, minimal_engine, minimal_activity),
    "threading": (*CORE, threading_engine, threading_activity),
}


def _on_fibers(kind: Any) -> Callable[[Any], Any]:
    """*kind*, with its primitives and its clock from the backend that it is opened on."""

    class OnFibers(kind):  # type: ignore[misc]
        def __init__(self, under: Any) -> None:
            self._under = under
            super().__init__(kind.options_type())

        def make_host(self) -> Any:
            under = self._under
            return manyhands.LocalHost(
                client=under._host._client, parker=under.parker_type, mutex=under.rlock, monotonic=under.monotonic
            )

        def monotonic(self) -> float:
            return float(self._under.monotonic())

        def sleep(self, seconds: float) -> None:
            self._under.sleep(seconds)

    return OnFibers


#: How each is opened on a dummy backend.
ENGINES: dict[str, Callable[[Any], Any]] = {
    "dummy": lambda backend: backend,
    "minimal": _on_fibers(manyhands_minimal.MinimalBackend),
    "threading": _on_fibers(manyhands_threading.ThreadingBackend),
}
