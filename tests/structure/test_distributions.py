"""What holds for every distribution of the repository."""

import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import manyhands

ROOT = Path(__file__).parents[2]
OURS = sorted(
    path.parent for folder in ("core", "toolkit", "plugins/*") for path in ROOT.glob(f"{folder}/pyproject.toml")
)
ALL = [*OURS, *(path.parent for path in ROOT.glob("examples/*/pyproject.toml"))]


def project(folder: Path) -> dict[str, Any]:
    described: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    return described


def test_one_version() -> None:
    """All distributions have one version, and depend on each other at exactly that."""
    versions = {str(project(folder)["version"]) for folder in OURS}
    (version,) = versions
    for folder in OURS:
        described = project(folder)
        wanted = [str(d) for d in described["dependencies"]]
        for extra in described.get("optional-dependencies", {}).values():
            wanted += extra
        for dependency in wanted:
            if dependency.startswith("manyhands-") or dependency.startswith("manyhands="):
                assert dependency.endswith(f"=={version}"), f"{folder.name}: {dependency}"


@pytest.mark.parametrize("folder", ALL, ids=lambda folder: folder.name)
def test_each_is_complete(folder: Path) -> None:
    """Each has its own README, the licence, a marker for type checkers, and wants Python 3.11 or newer."""
    (package,) = [path for path in (folder / "src").iterdir() if path.name.startswith("manyhands")]

    assert (folder / "LICENSE").read_text("utf-8") == (ROOT / "LICENSE").read_text("utf-8")
    assert (folder / "README.md").read_text("utf-8").startswith("# manyhands")
    assert (package / "py.typed").exists()
    assert project(folder)["requires-python"] == ">=3.11"


def test_the_core_depends_on_three() -> None:
    """pluggy, attrs and structlog; all else is an extra."""
    names = [str(d).split(">")[0] for d in project(ROOT / "core")["dependencies"]]

    assert sorted(names) == ["attrs", "pluggy", "structlog"]


def test_nothing_shadows_the_standard_library() -> None:
    """No folder of ours is importable under the name of a module of the standard library."""
    for folder in OURS:
        assert not (folder / "__init__.py").exists()


def test_public_names() -> None:
    """``__all__``, the table of homes and what type checkers see are one list."""
    source = (ROOT / "core/src/manyhands/__init__.py").read_text("utf-8")
    block = source[source.index("if TYPE_CHECKING:") : source.index("#: Where each public name lives.")]

    assert sorted(manyhands.__all__) == sorted(manyhands._HOME)
    for name in manyhands.__all__:
        assert getattr(manyhands, name) is not None
    for home, names in manyhands._HOMES.items():
        if f"from .{home} import *" in block:
            assert sorted(import_module(f"manyhands.{home}").__all__) == sorted(names.split())
        else:
            assert all(f"{name} as {name}" in block for name in names.split())


def test_unknown_name() -> None:
    """A name that does not exist is an AttributeError that says so."""
    with pytest.raises(AttributeError, match="module 'manyhands' has no attribute 'nonsense'"):
        manyhands.nonsense  # noqa: B018
