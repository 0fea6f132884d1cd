"""An executor that owns its backend, as programs make it that want nothing else."""

from typing import Any

import pytest

import manyhands
from manyhands.contract.support import DEADLOCK_S


@pytest.mark.capability("in_process")
@pytest.mark.capability("in_process")
def test_a_task_has_its_backend_while_it_is_asked_to_stop(backend: Any) -> None:
    """``terminate_workers`` closes the backend after the grace, not before."""
    executor = manyhands.open_executor(backend.name, max_workers=2)
    owned = executor.backend
    started = owned.semaphore(0)

    def work() -> str:
        task = manyhands.current_task()
        assert task is not None
        end = owned.monotonic() + DEADLOCK_S
        started.release()
        while not task.cancel_requested and owned.monotonic() < end:
            owned.sleep(0.001)
        return "stopped"

    future = executor.submit(work)
    assert started.acquire(timeout=DEADLOCK_S)
    executor.terminate_workers()

    assert future.result(DEADLOCK_S) == "stopped"
    with pytest.raises(manyhands.ExecutorClosedError):
        owned.executor()
