"""The class that the entry point names: it says who runs tasks, where primitives live, and what an activity is."""

from manyhands import Activity, Backend, BackendOptions, Capabilities, ExecutorOptions, LocalHost

from ._activity import MinimalActivity
from ._engine import MinimalEngine

__all__ = ["MinimalBackend"]


class MinimalBackend(Backend[BackendOptions]):
    """Tasks run in threads; all primitives are the core's own."""

    name = "minimal"
    contract = 1
    capabilities = Capabilities(in_process=True)

    def make_engine(self, options: ExecutorOptions) -> MinimalEngine:
        return MinimalEngine(options)

    def make_host(self) -> LocalHost:
        return LocalHost()

    def start_activity(self, activity: Activity) -> MinimalActivity:
        return MinimalActivity(activity)
