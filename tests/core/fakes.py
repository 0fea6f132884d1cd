"""Distributions and surroundings made up for a test, as real files."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from manyhands import config
from manyhands.contract.injection import install_dist as fake_dist

__all__ = ["BACKENDS", "GOOD", "OBSERVERS", "fake_backend", "fake_dist", "isolated"]

BACKENDS = "manyhands.backends"
OBSERVERS = "manyhands.observers"

#: The source of a backend in order; what a test appends to it overrides.
GOOD = """
from manyhands.options import BackendOptions, Capabilities

class Backend:
    name = {name!r}
    contract = 1
    capabilities = Capabilities(in_process=True)
    options_type = BackendOptions

    def make_engine(self, options): ...
    def make_host(self): ...
    def start_activity(self, activity): ...
"""


def fake_backend(folder: Path, name: str, body: str = "", *, dist: str = "", version: str = "1.0") -> Path:
    """Install a distribution with one backend in order; *body* are more lines of its class."""
    module = f"module_of_{dist or name}".replace("-", "_")
    source = GOOD.format(name=name) + "".join(f"    {line}\n" for line in body.splitlines())
    points = {BACKENDS: {name: f"{module}:Backend"}}
    return fake_dist(folder, dist or f"dist-{name}".replace("_", "-"), version, points, {module: source})


def isolated(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """
    Nothing configured, an empty working directory below *folder*, an empty ``site`` on ``sys.path``.

    Yields the ``site``; modules imported from it are forgotten afterwards.
    """
    for name in [name for name in os.environ if name.startswith("MANYHANDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "home"))
    monkeypatch.setattr(config, "_warned", set())
    site, work = folder / "site", folder / "work"
    site.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)
    yield site
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
