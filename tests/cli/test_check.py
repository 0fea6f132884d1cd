"""``manyhands check``: the contract suite against one backend."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .helpers import environment, manyhands, one_line

pytestmark = pytest.mark.timeout(120)

#: A backend that keeps the contract of events, but for what the defect says.
ODD = """
import os
import manyhands_minimal
from manyhands import LocalHost

DEFECT = {defect!r}

class Host(LocalHost):
    def call(self, machine, operation, args=(), timeout=None):
        if operation == "is_set" and DEFECT == "dies":
            os._exit(3)
        if operation == "is_set" and DEFECT == "hangs":
            import time
            time.sleep(1000)
        if operation == "is_set" and DEFECT == "lies":
            return True
        return super().call(machine, operation, args, timeout)

class Backend(manyhands_minimal.MinimalBackend):
    name = "odd"

    def make_host(self):
        return Host()
"""


def check(*words: str, code: int, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run it; a suite takes longer than other commands."""
    env = environment()
    if path is not None:
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(path), env.get("PYTHONPATH")]))
    finished = subprocess.run(
        [sys.executable, "-m", "manyhands", "check", *words], env=env, capture_output=True, text=True, timeout=110
    )
    assert finished.returncode == code, finished.stderr + finished.stdout
    return finished


def odd(folder: Path, defect: str) -> Path:
    """Where a backend ``odd`` with that *defect* is installed."""
    pytest.importorskip("manyhands_minimal", reason="the minimal backend is not installed")
    site = folder / "site"
    info = site / "odd-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[manyhands.backends]\nodd = odd:Backend\n")
    (site / "odd.py").write_text(ODD.format(defect=defect))
    return site


def test_a_table_of_subjects() -> None:
    """What passed, what failed, and what is not offered, with the reason below."""
    finished = check("threading", "--subject", "options", "--subject", "waiting", code=0)
    table, _, below = finished.stdout.partition("\n\n")
    rows = [line.rsplit(None, 3) for line in table.splitlines()]

    assert rows[0][0].startswith("subject")
    assert [row[0] for row in rows[1:]] == ["options", "waiting", "together"]
    assert [row[2] for row in rows[1:]] == ["0", "0", "0"]
    assert rows[1][3] == "2"
    assert below.splitlines() == [
        "not offered:",
        "  options: backend 'threading' does not offer task_timeout (2)",
    ]
    assert finished.stderr == ""


def test_as_json() -> None:
    """The same, for programs."""
    said: dict[str, Any] = json.loads(check("threading", "--subject", "options", "--json", code=0).stdout)

    assert (said["backend"], said["complete"], said["failures"]) == ("threading", True, [])
    assert list(said["subjects"]) == ["options"]
    assert said["subjects"]["options"]["not_offered"] == len(said["not_offered"]) == 2
    assert said["not_offered"][0]["source"] == "manyhands.TaskOptions"


@pytest.mark.fault(101)
def test_a_broken_contract_is_named(tmp_path: Path) -> None:
    """The sentence, where it comes from, the test, and what happened."""
    said = check("odd", "--subject", "sync", "--limit", "3", code=1, path=odd(tmp_path, "lies")).stdout
    broken = said[said.index("broken contract: ") :].split("\n\n")[0].splitlines()

    assert broken[0].startswith("broken contract: ")
    assert broken[1].startswith("  subject: sync; chapter: ")
    assert broken[2].startswith("  from:    manyhands.Event: A flag that activities wait for.")
    assert broken[3].startswith("  test:    manyhands.contract.test_sync::TestEvent::")
    assert broken[4].startswith("  problem: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "problem"), [("hangs", "hangs: "), ("dies", "ends the interpreter with exit code 3")]
)
def test_what_ends_the_run_does_not_lose_the_rest(tmp_path: Path, defect: str, problem: str) -> None:
    """The test failed, and all others were run."""
    words = ("odd", "--subject", "sync", "--limit", "2", "--json")
    said = json.loads(check(*words, code=1, path=odd(tmp_path, defect)).stdout)
    whole = json.loads(check("minimal", "--subject", "sync", "--json", code=0).stdout)

    assert said["complete"]
    assert {failure["problem"].startswith(problem) for failure in said["failures"]} == {True}
    assert sum(said["subjects"]["sync"].values()) == sum(whole["subjects"]["sync"].values())


def test_what_a_user_has_set_for_pytest_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its variables nor a configuration in the working directory."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "--nonsense")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError")

    check("threading", "--subject", "waiting", code=0)


def test_a_suite_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    """The last line that pytest said."""
    (tmp_path / "pytest_timeout.py").write_text("raise RuntimeError('it is broken')\n")
    finished = check("threading", "--subject", "waiting", code=1, path=tmp_path)

    assert finished.stdout == ""
    assert finished.stderr == "manyhands check: the suite cannot be run: RuntimeError: it is broken\n"


def test_unknown_backend() -> None:
    """The nearest name is offered."""
    line = one_line(manyhands("check", "treading"))

    assert line.startswith("manyhands check: no backend named 'treading' is installed")
    assert line.endswith("did you mean 'threading'?")


def test_unknown_subject() -> None:
    """The nearest one is offered."""
    line = one_line(manyhands("check", "threading", "--subject", "quees"))

    assert line == "manyhands check: unknown subject 'quees', did you mean 'queues'?"


def test_one_backend_is_needed() -> None:
    """Not none, and not two."""
    assert one_line(manyhands("check")) == "manyhands check: the name of a backend is missing"
    assert one_line(manyhands("check", "threading", "x")) == "manyhands check: there is nothing to be done with 'x'"


@pytest.mark.parametrize("limit", ["0", "x", "1e9"])
def test_wrong_limit(limit: str) -> None:
    """Its bounds are told."""
    line = one_line(manyhands("check", "threading", "--limit", limit))

    assert line == f"manyhands check: option --limit must be 1 to 3600 seconds, got '{limit}'"


def test_without_pytest(tmp_path: Path) -> None:
    """It says how to get it."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['pytest'] = None\n")
    env = {"PYTHONPATH": os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))}
    line = one_line(manyhands("check", "threading", env=env))

    assert line == 'manyhands check: pytest is not installed; install it with: pip install "manyhands[contract]"'
