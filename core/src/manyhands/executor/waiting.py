"""``wait`` and ``as_completed``, for the futures of any executor."""

import concurrent.futures
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION
from concurrent.futures._base import PENDING, DoneAndNotDoneFutures
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from .._parking import Mailbox, ThreadParker, wait_limit
from ..future import Future
from .task import Task
from .worker import current_task

__all__ = ["as_completed", "wait"]

T = TypeVar("T")
_AnyFuture = concurrent.futures.Future[T]


def wait(
    fs: Iterable[concurrent.futures.Future[T]], timeout: float | None = None, return_when: str = ALL_COMPLETED
) -> DoneAndNotDoneFutures[T]:
    """
    :func:`concurrent.futures.wait`; on our own futures an interrupt leaves nothing locked.

    Args:
        timeout: Seconds to wait at most; None and inf wait without limit.
        return_when: ``ALL_COMPLETED``, ``FIRST_COMPLETED`` or ``FIRST_EXCEPTION``.

    Raises:
        TypeError: something in *fs* is no future.
        ValueError: *return_when* is something else.
    """
    futures = _checked(fs, "wait")
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
        raise ValueError(f"return_when must be ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION, got {return_when!r}")
    limit = wait_limit(timeout)
    if not _all_ours(futures):
        return concurrent.futures.wait(futures, limit, return_when)
    done: set[_AnyFuture[T]] = set()
    try:
        for future in _ended(futures.copy(), limit):
            done.add(future)
            if return_when == FIRST_COMPLETED or (return_when == FIRST_EXCEPTION and _raised(future)):
                break
    except TimeoutError:
        pass
    done |= {future for future in futures if future._phase != PENDING}  # type: ignore[attr-defined]
    return DoneAndNotDoneFutures(done, futures.keys() - done)


def as_completed(
    fs: Iterable[concurrent.futures.Future[T]], timeout: float | None = None
) -> Iterator[concurrent.futures.Future[T]]:
    """
    :func:`concurrent.futures.as_completed`; on our own futures an interrupt leaves nothing locked.

    Args:
        timeout: Seconds from now until the last one must be done; then the iterator raises TimeoutError.

    Raises:
        TypeError: something in *fs* is no future.
    """
    futures = _checked(fs, "as_completed")
    limit = wait_limit(timeout)
    return _ended(futures, limit) if _all_ours(futures) else concurrent.futures.as_completed(futures, limit)


def _ended(futures: dict[_AnyFuture[T], None], limit: float | None) -> Iterator[_AnyFuture[T]]:
    """Each of our *futures* as it ends; TimeoutError after *limit* seconds."""
    kinds = {future._parker_type(): future._monotonic() for future in futures}  # type: ignore[attr-defined]
    # To block a thread will do, unless a backend knows better.
    parker_type = next((kind for kind in kinds if kind is not ThreadParker), ThreadParker)
    monotonic = kinds.get(parker_type, time.monotonic)
    deadline = None if limit is None else monotonic() + limit
    ended = Mailbox(parker_type, outside=len(kinds) > 1)
    return _each_ended(futures, ended, lambda: None if deadline is None else deadline - monotonic())


def _each_ended(futures: dict[Any, None], ended: Mailbox, time_left: Callable[[], float | None]) -> Iterator[Any]:
    left = total = len(futures)
    try:
        for future in futures:
            future._follow(ended.put)
        future = None
        while left:
            ended_now = [_next(ended, futures, f"{left} (of {total}) futures unfinished", time_left)]
            del futures[ended_now[0]]
            left -= 1
            yield ended_now.pop()  # who is done with a future shall be able to free it
    finally:
        for future in futures:
            if future._phase == PENDING:
                future._unfollow(ended.put)


def _next(ended: Mailbox, futures: dict[Any, None], unfinished: str, time_left: Callable[[], float | None]) -> Any:
    if ended:
        return ended.get()
    try:
        with _lending(futures):
            return ended.get(time_left())
    except TimeoutError:
        raise TimeoutError(unfinished) from None


def _lending(futures: dict[Any, None]) -> AbstractContextManager[object]:
    """A task that waits for tasks of its own executor lends its place meanwhile."""
    task = current_task()
    if task is None:
        return nullcontext()
    pool = task._executor._pool
    inside = any(isinstance(future, Task) and future._executor._pool is pool for future in futures)
    return pool.lending() if inside else nullcontext()


def _raised(future: _AnyFuture[T]) -> bool:
    return not future.cancelled() and future.exception() is not None


def _all_ours(futures: dict[_AnyFuture[T], None]) -> bool:
    return all(isinstance(future, Future) for future in futures)


def _checked(fs: Iterable[_AnyFuture[T]], who: str) -> dict[_AnyFuture[T], None]:
    """Each of *fs* once, in their order: that of a set changes from run to run, and a run shall be repeatable."""
    futures = dict.fromkeys(fs)
    for future in futures:
        if not isinstance(future, concurrent.futures.Future):
            raise TypeError(f"{who} needs futures, got {future!r}")
    return futures
