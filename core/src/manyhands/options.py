"""
Settings: frozen, keyword-only, checked when built, so that whoever holds one holds a valid one.

A backend's own options are a subclass of :class:`BackendOptions` whose fields are made by
:func:`setting`; the same declaration serves the check, the conversion from environment variables
and the table of ``manyhands config``.
"""

import math
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs

from .errors import ConfigError

__all__ = ["BackendOptions", "Capabilities", "ExecutorOptions", "TaskOptions", "duration", "setting"]

#: Key of an attrs field's metadata that holds its :class:`Setting`.
SETTING: Final = "manyhands"


@attrs.frozen(kw_only=True)
class Setting:
    """What is allowed for one option: a kind of value, its bounds and its unit."""

    kind: type
    low: float | None = None
    high: float | Callable[[], float] | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    optional: bool = False

    def upper(self) -> float | None:
        """The upper bound on this machine."""
        return self.high() if callable(self.high) else self.high

    def allowed(self) -> str:
        """The allowed values in words: ``1 to 512 threads``."""
        if self.choices:
            return "one of " + ", ".join(repr(choice) for choice in self.choices)
        if self.kind is bool:
            return "true or false"
        low, high = self.low, self.upper()
        unit = f" {self.unit}" if self.unit else ""
        if low is not None and high is not None:
            text = f"{low:g} to {high:.0f}{unit}"
        elif low is not None:
            text = f"at least {low:g}{unit}"
        else:
            text = {int: "an integer", float: "a number", str: "a text", tuple: "a list of texts"}[self.kind]
        return f"{text}, or inf for no limit" if self.kind is float and self.optional else text

    def problem(self, value: object) -> str | None:
        """What is wrong with *value*; None when it is allowed."""
        if value is None:
            return None if self.optional else f"must be {self.allowed()}, got None"
        accepted = (int, float) if self.kind is float else self.kind
        is_bool = isinstance(value, bool)
        if not isinstance(value, accepted) or (is_bool and self.kind is not bool):
            return f"must be {self._kind_name()} ({self.allowed()}), got {shorten(value)}"
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            return f"must be text that can be encoded, got {shorten(value)}"
        if self.choices and value not in self.choices:
            return f"must be {self.allowed()}, got {shorten(value)}"
        if self.kind is tuple and not all(isinstance(item, str) for item in value):  # type: ignore[attr-defined]
            return f"must be a list of texts, got {shorten(value)}"
        if self.kind in (int, float) and not self._in_range(value):  # type: ignore[arg-type]
            return f"must be {self.allowed()}, got {shorten(value)}"
        return None

    def _in_range(self, number: float) -> bool:
        if number != number:  # nan; math.isnan cannot take an int as large as they come
            return False
        if number in (math.inf, -math.inf):
            return number > 0 and self.optional
        high = self.upper()
        return (self.low is None or number >= self.low) and (high is None or number <= high)

    def _kind_name(self) -> str:
        return {int: "an integer", float: "a number", bool: "a boolean", str: "a text", tuple: "a list"}[self.kind]


def setting(default: Any, kind: type, **bounds: Any) -> Any:
    """
    An attrs field for an option: *kind* is one of int, float, bool, str and tuple (of texts).

    Args:
        default: The value when nobody says otherwise; None makes the option optional.
        kind: The kind of value; whole numbers are accepted where a float is asked for.
        bounds: ``low``, ``high`` (a number, or a function when it depends on the machine),
            ``unit``, ``choices``; see :class:`Setting`.
    """
    rule = Setting(kind=kind, **{"optional": default is None, **bounds})

    def check(instance: object, field: "attrs.Attribute[Any]", value: object) -> None:
        problem = rule.problem(value)
        if problem:
            raise ConfigError(f"{type(instance).__name__}.{field.name} {problem}")

    converter = {tuple: _tuple, float: _no_limit}.get(kind) if rule.optional or kind is tuple else None
    return attrs.field(default=default, validator=check, converter=converter, metadata={SETTING: rule})


def _no_limit(value: Any) -> Any:
    """An infinite duration and None say the same; the code that waits knows None only."""
    return None if isinstance(value, float) and value == math.inf else value


def _tuple(value: Any) -> Any:
    """Files give lists; settings are frozen."""
    return tuple(value) if isinstance(value, list) else value


def shorten(value: object, limit: int = 80) -> str:
    """The repr of a value for a message: at most *limit* characters, every character printable."""
    try:
        text = ascii(value)
    except ValueError:  # an int of more digits than Python is willing to print
        return f"an {type(value).__name__} too long to show"
    return text if len(text) <= limit else text[: limit - 3] + "..."


def worker_limit() -> int:
    """Most workers one executor may have: half of the threads this machine allows."""
    try:
        with open("/proc/sys/kernel/threads-max", encoding="ascii") as file:
            return max(1024, int(file.read()) // 2)
    except (OSError, ValueError):  # not Linux: what POSIX systems usually grant a user
        return 2048


def duration(default: float | None, **bounds: Any) -> Any:
    """A setting in seconds; the longest wait is what the platform's locks can count."""
    return setting(default, float, **{"low": 0, "high": threading.TIMEOUT_MAX, "unit": "seconds", **bounds})


@attrs.frozen(kw_only=True)
class Capabilities:
    """
    What a backend can do; everything is False unless it says so.

    What is not offered raises ``UnsupportedError`` at once, and what is offered is checked by the
    contract suite.
    """

    #: Python code in tasks uses more than one CPU at a time.
    parallel_cpu: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: A task that crashes its worker harms nobody else.
    isolation: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: ``cancel(running=True)`` stops a running task.
    cancel_running: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: ``with_options(timeout=)`` stops a running task.
    task_timeout: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: Large buffers reach a task without being copied.
    shared_memory: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: Tasks share this process: arguments arrive as the same objects.
    in_process: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: Workers may be another Python than the caller's.
    foreign_python: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: The same program takes the same steps in the same order each time.
    deterministic: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: Time may be simulated.
    virtual_time: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))
    #: Workers may be on other machines.
    distributed: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool))

    def __attrs_post_init__(self) -> None:
        for one, other in (
            ("in_process", "isolation"),
            ("in_process", "foreign_python"),
            ("in_process", "distributed"),
        ):
            if getattr(self, one) and getattr(self, other):
                raise ConfigError(f"Capabilities.{one} and Capabilities.{other} contradict each other")

    def missing(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """Those of the *wanted* names that are not offered; an unknown name is a ConfigError."""
        known = attrs.asdict(self)
        for name in wanted:
            if name not in known:
                raise ConfigError(f"unknown capability {shorten(name)}, known are {', '.join(known)}")
        return tuple(sorted(name for name in wanted if not known[name]))


@attrs.frozen(kw_only=True)
class BackendOptions:
    """Options that every backend has: the defaults of the executors it makes."""

    #: Most workers at once; None takes the backend's own default.
    max_workers: int | None = setting(None, int, low=1, high=worker_limit, unit="workers")
    #: Start of the workers' names.
    worker_name_prefix: str = setting("", str)
    #: A worker is replaced after that many tasks.
    max_tasks_per_worker: int | None = setting(None, int, low=1, unit="tasks")
    #: A worker is replaced when it uses more memory than that between two tasks.
    max_worker_memory: int | None = setting(None, int, low=1, unit="bytes")
    #: How long a worker waits for work before it ends; None keeps it.
    idle_timeout: float | None = duration(None)
    #: How long a worker may take to come to life.
    start_timeout: float | None = duration(60.0, optional=True)
    #: Most accepted tasks that are not done; ``submit`` blocks beyond.
    max_pending: int | None = setting(None, int, low=1, unit="tasks")
    #: How long a running task that is asked to stop is given to do so.
    grace: float = duration(2.0)
    #: What happens to accepted work at a normal interpreter exit.
    exit_policy: str = setting("finish", str, choices=("finish", "cancel"))


@attrs.frozen(kw_only=True)
class ExecutorOptions(BackendOptions):
    """Everything an engine needs to know; built by ``Backend.executor``."""

    #: Called in each worker before its first task.
    initializer: Callable[..., object] | None = None
    #: Arguments of the initializer.
    initargs: tuple[Any, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.initializer is not None and not callable(self.initializer):
            raise TypeError(f"initializer must be a callable, got {shorten(self.initializer)}")
        if not isinstance(self.initargs, tuple):
            raise TypeError(f"initargs must be a tuple, got {shorten(self.initargs)}")


@attrs.frozen(kw_only=True)
class TaskOptions:
    """Options of single tasks, given by ``executor.with_options(...)``."""

    #: How long the task may run, from its start.
    timeout: float | None = duration(None)
    #: How often it is tried again after it failed.
    retries: int = setting(0, int, low=0, high=1_000_000, unit="retries")
    #: The exceptions that are worth another try.
    retry_on: type[BaseException] | tuple[type[BaseException], ...] = attrs.field(default=(Exception,))
    #: Higher starts earlier among tasks that wait.
    priority: int = setting(0, int, low=-(2**31), high=2**31 - 1)
    #: What logs and errors call the task; None takes the function's name.
    name: str | None = setting(None, str)
    #: How long it is given to stop when asked; None takes the executor's.
    grace: float | None = duration(None)
    #: Whether the caller's context variables follow it.
    context: bool = setting(True, bool)

    @retry_on.validator
    def _check_retry_on(self, field: "attrs.Attribute[Any]", value: object) -> None:
        kinds = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in kinds):
            raise ConfigError(f"TaskOptions.retry_on must be exception classes, got {shorten(value)}")


def merge(options: Any, changes: dict[str, Any]) -> Any:
    """A copy of attrs *options* with *changes*; an unknown name is a ConfigError with the nearest one."""
    known = [field.name for field in attrs.fields(type(options))]
    reject_unknown(changes, known, f"{type(options).__name__} has no option")
    return attrs.evolve(options, **changes) if changes else options


def reject_unknown(given: Iterable[str], known: Iterable[str], sentence: str, *, source: str = "") -> None:
    """Raise a ConfigError for the first *given* name that is not *known*."""
    names = list(known)
    for name in given:
        if name not in names:
            raise ConfigError(f"{sentence} {shorten(name)}{nearest(name, names)}", source=source)


def nearest(name: str, known: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the *known* name that looks most like *name*, else what is known."""
    import difflib  # only for a message

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f", did you mean {close[0]!r}?"
    return f", known are {', '.join(names)}" if names else ""


def cpu_count() -> int:
    """CPUs that this process may use."""
    count = getattr(os, "process_cpu_count", os.cpu_count)() if not hasattr(os, "sched_getaffinity") else 0
    return count or len(os.sched_getaffinity(0))
