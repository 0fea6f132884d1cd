"""Bad usage: exit code 2, and one line that says what is wrong and what to do."""

import sys
from importlib.metadata import version
from pathlib import Path

import attr
import attrs
import pytest

import manyhands as manyhands_package

from .helpers import COMMAND, manyhands, one_line, results

# --- options (row 22) ---


def after_usage(*words: str) -> str:
    """The line that follows the line with the usage."""
    finished = manyhands(*words)
    assert finished.returncode == 2
    assert finished.stdout == ""
    usage, line = finished.stderr.splitlines()
    assert usage.startswith("usage: manyhands")
    return line


@pytest.mark.bad_input(22)
def test_unknown_option() -> None:
    """The nearest option is offered."""
    line = after_usage("map", "--jbos", "3", "work:upper", "a")

    assert line == "manyhands map: unknown option '--jbos', did you mean '--jobs'?"


@pytest.mark.bad_input(22)
def test_unknown_option_with_a_value_attached() -> None:
    """The value is no part of its name."""
    assert "unknown option '--tiemout', did you mean '--timeout'?" in after_usage(
        "map", "--tiemout=3", "work:upper", "a"
    )


@pytest.mark.bad_input(22)
def test_options_cannot_be_abbreviated() -> None:
    """What is an abbreviation today is ambiguous tomorrow."""
    assert "unknown option '--back', did you mean '--backend'?" in after_usage("map", "--back", "x", "work:upper", "a")


@pytest.mark.bad_input(22)
def test_unknown_option_before_the_command() -> None:
    """The program itself has options, too."""
    assert after_usage("--versoin") == "manyhands: unknown option '--versoin', did you mean '--version'?"


@pytest.mark.bad_input(22)
@pytest.mark.parametrize(
    "words", [("map", "--jobs"), ("map", "--jobs", "--jsonl", "work:upper"), ("config", "--backend")]
)
def test_missing_value(words: tuple[str, ...]) -> None:
    """An option at the end, or before another one, says that it needs a value."""
    option = next(word for word in words if word.startswith("--"))

    assert after_usage(*words) == f"manyhands {words[0]}: option {option} needs a value"


@pytest.mark.bad_input(22)
@pytest.mark.parametrize(
    "words", [("--jobs", "2", "--jobs", "3"), ("--jsonl", "--jsonl"), ("--input", "a", "--input", "a")]
)
def test_option_given_twice(words: tuple[str, ...]) -> None:
    """Neither of two values is dropped without a word."""
    assert after_usage("map", *words, "work:upper") == f"manyhands map: option {words[0]} is given twice"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--jobs", "x"), "option --jobs must be a whole number of at least 1, got 'x'"),
        (("--jobs", "0"), "option --jobs must be a whole number of at least 1, got '0'"),
        (("--jobs", "999999999"), "option --jobs: ThreadingOptions.max_workers must be 1 to "),
        (("--retries", "-1"), "option --retries must be a whole number of at least 0, got '-1'"),
        (("--timeout", "nan"), "option --timeout must be 0 to "),
        (("--timeout", "1e20"), "option --timeout must be 0 to "),
        (("--timeout", "soon"), ", or inf, got 'soon'"),
        (("--on-error", "contineu"), "must be stop or continue, got 'contineu', did you mean 'continue'?"),
    ],
)
def test_value_that_is_not_allowed(words: tuple[str, ...], problem: str) -> None:
    """The option, what is allowed, and what was given."""
    assert problem in one_line(manyhands("map", "work:upper", "a", *words))


# --- commands and operands ---


def test_no_command() -> None:
    """What there is, is listed."""
    assert one_line(manyhands()) == "manyhands: a command is missing, there are map, backends, config, check"


def test_unknown_command() -> None:
    """The nearest one is offered."""
    assert one_line(manyhands("mpa")) == "manyhands: unknown command 'mpa', did you mean 'map'?"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("map",), "a target is missing, or -- and a command"),
        (("map", "a", "--"), "a command is missing after --"),
        (("map", "work:upper"), "there are no inputs"),
        (("map", "--", "true"), "there are no inputs"),
        (("map", "work:upper", "a", "-"), "the input - takes the lines of stdin, and must be the only one"),
        (("map", "work:upper", "a", "--input", "b"), "either as arguments or with --input, not both"),
        (("map", "work:upper", "-", "--input", "b"), "either as arguments or with --input, not both"),
        (("backends", "x"), "there is nothing to be done with 'x'"),
        (("config", "x"), "there is nothing to be done with 'x'"),
        (("backends", "--requires", "isolation"), "option --requires goes with --explain only"),
    ],
)
def test_operands(words: tuple[str, ...], problem: str) -> None:
    """Too few and too many are told apart."""
    assert problem in one_line(manyhands(*words))


# --- backends (row 23) ---


@pytest.mark.bad_input(23)
def test_unknown_backend() -> None:
    """Those that are installed, and those that are known."""
    line = one_line(manyhands("map", "--backend", "nope", "work:upper", "a"))

    assert line.startswith("manyhands map: no backend named 'nope' is installed (installed: ")
    assert "known are dummy, " in line
    assert "multiprocessing, subprocess, threading" in line


@pytest.mark.bad_input(23)
def test_misspelt_backend() -> None:
    """The nearest one is offered."""
    assert "did you mean 'threading'?" in one_line(manyhands("map", "--backend", "thraeding", "work:upper", "a"))


@pytest.fixture
def bare(folder: Path) -> list[str]:
    """The command in an interpreter that sees the core and no plugin."""
    mirror = folder / "installed"
    mirror.mkdir()
    for package in (manyhands_package, attr, attrs):
        (mirror / package.__name__).symlink_to(Path(package.__file__ or "").parent)
    program = f"import sys; sys.path.append({str(mirror)!r}); from manyhands.cli import main; sys.exit(main())"
    return [sys.executable, "-IS", "-c", program]


@pytest.mark.bad_input(23)
@pytest.mark.parametrize("backend", ["dummy", "multiprocessing", "subprocess", "threading"])
def test_known_backend_that_is_not_installed(bare: list[str], backend: str) -> None:
    """The line that installs it."""
    line = one_line(manyhands("map", "--backend", backend, "work:upper", "a", command=bare))

    assert f'pip install "manyhands[{backend}]"' in line


def test_no_backend_at_all(bare: list[str]) -> None:
    """The default one is not installed: the line that installs it."""
    line = one_line(manyhands("map", "work:upper", "a", command=bare))

    assert line.endswith('(installed: none); install it with: pip install "manyhands[threading]"')


@pytest.mark.bad_input(16)
def test_unknown_profile() -> None:
    """A profile of the configuration that is not there."""
    assert "no profile is named 'nope'" in one_line(manyhands("map", "--profile", "nope", "work:upper", "a"))


@pytest.mark.bad_input(37)
def test_timeout_on_a_backend_that_cannot_stop_a_function() -> None:
    """Refused before anything is done; a command can be stopped everywhere."""
    line = one_line(manyhands("map", "--backend", "threading", "--timeout", "5", "work:upper", "a"))

    assert "backend 'threading' does not offer a timeout for running tasks" in line
    assert manyhands("map", "--backend", "threading", "--timeout", "5", "a", "--", "echo").returncode == 0


# --- targets (row 25) ---


@pytest.mark.bad_input(25)
@pytest.mark.parametrize(
    "target", ["work", "work:", ":upper", "work.upper", "wo rk:upper", "work:upper()", "a/b:upper", ""]
)
def test_malformed_target(target: str) -> None:
    """What it must look like."""
    line = one_line(manyhands("map", target, "a"))

    allowed = "it must be package.module:function or path/file.py:function"
    assert line == f"manyhands map: target {target!r} is malformed, {allowed}"


@pytest.mark.bad_input(25)
@pytest.mark.parametrize(
    ("target", "missing"), [("wrok:upper", "wrok"), ("json.wrok:upper", "json.wrok"), ("work.x:f", "work.x")]
)
def test_missing_module(target: str, missing: str) -> None:
    """Its full name."""
    line = one_line(manyhands("map", target, "a"))

    assert line == f"manyhands map: target {target!r} leads nowhere: there is no module named {missing!r}"


@pytest.mark.bad_input(25)
def test_missing_file(folder: Path) -> None:
    """Its full path."""
    line = one_line(manyhands("map", "lib/wrok.py:upper", "a"))

    assert f"leads nowhere: there is no file '{folder}/lib/wrok.py'" in line


@pytest.mark.bad_input(25)
@pytest.mark.parametrize("target", ["needy:f", "needy.py:f"])
def test_module_that_needs_a_missing_one(folder: Path, target: str) -> None:
    """It is there: what it raised is said, not that it is missing."""
    (folder / "needy.py").write_text("import not_installed_anywhere")

    line = one_line(manyhands("map", target, "a"))

    assert "cannot be imported: " in line
    assert "raised ModuleNotFoundError: No module named 'not_installed_anywhere'" in line


@pytest.mark.bad_input(25)
def test_module_that_says_itself_that_it_is_missing(folder: Path) -> None:
    """The name in the error is its own, and still it was found."""
    (folder / "liar.py").write_text("raise ModuleNotFoundError('no liar here', name='liar')")

    assert "cannot be imported: liar raised ModuleNotFoundError: no liar here" in one_line(
        manyhands("map", "liar:f", "a")
    )


@pytest.mark.bad_input(25)
@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:", "raised SyntaxError: "),
        ("import sys; sys.exit(3)", "raised SystemExit: 3"),
        ("raise ImportError('not on this machine')", "raised ImportError: not on this machine"),
        ("raise ValueError('two\\nlines')", "raised ValueError: two lines"),
    ],
)
def test_module_that_raises(folder: Path, source: str, said: str) -> None:
    """Whatever it raises, it is one line and no traceback."""
    (folder / "broken.py").write_text(source)

    for target in ("broken:f", "broken.py:f"):
        assert said in one_line(manyhands("map", target, "a"))


@pytest.mark.bad_input(25)
def test_missing_attribute() -> None:
    """The nearest one is offered."""
    line = one_line(manyhands("map", "work:uper", "a"))

    problem = "leads nowhere: module 'work' has no attribute 'uper', did you mean 'upper'?"
    assert line == f"manyhands map: target 'work:uper' {problem}"


@pytest.mark.bad_input(25)
def test_missing_attribute_of_a_class() -> None:
    """It says in what it looked."""
    assert "'Tool' has no attribute 'trouble', did you mean 'double'?" in one_line(
        manyhands("map", "work:Tool.trouble", "a")
    )


@pytest.mark.bad_input(25)
def test_not_callable() -> None:
    """What it is instead."""
    assert one_line(manyhands("map", "work:number", "a")).endswith("'work:number' cannot be called: it is of type int")


@pytest.mark.bad_input(27)
def test_coroutine_function() -> None:
    """Its calls would do nothing."""
    assert "'work:coroutine' is a coroutine function" in one_line(manyhands("map", "work:coroutine", "a"))


@pytest.mark.bad_input(21)
def test_surrogates_are_shown_escaped() -> None:
    """Bytes that are no text, and control characters, do not reach the terminal."""
    line = one_line(manyhands("map", b"w\xff\x1b[31m:upper", "a"))

    assert "target 'w\\udcff\\x1b[31m:upper' is malformed" in line
    assert "unknown option '--\\udcff'" in manyhands("map", b"--\xff", "work:upper").stderr
    assert "there is no file" in one_line(manyhands("map", b"\xff.py:upper", "a"))
    assert "must be printable, got 'x\\udcff'" in one_line(manyhands("map", "--backend", b"x\xff", "work:upper", "a"))


# --- inputs ---


@pytest.mark.parametrize(
    ("path", "problem"),
    [("absent", "'absent' cannot be read: no such file"), (".", "'.' cannot be read: it is a directory")],
)
def test_input_file_that_cannot_be_read(path: str, problem: str) -> None:
    """The file and the reason."""
    assert f"input {problem}" in one_line(manyhands("map", "work:upper", "--input", path))


def test_closed_stdin() -> None:
    """It is not mistaken for a file that got its number."""
    line = one_line(manyhands("map", "work:upper", "-", command=["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND]))

    assert line == "manyhands map: input stdin cannot be read: it is closed"


@pytest.mark.parametrize("text", ["{", "NaN", "1e999", "[" * 100_000, "9" * 5000])
def test_argument_that_is_not_json(text: str) -> None:
    """Which one it is, and how it begins."""
    line = one_line(manyhands("map", "--jsonl", "work:same", text))

    assert line.startswith("manyhands map: input 0: not a JSON value (")
    assert f"got '{text[:20]}" in line


def test_line_that_is_not_json(folder: Path) -> None:
    """The file and the line; the items before it are done and printed."""
    (folder / "values").write_text('1\n\n{"a": 2}\nthree\n4\n')

    finished = manyhands("map", "--jsonl", "--input", "values", "work:same")

    assert finished.returncode == 2
    assert results(finished.stdout) == [1, {"a": 2}]
    assert finished.stderr.startswith("manyhands map: values:4: not a JSON value (")
    assert len(finished.stderr.splitlines()) == 1


# --- what else there is to ask for ---


def test_version() -> None:
    """The program and the number."""
    assert manyhands("--version").stdout == f"manyhands {version('manyhands')}\n"


@pytest.mark.parametrize("words", [("--help",), ("map", "--help"), ("backends", "-h"), ("config", "--help")])
def test_help(words: tuple[str, ...]) -> None:
    """It goes to stdout, and asking for it is no error."""
    finished = manyhands(*words)

    assert finished.returncode == 0
    assert finished.stdout.startswith("usage: manyhands")
    assert finished.stderr == ""


def test_help_is_fast() -> None:
    """It imports nothing of the core, and of a command only what parses."""
    program = "import sys; from manyhands.cli import main; main(['--help']); print(*sys.modules)"
    finished = manyhands(command=[sys.executable, "-c", program])

    loaded = finished.stdout.splitlines()[-1].split()
    assert not {"argparse", "attr", "asyncio", "concurrent.futures", "manyhands.backend", "structlog"} & set(loaded)


def test_warnings_are_one_line() -> None:
    """A variable that looks like ours and is not is pointed out, and the work goes on."""
    finished = manyhands("map", "work:upper", "a", env={"MANYHANDS_BAKEND": "x"})

    assert finished.returncode == 0
    warning = "manyhands: warning: MANYHANDS_BAKEND: unknown variable, did you mean 'MANYHANDS_BACKEND'?\n"
    assert finished.stderr == warning
