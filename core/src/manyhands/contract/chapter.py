"""
The standard library's chapter "Concurrent Execution": which tests cover which entry of it, on which backend.

``python -m manyhands.contract.chapter`` in the repository writes ``docs/chapter.md``. Tests are
found by their marks, without importing them.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

__all__ = ["CHAPTER", "PAGES", "CoveringTest", "Marks", "covering_tests", "page", "sources"]

#: The entries of each page of the chapter, by the anchors of the Python documentation; a page without
#: sections by the name of its module. ``concurrent.interpreters`` is not among them: interpreters are
#: a backend of their own, which comes later.
PAGES: Final[dict[str, tuple[str, ...]]] = {
    "threading": (
        "threading",
        "thread-local-data",
        "thread-objects",
        "lock-objects",
        "rlock-objects",
        "condition-objects",
        "semaphore-objects",
        "semaphore-example",
        "event-objects",
        "timer-objects",
        "barrier-objects",
        "using-locks-conditions-and-semaphores-in-the-with-statement",
    ),
    "multiprocessing": (
        "introduction",
        "the-process-class",
        "contexts-and-start-methods",
        "exchanging-objects-between-processes",
        "synchronization-between-processes",
        "sharing-state-between-processes",
        "using-a-pool-of-workers",
        "process-and-exceptions",
        "pipes-and-queues",
        "miscellaneous",
        "connection-objects",
        "synchronization-primitives",
        "shared-ctypes-objects",
        "module-multiprocessing.sharedctypes",
        "managers",
        "customized-managers",
        "using-a-remote-manager",
        "proxy-objects",
        "cleanup",
        "module-multiprocessing.pool",
        "module-multiprocessing.connection",
        "address-formats",
        "authentication-keys",
        "logging",
        "module-multiprocessing.dummy",
        "programming-guidelines",
        "all-start-methods",
        "the-spawn-and-forkserver-start-methods",
        "examples",
    ),
    "multiprocessing.shared_memory": ("shared_memory",),
    "concurrent.futures": (
        "executor-objects",
        "threadpoolexecutor",
        "threadpoolexecutor-example",
        "processpoolexecutor",
        "processpoolexecutor-example",
        "future-objects",
        "module-functions",
        "exception-classes",
    ),
    "subprocess": (
        "using-the-subprocess-module",
        "frequently-used-arguments",
        "popen-constructor",
        "exceptions",
        "security-considerations",
        "popen-objects",
        "windows-popen-helpers",
        "windows-constants",
        "older-high-level-api",
        "replacing-older-functions-with-the-subprocess-module",
        "replacing-bin-sh-shell-command-substitution",
        "replacing-shell-pipeline",
        "replacing-os-system",
        "replacing-the-os-spawn-family",
        "replacing-os-popen-os-popen2-os-popen3",
        "replacing-functions-from-the-popen2-module",
        "legacy-shell-invocation-functions",
        "notes",
        "converting-an-argument-sequence-to-a-string-on-windows",
    ),
    "the rest": (
        "sched",
        "queue",
        "_thread",
        "_dummy_thread",
        "dummy_threading",
        "contextvars",
    ),
}
#: All of them.
CHAPTER: Final[tuple[str, ...]] = tuple(entry for entries in PAGES.values() for entry in entries)

INTRODUCTION: Final = """\
# The chapter, entry by entry

How many tests cover each entry of the chapter "Concurrent Execution" of the Python documentation, on each backend.
Where a backend does not offer it, there is the capability that it lacks (`not NAME`: the tests are for those without
it). *once* counts the tests that need no backend. This page is written by `python -m manyhands.contract.chapter`.
"""


@attrs.frozen
class CoveringTest:
    """A test, and what its marks say."""

    name: str
    #: The entries that it covers.
    covers: frozenset[str]
    #: The capabilities that it needs; "not NAME" where it is for those that lack it.
    needs: frozenset[str]
    #: Whether it runs on every backend.
    in_suite: bool = True

    def missing(self, capabilities: Any) -> list[str]:
        """What of that a backend with these *capabilities* lacks."""
        return sorted(
            name
            for name in self.needs
            if bool(capabilities.missing([name.removeprefix("not ")])) != name.startswith("not ")
        )


class Marks:
    """The marks in one test file, found without importing it; what is in them must be spelled out."""

    def __init__(self, source: str) -> None:
        self._tree = ast.parse(source)
        #: What names stand for that are given to something in the file as a whole: marks, and tables with marks.
        self._named = _assigned(self._tree.body)

    def named(self) -> set[str]:
        """Every entry in a mark, whether or not a test has the mark."""
        return {entry for node in ast.walk(self._tree) for entry in self._of_call(node, "covers")}

    def of_tests(self, *, in_suite: bool = True) -> Iterator[CoveringTest]:
        """The tests."""
        for node, expressions in self._in(self._tree, []):
            # In a table of parameters, a capability is needed by that one row.
            whole = [one for one in expressions if "parametrize" not in ast.unparse(one).partition("(")[0]]
            covers, needs = self._of(expressions, "covers"), self._of(whole, "capability")
            yield CoveringTest(node.name, frozenset(covers), frozenset(needs), in_suite)

    def _in(
        self, scope: ast.Module | ast.ClassDef, inherited: list[ast.expr]
    ) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, list[ast.expr]]]:
        """Each test, with the expressions that its marks are in."""
        here = _assigned(scope.body).get("pytestmark")
        inherited = inherited if here is None else [*inherited, here]
        for node in scope.body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                yield from self._in(node, [*inherited, *node.decorator_list])
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                yield node, [*inherited, *node.decorator_list]

    def _of(self, expressions: Iterable[ast.expr], mark: str) -> set[str]:
        """What the marks in *expressions* say, and those in what the names in them stand for."""
        found: set[str] = set()
        followed: set[str] = set()
        rest = list(expressions)
        while rest:
            for node in ast.walk(rest.pop()):
                found.update(self._of_call(node, mark))
                if isinstance(node, ast.Name) and node.id in self._named and node.id not in followed:
                    followed.add(node.id)
                    rest.append(self._named[node.id])
        return found

    def _of_call(self, node: ast.AST, mark: str) -> Iterator[str]:
        """What ``pytest.mark.covers(...)`` says, also under another name."""
        if isinstance(node, ast.Call):
            called = self._named.get(node.func.id) if isinstance(node.func, ast.Name) else node.func
            if isinstance(called, ast.Attribute) and called.attr == mark:
                for argument in node.args:
                    yield str(ast.literal_eval(argument))


def _assigned(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """What is assigned to single names in *body*."""
    found: dict[str, ast.expr] = {}
    for node in body:
        if isinstance(node, ast.Assign):
            found |= {target.id: node.value for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


def sources(tests: Path | None = None) -> list[Path]:
    """The files of the suite, and those below *tests*."""
    suite = sorted(Path(__file__).parent.glob("test_*.py"))
    return suite + (sorted(tests.rglob("test_*.py")) if tests else [])


def covering_tests(tests: Path | None = None) -> list[CoveringTest]:
    """The tests of the suite, and those below *tests*, that cover an entry."""
    here = Path(__file__).parent
    found = [
        test
        for path in sources(tests)
        for test in Marks(path.read_text("utf-8")).of_tests(in_suite=path.parent == here)
    ]
    return [test for test in found if test.covers]


def page(tests: Iterable[CoveringTest], backends: Mapping[str, Any]) -> str:
    """The table: how many of the *tests* cover each entry on each of the *backends*, a name each with what it can."""
    tests = list(tests)
    lines = [INTRODUCTION]
    for title, entries in PAGES.items():
        lines += [f"## {title}", "", f"| entry | {' | '.join(backends)} | once |", "|---" * (len(backends) + 2) + "|"]
        for entry in entries:
            covering = [test for test in tests if entry in test.covers]
            suite = [test for test in covering if test.in_suite]
            cells = [_cell(suite, capabilities) for capabilities in backends.values()]
            cells.append(str(len(covering) - len(suite) or ""))
            lines.append(f"| {entry} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(tests: list[CoveringTest], capabilities: Any) -> str:
    running = [test for test in tests if not test.missing(capabilities)]
    if tests and not running:
        lacking = sorted({name for test in tests for name in test.missing(capabilities)})
        return f"not offered: {', '.join(lacking)}"
    return str(len(running) or "")


def main(root: Path) -> int:
    """Write the page of the repository at *root*, for the backends that its tests run on."""
    from .. import backends
    from .support.backends import BACKENDS

    loaded = {info.name: info for info in backends(load=True)}
    offered = {name: loaded[name].capabilities for name in BACKENDS}
    (root / "docs" / "chapter.md").write_text(page(covering_tests(root / "tests"), offered), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path.cwd()))
