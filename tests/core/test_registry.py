"""What is installed, and how it is loaded."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

from manyhands import registry
from manyhands.errors import BackendLoadError, ConfigError, ManyhandsWarning, UnknownBackendError
from manyhands.registry import BackendInfo

from .fakes import BACKENDS, GOOD, OBSERVERS, fake_backend, fake_dist, isolated


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from isolated(tmp_path, monkeypatch)


def info(name: str, *, load: bool = False, plugins: list[str] | None = None) -> BackendInfo:
    return next(info for info in registry.backends(load, plugins=plugins) if info.name == name)


# --- listing ----------------------------------------------------------------------------------


def test_listing_imports_nothing(site: Path, tmp_path: Path) -> None:
    """A plugin whose import would leave a file is listed, and there is no file."""
    trace = tmp_path / "imported"
    source = f"open({str(trace)!r}, 'w').close()\nraise RuntimeError('imported')"
    fake_dist(site, "loud", "2.1", {BACKENDS: {"loud": "loud_module:Backend"}}, {"loud_module": source})

    assert info("loud") == BackendInfo(name="loud", distribution="loud", version="2.1", status="installed")
    assert not trace.exists()


def test_listing_is_sorted_by_name(site: Path) -> None:
    """The order does not depend on the file system."""
    for name in ("zeta", "alpha", "mid"):
        fake_backend(site, name)

    names = [info.name for info in registry.backends()]

    assert names == sorted(names)
    assert {"alpha", "mid", "zeta"} <= set(names)


def test_listing_agrees_with_importlib_metadata(site: Path) -> None:
    """Our own reader of the path finds what the standard library's finds."""
    fake_backend(site, "alpha")
    expected = {(point.name, point.dist.name) for point in metadata.entry_points(group=BACKENDS) if point.dist}

    assert {(info.name, info.distribution) for info in registry.backends()} == expected


def test_listing_does_not_import_importlib_metadata() -> None:
    """Discovery must not cost more than the rest of opening a backend."""
    code = "import sys; from manyhands import registry; registry.backends(); print('importlib.metadata' in sys.modules)"

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"


def test_listing_sees_what_is_installed_later(site: Path) -> None:
    """An installation in a folder already searched is noticed."""
    registry.backends()
    fake_backend(site, "late")

    assert info("late").status == "installed"


def test_listing_reads_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution in a zip file on the path is found and loaded."""
    folder, archive = tmp_path / "unpacked", tmp_path / "app.zip"
    fake_backend(folder, "zipped")
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*"):
            file.write(path, path.relative_to(folder))
    monkeypatch.syspath_prepend(str(archive))

    assert info("zipped").distribution == "dist-zipped"
    assert registry.load("zipped").name == "zipped"


def test_listing_skips_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of sys.path need not exist, nor be texts."""
    expected = registry.backends()
    monkeypatch.setattr(sys, "path", ["/nowhere/at/all", "a\0b", Path("/x"), None, *sys.path])

    assert registry.backends() == expected


def test_one_folder_twice_on_the_path_is_read_once(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same folder under the same or another name is no second distribution."""
    fake_backend(site, "alpha")
    (site.parent / "link").symlink_to(site)
    monkeypatch.setattr(sys, "path", [*sys.path, str(site), str(site.parent / "link")])

    assert info("alpha").status == "installed"


def test_an_editable_install_is_not_two(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The egg-info in a source tree stands beside the metadata of its own editable install."""
    source = tmp_path / "source"
    fake_backend(site, "alpha")
    fake_backend(source, "alpha").rename(source / "dist_alpha.egg-info")
    monkeypatch.syspath_prepend(str(source))

    assert info("alpha").status == "installed"


def test_loading_all_shows_what_each_can_do(site: Path) -> None:
    """With load=True a good one has its capabilities, and a bad one its error."""
    fake_backend(site, "good")
    fake_dist(site, "bad", "1.0", {BACKENDS: {"bad": "bad_module:Backend"}}, {"bad_module": "import no_such_thing"})

    good, bad = info("good", load=True), info("bad", load=True)

    assert good.status == "loaded"
    assert good.capabilities is not None
    assert good.capabilities.in_process
    assert bad.status == "broken"
    assert bad.capabilities is None
    assert bad.error == "importing bad_module raised ModuleNotFoundError: No module named 'no_such_thing'"


def test_listing_shows_what_was_loaded_before(site: Path) -> None:
    """Without load=True a backend that this process uses is shown as loaded, any other as installed."""
    fake_backend(site, "used")
    fake_backend(site, "unused")
    backend = registry.load("used")

    assert (info("used").status, info("unused").status) == ("loaded", "installed")
    assert registry.loaded()["used"] is backend


def test_a_listing_can_be_printed_as_json(site: Path) -> None:
    """to_json() holds plain values only."""
    fake_backend(site, "alpha")

    shown = json.loads(json.dumps(info("alpha", load=True).to_json()))

    assert shown["status"] == "loaded"
    assert shown["capabilities"]["in_process"] is True


def test_an_allow_list_blocks_the_others(site: Path) -> None:
    """What the list does not name is neither imported nor loaded, and says so."""
    fake_backend(site, "wanted")
    fake_backend(site, "other")

    assert info("wanted", plugins=["wanted"], load=True).status == "loaded"
    assert info("other", plugins=["wanted"], load=True).status == "blocked"
    with pytest.raises(BackendLoadError, match=r"'plugins' .* does not allow it \(allowed: 'wanted'\)"):
        registry.load("other", plugins=["wanted"])
    assert "module_of_other" not in sys.modules


# --- loading ----------------------------------------------------------------------------------


def test_loading_one_imports_no_other(site: Path) -> None:
    """Only the plugin that is asked for is imported."""
    fake_backend(site, "one")
    fake_dist(site, "loud", "1.0", {BACKENDS: {"loud": "loud_module:Backend"}}, {"loud_module": "raise SystemExit(3)"})

    assert registry.load("one").name == "one"
    assert "loud_module" not in sys.modules


def test_loading_again_gives_the_same_class(site: Path) -> None:
    """A backend is loaded once per process."""
    fake_backend(site, "one")

    assert registry.load("one") is registry.load("one")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise ValueError('no\\nway')", r"importing bad_module raised ValueError: no\\nway"),
        ("raise SystemExit(3)", "importing bad_module raised SystemExit: 3"),
        ("def Backend(: pass", "importing bad_module raised SyntaxError: "),
        (
            "class E(Exception):\n    def __str__(self): raise OSError\nraise E",
            r"raised E: \(its text cannot be shown\)",
        ),
        ("x = 1", "looking up bad_module:Backend raised AttributeError: .*Backend"),
    ],
)
def test_a_plugin_that_fails_to_import_names_its_distribution(site: Path, source: str, text: str) -> None:
    """Whatever the import raises becomes the problem, with the exception as the cause."""
    fake_dist(site, "bad-dist", "0.3", {BACKENDS: {"bad": "bad_module:Backend"}}, {"bad_module": source})

    with pytest.raises(BackendLoadError, match=text) as caught:
        registry.load("bad")

    assert caught.value.distribution == "bad-dist 0.3"
    assert caught.value.__cause__ is not None


def test_ctrl_c_during_an_import_gets_through(site: Path) -> None:
    """KeyboardInterrupt is the user's, not the plugin's."""
    points = {BACKENDS: {"bad": "bad_module:Backend"}}
    fake_dist(site, "bad", "0.3", points, {"bad_module": "raise KeyboardInterrupt"})

    with pytest.raises(KeyboardInterrupt):
        registry.load("bad")


def test_an_unknown_backend_says_what_is_installed(site: Path) -> None:
    """The error lists the installed names and where the name came from."""
    fake_backend(site, "alpha")

    with pytest.raises(UnknownBackendError, match=r"^here:3: no backend named 'nope' is installed \(.*alpha") as caught:
        registry.load("nope", source="here:3")

    assert "alpha" in caught.value.installed


def test_an_install_line_is_offered_for_published_backends() -> None:
    """Only names that an extra of ours installs; what the user typed may be anybody's package."""
    missing = next(name for name in registry.PUBLISHED if name not in {info.name for info in registry.backends()})

    with pytest.raises(UnknownBackendError, match=rf'pip install "manyhands\[{missing}\]"'):
        registry.load(missing)
    with pytest.raises(UnknownBackendError) as caught:
        registry.load("requests")
    assert "pip" not in str(caught.value)


def test_a_misspelt_backend_gets_the_nearest_name(site: Path) -> None:
    """The hint is the installed or published name that looks alike."""
    with pytest.raises(UnknownBackendError, match="did you mean 'threading'"):
        registry.load("Threading")


def test_two_distributions_with_one_name_are_both_refused(site: Path) -> None:
    """Never silently one of them: the error names both and their versions."""
    fake_backend(site, "same", dist="first", version="1.1")
    fake_backend(site, "same", dist="second", version="2.2")

    assert [(info.distribution, info.status) for info in registry.backends() if info.name == "same"] == [
        ("first", "duplicate"),
        ("second", "duplicate"),
    ]
    with pytest.raises(BackendLoadError, match=r"first 1\.1 \(.*\) and second 2\.2 \(.*\), uninstall all but one"):
        registry.load("same")


def test_one_distribution_offering_a_name_twice_is_refused(site: Path) -> None:
    """Two lines for one name leave nothing to choose by."""
    path = fake_backend(site, "same")
    with (path / "entry_points.txt").open("a") as file:
        file.write("same = module_of_same:Other\n")

    with pytest.raises(BackendLoadError, match=r"dist-same 1\.0 .* and dist-same 1\.0"):
        registry.load("same")


def test_comments_between_entry_points_are_none(site: Path) -> None:
    """Nor are empty lines and other groups."""
    path = fake_backend(site, "alpha")
    points = (path / "entry_points.txt").read_text()
    (path / "entry_points.txt").write_text(
        f"# manyhands\n[x]\ny = z\n\n{points}\n# other = z:A\n; more = z:A\n[x]\nq = z\n"
    )

    assert [info.name for info in registry.backends() if info.distribution == "dist-alpha"] == ["alpha"]


def test_methods_may_take_more_and_be_of_any_kind(site: Path) -> None:
    """What can be called as the core calls it is fine."""
    body = (
        "@staticmethod\ndef make_engine(options): ...\n"
        "@classmethod\ndef make_host(cls, more=1): ...\n"
        "def start_activity(*args, **more): ..."
    )
    fake_backend(site, "free", body)

    assert registry.load("free").name == "free"


def test_annotations_for_type_checkers_do_no_harm(site: Path) -> None:
    """A signature may name what does not exist at run time."""
    source = "from __future__ import annotations\n" if sys.version_info < (3, 14) else ""
    body = "    def make_engine(self, options: OnlyForMypy) -> AlsoOnlyForMypy: ...\n"
    points = {BACKENDS: {"typed": "typed_module:Backend"}}
    fake_dist(site, "typed", "1.0", points, {"typed_module": source + GOOD.format(name="typed") + body})

    assert registry.load("typed").name == "typed"


def test_a_nested_object_and_extras_are_accepted(site: Path) -> None:
    """The whole syntax of entry points: a dotted path, spaces, extras."""
    points = {BACKENDS: {"deep": "deep_module : Outer.Backend [extra]"}}
    source = GOOD.format(name="deep") + "\nclass Outer:\n    Backend = Backend\n"
    fake_dist(site, "deep", "1.0", points, {"deep_module": source})

    assert registry.load("deep").name == "deep"


# --- observers --------------------------------------------------------------------------------


def test_an_observer_that_is_a_class_is_made(site: Path) -> None:
    """A class becomes an object, an object stays as it is."""
    points = {OBSERVERS: {"kind": "watch:Watcher", "object": "watch:watcher"}}
    fake_dist(site, "watch", "1.0", points, {"watch": "class Watcher: ...\nwatcher = Watcher()"})

    assert type(registry.load_observer("kind")).__name__ == "Watcher"
    assert registry.load_observer("object") is sys.modules["watch"].watcher


def test_an_unknown_observer_gets_the_nearest_name(site: Path) -> None:
    """A name in the configuration that nobody offers is a ConfigError with its origin."""
    fake_dist(site, "watch", "1.0", {OBSERVERS: {"tracer": "watch:Watcher"}}, {})

    with pytest.raises(ConfigError, match=r"^x\.toml:1: no observer named 'trace' .* mean 'tracer'"):
        registry.load_observer("trace", source="x.toml:1")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise SystemExit", "importing watch raised SystemExit"),
        ("class Watcher:\n    def __init__(self): raise OSError('full')", "making it raised OSError: full"),
    ],
)
def test_an_observer_that_fails_is_a_config_error(site: Path, source: str, text: str) -> None:
    """It names the observer and its distribution."""
    fake_dist(site, "watch", "1.0", {OBSERVERS: {"tracer": "watch:Watcher"}}, {"watch": source})

    with pytest.raises(ConfigError, match=f"observer 'tracer' of watch 1.0 cannot be loaded: {text}"):
        registry.load_observer("tracer")


def test_two_distributions_with_one_observer_are_refused(site: Path) -> None:
    """As with backends, nobody wins silently."""
    for name in ("one", "two"):
        fake_dist(site, name, "1.0", {OBSERVERS: {"tracer": "watch:Watcher"}}, {})

    with pytest.raises(ConfigError, match=r"one 1\.0 .* and two 1\.0"):
        registry.load_observer("tracer")


def test_a_warning_about_metadata_comes_once(site: Path) -> None:
    """The path is read once, so that two listings do not warn twice."""
    fake_dist(site, "broken", "1.0", {BACKENDS: {"x": "y:Z"}}, {}, metadata="Version: 1.0\n")
    with pytest.warns(ManyhandsWarning, match="no name"):
        registry.backends()

    registry.backends()  # pytest turns warnings into errors
