"""CPython's tests of queues, on native and on hosted ones."""

import unittest
from types import SimpleNamespace
from typing import Any

from .cpython_suites import HostedQueues, NativeQueues, load, watched

test_queue: Any = load("test_queue")


class NativeQueueTests(NativeQueues, test_queue.QueueTest, unittest.TestCase):
    pass


class HostedQueueTests(HostedQueues, test_queue.QueueTest, unittest.TestCase):
    pass


class NativeLifoQueueTests(NativeQueues, test_queue.LifoQueueTest, unittest.TestCase):
    pass


class HostedLifoQueueTests(HostedQueues, test_queue.LifoQueueTest, unittest.TestCase):
    pass


class NativePriorityQueueTests(NativeQueues, test_queue.PriorityQueueTest, unittest.TestCase):
    pass


class HostedPriorityQueueTests(HostedQueues, test_queue.PriorityQueueTest, unittest.TestCase):
    pass


class NativeFailingQueueTests(NativeQueues, test_queue.FailingQueueTest, unittest.TestCase):
    """A subclass whose storage fails: says whether ``put`` and ``get`` keep the locks in order."""

    @property
    def queue(self) -> SimpleNamespace:
        return self.names(Queue=type(self.backend.queue()))


class NativeSimpleQueueTests(NativeQueues, test_queue.CSimpleQueueTest):
    pass


class HostedSimpleQueueTests(HostedQueues, test_queue.CSimpleQueueTest):
    pass


class NativeSimpleQueueAsQueueTests(NativeQueues, test_queue.QueueTest, unittest.TestCase):
    """A simple queue has the whole method set, so what holds for queues without a limit holds for it."""

    @property
    def queue(self) -> SimpleNamespace:
        return self.names(Queue=self.simple_queue)

    def simple_queue(self, maxsize: int = 0) -> Any:
        queue = self.backend.simple_queue()
        return watched(queue, "SimpleQueue", unfinished=lambda q: len(q._unfinished), shut=lambda q: q._shut)
