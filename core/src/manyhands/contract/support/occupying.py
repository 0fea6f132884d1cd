"""Keeping workers busy, so that what is submitted meanwhile waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .waiting import DEADLOCK_S

__all__ = ["occupied"]


def hold(started: Any, release: Any) -> bool:
    """Tell that it has started, and stay until *release* is set."""
    started.release()
    return bool(release.wait(DEADLOCK_S))


@contextmanager
def occupied(executor: Any, workers: int = 2) -> Iterator[list[Any]]:
    """Tasks that keep so many *workers* of *executor* busy until the block ends; yields their futures."""
    started, release = executor.backend.semaphore(0), executor.backend.event()
    futures = [executor.submit(hold, started, release) for _ in range(workers)]
    try:
        for _ in futures:
            assert started.acquire(timeout=DEADLOCK_S)
        yield futures
    finally:
        release.set()
