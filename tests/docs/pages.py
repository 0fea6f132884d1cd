"""The pages of the documentation, and the examples on them."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import attrs
import pytest

__all__ = ["DOCS", "READMES", "ROOT", "Example", "blocks", "examples"]

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), *sorted(ROOT.glob("*/*/README.md"))]
DOCS = sorted((ROOT / "docs").glob("*.md"))

#: A block of code, or a heading outside of one.
_PART = re.compile(r"^```(\w+)\n(.*?)^```$|^#+ ([^\n]*)$", re.MULTILINE | re.DOTALL)
#: The backends that an example opens by name.
_OPENED = re.compile(r'open_(?:backend|executor)\("(dummy|threading)"')
#: A module that a program in Python imports, on a line of its own.
_IMPORTED = re.compile(r"^(?:import|from) (\w+)", re.MULTILINE)
#: What a line promises to print; in Python only ``print`` does.
_PROMISE = {
    "python": re.compile(r"^\s*print\(.*\)  # (.*)$", re.MULTILINE),
    "sh": re.compile(r"^.*  # (.*)$", re.MULTILINE),
}


@attrs.frozen
class Example:
    """A complete program on a page."""

    page: Path
    heading: str
    number: int
    language: str
    code: str

    def __str__(self) -> str:
        folder = self.page.parent.name if self.page.name == "README.md" else self.page.stem
        return f"{folder}-{self.number}"

    def run(self, folder: Path) -> tuple[int, str, list[str]]:
        """Run it in *folder*: its exit code, what it says to stderr, and the lines that it prints."""
        if "open_" in self.code or "manyhands.joblib" in self.code:
            pytest.importorskip("manyhands_threading", reason="the threading backend is not installed")
        for name in _OPENED.findall(self.code):
            pytest.importorskip(f"manyhands_{name}", reason=f"the {name} backend is not installed")
        for module in _IMPORTED.findall(self.code):
            if find_spec(module) is None:
                pytest.skip(f"{module} is not installed")
        interpreter = [sys.executable, "-W", "error"] if self.language == "python" else ["/bin/sh"]
        said = subprocess.run(
            [*interpreter, "-c", self.code], cwd=folder, capture_output=True, text=True, timeout=60, check=False
        )
        return said.returncode, said.stderr, said.stdout.splitlines()

    def promise(self) -> tuple[int, str, list[str]]:
        """What that must be."""
        return 0, "", _PROMISE[self.language].findall(self.code)


def blocks(text: str) -> list[tuple[str, str, str]]:
    """Each block of code in *text*, as language and code, after the heading that it stands under."""
    found = []
    above = ""
    for language, code, heading in _PART.findall(text):
        if heading:
            above = heading
        else:
            found.append((above, language, code))
    return found


def examples(page: Path) -> list[Example]:
    """What can be run: Python that imports manyhands, and on pages below ``docs`` what is for the shell."""
    found = enumerate(blocks(page.read_text("utf-8")))
    return [
        Example(page, heading, number, language, code)
        for number, (heading, language, code) in found
        if (language == "python" and re.search(r"^(import|from) manyhands\b", code, re.MULTILINE))
        or (language == "sh" and page in DOCS)
    ]
