"""
The contestants, and the script that measures one of them: ``python contestants.py WORKLOAD CONTESTANT``.

It prints one line of JSON. Without arguments it prints what is to be known about the interpreter.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata, util
from typing import Any

from workloads import WORKERS, WORKLOADS


class Contestant:
    """
    What a workload asks of a contestant; each gives what it has.

    Calls go to the contestant's own functions without a wrapper wherever these have the same
    shape, so that nobody pays for being measured.
    """

    def __init__(self, **functions: Callable[..., Any]) -> None:
        #: ``submit(fn, *args)``, a future with ``result()``.
        self.submit: Callable[..., Any]
        #: ``gather(fn, items)``: submits each and gives the list of results.
        self.gather: Callable[..., list[Any]] = self._gather
        #: ``map(fn, items, chunksize=)``, a list.
        self.map: Callable[..., list[Any]]
        self.lock: Callable[[], Any]
        self.queue: Callable[[], Any]
        vars(self).update(functions)

    def _gather(self, fn: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        submit = self.submit
        futures = [submit(fn, item) for item in items]
        return [future.result() for future in futures]


#: The module that a contestant needs, if it is not the standard library or ours.
NEEDS = {"dummy": "manyhands_dummy", "pebble-thread": "pebble", "joblib-thread": "joblib"}
CONTESTANTS: dict[str, Callable[[], AbstractContextManager[Contestant]]] = {}


def contestant(name: str) -> Callable[[Callable[[], Iterator[Contestant]]], None]:
    """Register a generator that opens a contestant, yields it and closes it."""

    def register(opening: Callable[[], Iterator[Contestant]]) -> None:
        CONTESTANTS[name] = contextmanager(opening)

    return register


def with_executor(executor: Any, **more: Callable[..., Any]) -> Contestant:
    """A contestant with the interface of ``concurrent.futures.Executor``."""

    def map_to_list(fn: Callable[..., Any], items: Iterable[Any], **options: Any) -> list[Any]:
        return list(executor.map(fn, items, **options))

    return Contestant(submit=executor.submit, map=map_to_list, **more)


# Ours.


@contestant("threading")
def threading() -> Iterator[Contestant]:
    import manyhands

    with manyhands.open_executor("threading", max_workers=WORKERS) as executor:
        yield with_executor(executor, lock=executor.backend.lock, queue=executor.backend.queue)


@contestant("dummy")
def dummy() -> Iterator[Contestant]:
    import manyhands

    with manyhands.open_executor("dummy", max_workers=WORKERS) as executor:
        yield with_executor(executor, lock=executor.backend.lock, queue=executor.backend.queue)


@contestant("threading-no-context")
def threading_no_context() -> Iterator[Contestant]:
    import manyhands

    with manyhands.open_executor("threading", max_workers=WORKERS) as executor:
        yield with_executor(executor.with_options(context=False))


@contestant("threading-hosted")
def threading_hosted() -> Iterator[Contestant]:
    """The primitives that every backend inherits, in place of the native ones."""
    from manyhands import Backend, open_backend

    with open_backend("threading") as backend:
        yield Contestant(lock=lambda: Backend.lock(backend), queue=lambda: Backend.queue(backend))


# Peers.


@contestant("stdlib")
def stdlib() -> Iterator[Contestant]:
    import queue
    import threading

    yield Contestant(lock=threading.Lock, queue=queue.Queue)


@contestant("cf-thread")
def cf_thread() -> Iterator[Contestant]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(WORKERS) as executor:
        yield with_executor(executor)


@contestant("mp-thread")
def mp_thread() -> Iterator[Contestant]:
    from multiprocessing.pool import ThreadPool

    with ThreadPool(WORKERS) as pool:
        yield Contestant(map=pool.map)


@contestant("pebble-thread")
def pebble_thread() -> Iterator[Contestant]:
    from pebble import ThreadPool

    def map_to_list(fn: Callable[..., Any], items: Iterable[Any], **options: Any) -> list[Any]:
        return list(pool.map(fn, items, **options).result())

    with ThreadPool(WORKERS) as pool:
        yield Contestant(submit=pool.submit, map=map_to_list)


@contestant("joblib-thread")
def joblib_thread() -> Iterator[Contestant]:
    from joblib import Parallel, delayed

    def map_to_list(fn: Callable[..., Any], items: Iterable[Any]) -> list[Any]:
        call = delayed(fn)
        return list(parallel(call(item) for item in items))

    with Parallel(n_jobs=WORKERS, backend="threading") as parallel:
        yield Contestant(gather=map_to_list, map=map_to_list)


# The script.


def describe() -> dict[str, Any]:
    """The interpreter, and which of the contestants it can measure."""
    packages = ("manyhands", "manyhands-threading", "pebble", "joblib")
    versions = {}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    ours = util.find_spec("manyhands")
    return {
        "python": f"{sys.implementation.name} {sys.version.split()[0]}",
        "executable": sys.executable,
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
        "source": ours and ours.origin,
        "versions": versions,
        "missing": sorted(name for name, module in NEEDS.items() if util.find_spec(module) is None),
    }


def main(arguments: list[str]) -> None:
    if not arguments:
        print(json.dumps(describe()))
        return
    workload, name = arguments
    measure = WORKLOADS[workload].measure
    assert measure is not None, f"workload {workload} is a program of its own"
    with CONTESTANTS[name]() as opened:
        print(json.dumps({"workload": workload, "contestant": name, "value": measure(opened)}))


if __name__ == "__main__":
    main(sys.argv[1:])
