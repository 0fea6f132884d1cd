"""Ctrl-C at every single bytecode of what makes fibers: whoever was to run still runs."""

import pytest

from manyhands.contract.support import run_script

pytest.importorskip("manyhands_dummy", reason="manyhands-dummy is not installed")

SWEEP = """
import manyhands
from manyhands.contract.injection import interrupt_sweep

opened = []

def renew():
    '''No fiber is there yet, where the next operation begins.'''
    if opened:
        backend, executor = opened.pop()
        assert executor.submit(pow, 2, 2).result(5) == 4
        executor.shutdown()
        backend.close()
    backend = manyhands.open_backend("dummy", max_workers=2)
    opened.append((backend, backend.executor()))

def operation():
    backend, executor = opened[0]
    {operation}

renew()
found = interrupt_sweep(operation, renew, points={points})
print(found.points == {points}, found.length > {points} // 3)
"""


@pytest.mark.parametrize(
    "operation",
    [
        "executor.submit(pow, 2, 3).result()",
        "executor.submit(backend.sleep, 0); executor.submit(pow, 2, 3).result()",
        "activity = backend.Activity(target=int); activity.start(); activity.join()",
    ],
)
def test_an_interrupt_at_each_bytecode_of_a_first_use(operation: str) -> None:
    """The executor works afterwards, and closes; also where a fiber had not made its first step."""
    finished = run_script(SWEEP.format(operation=operation, points=1500))

    assert (finished.returncode, finished.stdout) == (0, "True True\n"), finished.stderr
