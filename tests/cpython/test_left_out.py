"""The table of what is left out says nothing that is not so, and nothing else is missing."""

import functools
import sys

import pytest

from .cpython_left_out import LEFT_OUT, every_suite, names_of_tests, reason
from .cpython_suites import Subject


@functools.cache
def of_every_python() -> dict[tuple[int, int], set[str]]:
    return {version: names_of_tests(suite) for version, suite in every_suite().items()}


def test_what_is_left_out_exists() -> None:
    """Each entry names a test or a class that at least one of the Pythons present has."""
    stale = []
    for row in LEFT_OUT:
        module = row.theirs.split(".")[0] + "."
        # Some Pythons are installed without some of the modules.
        judges = [
            tests
            for version, tests in of_every_python().items()
            if version >= row.since and any(name.startswith(module) for name in tests)
        ]
        if judges and not any(named(row.theirs, tests) for tests in judges):
            stale.append(row.theirs)

    assert stale == []


@pytest.fixture
def adopted() -> list[type]:
    """Our classes; they are known when all modules of this folder were imported."""
    modules = {"test_locks", "test_queues", "test_schedulers"}
    if any(name.startswith("test_concurrent_futures.") for name in own_tests()):
        modules |= {"test_executors", "test_futures"}
    missing = modules - {kind.__module__.rpartition(".")[2] for kind in Subject.adopted}
    if missing:
        pytest.skip(f"needs a run of the whole folder, {', '.join(sorted(missing))} is not in it")
    return Subject.adopted


def test_what_is_left_out_would_run(adopted: list[type]) -> None:
    """Each method in the table belongs to a class that one of ours is derived from."""
    methods = {row.theirs for row in LEFT_OUT} & own_tests()
    left_out = {
        name for kind in adopted for name in methods if reason(kind, name.rpartition(".")[2]) and name in origins(kind)
    }

    assert methods - left_out == set()


def test_every_class_is_taken_or_left_out(adopted: list[type]) -> None:
    """Each class with tests in their modules is a base of one of ours, or in the table."""
    theirs = {name.rpartition(".")[0] for name in own_tests()}
    taken = {name.rpartition(".")[0] for kind in adopted for name in origins(kind)}

    assert theirs - taken - {row.theirs for row in LEFT_OUT} == set()


def own_tests() -> set[str]:
    """Those of the Python that runs this."""
    return of_every_python().get(sys.version_info[:2], set())


def named(name: str, tests: set[str]) -> bool:
    """Whether *name* is one of the *tests*, or the class of one."""
    return name in tests or any(test.startswith(name + ".") for test in tests)


def origins(kind: type) -> set[str]:
    """The tests that *kind* has from CPython's classes, by their names there."""
    return {
        f"{base.__module__.split('.')[1]}.{base.__name__}.{method}"
        for base in kind.__mro__
        if base.__module__.startswith("test.")
        for method in vars(base)
        if method.startswith("test")
    }
