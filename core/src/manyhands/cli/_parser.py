"""Options and their values, with errors of one line."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ._end import End, emit

__all__ = ["Parser", "add_backend_options", "whole_number"]

_NUMBER = re.compile(r"-\d+$|-\d*\.\d+$")


class _Once(argparse.Action):
    """Stores the value of an option that may be given once."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option_string: Any = None) -> None:
        if self.dest in parser.given:
            raise argparse.ArgumentError(self, "is given twice")
        parser.given.add(self.dest)
        setattr(namespace, self.dest, self.const if self.nargs == 0 else values)


class _Flag(_Once):
    """An option without a value."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, const=True, default=False, help=help)


class Parser(argparse.ArgumentParser):
    """
    Parses options only: whatever else there is comes back as a list of words, in order.

    Every error is an :class:`End` with exit code 2 and one line, after the usage if an option is wrong.
    """

    def __init__(self, command: str, usage: str, description: str, *, epilog: str | None = None) -> None:
        super().__init__(
            prog=f"manyhands {command}",
            usage=f"manyhands {command} {usage}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            exit_on_error=False,
        )
        self.given: set[str] = set()
        self.color = False  # since Python 3.14 there are colours, which do not belong into one plain line
        self.register("action", None, _Once)
        self.register("action", "store", _Once)
        self.register("action", "store_true", _Flag)
        self.add_argument("--json", action="store_true", help="machine-readable output")

    def parse(self, words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """The options, and the other words."""
        try:
            namespace, rest = self.parse_known_args(words)
        except argparse.ArgumentError as error:
            if isinstance(error.__context__, argparse.ArgumentTypeError):
                self.error(f"option {error.argument_name} {error.message}")
            problem = "needs a value" if error.message.startswith("expected") else error.message
            raise End(2, f"option {error.argument_name} {problem}", usage=self.format_usage().strip()) from None
        for word in rest:
            if word.startswith("-") and word != "-" and not _NUMBER.match(word):
                self._unknown(word)
        return namespace, rest

    def _unknown(self, word: str) -> NoReturn:
        from ..options import nearest, shorten

        name = word.partition("=")[0]
        known = [option for option in self._option_string_actions if option.startswith("--")]
        raise End(2, f"unknown option {shorten(name)}{nearest(name, known)}", usage=self.format_usage().strip())

    def error(self, message: str) -> NoReturn:
        raise End(2, message)

    def print_help(self, file: Any = None) -> None:
        emit(self.format_help())

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise End(status, message or "")


def whole_number(low: int) -> Callable[[str], int]:
    """A converter for the value of an option: a whole number of at least *low*."""

    def convert(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if number < low:
            from ..options import shorten

            raise argparse.ArgumentTypeError(f"must be a whole number of at least {low}, got {shorten(text)}")
        return number

    return convert


def add_backend_options(parser: Parser) -> None:
    """The options that choose a backend."""
    parser.add_argument("--backend", metavar="NAME", help="the backend, or a profile; else the configuration says")
    parser.add_argument("--profile", metavar="NAME", help="a profile of the configuration")
