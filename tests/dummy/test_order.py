"""Who goes first: at once without a seed, and as the seed says with one."""

import os
import subprocess
import sys
from typing import Any

import pytest

import manyhands

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")

#: Runs the same program under many seeds and prints what each did.
PROGRAM = """
    import hashlib, sys
    from manyhands_dummy import DummyBackend, DummyOptions

    def program(backend, said):
        queue, lock = backend.queue(2), backend.lock()
        names = {"ann", "bob", "cat"}  # their order is the hash seed's, and must not matter
        def produce(name):
            for number in range(3):
                queue.put((name, number))
                said.append(("put", name, number, backend.monotonic()))
                backend.sleep(number)
        def consume():
            for _ in range(9):
                with lock:
                    said.append(("got", *queue.get(), backend.monotonic()))
        with backend.executor(max_workers=4) as executor:
            futures = [executor.submit(produce, name) for name in sorted(names)]
            futures += [executor.submit(consume)]
            for future in futures:
                future.result()

    for seed in range(int(sys.argv[1])):
        said = []
        with DummyBackend(DummyOptions(seed=seed, order=sys.argv[2], virtual_time=True)) as backend:
            program(backend, said)
        print(seed, hashlib.sha256(repr(said).encode()).hexdigest())
"""


def traces(seeds: int, order: str, hash_seed: int) -> list[str]:
    from textwrap import dedent

    done = subprocess.run(
        [sys.executable, "-c", dedent(PROGRAM), str(seeds), order],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.fault(103)
@pytest.mark.parametrize(("order", "fewest"), [("random", 30), ("priorities", 10), ("turns", 2)])
def test_the_same_run_elsewhere(order: str, fewest: int) -> None:
    """A seed gives the same run in another process with another hash seed; other seeds give other runs."""
    here = traces(50, order, 1)

    assert traces(50, order, 2) == here
    assert len({line.split()[1] for line in here}) >= fewest


@pytest.mark.slow
@pytest.mark.fault(103)
@pytest.mark.timeout(120)
def test_a_thousand_seeds() -> None:
    """1,000 of 1,000."""
    assert traces(1000, "random", 1) == traces(1000, "random", 2)


def test_without_a_seed_a_task_starts_in_submit() -> None:
    """It has run when submit returns, unless it blocks."""
    ran: list[int] = []
    with manyhands.open_executor("dummy") as executor:
        future = executor.submit(ran.append, 1)

        assert ran == [1]
        assert future.done()


def test_the_traceback_is_the_plain_one() -> None:
    """The frames of a failed task are the user's own."""

    def fail() -> None:
        raise ValueError("in the task")

    with manyhands.open_executor("dummy") as executor:
        error = executor.submit(fail).exception()

    assert error is not None
    names = []
    trace = error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names == ["fail"]


def test_a_debugger_steps_into_a_task() -> None:
    """A trace function of the caller sees the task's lines from inside of submit."""
    seen: list[str] = []

    def work() -> int:
        return 1

    def trace(frame: Any, event: str, _: object) -> Any:
        if event == "line" and frame.f_code is work.__code__:
            seen.append(frame.f_code.co_name)
        return trace

    with manyhands.open_executor("dummy") as executor:
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            executor.submit(work)
        finally:
            sys.settrace(before)

    assert seen == ["work"]


@pytest.mark.parametrize("order", ["random", "priorities", "turns"])
def test_one_that_only_asks_keeps_nobody_out(order: str) -> None:
    """Who asks again and again whether a task is done lets it run."""
    with manyhands.open_backend("dummy", seed=1, order=order) as backend, backend.executor() as executor:
        future = executor.submit(pow, 2, 3)
        while not future.done():
            pass

        assert future.result() == 8


@pytest.mark.bad_input
def test_an_order_needs_a_seed() -> None:
    """An order without a seed has nothing that decides."""
    with pytest.raises(manyhands.ConfigError, match=r"DummyOptions\.order is 'turns', and there is no seed"):
        manyhands.open_backend("dummy", order="turns")


@pytest.mark.bad_input
def test_an_unknown_order() -> None:
    """The error lists those that there are."""
    with pytest.raises(manyhands.ConfigError, match="one of 'random', 'priorities', 'turns', got 'radnom'"):
        manyhands.open_backend("dummy", seed=1, order="radnom")
