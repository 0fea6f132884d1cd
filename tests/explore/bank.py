"""A module as users have them: with the standard library's threads, locks and clock."""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread
from time import monotonic, sleep

lock = threading.Lock()
balance = 0


def reset() -> None:
    """Start again."""
    global balance
    balance = 0


def add_without_lock(amount: int) -> None:
    """Two at once may lose one of the amounts."""
    global balance
    balance = balance + amount


def add_with_lock(amount: int) -> None:
    """The lock was made when this was imported."""
    global balance
    with lock:
        balance = balance + amount


def amounts(n: int) -> Iterator[int]:
    """A generator has frames that come back."""
    global balance
    for amount in range(n):
        before = balance
        yield amount
        balance = before + amount


def add_all(n: int) -> None:
    """Sums up."""
    sum(amounts(n))


def pay_twice(add: Callable[[int], None]) -> int:
    """Two payments at once, in threads; what should come out is 3."""
    reset()
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(add, (1, 2)))
    return balance


def move(first: "Lock", second: "Lock") -> None:
    """Takes both."""
    with first, second:
        pass


def move_crosswise() -> None:
    """Two that take two locks, each in its own order."""
    one, other = Lock(), threading.Lock()
    threads = [Thread(target=move, args=(one, other)), threading.Thread(target=move, args=(other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def take_late() -> float:
    """How long it takes to wait for what comes after an hour."""
    items: queue.Queue[int] = queue.Queue()

    def put() -> None:
        sleep(1800)
        time.sleep(1800)
        items.put(1)

    began = monotonic()
    thread = Thread(target=put)
    thread.start()
    items.get()
    thread.join()
    return time.monotonic() - began
