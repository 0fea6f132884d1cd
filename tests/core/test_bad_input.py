"""The catalogue of bad input: rows 1 to 21 (configuration) and 43 to 48 (plugins)."""

import math
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from manyhands import config, registry
from manyhands.config import configured, resolve
from manyhands.errors import BackendLoadError, ConfigError, ManyhandsWarning
from manyhands.options import BackendOptions, TaskOptions, setting, worker_limit

from .fakes import BACKENDS, GOOD, fake_backend, fake_dist, isolated


@attrs.frozen(kw_only=True)
class Options(BackendOptions):
    """One option of each kind."""

    depth: int = setting(1, int, low=0, high=9, unit="levels")
    fast: bool = setting(False, bool)
    label: str = setting("", str)
    hosts: tuple[str, ...] = setting((), tuple)


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from isolated(tmp_path, monkeypatch)


def short(value: object) -> str:
    """The name of a test that does not fill the screen."""
    return repr(value)[:20]


def write(text: str | bytes, name: str = "manyhands.toml") -> Path:
    path = Path(name)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(text: str | bytes, name: str = "manyhands.toml") -> str:
    """What is said about a file."""
    write(text, name)
    with pytest.raises(ConfigError) as caught:
        resolve().options(Options)
    return str(caught.value)


# --- rows 1 to 5, 13 to 15: the file ----------------------------------------------------------


@pytest.mark.bad_input(1)
@pytest.mark.parametrize("name", ["nope.toml", "no/such/folder.toml", "  "])
def test_a_named_file_that_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path, that it was not found, and who named it."""
    monkeypatch.setenv("MANYHANDS_CONFIG", name)

    with pytest.raises(ConfigError, match=f"^{re.escape(name)}: not found, but MANYHANDS_CONFIG names it$"):
        resolve()


def make_folder(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/null")


@pytest.mark.bad_input(2)
@pytest.mark.parametrize("make", [make_folder, make_fifo, make_socket, make_device])
@pytest.mark.parametrize("named", [True, False])
def test_what_is_not_a_regular_file(make: Any, named: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes to the FIFO, so that waiting for it would hang; no descriptor is left open."""
    make(Path("manyhands.toml"))
    if named:
        monkeypatch.setenv("MANYHANDS_CONFIG", "manyhands.toml")
    before = os.listdir("/proc/self/fd")

    with pytest.raises(ConfigError, match=r"^manyhands\.toml: not a regular file$"):
        resolve()
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.bad_input(3)
@pytest.mark.parametrize("named", [True, False])
def test_a_file_that_may_not_be_read(named: bool) -> None:
    """The path and the reason; in a child process that is not root, whom nothing stops."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # below a folder that is open to everybody
        os.chmod(folder, 0o755)
        write("", f"{folder}/manyhands.toml").chmod(0)
        code = (
            "import os; from manyhands import config; config.registry.names()\n"
            "if os.geteuid() == 0: os.seteuid(65534)\n"
            "try: config.resolve()\n"
            "except config.ConfigError as error: print(error)"
        )
        environment = {**os.environ, **({"MANYHANDS_CONFIG": "manyhands.toml"} if named else {})}
        result = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment
        )

    assert (result.stdout, result.stderr) == ("manyhands.toml: cannot be read: Permission denied\n", "")


@pytest.mark.bad_input(4)
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"backend = '\xe4'", "not UTF-8 at byte 11, got 0xe4"),
        (b"\xef\xbb\xbfbackend = '\xe4'", "not UTF-8 at byte 14, got 0xe4"),
        ("backend = 'x'".encode("utf-16"), "not UTF-8 at byte 0, got 0xff"),
        (b"backend = '\0'", "a NUL character at byte 11"),
        (b"\xef\xbb\xbf\xc3\xa4\0", "a NUL character at byte 5"),
    ],
)
def test_bytes_that_are_no_text(data: bytes, text: str) -> None:
    """The offset is that in the file."""
    assert refused(data) == f"manyhands.toml: {text}"


@pytest.mark.bad_input(4)
def test_a_byte_order_mark_is_accepted() -> None:
    """Some editors write it unasked."""
    write(b"\xef\xbb\xbfbackend = 'dummy'")

    assert resolve().backend.value == "dummy"


@pytest.mark.bad_input(5)
@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("backend = \n", 1, 11),
        ("[threading]\ndepth = 1 2\n", 2, 11),
        ("\n[threading\n", 2, 11),
        ("\nhosts = [1,\n", 2, 12),
        ("backend == 'x'", 1, 10),
    ],
)
def test_a_syntax_error(text: str, line: int, column: int) -> None:
    """File, line and column, and what the parser says."""
    said = refused(text)

    assert re.match(rf"manyhands\.toml:{line}: not valid TOML at line {line}, column {column}: [a-z]", said)


@pytest.mark.bad_input(5)
def test_a_syntax_error_in_a_project_file() -> None:
    """A project file that speaks of us must be readable."""
    said = refused("[tool.manyhands]\nbackend =\n", "pyproject.toml")

    assert said.startswith("pyproject.toml:2: not valid TOML at line 2, column 10: ")


@pytest.mark.bad_input(13)
@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "[threading]\n[profiles]\n"])
def test_an_empty_file_is_accepted(text: str) -> None:
    """It says nothing: all defaults."""
    write(text)

    settings = resolve()

    assert settings.backend.origin == "default"
    assert settings.options(Options) == Options()


DEEP = 10_000


@pytest.mark.bad_input(14)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = " + "[" * DEEP + "]" * DEEP, "nested deeper than 64 levels"),
        ("x = " + "{a = " * DEEP + "1" + "}" * DEEP, "nested deeper than 64 levels"),
        (".".join("a" * DEEP) + " = 1", "nested deeper than 64 levels"),
        ("a.b = 1\n[" + " . ".join("a" * DEEP) + "]", "nested deeper than 64 levels"),
        ("x = {b = 1, " + ".".join("a" * DEEP) + " = 1}", "nested deeper than 64 levels"),
        (".".join("a" * 500_000) + "=1", "nested deeper than 64 levels"),
        ("\n" * (1 << 19), ""),
        ("#" + "." * ((1 << 20) - 1), ""),
        ("[[" * (1 << 19), "line 1"),
        ("x = " + "1" * 5000, "not valid TOML: "),
        ("a" * (1 << 20), "line 1"),
        (" " * (1 << 20) + "x", "larger than 1048576 bytes"),
        (100 << 20, "larger than 1048576 bytes"),
    ],
    ids=short,
)
def test_files_that_are_too_large_or_too_deep(text: str | int, said: str) -> None:
    """Refused, or read, with little time (of the processor: others may be busy) and memory."""
    path = write("" if isinstance(text, int) else text)
    if isinstance(text, int):
        os.truncate(path, text)

    def problem() -> str:
        config._toml.cache_clear()
        try:
            resolve()
        except ConfigError as error:
            return str(error)
        return ""

    started = time.process_time()
    found = problem()
    used_s = time.process_time() - started
    tracemalloc.start()
    problem()
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert said in found
    assert bool(said) == bool(found)
    assert len(found) < 300
    assert peak_bytes < 50 << 20
    assert used_s < 1


@pytest.mark.bad_input(14)
def test_a_file_that_claims_to_be_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the kernel have no size; what comes is cut at the limit all the same."""
    monkeypatch.setattr("manyhands.config._FILE_LIMIT_BYTES", 100)
    monkeypatch.setenv("MANYHANDS_CONFIG", "/proc/self/status")

    with pytest.raises(ConfigError, match=r"^/proc/self/status: larger than 100 bytes"):
        resolve()


@pytest.mark.bad_input(15)
@pytest.mark.parametrize("name", ["manyhands.toml", "pyproject.toml"])
def test_a_file_that_anybody_may_write(name: str) -> None:
    """The mode, the owner and the way out."""
    write("[tool.manyhands]\nbackend = 'dummy'" if "project" in name else "backend = 'dummy'", name).chmod(0o666)

    with pytest.raises(ConfigError) as caught:
        resolve()
    assert str(caught.value) == (
        f"{name}: not read, as anybody may write it (mode 0666, owner {os.geteuid()}); "
        "MANYHANDS_ALLOW_UNSAFE_CONFIG=1 allows it"
    )


@pytest.mark.bad_input(15)
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_somebody_else() -> None:
    """Neither ours nor root's."""
    os.chown(write("backend = 'dummy'"), 12345, 0)

    with pytest.raises(ConfigError, match=r"it belongs to somebody else \(mode 0[0-7]{3}, owner 12345\)"):
        resolve()


@pytest.mark.bad_input(15)
def test_an_unsafe_file_can_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By argument or variable, never by the file itself."""
    write("backend = 'dummy'").chmod(0o666)
    assert resolve(allow_unsafe_config=True).backend.value == "dummy"

    monkeypatch.setenv("MANYHANDS_ALLOW_UNSAFE_CONFIG", "1")
    assert resolve().backend.value == "dummy"

    monkeypatch.setenv("MANYHANDS_ALLOW_UNSAFE_CONFIG", "0")
    assert "anybody may write it" in refused("allow_unsafe_config = true")


@pytest.mark.bad_input(15)
def test_a_project_file_of_others_without_our_table_is_none_of_our_business() -> None:
    """Only what would be used is refused."""
    write("[project]\ndependencies = ['manyhands']", "pyproject.toml").chmod(0o666)

    assert resolve().backend.origin == "default"


# --- rows 6 to 12, 16: what the file says -----------------------------------------------------


@pytest.mark.bad_input(6)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nbackends = 'dummy'", "manyhands.toml:2: unknown key 'backends', did you mean 'backend'?"),
        ("[treading]\ndepth = 1", "manyhands.toml:1: unknown key 'treading', did you mean 'threading'?"),
        ("[profile.x]", "manyhands.toml:1: unknown key 'profile', did you mean 'profiles'?"),
        ("'\\u00e4\\n' = 1", "manyhands.toml:1: unknown key '\\\\u00e4\\\\n', known are backend, "),
    ],
)
def test_an_unknown_key(text: str, said: str) -> None:
    """The line, the key and the nearest name."""
    assert refused(text).startswith(said)


@pytest.mark.bad_input(6)
def test_an_unknown_key_in_a_project_file() -> None:
    """The same in the table of a project file, with its line there."""
    said = refused("[project]\nbackends = 1\n[tool.manyhands]\nbackends = 2", "pyproject.toml")

    assert said == "pyproject.toml:4: unknown key 'backends', did you mean 'backend'?"


@pytest.mark.bad_input(7)
@pytest.mark.parametrize("table", ["threading", "profiles.mine"])
def test_an_unknown_option_in_a_table(table: str) -> None:
    """The backend that does not know it, and the nearest option."""
    said = refused(f"backend = '{table.rpartition('.')[2]}'\n[{table}]\nmax_worker = 4")

    assert said == "manyhands.toml:3: backend 'threading' has no option 'max_worker', did you mean 'max_workers'?"


@pytest.mark.bad_input(7)
def test_an_unknown_option_given_in_code() -> None:
    """The same for arguments and configured()."""
    said = "backend 'threading' has no option 'dept', did you mean 'depth'?"

    with pytest.raises(ConfigError, match=f"^argument: {re.escape(said)}$"):
        resolve(None, {"dept": 4}).options(Options)
    with configured(dept=4), pytest.raises(ConfigError, match=rf"^configured\(\): {re.escape(said)}$"):
        resolve().options(Options)
    with pytest.raises(ConfigError, match=r"^argument: backend 'threading' has no option 'strict', known are depth"):
        resolve(None, {"strict": True}).options(Options)


@pytest.mark.bad_input(8)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_workers = 4", ":1: 'max_workers' is an option, it belongs into a backend's table like [threading]"),
        ("[threading]\nstrict = true", ":2: backend 'threading' has no option 'strict', it belongs at the top level"),
        ("[threading.profiles.x]", ":1: backend 'threading' has no option 'profiles', it belongs at the top level"),
        ("[threading.inner]\ndepth = 1", ":1: backend 'threading' has no option 'inner', options belong directly into"),
        ("[backend.threading]", ":1: backend must be a text (a text), got {'threading': {}}; the options of a backend"),
        ("[profiles]\ndepth = 4", ":2: 'depth' belongs into a profile: [profiles.NAME]"),
        ("[tool.manyhands]\nbackend = 'x'", ":1: [tool.manyhands] is for pyproject.toml, here its keys belong at the"),
    ],
)
def test_a_key_at_the_wrong_level(text: str, said: str) -> None:
    """Where it belongs."""
    assert refused(text).startswith(f"manyhands.toml{said}")


@pytest.mark.bad_input(9)
@pytest.mark.parametrize(
    ("text", "line", "key", "first"),
    [
        ("backend = 'a'\nbackend = 'b'", 2, "backend", 1),
        ("backend = 'a'\nbackend = 'b'\n\n", 2, "backend", 1),
        ("[threading]\ndepth = 1\n\ndepth = 2\nfast = true", 4, "threading.depth", 2),
        ("[threading]\ndepth = 1\n[dummy]\n[threading]\nfast = true", 4, "threading", 1),
        ("threading.depth = 1\n[profiles.x]\n[profiles.x]\n", 3, "profiles.x", 2),
    ],
)
def test_a_duplicate_key_or_table(text: str, line: int, key: str, first: int) -> None:
    """The line, the key with its table, and where it stood first."""
    said = refused(text)

    assert re.fullmatch(
        rf"manyhands\.toml:{line}: not valid TOML at line {line}, column \d+: "
        rf"duplicate key or table '{re.escape(key)}', first on line {first}",
        said,
    )


@pytest.mark.bad_input(9)
def test_a_duplicate_key_in_one_line() -> None:
    """Inside an inline table the parser names the key."""
    assert re.match(r"manyhands\.toml:1: .* column \d+: duplicate .*'depth'", refused("threading = {depth=1, depth=2}"))


@pytest.mark.bad_input(10)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_workers = '4'", r"max_workers must be an integer \(1 to \d+ workers\), got '4'"),
        ("max_workers = true", r"max_workers must be an integer \(1 to \d+ workers\), got True"),
        ("max_workers = 1.5", r"max_workers must be an integer \(1 to \d+ workers\), got 1\.5"),
        ("max_workers = [4]", r"max_workers must be an integer \(1 to \d+ workers\), got \(4,\)"),
        ("max_workers = 2020-01-01", r"max_workers must be an integer .*, got datetime\.date\(2020, 1, 1\)"),
        ("fast = 1", "fast must be a boolean .*, got 1"),
        ("label = 1", "label must be a text .*, got 1"),
        ("hosts = 'a,b'", "hosts must be a list .*, got 'a,b'"),
        ("hosts = ['a', 1]", r"hosts must be a list of texts, got \('a', 1\)"),
        ("grace = true", "grace must be a number .*, got True"),
        ("exit_policy = 'wait'", "exit_policy must be one of 'finish', 'cancel', got 'wait'"),
    ],
)
def test_an_option_of_the_wrong_type(text: str, said: str) -> None:
    """What was expected and what came; a boolean is no integer."""
    assert re.fullmatch(rf"manyhands\.toml:2: Options\.{said}", refused(f"[threading]\n{text}"))


@pytest.mark.bad_input(10)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backend = 3", "backend must be a text (a text), got 3"),
        ("plugins = 'threading'", "plugins must be a list (a list of texts), got 'threading'"),
        ("observers = [1]", "observers must be a list of texts, got (1,)"),
        ("strict = 'yes'", "strict must be a boolean (true or false), got 'yes'"),
        ("threading = 3", "threading must be a table, got 3"),
        ("profiles = []", "profiles must be a table, got []"),
        ("profiles.x.backend = 3", "backend must be a text (a text), got 3"),
    ],
)
def test_a_setting_of_the_wrong_type(text: str, said: str) -> None:
    """The keys of the file itself are checked alike."""
    assert refused(text) == f"manyhands.toml:1: {said}"


@pytest.mark.bad_input(10)
def test_a_project_table_that_is_none() -> None:
    """The table of a project file has to be one."""
    assert refused("tool.manyhands = 3", "pyproject.toml") == "pyproject.toml: manyhands must be a table, got 3"


@pytest.mark.bad_input(11)
@pytest.mark.parametrize("number", [0, -1, 10**9, 10**400], ids=short)
def test_a_number_out_of_range(number: int) -> None:
    """The range, with an upper bound that this machine sets; the value is cut to a readable length."""
    said = refused(f"[threading]\nmax_workers = {number}")

    shown = repr(number) if number < 10**40 else "1" + "0" * 76 + "..."
    assert said == f"manyhands.toml:2: Options.max_workers must be 1 to {worker_limit()} workers, got {shown}"


@pytest.mark.bad_input(12)
@pytest.mark.parametrize(
    "text", ["nan", "-1", "-0.5", "-inf", "'5'", "1e20", "100000000000000000000", "1" + "0" * 400], ids=short
)
@pytest.mark.parametrize("name", ["idle_timeout", "start_timeout", "grace"])
def test_a_timeout_that_is_none(name: str, text: str) -> None:
    """The range in seconds; never an OverflowError."""
    said = refused(f"[threading]\n{name} = {text}")

    assert re.match(rf"manyhands\.toml:2: Options\.{name} must be (a number \()?0 to \d+ seconds", said)


@pytest.mark.bad_input(12)
@pytest.mark.parametrize("value", [math.nan, -1, -math.inf, "5", 1e20, 10**20, 10**400, True], ids=short)
@pytest.mark.parametrize("name", ["timeout", "grace"])
def test_a_timeout_of_a_task_that_is_none(name: str, value: Any) -> None:
    """The same for the options of tasks."""
    with pytest.raises(ConfigError, match=rf"TaskOptions\.{name} must be (a number \()?0 to \d+ seconds, or inf"):
        TaskOptions(**{name: value})


@pytest.mark.bad_input(12)
def test_no_limit_is_infinity_or_none() -> None:
    """Files say inf, Python may say None; where there must be a limit, infinity is refused."""
    write("[threading]\nidle_timeout = inf")

    assert resolve().options(Options).idle_timeout is None
    assert resolve(None, {"idle_timeout": None}).options(Options).idle_timeout is None
    assert TaskOptions(timeout=math.inf).timeout is None
    assert "grace must be 0 to" in refused("[threading]\ngrace = inf")


@pytest.mark.bad_input(16)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backend = 'a'\n[profiles.a]\nbackend = 'a'", ":3: profiles form a loop: 'a' -> 'a'"),
        (
            "backend = 'a'\n[profiles.a]\nbackend = 'b'\n[profiles.b]\nbackend = 'a'",
            ":5: profiles form a loop: 'a' -> 'b' -> 'a'",
        ),
        ("backend = 'a'\n[profiles.a]\ndepth = 1", None),
        (
            "backend = 'a'\n[profiles.a]\nbackend = 'b'\n[profiles.b]\nbackend = 'thread'",
            ":5: no profile or backend is named 'thread' ('a' -> 'b' -> 'thread'), did you mean 'threading'?",
        ),
        ("[profiles.threading]", ":1: a profile cannot have the name of a backend: 'threading'"),
    ],
)
def test_profiles_that_lead_nowhere(text: str, said: str | None) -> None:
    """The chain of names, at the line that closes it."""
    if said is None:  # the profile leaves the choice to the layers below, and there is the default
        write(text)
        assert resolve().backend.origin == "default"
    else:
        assert refused(text) == f"manyhands.toml{said}"


@pytest.mark.bad_input(16)
def test_profiles_that_loop_over_two_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile that leaves the choice to a layer which names it again."""
    write("[profiles.a]\ndepth = 1\n[profiles.b]\nbackend = 'a'")
    monkeypatch.setenv("MANYHANDS_BACKEND", "b")

    with pytest.raises(ConfigError, match=r"^manyhands\.toml:4: profiles form a loop: 'a' -> 'b' -> 'a'$"):
        resolve("a")


@pytest.mark.bad_input(16)
def test_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest one, and who asked."""
    write("[profiles.local]\ndepth = 1")

    monkeypatch.setenv("MANYHANDS_PROFILE", "locale")
    with pytest.raises(ConfigError, match=r"^MANYHANDS_PROFILE: no profile is named 'locale', did you mean 'local'"):
        resolve()
    with (
        configured(profile="xyz"),
        pytest.raises(ConfigError, match=r"^configured\(\): no profile .* 'xyz', known are local"),
    ):
        resolve()


@pytest.mark.bad_input(16)
def test_a_profile_named_like_an_installed_backend(site: Path) -> None:
    """Also one that is not ours."""
    fake_backend(site, "my_own")

    assert refused("[profiles.my_own]") == "manyhands.toml:1: a profile cannot have the name of a backend: 'my_own'"


# --- rows 17 to 21: the environment -----------------------------------------------------------


@pytest.mark.bad_input(17)
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("THREADING__DEPTH", " ", r"depth is blank, it must be 0 to 9 levels, or empty to be unset"),
        ("THREADING__DEPTH", "many", r"Options\.depth must be an integer \(0 to 9 levels\), got 'many'"),
        ("THREADING__DEPTH", "4.0", r"Options\.depth must be an integer \(0 to 9 levels\), got '4\.0'"),
        ("THREADING__DEPTH", "10", r"Options\.depth must be 0 to 9 levels, got 10"),
        ("THREADING__DEPTH", "9" * 5000, r"Options\.depth must be an integer \(0 to 9 levels\), got '9{20,80}\.\.\."),
        ("THREADING__GRACE", "soon", r"Options\.grace must be a number \(0 to \d+ seconds\), got 'soon'"),
        ("THREADING__GRACE", "nan", r"Options\.grace must be 0 to \d+ seconds, got nan"),
        ("THREADING__LABEL", "\t", r"label is blank, it must be a text, or empty to be unset"),
        ("THREADING__HOSTS", " ", r"hosts is blank, it must be a list of texts, or empty to be unset"),
        ("BACKEND", "  ", r"MANYHANDS_BACKEND is blank, it must be a text, or empty to be unset"),
        ("PROFILE", "\n", r"MANYHANDS_PROFILE is blank"),
    ],
)
def test_a_variable_that_is_blank_or_no_number(
    name: str, text: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, what is allowed, and what it was."""
    monkeypatch.setenv(f"MANYHANDS_{name}", text)

    with pytest.raises(ConfigError, match=f"^MANYHANDS_{name}: {said}") as caught:
        resolve().options(Options)
    assert caught.value.source == f"MANYHANDS_{name}"


@pytest.mark.bad_input(17)
@pytest.mark.parametrize(
    "name", ["THREADING__DEPTH", "BACKEND", "PROFILE", "CONFIG", "STRICT", "ALLOW_UNSAFE_CONFIG", "XYZ"]
)
def test_an_empty_variable_is_unset(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a shell, where that is the easiest way to take it back."""
    monkeypatch.setenv(f"MANYHANDS_{name}", "")

    settings = resolve()

    assert settings.backend.origin == "default"
    assert settings.options(Options) == Options()


@pytest.mark.bad_input(18)
@pytest.mark.parametrize("name", ["THREADING__FAST", "STRICT", "ALLOW_UNSAFE_CONFIG"])
def test_a_variable_that_is_no_boolean(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The words that are allowed."""
    monkeypatch.setenv(f"MANYHANDS_{name}", "maybe")

    said = "must be one of true, yes, on, 1, false, no, off, 0, got 'maybe'$"
    with pytest.raises(ConfigError, match=f"^MANYHANDS_{name}: .*{said}"):
        resolve().options(Options)


@pytest.mark.bad_input(19)
@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("MANYHANDS_BACKENDS", "MANYHANDS_BACKEND"),
        ("MANYHANDS_TREADING__DEPTH", "MANYHANDS_THREADING__DEPTH"),
        ("MANYHANDS_THREADING_MAX_WORKERS", "MANYHANDS_THREADING__MAX_WORKERS"),
        ("MANYHANDS_threading__depth", "MANYHANDS_THREADING__DEPTH"),
        ("MANYHANDS_THREADING__DEPHT", "MANYHANDS_THREADING__DEPTH"),
    ],
)
def test_an_unknown_variable(name: str, nearest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One warning per process with the nearest name, an error in strict mode."""
    monkeypatch.setenv(name, "1")

    with pytest.warns(ManyhandsWarning, match=f"^{name}: unknown variable, did you mean '{nearest}'"):
        resolve().options(Options)
    resolve().options(Options)  # pytest turns warnings into errors

    monkeypatch.setenv("MANYHANDS_STRICT", "1")
    with pytest.raises(ConfigError, match=f"^{name}: unknown variable, did you mean '{nearest}'"):
        resolve().options(Options)


@pytest.mark.bad_input(19)
def test_a_variable_like_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a nearest name, what there is."""
    monkeypatch.setenv("MANYHANDS_" + "Q" * 60, "1")

    with pytest.warns(ManyhandsWarning, match=r"known are MANYHANDS_ALLOW.*STRICT and MANYHANDS_<BACKEND>__<OPTION>$"):
        resolve()


@pytest.mark.bad_input(19)
def test_a_file_may_ask_for_strictness(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the variable may take it back."""
    monkeypatch.setenv("MANYHANDS_BACKENDS", "1")
    assert "MANYHANDS_BACKENDS: unknown variable" in refused("strict = true")

    monkeypatch.setenv("MANYHANDS_STRICT", "off")
    with pytest.warns(ManyhandsWarning):
        assert resolve().strict.value is False


@pytest.mark.bad_input(20)
def test_a_variable_goes_before_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order is defined, and the origin shows who won."""
    write("[threading]\ndepth = 2\nlabel = 'file'")
    monkeypatch.setenv("MANYHANDS_THREADING__DEPTH", "3")

    origins = resolve().origins(Options)

    assert (origins["depth"].value, origins["depth"].origin) == (3, "MANYHANDS_THREADING__DEPTH")
    assert (origins["label"].value, origins["label"].origin) == ("file", "manyhands.toml:3")


@pytest.mark.bad_input(21)
@pytest.mark.parametrize("name", ["BACKEND", "PROFILE", "THREADING__LABEL", "THREADING__DEPTH", "STRICT"])
def test_bytes_that_are_no_text_in_a_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shown escaped, so that printing the error cannot fail."""
    monkeypatch.setitem(os.environb, f"MANYHANDS_{name}".encode(), b"a\xffb")

    with pytest.raises(ConfigError, match=rf"^MANYHANDS_{name}: .*got 'a\\udcffb'$") as caught:
        resolve().options(Options)
    str(caught.value).encode()


@pytest.mark.bad_input(21)
@pytest.mark.parametrize("variable", [b"MANYHANDS_\xff", b"MANYHANDS_THREADING__\xff"])
def test_bytes_that_are_no_text_in_the_name_of_a_variable(variable: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Escaped in warning and error."""
    monkeypatch.setitem(os.environb, variable, b"1")

    with pytest.warns(ManyhandsWarning, match=r"^MANYHANDS_.*\\udcff: unknown variable") as caught:
        resolve().options(Options)
    str(caught[0].message).encode()


@pytest.mark.bad_input(21)
def test_bytes_that_are_no_text_in_a_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file may be named so; in errors its name is escaped."""
    monkeypatch.setitem(os.environb, b"MANYHANDS_CONFIG", b"\xff.toml")
    with pytest.raises(ConfigError, match=r"^\\udcff\.toml: not found"):
        resolve()

    write("backend = 'dummy'", os.fsdecode(b"\xff.toml"))
    assert resolve().backend.origin == r"\udcff.toml:1"


@pytest.mark.bad_input(21)
@pytest.mark.parametrize("name", ["a\udcff", "", " ", "a\nb", "a\0", "x" * 81])
def test_an_argument_that_is_no_name(name: str) -> None:
    """What could be no name of a backend is shown escaped and cut."""
    said = re.escape(ascii(name) if len(name) < 78 else ascii(name)[:77] + "...")

    with pytest.raises(
        ConfigError, match=f"^argument: the name of a backend or profile must be printable, got {said}$"
    ):
        resolve(name)


@pytest.mark.bad_input(21)
def test_an_option_that_is_no_text() -> None:
    """Names of threads and workers end in system calls and logs."""
    with pytest.raises(ConfigError, match=r"^argument: label must be text, got 'a\\udcffb'$"):
        resolve(None, {"label": "a\udcffb"}).options(Options)


# --- rows 43 to 48: plugins -------------------------------------------------------------------


def unfit(site: Path, body: str, head: str = "") -> tuple[str, ...]:
    """The problems of a backend in order with *body* at the end of its class and *head* before it."""
    source = head + GOOD.format(name="odd") + "".join(f"    {line}\n" for line in body.splitlines())
    fake_dist(site, "odd-dist", "3.1", {BACKENDS: {"odd": "odd_module:Backend"}}, {"odd_module": source})
    with pytest.raises(BackendLoadError, match=r"^backend 'odd' of odd-dist 3\.1 cannot be loaded: ") as caught:
        registry.load("odd")
    return caught.value.problems


@pytest.mark.bad_input(43)
@pytest.mark.parametrize(
    "value", ["", "odd_module", "odd_module:", ":Backend", "odd-module:Backend", "a:b:c", "3x:B", "a..b:C"]
)
def test_an_entry_point_that_cannot_be_read(site: Path, value: str) -> None:
    """Distribution, version, group and value; known without loading."""
    fake_dist(site, "odd-dist", "3.1", {BACKENDS: {"odd": value}}, {})
    listed = next(info for info in registry.backends() if info.name == "odd")
    said = f"the entry point in the group manyhands.backends must be 'module:object', got {value!r}"

    assert (listed.status, listed.error) == ("invalid", said)
    with pytest.raises(BackendLoadError, match=f"^backend 'odd' of odd-dist 3.1 .*: {re.escape(said)}$"):
        registry.load("odd")


@pytest.mark.bad_input(43)
@pytest.mark.parametrize("source", ["Backend = 3", "def Backend(): ...", "class C: ...\nBackend = C()"])
def test_an_entry_point_that_names_no_class(site: Path, source: str) -> None:
    """The value, the group and what is there instead."""
    fake_dist(site, "odd-dist", "3.1", {BACKENDS: {"odd": "odd_module:Backend"}}, {"odd_module": source})

    said = "odd_module:Backend in the group manyhands.backends must be a class, got "
    with pytest.raises(BackendLoadError, match=f"^backend 'odd' of odd-dist 3.1 cannot be loaded: {said}"):
        registry.load("odd")


@pytest.mark.bad_input(44)
@pytest.mark.parametrize(
    "name", ["two words", "Upper", "..", "../up", "x" * 300, "_x", "x_", "a__b", "1a", "a-b", "Threading", "\u00e4"]
)
def test_a_plugin_whose_name_is_not_allowed(site: Path, name: str) -> None:
    """The pattern and the length; nobody else is harmed."""
    fake_backend(site, "fine")
    fake_dist(site, "odd-dist", "3.1", {BACKENDS: {name: "odd_module:Backend"}}, {})
    pattern = re.escape("the name must match [a-z][a-z0-9]*(_[a-z0-9]+)* with at most 50 characters, got ")

    with pytest.raises(BackendLoadError, match=pattern) as caught:
        registry.load(name)
    assert len(caught.value.problems[0]) < 200
    assert registry.load("fine").name == "fine"


@pytest.mark.bad_input(44)
@pytest.mark.parametrize("name", sorted(registry.RESERVED))
def test_a_plugin_whose_name_is_reserved(site: Path, name: str) -> None:
    """Such a name means something else in a file."""
    fake_backend(site, name)

    with pytest.raises(BackendLoadError, match=f"the name '{name}' is reserved"):
        registry.load(name)


@pytest.mark.bad_input(45)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("contract = 99", "it was written for contract 99, this manyhands offers contract 1"),
        ("del contract", "it must say which contract it was written for (contract = 1), got None"),
        ("contract = '1'", "it must say which contract it was written for (contract = 1), got '1'"),
        ("contract = True", "it must say which contract it was written for (contract = 1), got True"),
    ],
)
def test_a_plugin_for_another_contract(site: Path, body: str, said: str) -> None:
    """What it was written for and what is there."""
    assert unfit(site, body) == (said,)


@pytest.mark.bad_input(46)
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Capabilities(telepathy=True)", "importing odd_module raised TypeError: .*'telepathy'"),
        ("Capabilities(isolation=1)", "importing odd_module raised TypeError: 'isolation' must be .*bool"),
        (
            "Capabilities(in_process=True, isolation=True)",
            "importing odd_module raised ConfigError: Capabilities.in_process and Capabilities.isolation contradict",
        ),
        ("{'in_process'}", "capabilities must be a Capabilities object, got {'in_process'}"),
        ("Capabilities", "capabilities must be a Capabilities object, got <class"),
    ],
)
def test_a_plugin_with_impossible_capabilities(site: Path, value: str, said: str) -> None:
    """The flag is named."""
    (problem,) = unfit(site, f"capabilities = {value}")

    assert re.match(said, problem)


@pytest.mark.bad_input(47)
def test_a_plugin_that_misses_methods(site: Path) -> None:
    """All at once, when it is loaded."""
    assert unfit(site, "del make_engine, make_host\nstart_activity = None") == (
        "method make_engine(self, options) is missing",
        "method make_host(self) is missing",
        "method start_activity(self, activity) is missing",
    )


@pytest.mark.bad_input(47)
def test_a_plugin_that_leaves_methods_abstract(site: Path) -> None:
    """What a base class only announces is missing."""
    assert unfit(site, "import abc\nmake_host = abc.abstractmethod(make_host)") == (
        "method make_host(self) is missing",
    )


@pytest.mark.bad_input(47)
def test_a_plugin_with_wrong_signatures(site: Path) -> None:
    """What it is called with, and what it takes."""
    body = "def make_engine(self): ...\ndef make_host(self, options): ...\ndef start_activity(self, *, activity): ..."
    assert unfit(site, body) == (
        "method make_engine(self, options) cannot be called so, it is make_engine(self)",
        "method make_host(self) cannot be called so, it is make_host(self, options)",
        "method start_activity(self, activity) cannot be called so, it is start_activity(self, activity)",
    )


@pytest.mark.bad_input(47)
def test_everything_wrong_is_said_at_once(site: Path) -> None:
    """Nobody has to fix one problem to be shown the next."""
    body = "name = 'other'\ncontract = capabilities = options_type = None\nmake_engine = 3\ndel make_host"

    assert unfit(site, body) == (
        "it must say which contract it was written for (contract = 1), got None",
        "its name is 'other', the entry point says 'odd'",
        "capabilities must be a Capabilities object, got None",
        "options_type must be a subclass of BackendOptions, got None",
        "make_engine(self, options) must be a method, got 3",
        "method make_host(self) is missing",
    )


@pytest.mark.bad_input(48)
@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ("Version: 1.0\n", "its metadata has no name"),
        ("Name: \nVersion: 1.0\n", "its metadata has no name"),
        ("", "its metadata has no name"),
        ("Name: odd\n", r"its metadata has a bad version \(''\)"),
        ("Name: odd\nVersion: the newest\n", r"its metadata has a bad version \('the newest'\)"),
        ("Name: odd\n\nVersion: 1.0\n", r"its metadata has a bad version \(''\)"),
    ],
)
def test_broken_metadata(site: Path, metadata: str, said: str) -> None:
    """A warning with the path; the others are there."""
    fake_backend(site, "fine")
    path = fake_dist(site, "odd", "1.0", {BACKENDS: {"odd": "odd_module:Backend"}}, {}, metadata=metadata)

    with pytest.warns(ManyhandsWarning, match=f"^{re.escape(str(path))}: {said}, so its plugins are left out$"):
        names = [info.name for info in registry.backends()]

    assert "odd" not in names
    assert registry.load("fine").name == "fine"


@pytest.mark.bad_input(48)
def test_a_distribution_that_is_there_twice(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one wins, as for an import; the warning has both paths."""
    second = fake_backend(site, "same", dist="Same.Dist", version="2.0")
    first = fake_backend(tmp_path / "front", "same", dist="same-dist", version="1.0")
    monkeypatch.syspath_prepend(str(tmp_path / "front"))

    text = f"^same-dist is on the path twice: {first} is used, {second} is not$"
    with pytest.warns(ManyhandsWarning, match=text.replace("same-dist", "Same.Dist")):
        infos = [info for info in registry.backends() if info.name == "same"]

    assert [(info.version, info.status) for info in infos] == [("1.0", "installed")]


@pytest.mark.bad_input(48)
def test_metadata_that_is_no_text(site: Path) -> None:
    """Bytes that are not UTF-8 harm only the distribution they belong to."""
    fake_backend(site, "fine")
    path = fake_backend(site, "odd")
    (path / "entry_points.txt").write_bytes(b"[manyhands.backends]\nodd = \xff\xfe\n")

    assert registry.load("fine").name == "fine"
    with pytest.raises(BackendLoadError, match="must be 'module:object', got "):
        registry.load("odd")
