"""A pytest plugin: the backend under test."""

import functools
from collections.abc import Iterator
from typing import Any

import pytest

import manyhands

from .beside import Beside

__all__ = ["BACKENDS", "backend", "backend_name", "beside", "capabilities", "executor"]

#: A fixed list: a plugin that is missing shows as a skip and not as silence.
BACKENDS = ("threading", "minimal", "dummy")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--manyhands-backend",
        action="append",
        metavar="NAME",
        help=f"test only this backend, which must be installed (again for more; without it: {', '.join(BACKENDS)})",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("--manyhands-backend") or BACKENDS
        metafunc.parametrize("backend_name", names, indirect=True)


@pytest.fixture
def backend_name(request: pytest.FixtureRequest) -> str:
    """Its name: for nothing but to open it; skips a test that is not for what it can do."""
    name: str = request.param
    offered = _offered()
    if name not in offered:
        problem = f"backend {name!r} is not installed"
        if request.config.getoption("--manyhands-backend"):
            pytest.fail(problem, pytrace=False)
        pytest.skip(problem)
    if offered[name] is not None:  # else it says why when it is opened
        for marker in request.node.iter_markers("capability"):
            _skip_unless_asked(name, offered[name], marker)
    return name


@functools.cache
def _offered() -> dict[str, Any]:
    """What each installed backend can do; None where it does not load."""
    return {info.name: info.capabilities for info in manyhands.backends(load=True)}


def _skip_unless_asked(name: str, capabilities: manyhands.Capabilities, marker: pytest.Mark) -> None:
    for asked in marker.args:
        wanted = asked.removeprefix("not ")
        if bool(capabilities.missing([wanted])) is (wanted == asked):
            verb = "does not offer" if wanted == asked else "offers"
            reason = marker.kwargs.get("reason", "")
            pytest.skip(f"backend {name!r} {verb} {wanted}" + (f": {reason}" if reason else ""))


@pytest.fixture
def capabilities(backend: Any) -> manyhands.Capabilities:
    """What it says that it can do."""
    granted: manyhands.Capabilities = backend.capabilities
    return granted


@pytest.fixture
def backend(backend_name: str) -> Iterator[Any]:
    """It, with room for two workers."""
    with manyhands.open_backend(backend_name, max_workers=2) as backend:
        yield backend


@pytest.fixture
def executor(backend: Any) -> Iterator[manyhands.Executor]:
    """An executor of it with two workers."""
    with backend.executor() as executor:
        yield executor


@pytest.fixture
def beside(backend: Any) -> Beside:
    """Runs calls beside the test."""
    return Beside(backend)
