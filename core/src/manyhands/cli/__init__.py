"""
The command line ``manyhands``.

One module per command, imported when it is asked for; each has ``run(arguments) -> exit code``.
Exit codes: 0; 1 an item failed, or output cannot be written; 2 bad usage, one line on stderr; 130
Ctrl-C; 141 the reader of the output has gone.
"""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from ._end import End, complain, emit

__all__ = ["main"]

#: What there is, with what it does.
COMMANDS: Final = {
    "map": "apply a function or a command to many inputs",
    "backends": "list the backends that are installed, or explain which one is chosen",
    "config": "show every effective setting and where it comes from",
    "check": "run the contract suite against a backend",
}
USAGE: Final = "usage: manyhands [--help] [--version] COMMAND ..."
INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that *argv* asks for (without the program's name; None takes that of the process)."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = f"manyhands {words[0]}" if words and words[0] in COMMANDS else "manyhands"
    shown, warnings.showwarning = warnings.showwarning, _show_warning
    try:
        return _run(words)
    except KeyboardInterrupt:
        return INTERRUPTED
    except End as end:
        if end.usage:
            complain(end.usage)
        if end.message:
            complain(f"{name}: {end.message}")
        return end.code
    except Exception as error:
        from ..errors import ManyhandsError

        if not isinstance(error, ManyhandsError):
            raise
        complain(f"{name}: {_sentence(error)}")
        return 2
    finally:
        warnings.showwarning = shown


def _run(words: list[str]) -> int:
    first = words[0] if words else ""
    if first in COMMANDS:
        module = import_module(f".{first}", __name__)
        return int(module.run(words[1:]))
    if first in ("--help", "-h"):
        width = max(map(len, COMMANDS))
        commands = "".join(f"  {name:{width}}  {purpose}\n" for name, purpose in COMMANDS.items())
        emit(f"{USAGE}\n\ncommands (each has its own --help):\n{commands}")
        return 0
    if first == "--version":
        from importlib.metadata import version

        emit(f"manyhands {version('manyhands')}\n")
        return 0
    if not words:
        raise End(2, f"a command is missing, there are {', '.join(COMMANDS)}")
    from ..options import nearest, shorten

    if first.startswith("-"):
        raise End(2, f"unknown option {shorten(first)}{nearest(first, ('--help', '--version'))}", usage=USAGE)
    raise End(2, f"unknown command {shorten(first)}{nearest(first, COMMANDS)}")


def _show_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    """Show a warning as one line, without the place in the code if it is one of ours."""
    from ..errors import ManyhandsWarning

    place = "" if issubclass(category, ManyhandsWarning) else f"{filename}:{lineno}: {category.__name__}: "
    complain(f"manyhands: warning: {place}{message}")


def _sentence(error: Exception) -> str:
    """What *error* says; where a setting was given right here, without saying so."""
    from ..errors import ConfigError, UnknownBackendError

    if isinstance(error, ConfigError | UnknownBackendError) and error.source in ("argument", "configured()"):
        error.source = ""
    if isinstance(error, UnknownBackendError) and not error.hint:
        from ..registry import names

        error.hint = f"known are {', '.join(sorted(names()))}"
    return str(error)
