"""What the tests of the external commands share."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A place where a command tells that it has come so far, and a reader waits for it."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path
