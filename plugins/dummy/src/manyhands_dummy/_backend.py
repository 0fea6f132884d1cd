"""The class that the entry point names."""

from collections.abc import Callable, Hashable
from typing import Any, ClassVar

from manyhands import Activity, Backend, Capabilities, ExecutorOptions, LocalHost

from ._activity import DummyActivity
from ._engine import DummyEngine
from ._hub import Hub, RealClock, VirtualClock
from ._local import local_of
from ._options import DummyOptions
from ._order import RandomOrder

__all__ = ["DummyBackend"]


class _Mutex:
    """Nobody else runs during an operation; before it, somebody else may."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __enter__(self) -> None:
        self._hub.check_thread()
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

    def __init__(self, options: DummyOptions) -> None:
        order = None if options.seed is None else RandomOrder(options.seed)
        self._hub = Hub(VirtualClock() if options.virtual_time else RealClock(), order)
        self.local = local_of(self._hub)  # type: ignore[misc]
        super().__init__(options)

    def make_engine(self, options: ExecutorOptions) -> DummyEngine:
        return DummyEngine(self._hub, options)

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

    def close(self, *, cancel: bool = False) -> None:
        super().close(cancel=cancel)
        self._hub.close()
