"""Commands and pipelines as frozen values: checked when built, started when called."""

import codecs
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any, Final

import attrs

from ..errors import ConfigError
from ..options import duration, setting, shorten
from ._run import CompletedCommand, run
from ._running import RunningCommand

__all__ = ["Command", "Pipeline", "pipeline", "shell_command"]

Text = str | bytes | os.PathLike[str] | os.PathLike[bytes]
_STREAM: Final = "PIPE, DEVNULL, a descriptor, an open file that has one, or None (stderr: also STDOUT)"


def _plain(value: object, what: str) -> str | bytes:
    """A text that can be handed to the system: encodable and without NUL."""
    if not isinstance(value, str | bytes | os.PathLike):
        raise TypeError(f"{what} must be str, bytes or a path")
    text: str | bytes = os.fspath(value)
    try:
        encoded = os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} cannot be encoded as {error.encoding}") from None
    if b"\0" in encoded:
        raise ValueError(f"{what} contains a NUL character")
    return text


def _arguments(value: Sequence[Text]) -> tuple[str | bytes, ...]:
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise TypeError(f"pass a list of arguments, got {shorten(value)}; a text for a shell goes to shell_command")
    if not value:
        raise ValueError("the list of arguments is empty; its first item must be the program")
    return tuple(_plain(item, f"argument {index} of the command, {shorten(item)},") for index, item in enumerate(value))


def _environment(value: Mapping[str, Text] | Mapping[bytes, Text] | None) -> dict[str | bytes, str | bytes] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"Command.env must be a mapping of names to values, got {shorten(value)}")
    environment = {}
    for name, content in value.items():  # which may be secret: messages do not show it
        try:
            key = _plain(name, f"the name {shorten(name)} in Command.env")
            environment[key] = _plain(content, f"the value of {shorten(name)} in Command.env")
        except TypeError as error:
            raise ValueError(str(error)) from None
        if not key or "=" in os.fsdecode(key):
            raise ValueError(f"a name in Command.env must not be empty or contain '=', got {shorten(name)}")
    return environment


def _folder(value: Text | None) -> str | bytes | None:
    return None if value is None else _plain(value, f"Command.cwd, {shorten(value)},")


def _bytes_or_text(value: bytes | bytearray | memoryview | str | None) -> bytes | str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise TypeError(f"Command.input must be bytes or a text, got {shorten(value)}") from None


def _numbers(value: Any) -> Any:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else value


def _check_stream(instance: object, field: "attrs.Attribute[Any]", value: Any) -> None:
    if type(value) is int:  # not True
        allowed = (subprocess.PIPE, subprocess.DEVNULL, *([subprocess.STDOUT] if field.name == "stderr" else []))
        if value < 0 and value not in allowed:
            raise ValueError(f"Command.{field.name} must be {_STREAM}, got {value}")
    elif value is not None:
        try:
            value.fileno()
        except (AttributeError, OSError, ValueError):  # no file, a file in memory, a closed one
            raise TypeError(f"Command.{field.name} must be {_STREAM}, got {shorten(value)}") from None


def _check_account(instance: object, field: "attrs.Attribute[Any]", value: Any) -> None:
    for one in value if isinstance(value, tuple) else () if value is None else (value,):
        if isinstance(one, bool) or not isinstance(one, int | str):
            raise TypeError(f"Command.{field.name} must be given by number or name, got {shorten(one)}")


def _check_descriptors(instance: object, field: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, tuple) or not all(isinstance(one, int) and one >= 0 for one in value):
        raise ValueError(f"Command.{field.name} must be descriptors, got {shorten(value)}")


def _only_args_by_position(cls: type[Any], fields: "list[attrs.Attribute[Any]]") -> "list[attrs.Attribute[Any]]":
    return [field if field.name == "args" else field.evolve(kw_only=True) for field in fields]


@attrs.frozen(repr=False, field_transformer=_only_args_by_position)
class Command:
    """
    An external command as a value: ``Command(["sha256sum", path])()`` runs it.

    It can be pickled, so ``executor.submit(command)`` runs it on any backend. It runs in a session
    of its own. When its time is up, when it writes too much, when its task is cancelled or its
    caller interrupted, everything that it started is stopped: SIGTERM, ``grace`` seconds, SIGKILL.
    A daemon that has left the session and its parents before that is beyond reach; if it still
    holds an output, a note on the error names it. A command that ends by itself may leave
    processes behind; as with :func:`subprocess.run`, those that hold an output are waited for.

    Options not listed have the names and meanings of :class:`subprocess.Popen`.

    Args:
        args: The program and its arguments, a list; no shell is involved.
        timeout: Seconds that it may run; None and ``math.inf`` do not limit it.
        env: The whole environment; None passes on that of the caller.
        cwd: The folder to run in.
        input: What to send to its stdin; bytes, or a text in text mode.
        output_limit: Most bytes that it may write to stdout, and to stderr, when these are pipes.
        check: Whether an exit code other than 0 is an error.
        stdin: Where input comes from; nothing unless said otherwise, None is the caller's own.
        stdout: Where output goes: kept for the result unless said otherwise, None is the caller's own.
        stderr: As *stdout*.
        text: Outputs are texts instead of bytes; so do *encoding* and *errors*.
        start_new_session: False leaves it in the caller's session, in a group of its own.
        process_group: The group to join; 0 is as ``start_new_session=False``. A group of others
            is never signalled as a whole.
        grace: Seconds to comply with SIGTERM.

    Raises:
        TypeError: *args* is no list, or an argument has a wrong type.
        ConfigError: an option is out of bounds; a ValueError.
        ValueError: a text cannot be handed to the system, or options contradict each other.
    """

    args: tuple[str | bytes, ...] = attrs.field(converter=_arguments)
    timeout: float | None = duration(None)
    env: dict[str | bytes, str | bytes] | None = attrs.field(default=None, converter=_environment, hash=False)
    cwd: str | bytes | None = attrs.field(default=None, converter=_folder)
    input: bytes | str | None = attrs.field(default=None, converter=_bytes_or_text)
    output_limit: int | None = setting(None, int, low=0, unit="bytes")
    check: bool = setting(True, bool)
    stdin: int | IO[Any] | None = attrs.field(default=subprocess.DEVNULL, validator=_check_stream)
    stdout: int | IO[Any] | None = attrs.field(default=subprocess.PIPE, validator=_check_stream)
    stderr: int | IO[Any] | None = attrs.field(default=subprocess.PIPE, validator=_check_stream)
    text: bool | None = setting(None, bool)
    encoding: str | None = setting(None, str)
    errors: str | None = setting(None, str)
    close_fds: bool = setting(True, bool)
    pass_fds: tuple[int, ...] = attrs.field(default=(), converter=_numbers, validator=_check_descriptors)
    restore_signals: bool = setting(True, bool)
    start_new_session: bool = setting(True, bool)
    process_group: int | None = setting(None, int, low=0)
    user: int | str | None = attrs.field(default=None, validator=_check_account)
    group: int | str | None = attrs.field(default=None, validator=_check_account)
    extra_groups: tuple[int | str, ...] | None = attrs.field(default=None, converter=_numbers, validator=_check_account)
    umask: int = setting(-1, int, low=-1, high=0o777)
    pipesize: int = setting(-1, int, low=-1, unit="bytes")
    grace: float = duration(2.0)

    def __attrs_post_init__(self) -> None:
        if self.input is not None:
            if self.stdin not in (subprocess.DEVNULL, subprocess.PIPE):
                raise ValueError("Command.stdin and Command.input may not both be used")
            if isinstance(self.input, str) != self.in_text_mode:
                wanted, hint = ("a text", "") if self.in_text_mode else ("bytes", ", or text=True be given")
                raise TypeError(f"Command.input must be {wanted}{hint}, got {type(self.input).__name__}")
        for name, what, look in (
            ("encoding", "encoding", codecs.lookup),
            ("errors", "error handler", codecs.lookup_error),
        ):
            value = getattr(self, name)
            try:
                if value is not None:
                    look(value)
            except LookupError:
                raise ConfigError(f"Command.{name} must be a known {what}, got {shorten(value)}") from None

    @property
    def in_text_mode(self) -> bool:
        """Whether outputs are texts."""
        return bool(self.text or self.encoding or self.errors)

    def __call__(self) -> CompletedCommand:
        """
        Run it and wait for its end.

        Raises:
            CommandError: it could not be started, failed, or wrote more than ``output_limit``.
            CommandTimeoutError: it ran longer than ``timeout``.
            concurrent.futures.CancelledError: it runs in a task that somebody asked to stop.
        """
        return run([self])[0]

    def start(self) -> RunningCommand:
        """
        Start it and return at once; ``timeout`` and ``check`` are for a command that is called, and not used.

        Raises:
            CommandError: it could not be started.
        """
        return RunningCommand(self)

    def __repr__(self) -> str:
        # What it is given to work on may be secret.
        hidden = {"env", "input"}
        options = [
            f"{field.name}={'...' if field.name in hidden else repr(value)}"
            for field in attrs.fields(Command)[1:]
            if (value := getattr(self, field.name)) != field.default
        ]
        return f"Command({', '.join([repr(list(self.args)), *options])})"


def shell_command(text: str, /, **options: Any) -> Command:
    """
    A command line for ``/bin/sh``, as it is: nothing is put into it, and nobody quotes what is in it.

    Args:
        text: The command line. Text from elsewhere does not belong in here; hand it over through ``env``.
        options: Those of :class:`Command`.
    """
    if not isinstance(text, str):
        raise TypeError(f"shell_command takes one text, got {shorten(text)}; a list of arguments goes to Command")
    return Command(["/bin/sh", "-c", text], **options)


@attrs.frozen(repr=False)
class Pipeline:
    """Commands that read what the one before writes; built by :func:`pipeline`, run by calling it."""

    commands: tuple[Command, ...]
    timeout: float | None = duration(None)
    output_limit: int | None = setting(None, int, low=0, unit="bytes")

    def __attrs_post_init__(self) -> None:
        if not self.commands:
            raise ValueError("a pipeline needs at least one command")
        for command in self.commands:
            if not isinstance(command, Command):
                raise TypeError(f"a pipeline is made of commands, got {shorten(command)}")
        for command in self.commands[1:]:
            if command.input is not None or command.stdin != subprocess.DEVNULL:
                raise ValueError(f"only the first command of a pipeline may have input or stdin, not {command!r}")
        for command in self.commands[:-1]:
            if command.stdout != subprocess.PIPE:
                raise ValueError(f"only the last command of a pipeline may have stdout, not {command!r}")

    def __call__(self) -> CompletedCommand:
        """
        Run all of it and wait for the end.

        Returns:
            The result of the last command, with those of all in ``stages``.

        Raises:
            CommandError: of the first command that could not be started or failed; a writer that
                SIGPIPE ended, because its reader had read enough, has not failed.
            CommandTimeoutError: a command ran longer than its or the pipeline's ``timeout``.
            concurrent.futures.CancelledError: it runs in a task that somebody asked to stop.
        """
        stages = run([self._limited(command) for command in self.commands])
        return attrs.evolve(stages[-1], stages=tuple(stages))

    def _limited(self, command: Command) -> Command:
        timeouts = [timeout for timeout in (self.timeout, command.timeout) if timeout is not None]
        limit = self.output_limit if command.output_limit is None else command.output_limit
        return attrs.evolve(command, timeout=min(timeouts, default=None), output_limit=limit)

    def __repr__(self) -> str:
        return f"pipeline({', '.join(map(repr, self.commands))})"


def pipeline(*commands: Command, timeout: float | None = None, output_limit: int | None = None) -> Pipeline:
    """
    Connect each command's stdout to the stdin of the next; calling the result runs all of them.

    Args:
        commands: Their own options hold too, each in its place.
        timeout: Seconds that the whole may run.
        output_limit: Most bytes that one may write to an output that is kept, if it has no limit of its own.
    """
    return Pipeline(commands, timeout, output_limit)
