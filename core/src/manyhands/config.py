"""
Which backend with which options: the one place that reads files, the environment and ``configured()``.

The layers, the strongest first: arguments, :func:`configured`, environment variables, the project's
file, the user's file, defaults. Each key is taken from the first layer that has it, and every value
carries its origin.
"""

import errno
import os
import re
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final, TypeVar

import attrs

from . import registry
from .errors import ConfigError, ManyhandsWarning
from .options import SETTING, BackendOptions, Setting, nearest, reject_unknown, shorten
from .registry import printable

__all__ = ["configured"]

#: The variables that are not options of a backend, those are ``MANYHANDS_<BACKEND>__<OPTION>``.
VARIABLES: Final = (
    "MANYHANDS_ALLOW_UNSAFE_CONFIG",
    "MANYHANDS_BACKEND",
    "MANYHANDS_CONFIG",
    "MANYHANDS_PROFILE",
    "MANYHANDS_STRICT",
)
DEFAULT_BACKEND: Final = "threading"

_KEYS = {
    "backend": Setting(kind=str),
    "plugins": Setting(kind=tuple),
    "observers": Setting(kind=tuple),
    "strict": Setting(kind=bool),
}
_TOP_LEVEL = {*_KEYS, "profiles"}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_FILE_LIMIT_BYTES = 1 << 20
_DEPTH_LIMIT = 64
_DEEP_KEY = re.compile(rf"(?:^|[\[{{,])[ \t]*(?:[\w\"'-]+[ \t]*\.[ \t]*){{{_DEPTH_LIMIT}}}", re.MULTILINE)

Options = TypeVar("Options", bound=BackendOptions)


@attrs.frozen
class Value:
    """A setting and where it came from: a variable, ``file:line``, ``argument``, ``configured()`` or ``default``."""

    value: Any
    origin: str


@attrs.frozen
class _Text(Value):
    """A value from the environment: what it means is known when the option is."""


@attrs.frozen(kw_only=True)
class _Layer:
    """What one source says: which backend or profile to take, and options for it."""

    backend: Value | None = None
    profile: Value | None = None
    options: Mapping[str, Value] = attrs.field(factory=dict)


_configured: ContextVar[tuple[_Layer, ...]] = ContextVar("manyhands.configured", default=())
_warned: set[str] = set()


@attrs.frozen(kw_only=True)
class Settings:
    """What all layers together say; ``plugins`` holds a tuple or None, ``observers`` a tuple, ``strict`` a bool."""

    backend: Value
    profile: Value | None
    plugins: Value
    observers: Value
    strict: Value
    _options: tuple[Mapping[str, Value], ...]

    def options(self, options_type: type[Options]) -> Options:
        """
        The options of the chosen backend.

        Raises:
            ConfigError: an option is unknown or not allowed; ``source`` is where it came from.
        """
        given = self._given(options_type)
        try:
            return options_type(**{name: value.value for name, value in given.items()})
        except (TypeError, ValueError) as error:
            for name, value in given.items():
                _check_alone(options_type, name, value)
            origins = ", ".join(dict.fromkeys(value.origin for value in given.values()))
            raise ConfigError(f"{options_type.__name__}: {error}", source=origins) from error

    def origins(self, options_type: type[BackendOptions]) -> dict[str, Value]:
        """Each option's value with its origin, errors as from :meth:`options`."""
        given, options = self._given(options_type), self.options(options_type)
        origins = {name: value.origin for name, value in given.items()}
        names = attrs.fields_dict(options_type)
        return {name: Value(getattr(options, name), origins.get(name, "default")) for name in names}

    def _given(self, options_type: type[BackendOptions]) -> dict[str, Value]:
        """The strongest value of each option that any layer gives."""
        fields = attrs.fields_dict(options_type)
        given: dict[str, Value] = {}
        for layer in self._options:
            for name, value in layer.items():
                if name in fields:
                    given.setdefault(name, value)
                elif isinstance(value, _Text):
                    known = [_variable(self.backend.value, option) for option in fields]
                    _unknown_variable(value.origin, known, strict=self.strict.value)
                else:
                    self._reject(name, value, fields)
        rules = {name: field.metadata.get(SETTING) for name, field in fields.items()}
        return {name: _understood(name, value, rules[name]) for name, value in given.items()}

    def _reject(self, name: str, value: Value, known: Mapping[str, Any]) -> None:
        sentence = f"backend {self.backend.value!r} has no option {shorten(name)}"
        if name in _TOP_LEVEL and value.origin not in ("argument", "configured()"):
            problem = f"{sentence}, it belongs at the top level, before all tables"
        elif isinstance(value.value, dict):
            problem = f"{sentence}, options belong directly into the table, without one inside it"
        else:
            problem = sentence + nearest(name, known)
        raise ConfigError(problem, source=value.origin)


def resolve(
    name: str | None = None, overrides: Mapping[str, Any] | None = None, *, allow_unsafe_config: bool = False
) -> Settings:
    """
    Ask every layer.

    Args:
        name: A backend or a profile; None leaves the choice to the other layers.
        overrides: Options given as arguments.
        allow_unsafe_config: Read a file also if others could have written it.

    Raises:
        ConfigError: anything in a layer is malformed, unknown or contradicts itself.
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"the name of a backend must be a text or None, got {shorten(name)}")
    allow = allow_unsafe_config or _first([_setting("MANYHANDS_ALLOW_UNSAFE_CONFIG", bool)], False).value
    files = _files(allow)
    strict = _first([_setting("MANYHANDS_STRICT", bool), *(file.key("strict") for file in files)], False)
    variables = _variables(strict=strict.value)
    layers = [
        _Layer(
            backend=None if name is None else Value(name, "argument"),
            options={option: Value(value, "argument") for option, value in (overrides or {}).items()},
        ),
        *_configured.get(),
        _Layer(backend=_setting("MANYHANDS_BACKEND"), profile=_setting("MANYHANDS_PROFILE")),
        *(_Layer(backend=file.key("backend")) for file in files),
        _Layer(backend=Value(DEFAULT_BACKEND, "default")),
    ]
    backend, profiles = _choose(layers, files)
    return Settings(
        backend=backend,
        profile=profiles[0] if profiles else None,
        plugins=_first([file.key("plugins") for file in files], None),
        observers=_first([file.key("observers") for file in files], ()),
        strict=strict,
        options=(
            *(layer.options for layer in layers),
            variables.get(backend.value, {}),
            *(table for file in files for table in file.options(backend.value, profiles)),
        ),
    )


@contextmanager
def configured(backend: str | None = None, /, *, profile: str | None = None, **options: Any) -> Iterator[None]:
    """
    Settings for whatever is opened in the ``with`` block by this thread or asyncio task; blocks nest.

    Args:
        backend: A backend or a profile, weaker than a name given to ``open_backend``.
        profile: A profile.
        options: Options for whatever backend is chosen.
    """
    for name in (backend, profile):
        if name is not None and not isinstance(name, str):
            raise TypeError(f"the name of a backend or profile must be a text or None, got {shorten(name)}")
    origin = "configured()"
    layer = _Layer(
        backend=None if backend is None else Value(backend, origin),
        profile=None if profile is None else Value(profile, origin),
        options={option: Value(value, origin) for option, value in options.items()},
    )
    token = _configured.set((layer, *_configured.get()))
    try:
        yield
    finally:
        _configured.reset(token)


# --- choosing ---------------------------------------------------------------------------------


def _choose(layers: list[_Layer], files: "list[_File]") -> tuple[Value, list[Value]]:
    """The backend, and the profiles that lead to it: the strongest layer that names either decides."""
    weaker = iter(layers)
    layer = next(layer for layer in weaker if layer.backend or layer.profile)
    backend, profile = layer.backend, layer.profile
    for named in filter(None, (backend, profile)):
        if not named.value.strip() or not named.value.isprintable() or len(named.value) > 80:
            problem = f"the name of a backend or profile must be printable, got {shorten(named.value)}"
            raise ConfigError(problem, source=named.origin)
    if profile is not None and not _profile(profile.value, files):
        known = {name for file in files for name in file.table.get("profiles", {})}
        problem = f"no profile is named {shorten(profile.value)}{nearest(profile.value, known)}"
        raise ConfigError(problem, source=profile.origin)
    if profile is None and backend is not None and _profile(backend.value, files):
        backend, profile = None, backend
    chain: list[Value] = []
    while profile is not None:
        looped = profile.value in [step.value for step in chain]
        chain.append(profile)
        if looped:
            raise ConfigError(f"profiles form a loop: {_path(chain)}", source=profile.origin)
        target = _first([file.key("profiles", profile.value, "backend") for file in files], None)
        if target.value is None and backend is None:  # it leaves the choice to the weaker layers
            target = next(layer.backend for layer in weaker if layer.backend)
        profile = target if _profile(target.value, files) else None
        if profile is None and backend is None:
            backend = target
            if backend.value not in registry.names():  # in a chain, nobody would find the mistake
                problem = f"no profile or backend is named {shorten(backend.value)} ({_path([*chain, backend])})"
                raise ConfigError(problem + nearest(backend.value, registry.names()), source=backend.origin)
    assert backend is not None
    return backend, chain


def _path(steps: list[Value]) -> str:
    return " -> ".join(shorten(step.value) for step in steps)


def _profile(name: Any, files: "list[_File]") -> bool:
    return any(name in file.table.get("profiles", {}) for file in files)


def _first(values: list[Value | None], default: Any) -> Value:
    return next((value for value in values if value is not None), Value(default, "default"))


def _check_alone(options_type: type[BackendOptions], name: str, value: Value) -> None:
    """Raise what is wrong with one option, naming its origin."""
    try:
        options_type(**{name: value.value})
    except ConfigError as error:
        raise ConfigError(error.problem, source=value.origin) from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{options_type.__name__}.{name}: {error}", source=value.origin) from error


# --- environment ------------------------------------------------------------------------------


def _variable(backend: str, option: str) -> str:
    return f"MANYHANDS_{backend}__{option}".upper()


def _setting(name: str, kind: type = str) -> Value | None:
    """What one of ``VARIABLES`` says; empty means unset."""
    text = os.environ.get(name)
    return _understood(name, _Text(text, name), Setting(kind=kind)) if text else None


def _variables(*, strict: bool) -> dict[str, dict[str, Value]]:
    """The options in the environment, by backend; variables that look like ours and are not are pointed out."""
    found: dict[str, dict[str, Value]] = {}
    for name in os.environ:
        if not name.startswith("MANYHANDS_") or name in VARIABLES or not os.environ[name]:
            continue
        backends = registry.names()
        backend, _, option = name.removeprefix("MANYHANDS_").lower().partition("__")
        if backend in backends and option and name.isupper():
            found.setdefault(backend, {})[option] = _Text(os.environ[name], name)
        else:
            options = {option, *attrs.fields_dict(BackendOptions)} - {""}
            known = [_variable(backend, option) for backend in backends for option in options]
            _unknown_variable(name, [*VARIABLES, *known], strict=strict)
    return found


def _unknown_variable(name: str, known: list[str], *, strict: bool) -> None:
    guess = nearest(name.upper(), known)
    if "did you mean" not in guess:  # the whole list is long
        guess = f", known are {', '.join(VARIABLES)} and MANYHANDS_<BACKEND>__<OPTION>"
    problem = f"unknown variable{guess}"
    if strict:
        raise ConfigError(problem, source=printable(name))
    if name not in _warned:
        _warned.add(name)
        warnings.warn(f"{printable(name)}: {problem}", ManyhandsWarning, stacklevel=3)


def _understood(name: str, value: Value, rule: Setting | None) -> Value:
    """The *value* of option *name*; a text from the environment is converted to the option's kind."""
    content = value.value
    if isinstance(content, str) and re.search("[\ud800-\udfff]", content):
        raise ConfigError(f"{name} must be text, got {shorten(content)}", source=value.origin)
    if not isinstance(value, _Text) or rule is None:
        return value
    if not content.strip():
        raise ConfigError(f"{name} is blank, it must be {rule.allowed()}, or empty to be unset", source=value.origin)
    if rule.kind is bool and content.strip().lower() not in _WORDS:
        raise ConfigError(f"{name} must be one of {', '.join(_WORDS)}, got {shorten(content)}", source=value.origin)
    return Value(_converted(content, rule.kind), value.origin)


def _converted(text: str, kind: type) -> Any:
    if kind is bool:
        return _WORDS[text.strip().lower()]
    if kind is tuple:
        return tuple(item.strip() for item in text.split(",") if item.strip())
    try:
        return kind(text)
    except ValueError:
        return text  # the option's own check says best what is allowed


# --- files ------------------------------------------------------------------------------------


@attrs.frozen
class _File:
    """The settings of one file: their *table* stands in *text* below the keys *prefix*."""

    shown: str
    text: str
    table: dict[str, Any]
    prefix: tuple[str, ...] = ()

    def key(self, *path: str) -> Value | None:
        """The value below *path*, None where there is none; lists become tuples."""
        found: Any = self.table
        for key in path:
            if key not in found:
                return None
            found = found[key]
        return Value(tuple(found) if isinstance(found, list) else found, self.origin(*path))

    def options(self, backend: str, profiles: list[Value]) -> Iterator[dict[str, Value]]:
        """The options for *backend*, those of the *profiles* first."""
        for path in (*(("profiles", profile.value) for profile in profiles), (backend,)):
            table = self.key(*path)
            names = table.value if table and isinstance(table.value, dict) else ()
            values = {name: self.key(*path, name) for name in names}
            if path[0] == "profiles":
                values.pop("backend", None)
            yield {name: value for name, value in values.items() if value is not None}

    def origin(self, *path: str) -> str:
        """``file:line`` of the key *path*, or of what it stands in."""
        lines, path = _lines(self.text), (*self.prefix, *path)
        while path and path not in lines:
            path = path[:-1]
        return f"{self.shown}:{lines[path]}" if path else self.shown

    def error(self, problem: str, *path: str) -> ConfigError:
        return ConfigError(problem, source=self.origin(*path))

    def check(self) -> None:
        """Every key must be known and of the right type; options are checked when their backend is known."""
        backends = set(registry.PUBLISHED)
        if self.table.get("profiles") or not self.table.keys() <= {*_TOP_LEVEL, *backends}:
            backends = registry.names()
        for key, value in self.table.items():
            if key not in _KEYS:
                self._check_table(key, value, backends)
            elif problem := _KEYS[key].problem(tuple(value) if isinstance(value, list) else value):
                hint = f"; the options of a backend stand in [NAME], not in [{key}.NAME]"
                raise self.error(f"{key} {problem}{hint if isinstance(value, dict) else ''}", key)
        for name, profile in self.table.get("profiles", {}).items():
            if not isinstance(profile, dict):
                raise self.error(f"{shorten(name)} belongs into a profile: [profiles.NAME]", "profiles", name)
            if name in backends:
                raise self.error(f"a profile cannot have the name of a backend: {name!r}", "profiles", name)
            if problem := _KEYS["backend"].problem(profile.get("backend", "")):
                raise self.error(f"backend {problem}", "profiles", name, "backend")

    def _check_table(self, key: str, value: Any, backends: set[str]) -> None:
        if key == "profiles" or key in backends:
            if not isinstance(value, dict):
                raise self.error(f"{key} must be a table, got {shorten(value)}", key)
        elif key in attrs.fields_dict(BackendOptions):
            raise self.error(f"{key!r} is an option, it belongs into a backend's table like [threading]", key)
        elif key == "tool" and isinstance(value, dict) and "manyhands" in value:
            raise self.error("[tool.manyhands] is for pyproject.toml, here its keys belong at the top level", key)
        else:
            reject_unknown([key], {*_TOP_LEVEL, *backends}, "unknown key", source=self.origin(key))


def _files(allow_unsafe: bool) -> list[_File]:
    """The project's and the user's file, those that are there."""
    named = os.environ.get("MANYHANDS_CONFIG")
    project = _load(named, allow_unsafe, named=True) if named else _project_file(allow_unsafe)
    home = os.environ.get("XDG_CONFIG_HOME", "")
    folder = home if os.path.isabs(home) else os.path.join(os.path.expanduser("~"), ".config")
    user = _load(os.path.join(folder, "manyhands", "config.toml"), allow_unsafe)
    return [file for file in (project, user) if file is not None]


def _project_file(allow_unsafe: bool) -> _File | None:
    """The nearest ``manyhands.toml`` from the working directory upwards, else the nearest project file that has us."""
    try:
        folders = [os.getcwd()]
    except FileNotFoundError:
        return None
    while os.path.dirname(folders[-1]) != folders[-1]:
        folders.append(os.path.dirname(folders[-1]))
    for name in ("manyhands.toml", "pyproject.toml"):
        for folder in folders:
            file = _load(os.path.join(folder, name), allow_unsafe)
            if file is not None:
                return file
    return None


def _load(path: str, allow_unsafe: bool, *, named: bool = False) -> _File | None:
    """The settings in a file; None if it is not there, or is a project file without any."""
    prefix = ("tool", "manyhands") if os.path.basename(path) == "pyproject.toml" else ()
    try:
        data, status = _read(path)
    except (OSError, ConfigError) as error:
        # the search may meet folders that are closed to us, and project files that are none of our business
        if not named and (prefix or not os.path.exists(path)):
            return None
        raise ConfigError(_reading_problem(error), source=_shown(path)) from None
    if prefix and b"manyhands" not in data:
        return None
    shown = _shown(path)
    text = _decoded(data, shown)
    table = _parsed(text, shown)
    for key in prefix:
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{key} must be a table, got {shorten(table)}", source=shown)
    if prefix and not table:
        return None
    if not allow_unsafe:
        _check_owner(status, shown)
    file = _File(shown, text, table, prefix)
    file.check()
    return file


def _read(path: str) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file of acceptable size; never waits, as opening a FIFO would."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError("not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(_FILE_LIMIT_BYTES + 1)  # the size it claims need not be true
    finally:
        os.close(descriptor)
    if len(data) > _FILE_LIMIT_BYTES:
        raise ConfigError(f"larger than {_FILE_LIMIT_BYTES} bytes")
    return data, status


def _reading_problem(error: OSError | ConfigError) -> str:
    if isinstance(error, ConfigError):
        return error.problem
    if isinstance(error, FileNotFoundError):
        return "not found, but MANYHANDS_CONFIG names it"
    if error.errno == errno.ENXIO:  # what opening a socket says
        return "not a regular file"
    return f"cannot be read: {error.strerror}"


def _decoded(data: bytes, shown: str) -> str:
    mark = len(b"\xef\xbb\xbf") if data.startswith(b"\xef\xbb\xbf") else 0
    try:
        text = data[mark:].decode("utf-8")
    except UnicodeDecodeError as error:
        offset = error.start + mark
        raise ConfigError(f"not UTF-8 at byte {offset}, got {data[offset]:#04x}", source=shown) from None
    if "\0" in text:
        raise ConfigError(f"a NUL character at byte {data.index(0)}", source=shown)
    return text


def _parsed(text: str, shown: str) -> dict[str, Any]:
    try:
        return _toml(text)
    except RecursionError:
        raise ConfigError(f"nested deeper than {_DEPTH_LIMIT} levels", source=shown) from None
    except ValueError as error:
        if " (at " not in str(error):  # a number that is too long for the interpreter
            raise ConfigError(f"not valid TOML: {error}", source=shown) from None
        raise _syntax_error(str(error), text, shown) from None


@lru_cache(maxsize=4)
def _toml(text: str) -> dict[str, Any]:
    import tomllib

    if _DEEP_KEY.search(text):  # would take a parser before Python 3.14 minutes
        raise RecursionError
    return tomllib.loads(text)


def _syntax_error(problem: str, text: str, shown: str) -> ConfigError:
    """The parser's words with the place; for a duplicate also the key, which they lack."""
    lines = text.rstrip("\n").split("\n")
    place = re.search(r"at line (\d+), column (\d+)", problem)  # otherwise it says: at end of document
    line, column = (int(place[1]), int(place[2])) if place else (len(lines), len(lines[-1]) + 1)
    words = problem.partition(" (at ")[0]
    if re.search("twice|overwrite|uplicate", words):
        key = ([()] + [key for number, key in _keys(text) if number <= line])[-1]
        first = _lines(text).get(key, line)
        if first < line:
            words = f"duplicate key or table {shorten('.'.join(key))}, first on line {first}"
    problem = f"not valid TOML at line {line}, column {column}: {words[:1].lower()}{words[1:]}"
    return ConfigError(problem, source=f"{shown}:{line}")


_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LINE = re.compile(rf"\s*(?P<table>\[\[?)?\s*(?P<key>{_PART}(?:\s*\.\s*{_PART})*)\s*(?(table)\]|=)")


def _keys(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Line and full name of each key that begins a line, tables included; the parser keeps no places."""
    table: tuple[str, ...] = ()
    inside = ""  # the quotes of a text of several lines
    for number, line in enumerate(text.split("\n"), 1):
        match = None if inside else _LINE.match(line)
        if match:
            key = tuple(part.strip("\"'") for part in re.findall(_PART, match["key"]))
            table = key if match["table"] else table
            yield number, key if match["table"] else (*table, *key)
        for quotes in re.findall("\"\"\"|'''", line):
            inside = quotes if not inside else "" if inside == quotes else inside


@lru_cache(maxsize=4)
def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each key; a table without a line of its own has that of its first key."""
    lines: dict[tuple[str, ...], int] = {}
    for number, key in _keys(text):
        for length in range(1, len(key) + 1):
            lines.setdefault(key[:length], number)
    return lines


def _check_owner(status: os.stat_result, shown: str) -> None:
    """Whoever may write the file decides what runs here: that must be us or root."""
    mode, owner = stat.S_IMODE(status.st_mode), status.st_uid
    if mode & stat.S_IWOTH or owner not in (0, os.geteuid()):
        why = "anybody may write it" if mode & stat.S_IWOTH else "it belongs to somebody else"
        problem = f"not read, as {why} (mode {mode:04o}, owner {owner}); MANYHANDS_ALLOW_UNSAFE_CONFIG=1 allows it"
        raise ConfigError(problem, source=shown)


def _shown(path: str) -> str:
    """A path for a message: relative when below the working directory, every character printable."""
    try:
        relative = os.path.relpath(path)
    except OSError:  # there is no working directory any more
        relative = path
    return printable(path if relative.startswith(os.pardir) else relative)
