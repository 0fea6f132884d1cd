"""CPython's tests of executors, on those of the threading backend."""

from typing import Any

from .cpython_suites import Executors, load_futures

util: Any = load_futures("util")
test_init: Any = load_futures("test_init")
test_shutdown: Any = load_futures("test_shutdown")
test_thread_pool: Any = load_futures("test_thread_pool")


class ExecutorTests(Executors, test_thread_pool.ThreadPoolExecutorTest):
    theirs = test_thread_pool


class ExecutorShutdownTests(Executors, test_shutdown.ThreadPoolShutdownTest):
    theirs = test_shutdown


class ExecutorInitializerTests(Executors, test_init.InitializerMixin, util.BaseTestCase):
    theirs = test_init
