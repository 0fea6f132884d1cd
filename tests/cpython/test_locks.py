"""CPython's tests of locks, conditions, semaphores, events and barriers, on native and on hosted ones."""

import threading
from typing import Any

from .cpython_suites import Hosted, Native, load, made_by, replaced

lock_tests: Any = load("lock_tests")


class NativeLockTests(Native, lock_tests.LockTests):
    locktype = made_by("lock")


class HostedLockTests(Hosted, lock_tests.LockTests):
    locktype = made_by("lock")


class NativeRLockTests(Native, lock_tests.RLockTests):
    locktype = made_by("rlock")


class HostedRLockTests(Hosted, lock_tests.RLockTests):
    locktype = made_by("rlock")


class NativeConditionAsRLockTests(Native, lock_tests.RLockTests):
    locktype = made_by("condition")


class HostedConditionAsRLockTests(Hosted, lock_tests.RLockTests):
    locktype = made_by("condition")


class NativeConditionTests(Native, lock_tests.ConditionTests):
    condtype = made_by("condition")


class HostedConditionTests(Hosted, lock_tests.ConditionTests):
    condtype = made_by("condition")

    def adapt(self) -> None:
        # A hosted condition takes locks of its own backend only.
        self.replace(lock_tests, "threading", replaced(threading, Lock=self.backend.lock))


class NativeSemaphoreTests(Native, lock_tests.SemaphoreTests):
    semtype = made_by("semaphore")


class HostedSemaphoreTests(Hosted, lock_tests.SemaphoreTests):
    semtype = made_by("semaphore")


class NativeBoundedSemaphoreTests(Native, lock_tests.BoundedSemaphoreTests):
    semtype = made_by("bounded_semaphore")


class HostedBoundedSemaphoreTests(Hosted, lock_tests.BoundedSemaphoreTests):
    semtype = made_by("bounded_semaphore")


class NativeEventTests(Native, lock_tests.EventTests):
    eventtype = made_by("event")


class HostedEventTests(Hosted, lock_tests.EventTests):
    eventtype = made_by("event")


class NativeBarrierTests(Native, lock_tests.BarrierTests):
    barriertype = made_by("barrier")


class HostedBarrierTests(Hosted, lock_tests.BarrierTests):
    barriertype = made_by("barrier")
