"""
Which backends and observers are installed: the one place that reads entry points.

Listing reads metadata and imports nothing of a plugin; a plugin is imported when it is asked for by
name, and whatever it does then harms only who asked.
"""

import os
import re
import sys
import warnings
from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

import attrs

from .errors import BackendLoadError, ConfigError, ManyhandsWarning, UnknownBackendError
from .options import BackendOptions, Capabilities, nearest, shorten

__all__ = ["CONTRACT", "BackendInfo", "backends"]

#: The version of what a backend owes; each backend says which one it was written for.
CONTRACT: Final = 1
#: Backends that an extra of the core installs: the only ones an install line is offered for.
PUBLISHED: Final = ("dummy", "multiprocessing", "subprocess", "threading")
#: Names that mean something else where a backend's name may stand.
RESERVED: Final = frozenset({"backend", "config", "default", "observers", "plugins", "profile", "profiles", "strict"})

_BACKENDS = "manyhands.backends"
_OBSERVERS = "manyhands.observers"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NAME_LENGTH = 50
_VALUE = re.compile(r"([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*:\s*([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(?:\[.*\])?")
_VERSION = re.compile(r"v?[0-9][\w.!+-]*", re.ASCII)
#: What a backend must have, with the arguments that it is called with.
_METHODS = {"make_engine": ("options",), "make_host": (), "start_activity": ("activity",)}


@attrs.frozen(kw_only=True)
class BackendInfo:
    """
    A backend that is installed.

    ``status`` is ``installed`` (listed, not imported), ``loaded``, ``broken`` (its import failed, or
    it lacks what a backend must have), ``invalid`` (its entry point cannot be read), ``duplicate``
    (several distributions offer the name) or ``blocked`` (by the list ``plugins``); ``error`` says
    why it cannot be used. ``capabilities`` is None until it is loaded.
    """

    name: str
    distribution: str
    version: str
    status: str
    error: str | None = None
    capabilities: Capabilities | None = None

    def to_json(self) -> dict[str, Any]:
        """The same as a dict that ``json.dumps`` takes."""
        return attrs.asdict(self)


@attrs.frozen
class _Entry:
    """One line of one distribution's ``entry_points.txt``, and the *path* of its metadata."""

    group: str
    name: str
    value: str
    distribution: str
    version: str
    path: str

    def origin(self) -> str:
        return f"{self.distribution} {self.version}"

    def failure(self, problems: list[str]) -> BackendLoadError:
        return BackendLoadError(self.name, problems, distribution=self.origin())


#: What was loaded in this process, by the entry it came from.
_loaded: dict[_Entry, type[Any]] = {}


def backends(load: bool = False, *, plugins: Collection[str] | None = None) -> list[BackendInfo]:
    """
    The backends that are installed, by name; whoever has the same name is listed as often.

    Args:
        load: Import each one, to know whether it works and what it can do. Without it nothing is
            imported.
        plugins: The names that may be loaded; None allows all.
    """
    entries = sorted(_entries(_BACKENDS), key=lambda entry: (entry.name, entry.distribution))
    return [_info(entry, entries, load, plugins) for entry in entries]


def load(name: str, *, plugins: Collection[str] | None = None, source: str = "") -> type[Any]:
    """
    The class of the backend *name*; only its own plugin is imported.

    Args:
        name: The name in the group ``manyhands.backends``.
        plugins: The names that may be loaded; None allows all.
        source: Where the name came from, for the error.

    Raises:
        UnknownBackendError: it is not installed.
        BackendLoadError: it is there but cannot be used; ``problems`` lists all that is wrong.
    """
    entries = _entries(_BACKENDS)
    for entry in entries:
        if entry.name == name:
            _, problems = _listed(entry, entries, plugins)
            if problems:
                raise entry.failure(problems)
            return _load_backend(entry)
    installed = sorted({entry.name for entry in entries if not _malformed(entry)})
    raise UnknownBackendError(name, installed=installed, hint=_hint(name, installed), source=source)


def loaded() -> dict[str, type[Any]]:
    """The backends that were loaded in this process."""
    return {entry.name: backend for entry, backend in _loaded.items()}


def names() -> set[str]:
    """The names of backends that are installed, and of those that could be with an extra of ours."""
    return {entry.name for entry in _entries(_BACKENDS) if not _malformed(entry)} | set(PUBLISHED)


def load_observer(name: str, *, source: str = "") -> Any:
    """
    The observer *name* of the group ``manyhands.observers``; a class is called to make one.

    Args:
        name: The name of its entry point.
        source: Where the name came from, for the error.

    Raises:
        ConfigError: it is not installed, is offered twice, or cannot be loaded.
    """
    installed = _entries(_OBSERVERS)
    entries = [entry for entry in installed if entry.name == name]
    if not entries:
        known = {entry.name for entry in installed}
        raise ConfigError(f"no observer named {shorten(name)} is installed{nearest(name, known)}", source=source)
    entry = entries[0]
    try:
        problems = _malformed(entry) or _twins(entries)
        if problems:
            raise entry.failure(problems)
        found = _import(entry)
        return _guarded(entry, "making it", found) if isinstance(found, type) else found
    except BackendLoadError as error:
        problem = f"observer {shorten(name)} of {error.distribution} cannot be loaded: {'; '.join(error.problems)}"
        raise ConfigError(problem, source=source) from error.__cause__


# --- one backend ------------------------------------------------------------------------------


def _info(entry: _Entry, entries: list[_Entry], load: bool, plugins: Collection[str] | None) -> BackendInfo:
    status, problems = _listed(entry, entries, plugins)
    capabilities = None
    if not problems and (load or entry in _loaded):
        try:
            capabilities = _load_backend(entry).capabilities
            status = "loaded"
        except BackendLoadError as error:
            status, problems = "broken", list(error.problems)
    return BackendInfo(
        name=entry.name,
        distribution=entry.distribution,
        version=entry.version,
        status=status,
        error="; ".join(problems) or None,
        capabilities=capabilities,
    )


def _listed(entry: _Entry, entries: list[_Entry], plugins: Collection[str] | None) -> tuple[str, list[str]]:
    """The status of *entry* among all *entries* as the metadata tell it, and what speaks against loading it."""
    malformed = _malformed(entry)
    if malformed:
        return "invalid", malformed
    twins = _twins([other for other in entries if other.name == entry.name])
    if twins:
        return "duplicate", twins
    if plugins is not None and entry.name not in plugins:
        allowed = ", ".join(map(shorten, plugins)) or "none"
        return "blocked", [f"the list 'plugins' of the configuration does not allow it (allowed: {allowed})"]
    return "installed", []


def _malformed(entry: _Entry) -> list[str]:
    problems = []
    if len(entry.name) > _NAME_LENGTH or not _NAME.fullmatch(entry.name):
        allowed = f"{_NAME.pattern} with at most {_NAME_LENGTH} characters"
        problems.append(f"the name must match {allowed}, got {shorten(entry.name)}")
    elif entry.name in RESERVED:
        problems.append(f"the name {entry.name!r} is reserved")
    if not _VALUE.fullmatch(entry.value):
        problems.append(
            f"the entry point in the group {entry.group} must be 'module:object', got {shorten(entry.value)}"
        )
    return problems


def _twins(entries: list[_Entry]) -> list[str]:
    if len(entries) < 2:
        return []
    offers = " and ".join(f"{entry.origin()} ({printable(entry.path)})" for entry in entries)
    return [f"it is offered by {offers}, uninstall all but one"]


def _load_backend(entry: _Entry) -> type[Any]:
    if entry not in _loaded:
        found = _import(entry)
        problems = _unfit(found, entry)
        if problems:
            raise entry.failure(problems)
        _loaded[entry] = found
    return _loaded[entry]


def _import(entry: _Entry) -> Any:
    module, path = re.split(r"\s*:\s*", entry.value.partition("[")[0].strip())
    found = _guarded(entry, f"importing {module}", import_module, module)
    for name in path.split("."):
        found = _guarded(entry, f"looking up {entry.value}", getattr, found, name)
    return found


def _guarded(entry: _Entry, doing: str, function: Any, *args: Any) -> Any:
    """Run a plugin's code; only Ctrl-C gets through, also ``sys.exit`` harms nobody but who asked."""
    try:
        return function(*args)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise entry.failure([f"{doing} raised {_described(error)}"]) from error


def _described(error: BaseException) -> str:
    # attrs puts the objects concerned behind the sentence; str() would show them all
    first = error.args[0] if isinstance(error, TypeError) and error.args else None
    try:
        text = printable(first if isinstance(first, str) else str(error))
    except Exception:
        text = "(its text cannot be shown)"
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


def _unfit(found: Any, entry: _Entry) -> list[str]:
    """Everything that keeps *found* from being a backend."""
    if not isinstance(found, type):
        return [f"{entry.value} in the group {entry.group} must be a class, got {shorten(found)}"]
    contract = getattr(found, "contract", None)
    if type(contract) is int and contract != CONTRACT:  # other rules hold there: checking ours would mislead
        return [f"it was written for contract {contract}, this manyhands offers contract {CONTRACT}"]
    problems = []
    if type(contract) is not int:
        problems.append(
            f"it must say which contract it was written for (contract = {CONTRACT}), got {shorten(contract)}"
        )
    name = getattr(found, "name", None)
    if name != entry.name:
        problems.append(f"its name is {shorten(name)}, the entry point says {entry.name!r}")
    capabilities = getattr(found, "capabilities", None)
    if not isinstance(capabilities, Capabilities):
        problems.append(f"capabilities must be a Capabilities object, got {shorten(capabilities)}")
    options = getattr(found, "options_type", None)
    if not (isinstance(options, type) and issubclass(options, BackendOptions)):
        problems.append(f"options_type must be a subclass of BackendOptions, got {shorten(options)}")
    problems += filter(None, (_method_problem(found, method, args) for method, args in _METHODS.items()))
    return problems


def _method_problem(backend: type[Any], name: str, args: tuple[str, ...]) -> str | None:
    import inspect

    wanted = f"{name}({', '.join(('self', *args))})"
    method = inspect.getattr_static(backend, name, None)
    if method is None or getattr(method, "__isabstractmethod__", False):
        return f"method {wanted} is missing"
    if not callable(getattr(backend, name)):
        return f"{wanted} must be a method, got {shorten(method)}"
    late: dict[str, Any] = {}
    if sys.version_info >= (3, 14):  # annotations may name what is there for type checkers only
        import annotationlib

        late = {"annotation_format": annotationlib.Format.STRING}
    try:
        signature = inspect.signature(getattr(backend, name), **late)
    except ValueError:  # written in C, without one
        return None
    try:
        signature.bind(*([] if isinstance(method, (staticmethod, classmethod)) else [None]), *args)
    except TypeError:
        return f"method {wanted} cannot be called so, it is {name}({', '.join(signature.parameters)})"
    return None


def _hint(name: str, installed: list[str]) -> str:
    if name in PUBLISHED:
        return f'install it with: pip install "manyhands[{name}]"'
    guess = nearest(name, {*installed, *PUBLISHED})
    return guess.removeprefix(", ") if "did you mean" in guess else ""


# --- metadata ---------------------------------------------------------------------------------


def _entries(group: str) -> list[_Entry]:
    """The entries of *group*; the scan is done again when ``sys.path`` or one of its directories changed."""
    state = {os.path.abspath(path): _modified(path) for path in sys.path if isinstance(path, str)}
    return [entry for entry in _scan(tuple(state.items())) if entry.group == group]


def _modified(path: str) -> int:
    try:
        return os.stat(path or ".").st_mtime_ns
    except (OSError, ValueError):
        return 0


@lru_cache(maxsize=1)
def _scan(state: tuple[tuple[str, int], ...]) -> list[_Entry]:
    """All entries of ours on the path; what is broken or there twice is left out with a warning."""
    found: list[_Entry] = []
    seen: dict[str, str] = {}
    for path, points, metadata in (item for directory, _ in state for item in _distributions(directory)):
        distribution, version = _header(metadata, "Name"), _header(metadata, "Version")
        if not distribution or not _VERSION.fullmatch(version):
            what = f"a bad version ({shorten(version)})" if distribution else "no name"
            warnings.warn(
                f"{printable(path)}: its metadata has {what}, so its plugins are left out",
                ManyhandsWarning,
                stacklevel=2,
            )
            continue
        first = seen.setdefault(re.sub(r"[-_.]+", "-", distribution).lower(), path)
        if first == path:
            found += [_Entry(group, name, value, distribution, version, path) for group, name, value in _parse(points)]
        elif ".egg-info" not in first + path and os.path.realpath(first) != os.path.realpath(path):
            # (an egg-info is what a source tree has beside its own editable install)
            text = f"{distribution} is on the path twice: {printable(first)} is used, {printable(path)} is not"
            warnings.warn(text, ManyhandsWarning, stacklevel=2)
    return found


def _distributions(directory: str) -> Iterator[tuple[str, str, str]]:
    """
    Path, entry points and metadata of each distribution in a *directory* of ``sys.path`` that names us.

    Reads the files itself: importing :mod:`importlib.metadata` takes longer than all else that
    opening a backend of threads does. Archives are left to it.
    """
    try:
        folders = sorted(name for name in os.listdir(directory) if name.endswith((".dist-info", ".egg-info")))
    except NotADirectoryError:
        yield from _archived(directory)
        return
    except (OSError, ValueError):  # entries of sys.path need not exist
        return
    for folder in folders:
        path = os.path.join(directory, folder)
        points = _text(os.path.join(path, "entry_points.txt"))
        if "manyhands." in points:
            yield path, points, _text(os.path.join(path, "METADATA")) or _text(os.path.join(path, "PKG-INFO"))


def _archived(archive: str) -> Iterator[tuple[str, str, str]]:
    from importlib.metadata import DistributionFinder, MetadataPathFinder

    finder = MetadataPathFinder()
    for distribution in finder.find_distributions(DistributionFinder.Context(path=[archive])):
        points = distribution.read_text("entry_points.txt") or ""
        if "manyhands." in points:
            yield archive, points, distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    finder.invalidate_caches()  # it would keep the archive open


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _header(metadata: str, name: str) -> str:
    match = re.search(rf"^{name}:[ \t]*(.*?)[ \t\r]*$", metadata.partition("\n\n")[0], re.MULTILINE | re.IGNORECASE)
    return match[1] if match else ""


def _parse(points: str) -> Iterator[tuple[str, str, str]]:
    """Group, name and value of each line of an ``entry_points.txt``."""
    group = ""
    for line in map(str.strip, points.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield group, name.strip(), value.strip()


def printable(text: str) -> str:
    """The *text* itself, or escaped when a terminal could not show it as it is."""
    return text if text.isprintable() else ascii(text)[1:-1]
