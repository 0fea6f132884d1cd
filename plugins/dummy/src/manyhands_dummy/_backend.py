"""The class that the entry point names."""

from collections.abc import Callable, Hashable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from manyhands import Activity, Backend, Capabilities, ExecutorOptions, LocalHost

from ._activity import DummyActivity
from ._clocks import RealClock, VirtualClock
from ._engine import DummyEngine
from ._hub import Hub
from ._local import Local
from ._options import DummyOptions
from ._order import make_order
from ._strict import StrictEngine, cloudpickle_or_error

__all__ = ["DummyBackend"]


class _Mutex:
    """Nobody else runs during an operation; before it, somebody else may."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __enter__(self) -> None:
        self._hub.caller()
        self._hub.pause()
        self._hub.undivided += 1

    def __exit__(self, *_: object) -> None:
        self._hub.undivided -= 1


class DummyBackend(Backend[DummyOptions]):
    """
    Everything runs in the thread that opens it, one thing at a time.

    Without a seed a task runs inside ``submit`` until it first blocks.
    """

    name = "dummy"
    contract = 1
    capabilities: ClassVar[Capabilities] = Capabilities(in_process=True, deterministic=True, virtual_time=True)
    options_type: ClassVar[type[DummyOptions]] = DummyOptions

    def __init__(self, options: DummyOptions, *, watched: bool = True) -> None:
        """*watched*: tasks that block the thread are reported; who opens thousands can do without."""
        if options.strict:
            cloudpickle_or_error()
        order = None if options.seed is None else make_order(options.order or "random", options.seed)
        self._hub = Hub(VirtualClock() if options.virtual_time else RealClock(), order, watched=watched)
        super().__init__(options)

    def make_engine(self, options: ExecutorOptions) -> DummyEngine:
        kind = StrictEngine if self.options.strict else DummyEngine
        return kind(self._hub, options)

    def make_host(self) -> LocalHost:
        hub = self._hub

        def client() -> Hashable:
            return hub.current

        return LocalHost(client=client, parker=hub.parker, mutex=lambda: _Mutex(hub), monotonic=hub.clock.now)

    def start_activity(self, activity: Activity) -> DummyActivity:
        return DummyActivity(self._hub, activity)

    def monotonic(self) -> float:
        return self._hub.clock.now()

    def sleep(self, seconds: float) -> None:
        self._hub.sleep(seconds)

    @property
    def parker_type(self) -> Callable[[], Any]:
        return self._hub.parker

    @cached_property
    def local(self) -> type:  # type: ignore[override]
        members = {"_hub": self._hub, "travels_by_reference": True, "__slots__": (), "__doc__": Local.__doc__}
        return type("local", (Local,), members)

    def wait_ready(
        self, descriptors: Mapping[int, int], timeout: float | None = None, *, local: bool = False
    ) -> list[tuple[int, int]]:
        return self._hub.wait_ready(descriptors, timeout, local=local)

    def close(self, *, cancel: bool = False) -> None:
        super().close(cancel=cancel)
        self._hub.close()
