"""Opening a backend: by name, by config, or by what it must be able to do."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import attrs

from .. import config, hooks, registry
from ..errors import BackendLoadError, ManyhandsError, UnknownBackendError, UnsupportedError
from ..executor import Executor
from .base import Backend

__all__ = ["Candidate", "Explanation", "explain", "open_backend", "open_executor"]


@attrs.frozen
class Candidate:
    """One backend, and why it was chosen or not."""

    name: str
    #: ``chosen``, ``not needed``, ``not installed``, ``broken``, ``blocked``, ``duplicate``, ``invalid`` or ``lacks``.
    verdict: str
    #: The reason in words.
    reason: str


@attrs.frozen
class Explanation:
    """What ``open_backend`` would do; ``str()`` is the table."""

    #: The backend that would be opened; None when none fits.
    chosen: str | None
    candidates: tuple[Candidate, ...]

    def __str__(self) -> str:
        rows = [("backend", "verdict", "reason"), *((c.name, c.verdict, c.reason) for c in self.candidates)]
        name, verdict = (max(len(row[column]) for row in rows) for column in (0, 1))
        return "\n".join(f"{row[0]:{name}}  {row[1]:{verdict}}  {row[2]}".rstrip() for row in rows)


def open_backend(name: str | None = None, /, *, requires: Iterable[str] = (), **options: Any) -> Backend[Any]:
    """
    Open a backend.

    Args:
        name: A backend or a profile; None asks the config, and ``threading`` if that says nothing.
        requires: Names of capabilities: the configured backend if it offers them all, else the
            first installed one that does.
        options: Options of that backend, before those of the config.

    Raises:
        UnknownBackendError: it is not installed.
        BackendLoadError: it is installed but cannot be used; also when no candidate fits.
        ConfigError: an option, a file or a variable is wrong.
        UnsupportedError: no installed backend offers what is required.
    """
    settings, kind = choose(name, requires, options)
    for observer in settings.observers.value:
        hooks.register(observer, partial(registry.load_observer, observer, source=settings.observers.origin))
    return kind(settings.options(kind.options_type))


def choose(name: str | None, requires: Iterable[str], options: dict[str, Any]) -> tuple[Any, type[Backend[Any]]]:
    """What :func:`open_backend` with these arguments opens: the settings, and the class."""
    settings = config.resolve(name, options)
    required = frozenset(requires)
    kind = _load(settings, settings.backend.value)
    if required and kind.capabilities.missing(required):
        kind = _first_that_fits(settings, required)
        settings = config.resolve(kind.name, options)
    return settings, kind


def open_executor(
    name: str | None = None, /, max_workers: int | None = None, *, requires: Iterable[str] = (), **options: Any
) -> Executor:
    """
    A backend and an executor of it in one; closing the executor closes the backend (``executor.backend``).

    Arguments and errors as those of :func:`open_backend` and of ``Backend.executor``.
    """
    initializer = {key: options.pop(key) for key in ("initializer", "initargs") if key in options}
    if max_workers is not None:
        options["max_workers"] = max_workers
    backend = open_backend(name, requires=requires, **options)
    try:
        executor = backend.executor(**initializer)
    except BaseException:
        backend.close()
        raise
    executor._owns_backend = True
    return executor


def explain(name: str | None = None, /, *, requires: Iterable[str] = (), **options: Any) -> Explanation:
    """
    What ``open_backend`` with the same arguments would open, and why; loads every candidate, guarded.

    Raises:
        ConfigError: an option, a file or a variable is wrong, or a capability is unknown.
    """
    settings = config.resolve(name, options)
    required = frozenset(requires)
    wanted = settings.backend.value
    candidates: list[Candidate] = []
    chosen: str | None = None
    names = [info.name for info in registry.backends(plugins=settings.plugins.value)]
    for candidate in [wanted, *(other for other in names if other != wanted)]:
        verdict, reason = _judge(settings, candidate, required)
        if verdict == "chosen":
            if candidate == wanted:
                reason = f"asked for by {settings.backend.origin}"
            if chosen is not None or (candidate != wanted and not required):
                verdict, reason = "not needed", f"{chosen or wanted} was asked for or comes first"
            else:
                chosen = candidate
        candidates.append(Candidate(candidate, verdict, reason))
    return Explanation(chosen, tuple(candidates))


def _judge(settings: Any, name: str, required: frozenset[str]) -> tuple[str, str]:
    try:
        missing = _load(settings, name).capabilities.missing(required)
    except UnknownBackendError as error:
        return "not installed", error.hint or str(error)
    except BackendLoadError as error:
        status = {info.name: info.status for info in registry.backends(plugins=settings.plugins.value)}.get(
            name, "broken"
        )
        return ("broken" if status in ("installed", "loaded") else status), "; ".join(error.problems)
    if missing:
        return "lacks", f"does not offer {', '.join(missing)}"
    return "chosen", "offers what is required"


def _load(settings: Any, name: str) -> Any:
    source = settings.backend.origin if name == settings.backend.value else ""
    return registry.load(
        name, plugins=settings.plugins.value, source="" if source in ("default", "argument") else source
    )


def _first_that_fits(settings: Any, required: frozenset[str]) -> Any:
    problems = []
    for info in registry.backends(plugins=settings.plugins.value):
        try:
            kind = _load(settings, info.name)
        except ManyhandsError as error:
            problems.append(str(error))
            continue
        if not kind.capabilities.missing(required):
            return kind
    failed = f" ({'; '.join(problems)})" if problems else ""
    installed = ", ".join(info.name for info in registry.backends(plugins=settings.plugins.value))
    raise UnsupportedError(installed, f"{', '.join(sorted(required))}{failed}")
