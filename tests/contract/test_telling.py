"""A failure is told so that a stranger understands it, and every test of the suite has something to tell."""

import inspect
import json
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from manyhands import contract
from manyhands.contract.support.telling import Contract, resolve

from .test_guards import run_tests

#: Imported here: what they import in turn may start threads of its own.
SUITE = [
    import_module(f"{contract.__name__}.{path.stem}")
    for path in sorted(Path(contract.__file__).parent.glob("test_*.py"))
]


def run_as_subject(folder: Path, source: str, *options: str) -> str:
    """What a run says of *source*, which stands for a module of the suite."""
    plugin = """
        import sys
        sys.modules["manyhands.contract.test_toys"] = sys.modules[__name__]
        __name__ = "manyhands.contract.test_toys"
    """
    finished = run_tests(folder, plugin + source, *options)
    assert finished.returncode == 1, finished.stdout
    return finished.stdout


BROKEN = '''
        import pytest

        @pytest.mark.covers("sched", "queue")
        @pytest.mark.contract("manyhands.Engine.close")
        class TestIt:
            def test_one_is_one(self):
                """Whoever asks."""
                assert 1 == 2

            def test_nobody_stays(self):
                """When it is over."""
                import threading
                from manyhands.contract.support import guards
                guards.PATIENCE_S = 0.1
                threading.Thread(target=threading.Event().wait, daemon=True).start()
'''


def test_a_failure_ends_with_the_broken_contract(tmp_path: Path) -> None:
    """The sentence, the subject, the chapter's entries, and what the protocol says."""
    said = run_as_subject(tmp_path, BROKEN, "-k", "one_is_one")
    section = said[said.index("broken contract") :]

    assert "contract: one is one: Whoever asks." in section
    assert "subject:  toys" in section
    assert "chapter:  queue, sched" in section
    assert "from:     manyhands.Engine.close" in section
    assert "Take no more tasks, finish those taken, end the workers; may be called again." in section


def test_what_is_left_behind_breaks_another_contract(tmp_path: Path) -> None:
    """The one of the guard, and not that of the test around which it stood."""
    said = run_as_subject(tmp_path, BROKEN, "-k", "nobody_stays")
    section = said[said.index("broken contract") :]

    assert "contract: After a test threads, descriptors, processes" in section
    assert "from:     manyhands.Engine.close" in section


def test_the_log_is_for_programs(tmp_path: Path) -> None:
    """A line when a test starts and one when it ends; a run goes on behind those that it names."""
    log = tmp_path / "log"
    run_as_subject(tmp_path, BROKEN, f"--manyhands-log={log}", "-k", "one_is_one")
    first = [json.loads(line) for line in log.read_text().splitlines()]
    run_as_subject(tmp_path, BROKEN, f"--manyhands-log={log}")
    second = [json.loads(line) for line in log.read_text().splitlines()][len(first) :]

    assert [(record["event"], record.get("outcome")) for record in first] == [
        ("started", None),
        ("ended", "failed"),
        ("ended", "passed"),
        ("finished", None),
    ]
    assert first[1]["problem"] == "assert 1 == 2"
    assert first[1]["contract"]["source"] == "manyhands.Engine.close"
    assert {record["test"].rpartition("::")[2] for record in second if "test" in record} == {"test_nobody_stays"}


@pytest.mark.parametrize("module", SUITE, ids=lambda module: module.__name__.rpartition(".")[2])
def test_each_test_of_the_suite_has_a_sentence_and_a_source(module: ModuleType) -> None:
    """A docstring, and a mark that leads to another one."""
    classes = [kind for name, kind in vars(module).items() if name.startswith("Test") and inspect.isclass(kind)]
    for group in (module, *classes):
        sources = _sources(group) or _sources(module)
        for name, function in vars(group).items():
            if name.startswith("test") and inspect.isfunction(function):
                assert inspect.getdoc(function), name
                assert len(sources) == 1, name
                assert inspect.getdoc(resolve(sources[0])), name


def _sources(marked: Any) -> list[str]:
    """The sources that the marks of a module or class name."""
    found = getattr(marked, "pytestmark", [])
    marks: list[Any] = [getattr(mark, "mark", mark) for mark in (found if isinstance(found, list) else [found])]
    return [mark.args[0] for mark in marks if mark.name == "contract"]


def test_a_contract_without_a_source_says_less() -> None:
    """No chapter and no source: only the sentence and the subject."""
    assert Contract("queues", "it holds: always", (), "").lines() == ["contract: it holds: always", "subject:  queues"]


def test_without_pytest_nobody_notices() -> None:
    """Importing the package, or any floor, imports neither pytest nor the suite."""
    from manyhands.contract.support import run_script

    finished = run_script(
        "import sys, manyhands; manyhands.Backend; print({'pytest', 'manyhands.contract'} & {*sys.modules})"
    )
    assert (finished.stdout, finished.stderr) == ("set()\n", "")
    assert "pytest" in sys.modules
