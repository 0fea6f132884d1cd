"""The suite has the power to find what is wrong: ten planted defects, and each is told with the contract it breaks."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

TOY = Path(__file__).parent / "toy.py"

pytestmark = pytest.mark.timeout(120)


@attrs.frozen
class Defect:
    """What is wrong, and what the suite must say to it."""

    name: str
    #: The subjects that are run to find it.
    subjects: tuple[str, ...]
    #: The contract that must be named: its source, and words of its sentence.
    source: str
    sentence: str
    #: Words of what happened.
    problem: str = ""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


DEFECTS = [
    Defect("loses an exception", ("executor",), "manyhands.Runnable.fail", "arrives"),
    Defect("completes twice", ("executor",), "manyhands.Engine", "the end of each task is told once"),
    Defect("leaks a thread", ("context",), "manyhands.Engine.close", "After a test threads", "left over"),
    Defect("lies about a capability", ("cancellation",), "manyhands.Future.cancel", "is stopped", "hangs"),
    Defect("hangs in shutdown", ("cancellation",), "manyhands.Engine", "cancel against shutdown", "hangs"),
    Defect("drops a queue item", ("queues",), "manyhands.Queue", "many producers many consumers"),
    Defect("wrong first in first out", ("queues",), "manyhands.Queue", "first in first out"),
    Defect("early timeout", ("sync",), "manyhands.Lock", "a timeout is waited for"),
    Defect("callback skipped", ("futures",), "manyhands.Future.add_done_callback", "they are called in the order"),
    Defect("cancel lies", ("cancellation",), "manyhands.Future.cancel", "never runs"),
]


def check(folder: Path, defect: str, *subjects: str, limit: int = 3) -> tuple[int, dict[str, Any]]:
    """``manyhands check`` against the toy with that *defect*: its exit code, and what it says."""
    info = folder / "toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[manyhands.backends]\ntoy = toy:ToyBackend\n")
    (folder / "toy.py").write_text(TOY.read_text("utf-8"))
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    words = [word for subject in subjects for word in ("--subject", subject)]
    finished = subprocess.run(
        [sys.executable, "-m", "manyhands", "check", "toy", "--json", "--limit", str(limit), *words],
        env={**os.environ, "PYTHONPATH": path, "TOY_DEFECT": defect},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert finished.stderr == ""
    return finished.returncode, json.loads(finished.stdout)


@pytest.fixture(autouse=True)
def _needed() -> None:
    pytest.importorskip("manyhands_minimal", reason="the minimal backend is not installed")
    pytest.importorskip("pytest_timeout", reason="pytest-timeout is not installed")


@pytest.mark.slow
@pytest.mark.parametrize("defect", DEFECTS, ids=str)
def test_a_planted_defect_is_found(tmp_path: Path, defect: Defect) -> None:
    """The check fails, every test was run, and the broken contract is named."""
    code, said = check(tmp_path, defect.name, *defect.subjects)

    named = [(broken["source"], broken["sentence"], broken["problem"]) for broken in said["failures"]]
    assert code == 1
    assert said["complete"]
    assert [
        source
        for source, sentence, problem in named
        if source == defect.source and defect.sentence in sentence and defect.problem in problem
    ], named


@pytest.mark.slow
def test_without_a_defect_all_contracts_are_kept(tmp_path: Path) -> None:
    """Of all subjects in which a defect is found."""
    subjects = {subject for defect in DEFECTS for subject in defect.subjects}
    code, said = check(tmp_path, "", *sorted(subjects), limit=30)

    assert (code, said["failures"]) == (0, [])
    assert said["complete"]


def test_there_are_ten() -> None:
    """Each another one."""
    assert len({defect.name for defect in DEFECTS}) == 10
