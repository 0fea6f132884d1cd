"""Leaves out what does not fit (``cpython_left_out``), and counts."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for the modules beside the tests

LEFT_OUT = "left out: "


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from cpython_left_out import SLOW, reason
    from cpython_suites import Subject

    for item in items:
        ours = getattr(item, "cls", None)
        if ours is None or not issubclass(ours, Subject):
            continue
        # Theirs are written for a run in which warnings are no errors.
        item.add_marker(pytest.mark.filterwarnings("default"))
        why = reason(ours, item.name)
        if why is not None:
            item.add_marker(pytest.mark.skip(reason=LEFT_OUT + why))
        elif f"{ours.__name__}.{item.name}" in SLOW:
            item.add_marker(pytest.mark.slow)
