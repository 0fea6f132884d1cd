"""``docs/guidelines.md`` names tests, and they are there."""

import ast
import re
from pathlib import Path

import pytest

from .pages import ROOT

PAGE = ROOT / "docs" / "guidelines.md"

#: As the standard library's documentation calls them, section by section.
GUIDELINES = {
    "All start methods": [
        "Avoid shared state",
        "Picklability",
        "Thread safety of proxies",
        "Joining zombie processes",
        "Better to inherit than pickle/unpickle",
        "Avoid terminating processes",
        "Joining processes that use queues",
        "Explicitly pass resources to child processes",
        'Beware of replacing `sys.stdin` with a "file like object"',
    ],
    "The spawn and forkserver start methods": [
        "More picklability",
        "Global variables",
        "Safe importing of main module",
    ],
}


def rows(section: str) -> dict[str, list[str]]:
    """The table of a section: each guideline, and what is said of it."""
    text = PAGE.read_text("utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return {guideline: said for guideline, *said in lines[2:]}


def names_of_tests(path: Path) -> set[str]:
    """The names of the tests in a file."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.covers("programming-guidelines", "all-start-methods", "the-spawn-and-forkserver-start-methods")
@pytest.mark.parametrize("section", GUIDELINES)
def test_each_guideline_has_a_row(section: str) -> None:
    """In their order, with something in every column."""
    table = rows(section)

    assert list(table) == GUIDELINES[section]
    assert all(len(said) == 3 and all(said) for said in table.values())


@pytest.mark.parametrize("section", GUIDELINES)
def test_the_tests_of_each_exist(section: str) -> None:
    """Each row names at least one, and the file that it links to has it."""
    for guideline, (*_, proof) in rows(section).items():
        named = re.findall(r"\[`(\w+)`\]\(([^)]+)\)", proof)
        assert named, guideline
        for test, file in named:
            assert test in names_of_tests(PAGE.parent / file), test
