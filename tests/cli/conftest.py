"""What the tests of the command line share."""

from pathlib import Path

import pytest

from .helpers import FUNCTIONS


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: a folder with the module ``work``."""
    (tmp_path / "work.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path
