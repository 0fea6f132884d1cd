"""Programs with one planted defect each, as people write them."""

from typing import Any

counter = 0


def lost_update(backend: Any) -> None:
    """Two tasks add to a number without a lock: needs switches between bytecodes."""
    global counter
    counter = 0

    def add() -> None:
        global counter
        counter = counter + 1

    with backend.executor(max_workers=2) as executor:
        for future in [executor.submit(add) for _ in range(2)]:
            future.result()
    assert counter == 2, f"two tasks added 1, the sum is {counter}"


def lock_order(backend: Any) -> None:
    """Two tasks take two locks, each in its own order."""

    def both(first: Any, second: Any) -> None:
        with first, second:
            pass

    left, right = backend.lock(), backend.lock()
    with backend.executor(max_workers=2) as executor:
        for future in [executor.submit(both, left, right), executor.submit(both, right, left)]:
            future.result()


def missed_notify(backend: Any) -> None:
    """One waits for a notification without looking whether it has come before."""
    condition = backend.condition()

    def wait() -> None:
        with condition:
            condition.wait()

    def notify() -> None:
        with condition:
            condition.notify()

    with backend.executor(max_workers=2) as executor:
        for future in [executor.submit(wait), executor.submit(notify)]:
            future.result()


def check_then_act(backend: Any) -> None:
    """Two tasks look whether there is an item, and take it: there is only one."""
    queue = backend.queue()
    queue.put("the only one")

    def take() -> Any:
        return None if queue.empty() else queue.get(timeout=1)

    with backend.executor(max_workers=2) as executor:
        for future in [executor.submit(take) for _ in range(2)]:
            future.result()


def harmless(backend: Any) -> None:
    """The lost update with a lock."""
    total = []

    def add(lock: Any) -> None:
        with lock:
            total.append(1)

    lock = backend.lock()
    with backend.executor(max_workers=2) as executor:
        for future in [executor.submit(add, lock) for _ in range(3)]:
            future.result()
    assert len(total) == 3
