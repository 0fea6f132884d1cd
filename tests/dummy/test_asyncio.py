"""asyncio beside the fibers: a loop in the main program lets the tasks run in between."""

import asyncio
import concurrent.futures
from typing import Any

import pytest

import manyhands
from manyhands.contract.support import DEADLOCK_S

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")


@pytest.fixture(params=[{}, {"seed": 3}, {"virtual_time": True}, {"seed": 5, "virtual_time": True}])
def backend(request: pytest.FixtureRequest) -> Any:
    with manyhands.open_backend("dummy", max_workers=3, **request.param) as backend:
        yield backend


@pytest.fixture
def executor(backend: Any) -> Any:
    with backend.executor() as executor:
        yield executor


def test_a_task_that_waits_for_a_coroutine(backend: Any, executor: Any) -> None:
    """Who is blocked in a task goes on when a coroutine gives it what it waits for."""
    queue = backend.queue()

    async def main() -> Any:
        waiting = asyncio.get_running_loop().run_in_executor(executor, queue.get)
        await asyncio.sleep(0.01)
        queue.put("from the coroutine")
        return await asyncio.wait_for(waiting, DEADLOCK_S)

    assert asyncio.run(main()) == "from the coroutine"


def test_tasks_that_sleep(backend: Any, executor: Any) -> None:
    """Timeouts of tasks run while the loop waits."""

    async def main() -> list[Any]:
        return await asyncio.gather(*(executor.submit(backend.sleep, 0.01 * number) for number in range(3)))

    assert asyncio.run(main()) == [None] * 3


def test_tasks_that_wait_for_each_other(backend: Any, executor: Any) -> None:
    """One task wakes another while the loop waits for both."""
    event = backend.event()

    async def main() -> list[Any]:
        return list(await asyncio.gather(executor.submit(event.wait), executor.submit(event.set)))

    assert asyncio.run(main()) == [True, None]


def test_a_task_with_a_loop_of_its_own(executor: Any) -> None:
    """A task does not see the loop of the one that submitted it."""

    async def inner() -> int:
        await asyncio.sleep(0.001)
        return 7

    async def main() -> int:
        return int(await executor.submit(lambda: asyncio.run(inner())))

    assert asyncio.run(main()) == 7


def test_a_timeout(backend: Any, executor: Any) -> None:
    """A coroutine gives up on a task that does not end."""
    queue = backend.queue()

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(executor.submit(queue.get)), 0.02)
        queue.put(None)

    asyncio.run(main())


def test_the_task_of_a_coroutine_stays_its_own(executor: Any) -> None:
    """After a submit that ran something, asyncio still knows which of its tasks runs."""

    async def main() -> bool:
        before = asyncio.current_task()
        executor.submit(len, "").result()
        return asyncio.current_task() is before

    assert asyncio.run(main())


def test_mixed_futures(backend: Any, executor: Any) -> None:
    """A pool of threads beside it."""

    async def main() -> set[int]:
        loop = asyncio.get_running_loop()
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            return set(await asyncio.gather(loop.run_in_executor(threads, len, "a"), executor.submit(len, "ab")))

    assert asyncio.run(main()) == {1, 2}
