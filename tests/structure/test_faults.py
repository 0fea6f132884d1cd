"""The catalogue of faults: which rows hold on which backends, and that each of them has tests."""

import ast
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import pytest

ROOT = Path(__file__).parents[2]
#: Where tests are: ours, and the contract suite, which is part of the core.
TESTS = (ROOT / "tests", ROOT / "core" / "src" / "manyhands" / "contract")

#: The rows that are claimed so far, and for what: T threading, D dummy, C core.
ROWS: Final = {
    5: "TD",  # SystemExit, KeyboardInterrupt and the like raised by a task
    30: "TD",  # strange exceptions
    31: "TD",  # StopIteration to an awaiter
    34: "TD",  # an initializer that always raises
    35: "TD",  # an initializer that fails now and then
    42: "T",  # no more threads
    44: "T",  # the program forks
    45: "TD",  # submit during finalization
    46: "TD",  # the interpreter exits without close
    47: "TD",  # an executor is collected with work pending
    48: "TD",  # close from odd places
    50: "TD",  # close(cancel) and those who wait
    56: "T",  # Ctrl-C in result() and in with
    57: "T",  # KeyboardInterrupt at any bytecode
    59: "TD",  # a signal handler calls us
    60: "TD",  # the garbage collector calls us
    61: "TD",  # threads print while the interpreter ends
    62: "TD",  # the order of exit handlers
    63: "TD",  # cancel races start and finish
    64: "TD",  # cancel of a running task
    65: "TD",  # a timeout for a task
    66: "TD",  # a timeout for a wait
    67: "TDC",  # the wall clock jumps
    68: "TD",  # a storm of signals
    69: "TD",  # a callback raises
    70: "TD",  # chains of callbacks
    71: "TD",  # a task waits for a task of its own full pool
    73: "TD",  # endless, failing and blocked inputs of map
    74: "TD",  # backpressure
    75: "TD",  # what is kept alive
    76: "TD",  # duplicate and foreign futures
    85: "TD",  # leaks of descriptors
    86: "TD",  # descriptors above 1023
    99: "C",  # a plugin's import raises, exits, hangs, prints
    100: "C",  # two plugins with one name
    101: "C",  # a plugin lies
    102: "C",  # a plugin breaks its side of the contract
    103: "D",  # a seed is replayed
    104: "TD",  # queues and locks are used wrongly
}

#: What the catalogue asks for beyond that, and why it is not claimed.
NOT_MET: Final = {
    (56, "D"): "main program and tasks share one thread: Ctrl-C hits whichever runs, and may end up in a task's future",
    (57, "D"): "an interrupt inside of the hub, between two fibers, leaves it in a state that nothing works in",
    (105, "TDC"): "there is no free-threaded interpreter to run it on; normal ones run with turns of a microsecond",
}


@attrs.frozen
class FaultTest:
    """A test with the rows in its marks."""

    rows: frozenset[int]
    #: Whether it runs on each backend, and on those with one thread too.
    on_backends: bool
    on_one_thread: bool


def fault_tests(source: str) -> Iterator[FaultTest]:
    """The tests in *source*, found without importing it; rows must be spelled out."""
    tree = ast.parse(source)
    on_dummy = "manyhands_dummy" in source

    def inside(scope: ast.Module | ast.ClassDef, outer: list[ast.expr]) -> Iterator[FaultTest]:
        for node in scope.body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
                yield from inside(node, [*outer, *node.decorator_list])
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
                marks = [*outer, *node.decorator_list]
                taken = {argument.arg for argument in node.args.args}
                own = on_dummy and "manyhands_dummy" in (ast.get_source_segment(source, node) or "")
                yield FaultTest(
                    rows=frozenset(int(row) for row in _arguments(marks, "fault")),
                    on_backends=bool(taken & {"backend", "backend_name", "executor"}),
                    on_one_thread=own or "not deterministic" not in _arguments(marks, "capability"),
                )

    yield from inside(tree, [])


def _arguments(marks: list[ast.expr], name: str) -> set[str]:
    """What is in the marks called *name*, as ``pytest.mark.name(...)`` or ``name(...)``."""
    found = set()
    for node in (node for mark in marks for node in ast.walk(mark)):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == name:
                found |= {str(ast.literal_eval(argument)) for argument in node.args}
    return found


def all_fault_tests() -> list[FaultTest]:
    """Those of every test file."""
    paths = sorted(path for folder in TESTS for path in folder.rglob("test_*.py"))
    return [test for path in paths for test in fault_tests(path.read_text("utf-8")) if test.rows]


def test_each_row_has_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    """At least one test has a mark for it; how many there are is printed, and what is not claimed, with the reason."""
    tests = Counter(row for test in all_fault_tests() for row in test.rows)
    missing = [row for row in ROWS if not tests[row]]
    with capsys.disabled():
        print(
            f"\nrows of the catalogue of faults with tests: {len(ROWS) - len(missing)} of {len(ROWS)}; how many each:"
        )
        print(textwrap.fill(", ".join(f"{row} ({on}) {tests[row]}" for row, on in ROWS.items()), 120))
        for (row, on), reason in NOT_MET.items():
            print(f"not claimed: {row} ({on}): {reason}")

    assert missing == []


def test_what_is_claimed_for_threads_is_tested_on_every_backend() -> None:
    """By a test that takes the backend under test, and does not open one of its own choice."""
    tested = {row for test in all_fault_tests() if test.on_backends for row in test.rows}

    assert sorted(row for row, on in ROWS.items() if "T" in on and row not in tested) == []


def test_what_is_claimed_for_one_thread_is_tested_there() -> None:
    """By a test that a backend with one thread does not skip."""
    tested = {row for test in all_fault_tests() if test.on_one_thread for row in test.rows}

    assert sorted(row for row, on in ROWS.items() if "D" in on and row not in tested) == []


def test_what_is_not_claimed_is_not_claimed() -> None:
    """No backend stands in both lists."""
    assert [row for row, on in NOT_MET if set(on) & set(ROWS.get(row, ""))] == []


def test_marks_are_found_in_every_place() -> None:
    """On classes and functions, with what keeps them from a backend with one thread."""
    source = """
@fault(1)
@capability("not deterministic")
class TestClass:
    @pytest.mark.fault(2, 3)
    def test_method(self, backend): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=fault(4))])
def test_function(x): ...

def test_without(): ...

@fault(5)
def helper(): ...
"""

    assert [(set(test.rows), test.on_backends, test.on_one_thread) for test in fault_tests(source)] == [
        ({1, 2, 3}, True, False),
        ({4}, False, True),
        (set(), False, True),
    ]
