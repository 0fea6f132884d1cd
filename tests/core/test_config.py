"""Which layer wins, where each value came from, and how values are converted."""

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from manyhands import config, registry
from manyhands.config import Value, configured, resolve
from manyhands.errors import ConfigError
from manyhands.options import BackendOptions, setting

from .fakes import fake_backend, isolated


@attrs.frozen(kw_only=True)
class Options(BackendOptions):
    """One option of each kind."""

    depth: int = setting(1, int, low=0, high=9, unit="levels")
    ratio: float = setting(0.5, float, low=0, high=1)
    fast: bool = setting(False, bool)
    label: str = setting("", str)
    hosts: tuple[str, ...] = setting((), tuple)
    patience: float | None = setting(None, float, low=0)
    plain: object = None


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from isolated(tmp_path, monkeypatch)


def write(text: str, name: str = "manyhands.toml") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def user_file(text: str) -> Path:
    return write(text, os.path.join(os.environ["XDG_CONFIG_HOME"], "manyhands", "config.toml"))


def option(name: str, backend: str | None = None, **overrides: Any) -> Value:
    """The value and origin of one option, as ``manyhands config`` shows it."""
    return resolve(backend, overrides).origins(Options)[name]


# --- the order of the layers ------------------------------------------------------------------


def test_nothing_configured_means_threading() -> None:
    """The default backend, no profile, all plugins, no observers, not strict."""
    settings = resolve(None, {})

    assert settings.backend == Value("threading", "default")
    assert settings.profile is None
    assert settings.plugins == Value(None, "default")
    assert settings.observers == Value((), "default")
    assert settings.strict == Value(False, "default")
    assert settings.options(Options) == Options()
    assert set(settings.origins(Options).values()) >= {Value(0.5, "default"), Value("finish", "default")}


def test_each_option_comes_from_the_first_layer_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removing the strongest layer, one after the other, uncovers the next."""
    user_file("[threading]\nmax_workers = 1")
    seen = [option("max_workers")]
    write("[threading]\nmax_workers = 2")
    seen.append(option("max_workers"))
    monkeypatch.setenv("MANYHANDS_THREADING__MAX_WORKERS", "3")
    seen.append(option("max_workers"))
    with configured(max_workers=4):
        seen.append(option("max_workers"))
        with configured(max_workers=5):
            seen.append(option("max_workers"))
            seen.append(option("max_workers", max_workers=6))

    assert seen == [
        Value(1, f"{os.environ['XDG_CONFIG_HOME']}/manyhands/config.toml:2"),
        Value(2, "manyhands.toml:2"),
        Value(3, "MANYHANDS_THREADING__MAX_WORKERS"),
        Value(4, "configured()"),
        Value(5, "configured()"),
        Value(6, "argument"),
    ]


def test_the_backend_comes_from_the_first_layer_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same order as for options."""
    user_file("backend = 'a'")
    seen = [resolve().backend]
    write("backend = 'b'")
    seen.append(resolve().backend)
    monkeypatch.setenv("MANYHANDS_BACKEND", "c")
    seen.append(resolve().backend)
    with configured("d"):
        seen.append(resolve().backend)
        with configured("e"):
            seen.append(resolve().backend)
            seen.append(resolve("f").backend)

    assert [value.value for value in seen] == list("abcdef")
    assert [value.origin for value in seen][2:] == [
        "MANYHANDS_BACKEND",
        "configured()",
        "configured()",
        "argument",
    ]


def test_layers_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key is looked up on its own; an inner block of configured() keeps what the outer one says."""
    write("[threading]\ndepth = 2")
    monkeypatch.setenv("MANYHANDS_THREADING__RATIO", "0.25")
    with configured(fast=True), configured(label="x"):
        options = resolve(None, {"max_workers": 3}).options(Options)

    assert (options.depth, options.ratio, options.fast, options.label, options.max_workers) == (2, 0.25, True, "x", 3)


def test_options_of_another_backend_do_not_apply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables and variables are for the backend they name."""
    write("[dummy]\ndepth = 2")
    monkeypatch.setenv("MANYHANDS_SUBPROCESS__DEPTH", "3")

    assert option("depth") == Value(1, "default")
    assert option("depth", "dummy") == Value(2, "manyhands.toml:2")
    assert option("depth", "subprocess") == Value(3, "MANYHANDS_SUBPROCESS__DEPTH")


def test_configured_ends_with_its_block() -> None:
    """Afterwards everything is as before, also after an error."""
    with pytest.raises(ZeroDivisionError), configured("dummy"):
        raise ZeroDivisionError

    assert resolve().backend.value == "threading"


def test_configured_is_for_this_thread() -> None:
    """Another thread does not see it."""
    seen: list[Any] = []
    with configured("dummy"):
        thread = threading.Thread(target=lambda: seen.append(resolve().backend.value))
        thread.start()
        thread.join()

    assert seen == ["threading"]


@pytest.mark.parametrize("call", [lambda: resolve(3), lambda: configured(3).__enter__()])  # type: ignore[arg-type]
def test_a_name_that_is_no_text_is_a_type_error(call: Any) -> None:
    """It says what it got."""
    with pytest.raises(TypeError, match="must be a text or None, got 3"):
        call()


# --- files ------------------------------------------------------------------------------------


def test_the_nearest_file_upwards_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk starts in the working directory; what is found above it is shown with its whole path."""
    path = write("backend = 'dummy'").resolve()
    Path("a/b").mkdir(parents=True)
    monkeypatch.chdir("a/b")
    assert resolve().backend == Value("dummy", f"{path}:1")

    write("backend = 'subprocess'", "../manyhands.toml")
    assert resolve().backend.value == "subprocess"


def test_a_file_of_ours_goes_before_a_project_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the project file is nearer."""
    Path("a").mkdir()
    write("[tool.manyhands]\nbackend = 'dummy'\n[tool.manyhands.dummy]\ndepth = 3\n", "a/pyproject.toml")
    monkeypatch.chdir("a")
    assert resolve().backend == Value("dummy", "pyproject.toml:2")
    assert option("depth") == Value(3, "pyproject.toml:4")

    write("backend = 'subprocess'", "../manyhands.toml")
    assert resolve().backend.value == "subprocess"


@pytest.mark.parametrize("text", ["[project]\nname = 'x'", "not even [ TOML", "dependencies = ['manyhands']"])
def test_project_files_without_our_table_are_passed_over(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most project files are not about us; the next one upwards may be."""
    write("[tool.manyhands]\nbackend = 'dummy'", "pyproject.toml")
    write(text, "a/pyproject.toml")
    monkeypatch.chdir("a")

    assert resolve().backend.value == "dummy"


def test_a_project_file_that_is_none_is_passed_over() -> None:
    """A folder of that name is nothing to complain about."""
    Path("pyproject.toml").mkdir()

    assert resolve().backend.origin == "default"


def test_the_variable_replaces_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """MANYHANDS_CONFIG stands in for the project's file; the user's file is read all the same."""
    write("[threading]\ndepth = 2")
    user_file("[threading]\nfast = true")
    write("[threading]\nlabel = 'x'", "other.toml")
    monkeypatch.setenv("MANYHANDS_CONFIG", "other.toml")

    options = resolve().options(Options)

    assert (options.depth, options.label, options.fast) == (1, "x", True)


def test_a_deleted_working_directory_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is no project then; files are shown with their whole path."""
    path = user_file("backend = 'dummy'")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert resolve().backend == Value("dummy", f"{path}:1")


def test_folders_closed_to_us_are_passed_over() -> None:
    """A service with somebody else's HOME works; it cannot know whether there is a file."""
    with tempfile.TemporaryDirectory() as closed:
        os.chmod(closed, 0)
        code = (
            "import os, sys; from manyhands import config; config.registry.names()\n"
            "if os.geteuid() == 0: os.seteuid(65534)\n"
            "print(config.resolve().backend.value)"
        )
        environment = {**os.environ, "XDG_CONFIG_HOME": closed}
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd="/")

    assert (result.stdout, result.stderr) == ("threading\n", "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# a comment\n\n[threading]\nlabel = 'x'\ndepth = 2", 5),
        ("threading.label = 'x'\nthreading.depth = 2", 2),
        ("threading = {label = 'x', depth = 2}", 1),
        ("[threading]\nlabel = '''\ndepth = 3\n'''\n\"depth\" = 2", 5),
        ("[ threading ]  # here\nhosts = [\n  'a',\n]\n  depth=2", 5),
        ("backend = 'threading'\r\n\r\n[threading]\r\ndepth = 2\r\n", 4),
        ("[dummy]\ndepth = 1\n['threading']\ndepth = 2", 4),
    ],
)
def test_the_line_of_a_value_is_found(text: str, line: int) -> None:
    """However the key is written; one inside an inline table has the line of the table."""
    Path("manyhands.toml").write_bytes(text.encode())

    assert option("depth") == Value(2, f"manyhands.toml:{line}")


def test_lists_of_names_are_kept_with_their_origin() -> None:
    """The allow-list, the observers and strictness come from the first file that has them."""
    write("plugins = ['threading']\nstrict = true")
    user_file("plugins = ['dummy']\nobservers = ['tracer']")

    settings = resolve()

    assert settings.plugins == Value(("threading",), "manyhands.toml:1")
    assert settings.strict == Value(True, "manyhands.toml:2")
    assert settings.observers.value == ("tracer",)


# --- profiles ---------------------------------------------------------------------------------

PROFILES = """
backend = "subprocess"
[profiles.local]
backend = "dummy"
depth = 2
fast = true
[profiles.deep]
backend = "local"
depth = 7
[profiles.only_options]
depth = 5
[dummy]
label = "table"
depth = 9
"""


def test_a_profile_gives_backend_and_options() -> None:
    """Its options go before those in the backend's table, which still hold for other keys."""
    write(PROFILES)
    settings = resolve("local")

    assert settings.profile == Value("local", "argument")
    assert settings.backend == Value("dummy", "manyhands.toml:4")
    origins = settings.origins(Options)
    assert (origins["depth"], origins["label"]) == (Value(2, "manyhands.toml:5"), Value("table", "manyhands.toml:13"))


def test_a_profile_may_build_on_another() -> None:
    """The one that was named goes first."""
    write(PROFILES)
    settings = resolve("deep")

    assert settings.backend.value == "dummy"
    assert settings.options(Options) == Options(depth=7, fast=True, label="table")


def test_a_profile_without_a_backend_leaves_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next layer that names a backend, or another profile, decides."""
    write(PROFILES)
    assert resolve("only_options").backend == Value("subprocess", "manyhands.toml:2")

    monkeypatch.setenv("MANYHANDS_BACKEND", "local")
    settings = resolve("only_options")
    assert settings.backend.value == "dummy"
    assert settings.options(Options) == Options(depth=5, fast=True, label="table")


def test_a_profile_beside_a_backend_asks_no_weaker_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing left to choose, so that a weaker profile adds nothing."""
    write(PROFILES.replace("subprocess", "local"))
    monkeypatch.setenv("MANYHANDS_PROFILE", "only_options")
    monkeypatch.setenv("MANYHANDS_BACKEND", "threading")

    assert resolve().options(Options) == Options(depth=5)


@pytest.mark.parametrize(
    ("variables", "block", "backend"),
    [
        ({"MANYHANDS_PROFILE": "local"}, {}, "dummy"),
        ({"MANYHANDS_BACKEND": "local"}, {}, "dummy"),
        ({"MANYHANDS_PROFILE": "local", "MANYHANDS_BACKEND": "threading"}, {}, "threading"),
        ({}, {"profile": "local"}, "dummy"),
    ],
)
def test_a_profile_may_be_named_in_every_layer(
    variables: dict[str, str], block: dict[str, Any], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a backend beside it in the same layer, the profile gives the options only."""
    write(PROFILES)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with configured(**block):
        settings = resolve()

    assert settings.profile is not None
    assert settings.profile.value == "local"
    assert settings.backend.value == backend
    assert settings.options(Options).depth == 2


def test_a_stronger_backend_puts_a_weaker_profile_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Options made for one backend are not forced onto another."""
    write(PROFILES)
    monkeypatch.setenv("MANYHANDS_PROFILE", "local")

    settings = resolve("threading")

    assert settings.profile is None
    assert settings.options(Options) == Options()


def test_the_user_may_have_profiles_too() -> None:
    """A profile in both files is taken key by key."""
    write("[profiles.local]\ndepth = 2")
    user_file("[profiles.local]\nbackend = 'dummy'\ndepth = 3\nfast = true")

    settings = resolve("local")

    assert settings.backend.value == "dummy"
    assert settings.options(Options) == Options(depth=2, fast=True)


# --- conversion -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("depth", "7", 7),
        ("ratio", "0.75", 0.75),
        ("ratio", "1", 1.0),
        ("label", "a b", "a b"),
        ("hosts", "a, b,,c ", ("a", "b", "c")),
        ("patience", "inf", None),
        ("plain", "as it is", "as it is"),
        *(("fast", word, True) for word in ("true", "YES", "on", "1")),
        *(("fast", word, False) for word in ("False", "no", "off", "0")),
    ],
)
def test_variables_are_converted_by_the_option(
    name: str, text: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The declaration of the option says what the text means."""
    monkeypatch.setenv(f"MANYHANDS_THREADING__{name.upper()}", text)

    found = getattr(resolve().options(Options), name)

    assert (found, type(found)) == (value, type(value))


def test_a_list_in_a_file_becomes_a_tuple() -> None:
    """Settings are frozen."""
    write("[threading]\nhosts = ['a', 'b']")

    assert resolve().options(Options).hosts == ("a", "b")


def test_an_installed_backend_may_have_a_table_and_variables(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only those that we publish."""
    fake_backend(site, "my_own")
    write("[my_own]\ndepth = 4")
    monkeypatch.setenv("MANYHANDS_MY_OWN__FAST", "yes")

    assert resolve("my_own").options(Options) == Options(depth=4, fast=True)


def test_options_that_contradict_each_other_name_all_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that a backend makes over several options has no single origin."""

    @attrs.frozen(kw_only=True)
    class Pair(BackendOptions):
        low: int = setting(0, int)
        high: int = setting(9, int)

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low above high")

    write("[threading]\nlow = 8")
    monkeypatch.setenv("MANYHANDS_THREADING__HIGH", "5")

    with pytest.raises(ConfigError, match=r"^MANYHANDS_THREADING__HIGH, manyhands\.toml:2: Pair: low above high$"):
        resolve().options(Pair)


def test_an_option_checked_by_other_means_names_its_source() -> None:
    """Whatever a validator of a plugin raises."""

    @attrs.frozen(kw_only=True)
    class Own(BackendOptions):
        color: str = attrs.field(default="red", validator=attrs.validators.in_(["red", "green"]))

    with pytest.raises(ConfigError, match=r"^argument: Own\.color: .*'blue'"):
        resolve(None, {"color": "blue"}).options(Own)


def test_keys_of_files_are_reserved_as_names_of_backends() -> None:
    """Otherwise a table could not be told from a setting."""
    assert config._TOP_LEVEL <= registry.RESERVED


def test_reading_no_file_imports_no_parser() -> None:
    """Who configures nothing does not pay for TOML."""
    code = "import sys; from manyhands import config; config.resolve(); print('tomllib' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"
