"""What ``manyhands map`` prints, and where."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from manyhands.contract.support import DEADLOCK_S, eventually

from .helpers import COMMAND, FUNCTIONS, lines, manyhands, one_line, results, rows, start

# --- functions ---


def test_rows_are_json_lines_in_the_order_of_the_inputs(backend_name: str) -> None:
    """Index, input and result, on every backend."""
    finished = manyhands("map", "--backend", backend_name, "work:upper", "b", "a")

    assert finished.stdout == (
        '{"index": 0, "input": "b", "result": "B"}\n'  #
        '{"index": 1, "input": "a", "result": "A"}\n'
    )
    assert finished.stderr == ""
    assert finished.returncode == 0


@pytest.mark.parametrize(
    "target", ["work:upper", "work.py:upper", "./work.py:upper", "work:str.upper", "work:Tool.double"]
)
def test_targets(folder: Path, target: str) -> None:
    """A module, a file, and what is inside a class."""
    (folder / "work.py").write_text(f"{FUNCTIONS}\nfrom builtins import str\n")

    assert manyhands("map", target, "a").stdout.startswith('{"index": 0, "input": "a", "result": "')


def test_target_in_the_working_directory_for_the_installed_script(folder: Path) -> None:
    """The script is in another folder, and finds what ``python -m`` finds; nothing there hides what is installed."""
    (folder / "json.py").write_text("raise SystemExit('hidden')")
    script = [sys.executable, "-P", "-m", "manyhands"]

    assert results(manyhands("map", "work:upper", "a", command=script).stdout) == ["A"]
    assert results(manyhands("map", "json:loads", "1", command=script).stdout) == [1]


def test_file_with_the_name_of_an_installed_module(folder: Path) -> None:
    """The file is meant, and everybody else still gets the installed one."""
    (folder / "lib").mkdir()
    (folder / "lib" / "queue.py").write_text("import queue\ndef has(text): return hasattr(queue, text)")

    assert results(manyhands("map", "lib/queue.py:has", "SimpleQueue", "has").stdout) == [True, False]


def test_file_finds_its_neighbours(folder: Path) -> None:
    """As a script does."""
    (folder / "lib").mkdir()
    (folder / "lib" / "helping.py").write_text("def half(text): return text[: len(text) // 2]")
    (folder / "lib" / "main.py").write_text("from helping import half")

    assert results(manyhands("map", "lib/main.py:half", "abcd").stdout) == ["ab"]


@pytest.mark.parametrize(
    ("name", "result"), [("path", "a/b"), ("set", [1, 2, 3]), ("tuple", [1, "x"]), ("deep", ["deep"])]
)
def test_results_that_json_has_a_form_for(name: str, result: object) -> None:
    """Paths are texts, sets sorted lists, tuples lists."""
    assert results(manyhands("map", "work:various", name).stdout) == [result]


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("nan", "ValueError", "Out of range float"),
        ("object", "TypeError", "type object"),
        ("mixed", "TypeError", "'<'"),
    ],
)
def test_result_that_is_not_json(name: str, kind: str, said: str) -> None:
    """An error of that item, and the others are not touched."""
    finished = manyhands("map", "--on-error", "continue", "work:various", name, "path")

    failed, other = rows(finished.stdout)
    assert failed["error"]["type"] == kind
    assert failed["error"]["message"].startswith("the result is not JSON: ")
    assert said in failed["error"]["message"]
    assert other["result"] == "a/b"
    assert f"1 of 2 items failed, first item 0 ('{name}') failed: {kind}: the result is not JSON" in finished.stderr


@pytest.mark.parametrize(("target", "kind"), [("work:leave", "SystemExit"), ("work:unprintable", "Odd")])
def test_errors_that_are_odd(target: str, kind: str) -> None:
    """A function that leaves, and an error that cannot be shown, are errors of that item."""
    finished = manyhands("map", target, "a")

    assert rows(finished.stdout)[0]["error"]["type"] == kind
    assert finished.returncode == 1
    assert len(finished.stderr.splitlines()) == 1


def test_what_functions_print_goes_to_stderr(backend_name: str) -> None:
    """So do the outputs of their child processes: stdout holds rows and nothing else."""
    finished = manyhands("map", "--backend", backend_name, "work:noisy", "a")

    assert results(finished.stdout) == ["a"]
    assert sorted(finished.stderr.splitlines()) == ["echoed", "printed a"]


def test_functions_do_not_get_our_stdin() -> None:
    """A function that reads it finds its end at once, while more inputs are to come."""
    with start("map", "work:ask", "-", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("a\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], DEADLOCK_S)
        process.stdin.close()
        assert ready
        assert results(process.stdout.read()) == [""]


# --- failures ---


@pytest.mark.parametrize("how", [(), ("--retries", "1"), ("--resume", "journal"), ("--input", "-")])
def test_on_error_stop(how: tuple[str, ...]) -> None:
    """The default: everything up to the first failed item is printed; its facts are one line on stderr."""
    words = ["a", "bad", "ccc", "bad"]
    given = [] if "--input" in how else words
    finished = manyhands("map", *how, "work:count", *given, input="".join(f"{word}\n" for word in words))

    assert rows(finished.stdout) == [
        {"index": 0, "input": "a", "result": 1},
        {"index": 1, "input": "bad", "error": {"type": "ValueError", "message": "it is bad"}},
    ]
    assert finished.stderr == "manyhands map: item 1 ('bad') failed: ValueError: it is bad\n"
    assert finished.returncode == 1


@pytest.mark.parametrize("how", [(), ("--retries", "1"), ("--resume", "journal")])
def test_on_error_continue(how: tuple[str, ...]) -> None:
    """All others are done; the exit code says that one was not."""
    finished = manyhands("map", *how, "--on-error", "continue", "work:count", "a", "bad", "ccc", "bad")

    assert [row.get("result") for row in rows(finished.stdout)] == [1, None, 3, None]
    first = "item 1 ('bad') failed: ValueError: it is bad"
    assert finished.stderr == f"manyhands map: 2 of 4 items failed, first {first}\n"
    assert finished.returncode == 1


def test_stop_starts_nothing_more() -> None:
    """What waits behind the failed item is not begun."""
    finished = manyhands("map", "--jobs", "1", "--resume", "journal", "work:log", "1", "x", *map(str, range(2, 300)))

    assert finished.returncode == 1
    assert len(lines(Path("log"))) < 100


def test_retries(folder: Path) -> None:
    """A failed item is tried again that often."""
    (folder / "flaky.py").write_text(
        "calls = []\n"
        "def third(text):\n"
        "    calls.append(text)\n"
        "    if len(calls) < 3: raise OSError('not yet')\n"
        "    return len(calls)\n"
    )

    assert rows(manyhands("map", "--retries", "1", "flaky:third", "a").stdout)[0]["error"]["type"] == "OSError"
    assert results(manyhands("map", "--retries", "2", "flaky:third", "a").stdout) == [3]


# --- commands ---


def test_command() -> None:
    """Its exit code and outputs; the input takes the place of {}, also inside an argument."""
    finished = manyhands("map", "a b", "$HOME", "--", "sh", "-c", 'echo "$0"; echo "x$1" >&2', "{}", "<{}>")

    assert results(finished.stdout) == [
        {"returncode": 0, "stdout": "a b\n", "stderr": "x<a b>\n"},
        {"returncode": 0, "stdout": "$HOME\n", "stderr": "x<$HOME>\n"},
    ]


def test_command_without_a_place_for_the_input() -> None:
    """It comes last."""
    assert results(manyhands("map", "a", "--", "echo", "-n").stdout)[0]["stdout"] == "a"


def test_command_with_values() -> None:
    """A value that is no text is given as JSON."""
    finished = manyhands("map", "--jsonl", '"a"', '{"b": [1]}', "7", "--", "echo")

    assert [result["stdout"] for result in results(finished.stdout)] == ["a\n", '{"b": [1]}\n', "7\n"]


def test_command_with_bytes() -> None:
    """A name that is no text reaches the command as it is; output that is no text is shown escaped."""
    finished = manyhands("map", b"\xff", "--", "printf", "%s\\303\\050")

    assert rows(finished.stdout) == [
        {"index": 0, "input": "\udcff", "result": {"returncode": 0, "stdout": "\\xff\\xc3(", "stderr": ""}}
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("false",), "command 'false' ended with exit code 1"),
        (("sh", "-c", "echo why >&2; exit 4"), "ended with exit code 4; the end of its stderr: why"),
        (("no-such-program",), "could not be started: no such file or directory (ENOENT)"),
    ],
)
def test_command_that_fails(command: tuple[str, ...], said: str) -> None:
    """The exit code and what it said on stderr."""
    finished = manyhands("map", "a", "--", *command)

    assert rows(finished.stdout)[0]["error"]["type"] == "CommandError"
    assert said in rows(finished.stdout)[0]["error"]["message"]
    assert finished.returncode == 1


def test_timeout_of_a_command() -> None:
    """It is stopped and has failed; the others are done."""
    finished = manyhands("map", "--timeout", "0.2", "--on-error", "continue", "600", "0", "--", "sleep")

    late, other = rows(finished.stdout)
    assert late["error"] == {
        "type": "CommandTimeoutError",
        "message": "command 'sleep' ran longer than 0.2 s and was killed",
    }
    assert other["result"]["returncode"] == 0


# --- inputs ---


def test_lines_of_a_file(folder: Path) -> None:
    """Each line is one input, an empty one too; line ends of both kinds are no part of it."""
    (folder / "lines").write_bytes(b"a\r\n\n b \nc")

    finished = manyhands("map", "work:same", "--input", "lines")

    assert results(finished.stdout) == ["a", "", " b ", "c"]


@pytest.mark.parametrize("how", [("-",), ("--input", "-")])
def test_lines_of_stdin(how: tuple[str, ...]) -> None:
    """A pipe."""
    assert results(manyhands("map", "work:upper", *how, input="a\nb\n").stdout) == ["A", "B"]


def test_stdin_that_is_a_file(folder: Path) -> None:
    """It is read from where it stands, also a second time for the journal."""
    (folder / "lines").write_text("skipped\na\nb\n")
    with open("lines", "rb", buffering=0) as file:
        os.read(file.fileno(), len("skipped\n"))
        finished = manyhands("map", "work:upper", "-", "--resume", "journal", stdin=file)

    assert results(finished.stdout) == ["A", "B"]


def test_no_lines(folder: Path) -> None:
    """An empty file is a job that is done."""
    (folder / "lines").touch()

    finished = manyhands("map", "work:upper", "--input", "lines")

    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_values(folder: Path) -> None:
    """With --jsonl each line, or argument, is a JSON value; blank lines are none."""
    (folder / "values").write_text('{"a": [1, null]}\n\n"text"\n1.5\n')

    values = [{"a": [1, None]}, "text", 1.5]
    assert results(manyhands("map", "--jsonl", "--input", "values", "work:same").stdout) == values
    assert results(manyhands("map", "--jsonl", "work:same", *map(json.dumps, values)).stdout) == values


def test_rows_come_while_the_input_still_goes_on() -> None:
    """Nobody waits for the next line, or for the end: the input may be endless."""
    with start("map", "work:upper", "-", stdin=-1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text in ("a", "b"):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["result"] == text.upper()
        process.stdin.close()
        assert process.wait(DEADLOCK_S) == 0


@pytest.mark.parametrize("how", [(), ("--resume", "journal")])
def test_endless_input_needs_bounded_memory(how: tuple[str, ...]) -> None:
    """Whoever prints rows without end has read no more than a window of inputs ahead."""
    program = "import itertools, sys\nfor n in itertools.count():\n    print(n)\n    print(n, file=sys.stderr)"
    with open("produced", "wb") as produced:
        source = start(command=[sys.executable, "-c", program], stderr=produced)
    with source, start("map", "work:same", "-", *how, stdin=source.stdout) as process:
        assert source.stdout is not None
        assert process.stdout is not None
        source.stdout.close()
        for index in range(5000):
            assert json.loads(process.stdout.readline())["index"] == index
        # No more than what fits into two pipes and the windows, however long nobody reads any further.
        assert not eventually(lambda: len(lines(Path("produced"))) > 5000 + 50_000, seconds=1)
        process.stdout.close()
        assert process.wait(DEADLOCK_S) == 141
        source.wait(DEADLOCK_S)


def test_jobs(folder: Path) -> None:
    """That many at a time."""
    (folder / "meet.py").write_text(
        "import threading\nbarrier = threading.Barrier(5)\ndef all(text):\n    barrier.wait(20)\n    return text\n"
    )

    assert manyhands("map", "--jobs", "5", "meet:all", *"abcde").returncode == 0


def test_configuration_chooses_the_backend(folder: Path) -> None:
    """A file or a variable is enough; what it names is asked for."""
    (folder / "manyhands.toml").write_text('backend = "nope"\n')

    assert "manyhands.toml:1: no backend named 'nope'" in one_line(manyhands("map", "work:upper", "a"))
    assert manyhands("map", "work:upper", "a", env={"MANYHANDS_BACKEND": "threading"}).returncode == 0


def test_profile(folder: Path) -> None:
    """Options of a profile of the configuration hold."""
    (folder / "manyhands.toml").write_text('[profiles.small]\nbackend = "threading"\nmax_workers = 0\n')

    assert "manyhands.toml:3: " in one_line(manyhands("map", "--profile", "small", "work:upper", "a"))


# --- progress ---


def seen_on_a_terminal(command: list[str], *words: str) -> str:
    """What ``map`` shows on stderr when that is a terminal and the rows go to a file."""
    main, terminal = pty.openpty()
    with open("rows", "wb") as file:
        process = start("map", *words, command=command, stdout=file, stderr=terminal, env={"TERM": "xterm"})
    os.close(terminal)
    shown = b""
    try:
        while chunk := os.read(main, 4096):
            shown += chunk
    except OSError:  # how a terminal says that everybody has left
        pass
    os.close(main)
    assert process.wait(DEADLOCK_S) == 0
    return shown.decode()


def test_progress_with_rich() -> None:
    """A bar that counts."""
    pytest.importorskip("rich", reason="rich is not installed")
    shown = seen_on_a_terminal(COMMAND, "work:upper", "a", "b", "c")

    assert "3/3" in shown
    assert len(lines(Path("rows"))) == 3


def test_progress_without_rich() -> None:
    """One line that is written over, and is gone at the end."""
    program = "import sys; sys.modules['rich'] = None; from manyhands.cli import main; sys.exit(main())"
    shown = seen_on_a_terminal([sys.executable, "-c", program], "work:upper", "a", "b", "c")

    assert "1 of 3 items done" in shown
    assert shown.endswith("\r\x1b[K")


def test_no_progress_without_a_terminal() -> None:
    """A log gets nothing of it."""
    assert manyhands("map", "work:upper", "a", "b", "c").stderr == ""
