"""CPython's tests of futures, ``wait`` and ``as_completed``: with our futures, our functions, and mixed."""

import concurrent.futures
import logging
from typing import Any

import pytest

import manyhands

from .cpython_suites import Executors, Native, load_futures, replaced

util: Any = load_futures("util")
test_as_completed: Any = load_futures("test_as_completed")
test_future: Any = load_futures("test_future")
test_wait: Any = load_futures("test_wait")

#: ``concurrent.futures`` with our functions.
OUR_FUNCTIONS = replaced(concurrent.futures, wait=manyhands.wait, as_completed=manyhands.as_completed)


class FutureTests(Native, test_future.FutureTests):
    def adapt(self) -> None:
        # What a callback raises is logged, and they look for it where logging writes when nobody has set it up.
        logger = logging.getLogger("concurrent.futures")
        handler = logging.lastResort
        assert handler is not None
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)


class WaitTests(Executors, test_wait.ThreadPoolWaitTests):
    """The standard library's ``wait`` on our futures."""

    theirs = test_wait


class OurWaitTests(WaitTests):
    """``manyhands.wait`` on our futures."""

    def adapt(self) -> None:
        self.replace(test_wait, "futures", OUR_FUNCTIONS)


class AsCompletedTests(Executors, test_as_completed.AsCompletedTests, util.ThreadPoolMixin, util.BaseTestCase):
    """The standard library's ``as_completed`` on our futures."""

    theirs = test_as_completed


class OurAsCompletedTests(AsCompletedTests):
    """``manyhands.as_completed`` on our futures."""

    def adapt(self) -> None:
        self.replace(test_as_completed, "futures", OUR_FUNCTIONS)


@pytest.mark.slow
class MixedWaitTests(Native, test_wait.ThreadPoolWaitTests):
    """``manyhands.wait`` on our futures among those of the standard library's thread pool."""

    def adapt(self) -> None:
        self.replace(test_wait, "futures", OUR_FUNCTIONS)


@pytest.mark.slow
class MixedAsCompletedTests(Native, test_as_completed.AsCompletedTests, util.ThreadPoolMixin, util.BaseTestCase):
    """``manyhands.as_completed`` on our futures among those of the standard library's thread pool."""

    def adapt(self) -> None:
        self.replace(test_as_completed, "futures", OUR_FUNCTIONS)
