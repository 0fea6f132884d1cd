"""``manyhands check``: does a backend keep the contract?"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import attrs

from ._end import End, emit, one_line
from ._parser import Parser
from ._show import progress, table

__all__ = ["run"]

_SUITE: Final = "manyhands.contract"
_PLUGIN: Final = f"{_SUITE}.plugin"
_NEEDED: Final = ("pytest", "pytest_timeout", "hypothesis")
#: Tests that may end the run, by hanging or by ending the interpreter, before the rest is given up.
_MOST_ENDS: Final = 50
#: What a run may take beyond the limit of a test, in seconds, until it is killed: it does not even answer a timeout.
_BEYOND_S: Final = 15.0
#: How often the log is looked at, in seconds.
_LOOK_S: Final = 0.05


def run(words: list[str]) -> int:
    """Run the contract suite against a backend and tell what came of it."""
    parser = Parser(
        "check",
        "NAME [--subject NAME ...] [--limit SECONDS] [--json]",
        "Run the contract suite against a backend: what holds, subject by subject, and which contracts are broken.",
        epilog=f"subjects: {', '.join(_subjects())}\n\nexit codes: 0 all is kept, 1 a contract is broken, 2 bad usage",
    )
    parser.add_argument("--subject", action="append", default=[], metavar="NAME", help="only this one (again for more)")
    parser.add_argument(
        "--limit", type=_seconds, default=30.0, metavar="SECONDS", help="how long a test may take before it hangs (30)"
    )
    options, rest = parser.parse(words)
    if not rest:
        parser.error("the name of a backend is missing")
    if rest[1:]:
        parser.error(f"there is nothing to be done with {rest[1]!a}")
    from .. import config, registry

    name = rest[0]
    registry.load(name, plugins=config.resolve().plugins.value)
    modules = [module for subject in _chosen(options.subject) for module in _subjects()[subject]]
    for needed in _NEEDED:
        if find_spec(needed) is None:
            raise End(2, f'{needed} is not installed; install it with: pip install "manyhands[contract]"')
    suite = _Suite(name, modules, options.limit)
    with progress(None) as step:
        suite.run(step)
    if options.json:
        emit(json.dumps(suite.to_json(), indent=2) + "\n")
    else:
        suite.show()
    return 0 if suite.whole and not suite.failures() else 1


def _subjects() -> dict[str, list[str]]:
    """The modules of each subject."""
    found: dict[str, list[str]] = {}
    for path in sorted((Path(__file__).parents[1] / "contract").glob("test_*.py")):
        subject = path.stem.removeprefix("test_")
        found.setdefault(subject.partition("_")[0], []).append(f"{_SUITE}.{path.stem}")
    return found


def _chosen(subjects: Sequence[str]) -> list[str]:
    from ..options import nearest, shorten

    known = _subjects()
    for subject in subjects:
        if subject not in known:
            raise End(2, f"unknown subject {shorten(subject)}{nearest(subject, known)}")
    return list(dict.fromkeys(subjects or known))


def _seconds(text: str) -> float:
    import argparse

    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1.0 <= number <= 3600.0:
        from ..options import shorten

        raise argparse.ArgumentTypeError(f"must be 1 to 3600 seconds, got {shorten(text)}")
    return number


@attrs.define
class _Test:
    """What came of one test."""

    name: str
    contract: dict[str, Any]
    #: "passed", "failed", "skipped"; None while it runs.
    outcome: str | None = None
    #: Why it failed or was skipped.
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"test": self.name, **self.contract, "problem": self.problem}


class _Suite:
    """The suite against one backend, in as many runs as it takes: a test that ends its run is not run again."""

    def __init__(self, backend: str, modules: list[str], limit: float) -> None:
        self.backend = backend
        #: Whether every test was run.
        self.whole = False
        self._modules = modules
        self._limit = limit
        self._tests: dict[str, _Test] = {}
        self._read = 0

    def failures(self) -> list[_Test]:
        return [test for test in self._tests.values() if test.outcome == "failed"]

    def run(self, step: Callable[..., None]) -> None:
        """Run every test once."""
        with tempfile.TemporaryDirectory(prefix="manyhands-check-") as folder:
            (Path(folder) / "pytest.ini").write_text("[pytest]\n")
            log, output = Path(folder) / "log", Path(folder) / "output"
            for _ in range(_MOST_ENDS):
                before = len(self._tests)
                how = self._run_once(folder, log, output, step)
                hanging = [test for test in self._tests.values() if test.outcome is None]
                for test in hanging:
                    test.outcome, test.problem = "failed", how
                if not hanging and len(self._tests) == before and not self.whole:
                    raise End(1, f"the suite cannot be run: {_last_line(output)}")
                if self.whole:
                    return

    def _run_once(self, folder: str, log: Path, output: Path, step: Callable[..., None]) -> str:
        """One run; returns how the test ended that has no end."""
        with output.open("wb") as file, _child(self._command(log), folder, file) as process:
            changed = time.monotonic()
            while process.poll() is None:
                if self._look(log, step):
                    changed = time.monotonic()
                elif time.monotonic() - changed > self._limit + _BEYOND_S:
                    return f"hangs: it did not end in {self._limit:g} s"
                time.sleep(_LOOK_S)
            self._look(log, step)
        if time.monotonic() - changed >= self._limit - 1:
            return f"hangs: it did not end in {self._limit:g} s"
        return f"ends the interpreter with exit code {process.returncode}"

    def _command(self, log: Path) -> list[str]:
        plugins = [_PLUGIN, "pytest_timeout", "no:cacheprovider"]
        return [
            *(sys.executable, "-m", "pytest", "-q"),
            *(word for plugin in plugins for word in ("-p", plugin)),
            *("-c", "pytest.ini", "--rootdir", "."),
            *("--manyhands-backend", self.backend, "--manyhands-log", str(log), "--manyhands-limit", str(self._limit)),
            *("--pyargs", *self._modules),
        ]

    def _look(self, log: Path, step: Callable[..., None]) -> bool:
        """Read what is new in the log; whether there was anything."""
        if not log.exists():
            return False
        with log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]
        self._read += len(new)
        for record in map(json.loads, new.splitlines()):
            self._take(record, step)
        return bool(new)

    def _take(self, record: dict[str, Any], step: Callable[..., None]) -> None:
        if record["event"] == "started":
            self._tests[record["test"]] = _Test(record["test"], record["contract"])
        elif record["event"] == "ended":
            test = self._tests[record["test"]]
            if test.outcome is None:
                step(failed=len(self.failures()))
            if test.outcome is None or (test.outcome != "failed" == record["outcome"]):  # the latter in its teardown
                test.outcome, test.problem = record["outcome"], record["problem"]
                test.contract = record["contract"]
        elif record["event"] == "finished":
            self.whole = True

    # What is told.

    def _counts(self) -> dict[str, dict[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        for test in self._tests.values():
            row = counts.setdefault(test.contract["subject"], {"passed": 0, "failed": 0, "skipped": 0})
            row[test.outcome or "failed"] += 1
        return {
            subject: {"passed": row["passed"], "failed": row["failed"], "not_offered": row["skipped"]}
            for subject, row in counts.items()
        }

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "backend": self.backend,
            "complete": self.whole,
            "subjects": self._counts(),
            "failures": [test.to_json() for test in self.failures()],
            "not_offered": [test.to_json() for test in self._tests.values() if test.outcome == "skipped"],
        }

    def show(self) -> None:
        """A table, and below it why."""
        counts = self._counts()
        rows = [(subject, *(str(number) for number in row.values())) for subject, row in counts.items()]
        totals = [str(sum(row[column] for row in counts.values())) for column in ("passed", "failed", "not_offered")]
        table(("subject", "passed", "failed", "not offered"), [*rows, ("together", *totals)])
        emit("".join(line + "\n" for line in self._below()))

    def _below(self) -> Iterator[str]:
        reasons: dict[tuple[str, str], int] = {}
        for test in self._tests.values():
            if test.outcome == "skipped":
                key = (test.contract["subject"], test.problem.removeprefix("Skipped: "))
                reasons[key] = reasons.get(key, 0) + 1
        if reasons:
            yield "\nnot offered:"
            yield from (f"  {subject}: {reason} ({number})" for (subject, reason), number in sorted(reasons.items()))
        for test in self.failures():
            contract = test.contract
            yield f"\nbroken contract: {contract['sentence']}"
            chapter = f"; chapter: {', '.join(contract['covers'])}" if contract["covers"] else ""
            yield f"  subject: {contract['subject']}{chapter}"
            if contract["source"]:
                yield f"  from:    {contract['source']}: {contract['text'].partition(chr(10))[0]}"
            yield f"  test:    {test.name}"
            yield f"  problem: {one_line(test.problem)[:500]}"
        if not self.whole:
            yield f"\nnot all tests were run: {_MOST_ENDS} of them ended the run"


@contextmanager
def _child(command: list[str], folder: str, output: Any) -> Iterator["subprocess.Popen[bytes]"]:
    """The *command* in a session of its own, which has ended after the ``with`` block."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TMPDIR": folder}
    if "PYTHONPATH" in env:  # the child has another working directory
        env["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, env["PYTHONPATH"].split(os.pathsep)))
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
    )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # also what a test has left behind
        except ProcessLookupError:
            pass
        process.wait()


def _last_line(output: Path) -> str:
    lines = output.read_text("utf-8", "backslashreplace").split("\n")
    return next((line.removeprefix("E ").strip() for line in reversed(lines) if line.strip()), "pytest said nothing")
