"""The examples of the READMEs and of the pages below ``docs`` run, and print what they say."""

import re
from pathlib import Path

import pytest

from .pages import DOCS, READMES, ROOT, Example, blocks, examples

PAGES = [*READMES, *DOCS]
#: Those of ``commands.md`` are run by ``test_commands.py``, entry by entry.
EXAMPLES = [example for page in PAGES if page.name != "commands.md" for example in examples(page)]


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_example(example: Example, tmp_path: Path) -> None:
    """An example that is complete runs, and shows what the comments behind its lines say."""
    assert example.run(tmp_path) == example.promise()


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_every_block_on_a_page_is_an_example(page: Path) -> None:
    """Below ``docs`` all code is run, and a program that prints nothing shows nothing."""
    shown = examples(page)

    assert len(shown) == len(blocks(page.read_text("utf-8")))
    assert all("  # " in example.code for example in shown)


def test_two_commands() -> None:
    """The section has exactly two shell blocks of one line each."""
    section = (ROOT / "README.md").read_text("utf-8").split("\n## Two commands\n")[1].split("\n## ")[0]
    found = blocks(section)

    assert [language for _, language, _ in found] == ["sh", "sh"]
    assert all(len(code.splitlines()) == 1 for _, _, code in found)


def test_the_first_hour_is_short() -> None:
    """What a contributor has to read first has fewer than 80 lines."""
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) < 80


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the repository leads to one."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target
