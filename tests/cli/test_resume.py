"""``--resume``: a run that was ended in the middle goes on where it stood, and prints everything."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from manyhands.contract.support import DEADLOCK_S, eventually

from .helpers import lines, manyhands, one_line, results, start

JOURNAL = Path("journal")
LOG = Path("log")


def journaled() -> list[str]:
    """The inputs of the items that the journal says are done, in whole lines."""
    text = JOURNAL.read_text() if JOURNAL.exists() else ""
    whole = text[: text.rfind("\n") + 1].splitlines()[1:]
    return [json.loads(line)["input"] for line in whole]


def kill_when(reached: Callable[[], Any], *words: str, **options: Any) -> None:
    """Run ``manyhands map`` until *reached*, then ``kill -9``."""
    with open(os.devnull, "wb") as nowhere, start("map", *words, stdout=nowhere, **options) as process:
        assert eventually(lambda: reached() or process.poll() is not None)
        process.kill()
        process.wait(DEADLOCK_S)


def prepare(count: int) -> str:
    """Write *count* inputs; returns what an uninterrupted run prints for them."""
    Path("numbers").write_text("".join(f"{n}\n" for n in range(count)))
    return "".join(f'{{"index": {n}, "input": "{n}", "result": "{str(n) * 3}"}}\n' for n in range(count))


WORDS = ("work:log", "--input", "numbers", "--resume", "journal", "--jobs", "2")


@pytest.mark.orphans
def test_killed_in_the_middle(backend_name: str) -> None:
    """What was done is in the journal and is not done again; the output is that of an uninterrupted run."""
    expected = prepare(300)
    words = (*WORDS, "--backend", backend_name)
    # From item 100 on nobody returns, so the first run stands still with exactly 100 items done.
    kill_when(lambda: len(journaled()) == 100, *words, env={"HOLD_AT": "100"})
    done = journaled()
    LOG.unlink()

    finished = manyhands("map", *words)

    assert sorted(done, key=int) == [str(n) for n in range(100)]
    assert finished.stdout == expected
    assert finished.returncode == 0
    assert sorted(lines(LOG), key=int) == [str(n) for n in range(100, 300)]


@pytest.mark.parametrize("moment", [1, 40, 700])
def test_killed_at_any_moment(moment: int) -> None:
    """While many items are under way: none that is in the journal is done again, and the output is whole."""
    expected = prepare(2000)
    kill_when(lambda: len(journaled()) >= moment, *WORDS)
    done = journaled()
    LOG.unlink(missing_ok=True)

    finished = manyhands("map", *WORDS)

    assert len(done) >= moment
    assert finished.stdout == expected
    assert not set(done) & set(lines(LOG))
    assert Counter(journaled()) == Counter(str(n) for n in range(2000))


def test_killed_again_and_again() -> None:
    """Each run goes on from where the last one stood."""
    expected = prepare(400)
    for stop in (50, 120, 300):

        def reached(stop: int = stop) -> bool:
            return len(journaled()) == stop

        kill_when(reached, *WORDS, env={"HOLD_AT": str(stop)})

    assert manyhands("map", *WORDS).stdout == expected
    called = Counter(lines(LOG))
    assert set(called) == {str(n) for n in range(400)}
    assert {number for number, times in called.items() if times > 1} <= {"50", "51", "120", "121", "300", "301"}


def test_items_count_as_done_when_they_are_done() -> None:
    """Not when their turn to be printed has come: the first one takes longer than all others."""
    with start(
        "map", "work:log", "9", *map(str, range(5)), "--resume", "journal", "--jobs", "2", env={"HOLD_AT": "9"}
    ) as run:
        assert eventually(lambda: len(journaled()) == 5)
        run.kill()
        assert run.stdout is not None
        assert run.stdout.read() == ""

    LOG.unlink()
    assert results(manyhands("map", "work:log", "9", *map(str, range(5)), "--resume", "journal").stdout)[0] == "999"
    assert lines(LOG) == ["9"]


def test_all_done() -> None:
    """The function is not called any more, and the output is the same to the byte."""
    expected = prepare(20)
    first = manyhands("map", *WORDS)
    journal = JOURNAL.read_bytes()
    LOG.unlink()

    second = manyhands("map", *WORDS)

    assert first.stdout == second.stdout == expected
    assert not LOG.exists()
    assert JOURNAL.read_bytes() == journal


@pytest.mark.parametrize(
    "torn", ['{"index": 7, "inp', '{"index": 7, "input": "7", "result": "777"}', "\0\0\0\0", "\0\0\n"]
)
def test_torn_last_line(torn: str) -> None:
    """It is cut off, and its item is done again; a machine that went down leaves such a thing."""
    expected = prepare(20)
    kill_when(lambda: len(journaled()) == 7, *WORDS, env={"HOLD_AT": "7"})
    with JOURNAL.open("a") as file:
        file.write(torn)

    assert manyhands("map", *WORDS).stdout == expected
    assert Counter(journaled()) == Counter(str(n) for n in range(20))
    assert all(json.loads(line) for line in lines(JOURNAL))


@pytest.mark.parametrize("size", [0, 1, 20])
def test_torn_first_line(size: int) -> None:
    """A run that was ended while it began: the journal is new."""
    expected = prepare(3)
    manyhands("map", *WORDS)
    JOURNAL.write_bytes(JOURNAL.read_bytes()[:size])

    assert manyhands("map", *WORDS).stdout == expected
    assert len(lines(JOURNAL)) == 4


def test_failed_items_are_tried_again(folder: Path) -> None:
    """They are not in the journal, and what has succeeded is."""
    (folder / "flaky.py").write_text(
        "import os\n"
        "def flaky(text):\n"
        "    if text == 'b' and not os.path.exists('mended'): raise OSError('broken')\n"
        "    return text\n"
    )
    words = ("map", "flaky:flaky", "a", "b", "c", "--resume", "journal", "--on-error", "continue")
    assert manyhands(*words).returncode == 1
    assert journaled() == ["a", "c"]
    (folder / "mended").touch()

    assert results(manyhands(*words).stdout) == ["a", "b", "c"]


def test_commands() -> None:
    """Their rows are kept, too."""
    words = ("map", "a", "b", "--resume", "journal", "--", "sh", "-c", "echo $0 | tee -a log")

    assert manyhands(*words).stdout == manyhands(*words).stdout
    assert sorted(lines(LOG)) == ["a", "b"]


def test_inputs_from_a_pipe() -> None:
    """A run that is fed the same lines again goes on, too."""
    first = manyhands("map", "work:log", "-", "--resume", "journal", input="1\n2\n")
    second = manyhands("map", "work:log", "-", "--resume", "journal", input="1\n2\n3\n")

    assert second.stdout.startswith(first.stdout)
    assert sorted(lines(LOG)) == ["1", "2", "3"]


def test_more_inputs_than_before() -> None:
    """What is new is done."""
    manyhands("map", "work:log", "1", "2", "--resume", "journal")

    assert results(manyhands("map", "work:log", "1", "2", "3", "--resume", "journal").stdout) == ["111", "222", "333"]


def test_other_circumstances() -> None:
    """Backend, number of workers, retries and what happens after an error do not decide about a result."""
    manyhands("map", "work:log", "1", "--resume", "journal")
    words = ("--backend", "threading", "--jobs", "1", "--retries", "2", "--on-error", "continue")

    assert manyhands("map", "work:log", "1", "--resume", "journal", *words).returncode == 0
    assert lines(LOG) == ["1"]


# --- what is refused ---


def test_changed_input() -> None:
    """Which one, what it was and what it is; nothing is done or printed."""
    manyhands("map", "work:log", "1", "2", "3", "--resume", "journal")
    LOG.unlink()

    line = one_line(manyhands("map", "work:log", "1", "5", "3", "4", "--resume", "journal"))

    assert line == "manyhands map: journal 'journal': the inputs have changed: item 1 was '2', now it is '5'"
    assert not LOG.exists()


def test_changed_input_from_a_pipe() -> None:
    """It is met at its place: what comes before is printed."""
    manyhands("map", "work:log", "-", "--resume", "journal", input="1\n2\n")

    finished = manyhands("map", "work:log", "-", "--resume", "journal", input="1\n3\n")

    assert finished.returncode == 2
    assert "item 1 was '2', now it is '3'" in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


@pytest.mark.parametrize("how", [("1",), ("--input", "-")])
def test_fewer_inputs(how: tuple[str, ...]) -> None:
    """An item of the journal that there is no more."""
    manyhands("map", "work:log", "1", "2", "3", "--resume", "journal")

    finished = manyhands("map", "work:log", *how, "--resume", "journal", input="1\n")

    assert finished.returncode == 2
    assert "the inputs have changed: item 1 was '2', now there are only 1 inputs" in finished.stderr


def test_text_and_value_are_different_inputs() -> None:
    """The text 1 is not the number 1."""
    manyhands("map", "work:same", "1", "--resume", "journal")

    assert "belongs to another job" in one_line(manyhands("map", "work:same", "1", "--jsonl", "--resume", "journal"))


def test_journal_of_another_function(folder: Path) -> None:
    """Both are named."""
    manyhands("map", "work:log", "1", "--resume", "journal")

    line = one_line(manyhands("map", "work.py:upper", "1", "--resume", "journal"))

    assert "belongs to another job: function 'work:log', jsonl False, not function '" in line
    assert "work.py:upper'" in line


def test_journal_of_another_command() -> None:
    """The arguments are part of a command."""
    manyhands("map", "1", "--resume", "journal", "--", "echo", "-n")

    assert "belongs to another job: command ['echo', '-n', '{}']" in one_line(
        manyhands("map", "1", "--resume", "journal", "--", "echo")
    )


def test_no_journal() -> None:
    """A file that is something else stays as it is."""
    Path("notes").write_text("buy milk\n")

    line = one_line(manyhands("map", "work:upper", "1", "--resume", "notes"))

    assert line == "manyhands map: journal 'notes': it is not a journal of manyhands map, and is left as it is"
    assert Path("notes").read_text() == "buy milk\n"


def test_other_format() -> None:
    """Of a later version."""
    JOURNAL.write_text('{"manyhands map journal": 2, "job": {}}\n')

    assert "it has format 2, this manyhands knows format 1" in one_line(
        manyhands("map", "work:upper", "1", "--resume", "journal")
    )


def test_damaged_in_the_middle() -> None:
    """That is no torn end: the line is named, and nothing is thrown away."""
    prepare(5)
    manyhands("map", *WORDS)
    damaged = lines(JOURNAL)
    damaged[2] = damaged[2][:-5]
    JOURNAL.write_text("".join(f"{line}\n" for line in damaged))

    line = one_line(manyhands("map", *WORDS))

    assert "journal 'journal': line 3 is damaged" in line
    assert lines(JOURNAL) == damaged


def test_in_use() -> None:
    """Two runs at a time would do everything twice."""
    with start("map", "work:log", "1", "--resume", "journal", env={"HOLD_AT": "1"}) as run:
        assert eventually(lambda: lines(LOG))

        line = one_line(manyhands("map", "work:log", "1", "--resume", "journal"))

        run.kill()
    assert line == "manyhands map: journal 'journal': another run is using it"


def test_journal_is_private() -> None:
    """What is in it is nobody else's business, whatever the umask says."""
    umask = os.umask(0)
    try:
        manyhands("map", "work:upper", "1", "--resume", "journal")
    finally:
        os.umask(umask)

    assert JOURNAL.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["fifo", "device", "link to a device", "folder", "dangling link", "missing folder"])
def test_what_is_no_file(folder: Path, kind: str) -> None:
    """One line; a FIFO is not waited for, and nothing is made at the far end of a link."""
    path = Path("it")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    elif kind == "link to a device":
        path.symlink_to("/dev/null")
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling link":
        path.symlink_to("elsewhere")
    else:
        path = Path("missing/it")

    line = one_line(manyhands("map", "work:upper", "1", "--resume", str(path)))

    said = {"folder": "is a directory", "dangling link": "file exists", "missing folder": "no such file or directory"}
    assert line == f"manyhands map: journal {str(path)!r}: {said.get(kind, 'it is not a regular file')}"
    assert not Path("elsewhere").exists()


def test_journal_that_cannot_grow() -> None:
    """A full disk ends the run with one line; what was done until then is kept, and not done again."""
    expected = prepare(2000)
    program = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
from manyhands.cli import main
sys.exit(main())
"""
    words = ("work:same", *WORDS[1:])

    finished = manyhands("map", *words, command=[sys.executable, "-c", program])

    assert finished.returncode == 1
    assert finished.stderr == "manyhands map: cannot write to journal 'journal': file too large\n"
    assert len(journaled()) > 100
    assert len(results(manyhands("map", *words).stdout)) == len(expected.splitlines())
