"""A pytest plugin: the backend under test."""

from collections.abc import Iterator
from typing import Any

import pytest

import manyhands

__all__ = ["BACKENDS", "backend", "backend_name", "executor"]

#: A fixed list: a plugin that is missing shows as a skip and not as silence.
BACKENDS = ("threading", "minimal")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--backend",
        action="append",
        metavar="NAME",
        help=f"test only this backend, which must be installed (again for more; without it: {', '.join(BACKENDS)})",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("--backend") or BACKENDS
        metafunc.parametrize("backend_name", names, indirect=True)


@pytest.fixture
def backend_name(request: pytest.FixtureRequest) -> str:
    """Its name: for nothing but to open it."""
    name: str = request.param
    if name in {info.name for info in manyhands.backends()}:
        return name
    problem = f"backend {name!r} is not installed"
    if request.config.getoption("--backend"):
        pytest.fail(problem, pytrace=False)
    pytest.skip(problem)


@pytest.fixture
def capabilities(backend: Any) -> manyhands.Capabilities:
    """What it says that it can do."""
    granted: manyhands.Capabilities = backend.capabilities
    return granted


@pytest.fixture
def backend(request: pytest.FixtureRequest, backend_name: str) -> Iterator[Any]:
    """It, with room for two workers; skips a test that is not for what it can do."""
    with manyhands.open_backend(backend_name, max_workers=2) as backend:
        for marker in request.node.iter_markers("capability"):
            for name in marker.args:
                wanted = name.removeprefix("not ")
                if bool(backend.capabilities.missing([wanted])) is (wanted == name):
                    verb = "does not offer" if wanted == name else "offers"
                    pytest.skip(f"backend {backend_name!r} {verb} {wanted}")
        yield backend


@pytest.fixture
def executor(backend: Any) -> Iterator[manyhands.Executor]:
    """An executor of it with two workers."""
    with backend.executor() as executor:
        yield executor
