"""A pytest plugin: a failure says which contract was broken; a log says it to programs, whatever ends the run."""

import inspect
import json
from collections.abc import Generator
from typing import Any, Final

import attrs
import pytest
from _pytest._code.code import ExceptionRepr

import manyhands

from .guards import leak_guard

__all__ = ["Contract", "subject_of"]

_PREFIX: Final = "manyhands.contract.test_"
_LOG = pytest.StashKey[str | None]()
_CONTRACT = pytest.StashKey["Contract"]()


@attrs.frozen
class Contract:
    """What a test holds a backend to."""

    #: What it is about: the first word of its module.
    subject: str
    #: What the test is called, and its docstring.
    sentence: str
    #: The entries of the chapter that it covers.
    covers: tuple[str, ...]
    #: The protocol or method that it comes from, e.g. "manyhands.Engine.close".
    source: str

    @property
    def text(self) -> str:
        """The docstring of the source."""
        return inspect.getdoc(resolve(self.source)) or "" if self.source else ""

    def to_json(self) -> dict[str, Any]:
        """For the log."""
        return {**attrs.asdict(self), "text": self.text}

    def lines(self) -> list[str]:
        """What is shown."""
        shown = [f"contract: {self.sentence}", f"subject:  {self.subject}"]
        if self.covers:
            shown.append(f"chapter:  {', '.join(self.covers)}")
        if self.source:
            shown += [f"from:     {self.source}", "", *(f"    {line}".rstrip() for line in self.text.splitlines())]
        return shown


def resolve(source: str) -> Any:
    """What a name like "manyhands.Engine.close" stands for."""
    found: Any = manyhands
    for name in source.split(".")[1:]:
        found = getattr(found, name)
    return found


def subject_of(module: str) -> str:
    """The subject of a module of the suite: test_faces_names is about faces."""
    return module.removeprefix(_PREFIX).partition("_")[0]


def contract_of(item: pytest.Item) -> Contract | None:
    """The contract that *item* tests; None where it is not of the suite."""
    module = getattr(item, "module", None)
    if not isinstance(item, pytest.Function) or module is None or not module.__name__.startswith(_PREFIX):
        return None
    marker = item.get_closest_marker("contract")
    return Contract(
        subject=subject_of(module.__name__),
        sentence=sentence_of(item.function),
        covers=tuple(sorted({entry for marker in item.iter_markers("covers") for entry in marker.args})),
        source=marker.args[0] if marker else "",
    )


def sentence_of(function: Any) -> str:
    """Its name in words, and its docstring, which goes on from there."""
    name = function.__name__.removeprefix("test_").replace("_", " ")
    return f"{name}: {' '.join((inspect.getdoc(function) or '').split())}"


def id_of(item: pytest.Item) -> str:
    """Its name as one types it after ``--pyargs``, wherever pytest was started."""
    module = getattr(item, "module", None)
    return f"{module.__name__}::{item.nodeid.partition('::')[2]}" if module else item.nodeid


def of_the_guard(contract: Contract) -> Contract:
    """What holds for every test when it has ended."""
    sentence = " ".join((inspect.getdoc(leak_guard) or "").split())
    return attrs.evolve(contract, sentence=sentence, covers=(), source="manyhands.Engine.close")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--manyhands-log",
        metavar="FILE",
        help="append a line of JSON when a test starts and when it ends; tests that it names are not run again",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "contract(source): the protocol or method that the tests come from")
    config.stash[_LOG] = config.getoption("--manyhands-log")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    path = config.stash[_LOG]
    if path is None:
        return
    with open(path, "a+", encoding="utf-8") as file:
        file.seek(0)
        begun = {record["test"] for record in map(json.loads, file) if record["event"] == "started"}
    config.hook.pytest_deselected(items=[item for item in items if id_of(item) in begun])
    items[:] = [item for item in items if id_of(item) not in begun]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    contract = contract_of(item)
    if contract is not None:
        item.stash[_CONTRACT] = contract
        _append(item.config, {"event": "started", "test": id_of(item), "contract": contract.to_json()})
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    contract = item.stash.get(_CONTRACT, None)
    if contract is None:
        return report
    if report.failed:
        broken = of_the_guard(contract) if report.when == "teardown" else contract
        _tell(report, "\n".join(broken.lines()))
        _append(item.config, _record(item, report, broken))
    elif report.skipped or report.when == "teardown":
        _append(item.config, _record(item, report, contract))
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        _append(session.config, {"event": "finished"})


def _tell(report: pytest.TestReport, text: str) -> None:
    if isinstance(report.longrepr, ExceptionRepr):
        report.longrepr.addsection("broken contract", text)
    else:
        report.sections.append(("broken contract", text))


def _record(item: pytest.Item, report: pytest.TestReport, contract: Contract) -> dict[str, Any]:
    problem = ""
    if report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        problem = crash.message if crash else str(report.longrepr)
    elif report.skipped:
        problem = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return {
        "event": "ended",
        "test": id_of(item),
        "outcome": report.outcome,
        "problem": problem,
        "contract": contract.to_json(),
    }


def _append(config: pytest.Config, record: dict[str, Any]) -> None:
    """At once: whatever ends the run, what came before is there."""
    path = config.stash[_LOG]
    if path is not None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
