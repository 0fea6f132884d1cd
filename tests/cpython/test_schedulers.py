"""CPython's tests of ``sched``, on the schedulers of the threading backend."""

from types import SimpleNamespace
from typing import Any

from .cpython_suites import Native, load

test_sched: Any = load("test_sched")


class NativeSchedulerTests(Native, test_sched.TestCase):
    def adapt(self) -> None:
        self.replace(test_sched, "sched", SimpleNamespace(scheduler=self.backend.scheduler))
