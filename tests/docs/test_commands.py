"""``docs/commands.md`` goes through the standard library's page on ``subprocess``."""

import re
from pathlib import Path

import pytest

from .pages import ROOT, examples

PAGE = ROOT / "docs" / "commands.md"

#: The sections there, by their anchors.
entries = pytest.mark.covers(
    "using-the-subprocess-module",
    "frequently-used-arguments",
    "popen-constructor",
    "exceptions",
    "security-considerations",
    "popen-objects",
    "windows-popen-helpers",
    "windows-constants",
    "older-high-level-api",
    "replacing-older-functions-with-the-subprocess-module",
    "replacing-bin-sh-shell-command-substitution",
    "replacing-shell-pipeline",
    "replacing-os-system",
    "replacing-the-os-spawn-family",
    "replacing-os-popen-os-popen2-os-popen3",
    "replacing-functions-from-the-popen2-module",
    "legacy-shell-invocation-functions",
    "notes",
    "converting-an-argument-sequence-to-a-string-on-windows",
)


def named_in(heading: str) -> list[str]:
    """The entries that a heading is for: it names them in brackets."""
    return re.findall(r"\(`([\w-]+)`\)", heading)


@entries
@pytest.mark.parametrize("entry", entries.args)
def test_the_examples_of_an_entry(entry: str, tmp_path: Path) -> None:
    """There is Python for it, and all that is shown there runs and prints what it says."""
    shown = [example for example in examples(PAGE) if entry in named_in(example.heading)]

    assert "python" in [example.language for example in shown]
    for example in shown:
        assert example.run(tmp_path) == example.promise()


def test_no_example_belongs_to_another_entry() -> None:
    """So that none is left out above."""
    named = [set(named_in(example.heading)) for example in examples(PAGE)]

    assert all(names and names <= set(entries.args) for names in named)
