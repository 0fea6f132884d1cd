"""Skips those of CPython's tests that are left out (``cpython_left_out``), and counts the others."""

from collections import defaultdict
from pathlib import Path

import pytest

from .cpython_left_out import SLOW, reason

HERE = Path(__file__).parent

LEFT_OUT = "left out: "


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--left-out", action="store_true", help="run also those of CPython's tests that are left out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        ours = getattr(item, "cls", None)
        if item.path.parent != HERE or ours is None:
            continue
        # Theirs are written for a run in which warnings are no errors.
        item.add_marker(pytest.mark.filterwarnings("default"))
        why = reason(ours, item.name)
        if why is not None and not config.getoption("--left-out", default=False):
            item.add_marker(pytest.mark.skip(reason=LEFT_OUT + why))
        elif f"{ours.__name__}.{item.name}" in SLOW:
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each class: how many of CPython's tests ran, failed, were left out, or skip themselves."""
    counts: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for outcome, reports in terminalreporter.stats.items():
        for report in reports:
            if not isinstance(report, pytest.TestReport):
                continue
            path, *names = report.nodeid.split("::")
            if len(names) == 2 and (terminalreporter.config.rootpath / path).parent == HERE:
                counts[names[0]][_column(outcome, report)].add(names[1])
    if not counts:
        return
    terminalreporter.section("CPython's own tests on our objects")
    for ours in sorted(counts):
        columns = counts[ours]
        ran, failed = len(columns["ran"] | columns["failed"]), len(columns["failed"])
        left_out, skipped = len(columns["left out"]), len(columns["skipped"])
        terminalreporter.write_line(f"{ours:32}{ran:4} ran{failed:4} failed{left_out:4} left out{skipped:4} skipped")


def _column(outcome: str, report: pytest.TestReport) -> str:
    if outcome == "skipped":
        return "left out" if LEFT_OUT in str(report.longrepr) else "skipped"
    if outcome == "error" or "failed" in outcome:
        return "failed"
    return "ran" if outcome == "passed" else outcome
