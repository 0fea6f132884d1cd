"""``manyhands backends`` and ``manyhands config``."""

import json
from pathlib import Path

import pytest

import manyhands as core

from .helpers import manyhands, one_line


def test_backends_as_json() -> None:
    """The objects of ``manyhands.backends()``; nothing is imported."""
    finished = manyhands("backends", "--json")

    assert json.loads(finished.stdout) == [
        {**info.to_json(), "status": "installed", "capabilities": None} for info in core.backends()
    ]


def test_loaded_backends_as_json() -> None:
    """With what they can do."""
    listed = json.loads(manyhands("backends", "--load", "--json").stdout)

    capabilities = {info["name"]: info["capabilities"] for info in listed}
    assert capabilities["threading"]["in_process"] is True


def test_backends_as_a_table() -> None:
    """A line for each, below the names of the columns."""
    first, *others = manyhands("backends").stdout.splitlines()

    assert first.split() == ["name", "distribution", "version", "status", "capabilities", "error"]
    assert ["threading", "manyhands-threading", "0.1.0", "installed", "?"] in [line.split() for line in others]


def test_blocked_backend(folder: Path) -> None:
    """The list ``plugins`` of the configuration holds here, too."""
    (folder / "manyhands.toml").write_text('plugins = ["dummy"]\n')

    (row,) = [row for row in manyhands("backends").stdout.splitlines() if row.startswith("threading")]
    assert "blocked" in row
    assert "does not allow it (allowed: 'dummy')" in row


def test_explain() -> None:
    """Every candidate, and why it won or lost."""
    finished = manyhands("backends", "--explain")

    rows = [line.split(None, 2) for line in finished.stdout.splitlines()]
    assert rows[0] == ["backend", "verdict", "reason"]
    assert ["threading", "chosen", "asked for by default"] in rows


def test_explain_as_json() -> None:
    """The same as an object; a backend may be named, and capabilities asked for."""
    finished = manyhands("backends", "--explain", "threading", "--requires", "distributed", "in_process", "--json")

    explanation = json.loads(finished.stdout)
    assert explanation["chosen"] is None
    assert explanation["candidates"][0] == {
        "name": "threading",
        "verdict": "lacks",
        "reason": "does not offer distributed",
    }


def test_explain_with_an_unknown_capability() -> None:
    """What there is, is listed."""
    line = one_line(manyhands("backends", "--explain", "--requires", "speed"))

    assert "unknown capability 'speed', known are parallel_cpu, " in line


@pytest.mark.bad_input(20)
def test_config_as_json(folder: Path) -> None:
    """Each value with its origin: the stronger layer has hidden the weaker one."""
    (folder / "manyhands.toml").write_text("[threading]\nmax_workers = 3\ngrace = 4.0\n")

    finished = manyhands("config", "--json", env={"MANYHANDS_THREADING__MAX_WORKERS": "5"})

    shown = json.loads(finished.stdout)
    assert shown["backend"] == {"value": "threading", "origin": "default"}
    assert shown["options"]["max_workers"] == {"value": 5, "origin": "MANYHANDS_THREADING__MAX_WORKERS"}
    assert shown["options"]["grace"]["value"] == 4.0
    assert shown["options"]["grace"]["origin"].endswith("manyhands.toml:3")
    assert shown["options"]["exit_policy"] == {"value": "finish", "origin": "default"}


def test_config_as_a_table() -> None:
    """A line for each setting."""
    finished = manyhands("config", "--backend", "threading")

    rows = [line.split(None, 2) for line in finished.stdout.splitlines()]
    assert ["backend", '"threading"', "command line"] in rows
    assert ["threading.max_workers", "null", "default"] in rows


def test_config_with_a_profile(folder: Path) -> None:
    """The profile, and what it says."""
    (folder / "manyhands.toml").write_text('[profiles.small]\nbackend = "threading"\nmax_workers = 1\n')

    shown = json.loads(manyhands("config", "--profile", "small", "--json").stdout)

    assert shown["profile"] == {"value": "small", "origin": "command line"}
    assert shown["options"]["max_workers"]["value"] == 1


def test_config_of_an_unknown_backend() -> None:
    """One line, as everywhere."""
    assert "no backend named 'nope' is installed" in one_line(manyhands("config", "--backend", "nope"))


def test_broken_configuration(folder: Path) -> None:
    """The file and the place."""
    (folder / "manyhands.toml").write_text("backend = \n")

    for command in (("config",), ("backends",), ("map", "work:upper", "a")):
        assert "manyhands.toml:1" in one_line(manyhands(*command))
