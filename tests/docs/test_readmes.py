"""The examples of the READMEs run, and print what they say."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), *sorted(ROOT.glob("*/*/README.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples() -> Iterator[object]:
    for readme in READMES:
        for number, (language, code) in enumerate(FENCE.findall(readme.read_text("utf-8"))):
            if language == "python" and "import manyhands" in code:
                yield pytest.param(code, id=f"{readme.parent.name}-{number}")


@pytest.mark.parametrize("code", list(examples()))
def test_example(code: str, tmp_path: Path, backend_installed: None) -> None:
    """A Python example that is complete runs, and each ``print`` shows what the comment behind it says."""
    command = [sys.executable, "-W", "error", "-c", code]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert (said.returncode, said.stderr) == (0, "")
    promised = re.findall(r"^\s*print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert said.stdout.splitlines() == promised


@pytest.fixture
def backend_installed() -> None:
    """The examples use the threading backend."""
    pytest.importorskip("manyhands_threading", reason="the threading backend is not installed")


def test_two_commands() -> None:
    """The section has exactly two shell blocks of one line each."""
    section = (ROOT / "README.md").read_text("utf-8").split("\n## Two commands\n")[1].split("\n## ")[0]
    blocks = FENCE.findall(section)

    assert [language for language, _ in blocks] == ["sh", "sh"]
    assert all(len(code.splitlines()) == 1 for _, code in blocks)


def test_the_first_hour_is_short() -> None:
    """What a contributor has to read first has fewer than 80 lines."""
    assert len((ROOT / "CONTRIBUTING.md").read_text("utf-8").splitlines()) < 80


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(readme: Path) -> None:
    """A link to a file of the repository leads to one."""
    for target in re.findall(r"\]\(([^)#]+)\)", readme.read_text("utf-8")):
        if "://" not in target:
            assert (readme.parent / target).exists(), target
