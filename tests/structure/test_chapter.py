"""The standard library's chapter "Concurrent Execution": each entry has tests, and the page says how many."""

import textwrap
from collections import Counter
from pathlib import Path

import pytest

import manyhands
from manyhands.contract.chapter import CHAPTER, CoveringTest, Marks, covering_tests, page, sources
from manyhands.contract.support.backends import BACKENDS

TESTS = Path(__file__).parents[1]


def test_each_entry_has_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    """At least one test has a mark for it; how many there are is printed."""
    tests = Counter(entry for test in covering_tests(TESTS) for entry in test.covers)
    missing = [entry for entry in CHAPTER if not tests[entry]]
    with capsys.disabled():
        print(f"\nentries of the chapter with tests: {len(CHAPTER) - len(missing)} of {len(CHAPTER)}; how many each:")
        print(textwrap.fill(", ".join(f"{entry} {tests[entry]}" for entry in CHAPTER), 120, break_on_hyphens=False))

    assert missing == []


def test_each_mark_names_an_entry() -> None:
    """A mark for an entry that the chapter does not have is a typing mistake."""
    named = {(path.name, entry) for path in sources(TESTS) for entry in Marks(path.read_text("utf-8")).named()}

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
table: list[Any] = [pytest.param(1, marks=[covers("c"), pytest.mark.capability("parallel_cpu")])]
unused = covers("d")

def helper(): ...

@pytest.mark.parametrize("x", [*table])
def test_function(): ...

@covers("e")
class TestClass:
    pytestmark = pytest.mark.covers("f")

    @covers("g")
    @pytest.mark.capability("in_process", "not isolation")
    @pytest.mark.slow
    async def test_method(self): ...
"""
    found = Marks(source)
    function, method = found.of_tests()

    assert (function.name, function.covers, function.needs) == ("test_function", frozenset("abc"), frozenset())
    assert (method.name, method.covers) == ("test_method", frozenset("abefg"))
    assert method.needs == {"in_process", "not isolation"}
    assert found.named() == set("abcdefg")


def test_the_page_is_up_to_date() -> None:
    """``docs/chapter.md`` is what ``python -m manyhands.contract.chapter`` writes."""
    loaded = {info.name: info.capabilities for info in manyhands.backends(load=True)}
    for name in BACKENDS:
        if loaded.get(name) is None:
            pytest.skip(f"backend {name!r} is not installed")

    expected = page(covering_tests(TESTS), {name: loaded[name] for name in BACKENDS})
    assert (TESTS.parent / "docs" / "chapter.md").read_text("utf-8") == expected


def test_a_backend_that_lacks_a_capability_is_told_apart() -> None:
    """It has a number where its tests run, and else the reason."""
    tests = [
        CoveringTest("test_a", frozenset({"queue"}), frozenset({"isolation"})),
        CoveringTest("test_b", frozenset({"sched"}), frozenset({"not isolation"})),
        CoveringTest("test_c", frozenset({"sched"}), frozenset(), in_suite=False),
    ]
    offered = {"one": manyhands.Capabilities(isolation=True), "other": manyhands.Capabilities()}
    lines = page(tests, offered).splitlines()

    assert "| queue | 1 | not offered: isolation |  |" in lines
    assert "| sched | not offered: not isolation | 1 | 1 |" in lines
