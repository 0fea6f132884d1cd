"""The standard library's chapter "Concurrent Execution": which tests cover which entry of it."""

import ast
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

TESTS = Path(__file__).parents[1]

#: The entries, by the anchors of the Python documentation; a page without sections by the name of its module.
#: ``concurrent.interpreters`` is not among them: interpreters are a backend of their own, which comes later.
CHAPTER: Final = (
    # threading
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
    # multiprocessing
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
    # multiprocessing.shared_memory
    "shared_memory",
    # concurrent.futures
    "executor-objects",
    "threadpoolexecutor",
    "threadpoolexecutor-example",
    "processpoolexecutor",
    "processpoolexecutor-example",
    "future-objects",
    "module-functions",
    "exception-classes",
    # subprocess
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
    # the rest
    "sched",
    "queue",
    "_thread",
    "_dummy_thread",
    "dummy_threading",
    "contextvars",
)


class Marks:
    """The ``covers`` marks in one test file, found without importing it."""

    def __init__(self, source: str) -> None:
        self._tree = ast.parse(source)
        #: What names stand for that are given to something in the file as a whole: marks, and tables with marks.
        self._named = _assigned(self._tree.body)

    def named(self) -> set[str]:
        """Every entry in a mark, whether or not a test has the mark."""
        return {entry for node in ast.walk(self._tree) for entry in self._of_call(node)}

    def of_tests(self) -> Iterator[tuple[str, set[str]]]:
        """The name of each test and the entries that it covers."""
        yield from self._in(self._tree, set())

    def _in(self, scope: ast.Module | ast.ClassDef, inherited: set[str]) -> Iterator[tuple[str, set[str]]]:
        inherited = inherited | self._of(_assigned(scope.body).get("pytestmark"))
        for node in scope.body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                yield from self._in(node, inherited | self._of(*node.decorator_list))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                yield node.name, inherited | self._of(*node.decorator_list)

    def _of(self, *expressions: ast.expr | None) -> set[str]:
        """The entries in *expressions*, and in what the names in them stand for."""
        found: set[str] = set()
        followed: set[str] = set()
        rest = [expression for expression in expressions if expression is not None]
        while rest:
            for node in ast.walk(rest.pop()):
                found.update(self._of_call(node))
                if isinstance(node, ast.Name) and node.id in self._named and node.id not in followed:
                    followed.add(node.id)
                    rest.append(self._named[node.id])
        return found

    def _of_call(self, node: ast.AST) -> Iterator[str]:
        """The entries in ``pytest.mark.covers(...)``, also under another name; they must be spelled out."""
        if isinstance(node, ast.Call):
            called = self._named.get(node.func.id) if isinstance(node.func, ast.Name) else node.func
            if isinstance(called, ast.Attribute) and called.attr == "covers":
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


def marks() -> dict[Path, Marks]:
    """Those of every test file."""
    return {path: Marks(path.read_text("utf-8")) for path in sorted(TESTS.rglob("test_*.py"))}


def test_each_entry_has_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    """At least one test has a mark for it; how many there are is printed."""
    tests = Counter(entry for found in marks().values() for _, entries in found.of_tests() for entry in entries)
    missing = [entry for entry in CHAPTER if not tests[entry]]
    with capsys.disabled():
        print(f"\nentries of the chapter with tests: {len(CHAPTER) - len(missing)} of {len(CHAPTER)}; how many each:")
        print(textwrap.fill(", ".join(f"{entry} {tests[entry]}" for entry in CHAPTER), 120, break_on_hyphens=False))

    assert missing == []


def test_each_mark_names_an_entry() -> None:
    """A mark for an entry that the chapter does not have is a typing mistake."""
    named = {(str(path.relative_to(TESTS)), entry) for path, found in marks().items() for entry in found.named()}

    assert sorted(place for place in named if place[1] not in CHAPTER) == []


def test_entries_are_listed_once() -> None:
    """So that none counts twice."""
    assert len(set(CHAPTER)) == len(CHAPTER)


def test_marks_are_found_in_every_place() -> None:
    """On modules, classes and functions, in tables of parameters, and under other names."""
    source = """
covers = pytest.mark.covers
both = pytest.mark.covers("a", "b")
pytestmark = [both, pytest.mark.slow]
table: list[Any] = [pytest.param(1, marks=covers("c"))]
unused = covers("d")

def helper(): ...

@pytest.mark.parametrize("x", [*table])
def test_function(): ...

@covers("e")
class TestClass:
    pytestmark = pytest.mark.covers("f")

    @covers("g")
    @pytest.mark.slow
    async def test_method(self): ...
"""
    found = Marks(source)

    assert dict(found.of_tests()) == {"test_function": set("abc"), "test_method": set("abefg")}
    assert found.named() == set("abcdefg")
