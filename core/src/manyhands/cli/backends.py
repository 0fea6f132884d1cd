"""``manyhands backends``: what is installed, and which one would be opened."""

import json
from typing import Any

from ._end import emit
from ._parser import Parser
from ._show import table

__all__ = ["run"]


def run(words: list[str]) -> int:
    """List the installed backends, or explain the choice."""
    parser = Parser(
        "backends",
        "[--load] [--json] | --explain [NAME] [--requires CAPABILITY ...] [--json]",
        "List the backends that are installed; nothing of them is imported unless --load asks for it.",
    )
    parser.add_argument("--load", action="store_true", help="import each one: does it work, and what can it do?")
    parser.add_argument(
        "--explain", metavar="NAME", nargs="?", const="", help="which one would be opened, and why the others not"
    )
    parser.add_argument(
        "--requires", metavar="CAPABILITY", nargs="+", default=(), help="with --explain: what it must offer"
    )
    options, rest = parser.parse(words)
    if rest:
        parser.error(f"there is nothing to be done with {rest[0]!a}")
    if options.explain is None and options.requires:
        parser.error("option --requires goes with --explain only")
    if options.explain is not None:
        return _explain(options)
    return _list(options)


def _list(options: Any) -> int:
    from .. import config, registry

    infos = registry.backends(load=options.load, plugins=config.resolve().plugins.value)
    if options.json:
        emit(json.dumps([info.to_json() for info in infos], indent=2) + "\n")
        return 0
    rows = [
        (info.name, info.distribution, info.version, info.status, _offered(info.capabilities), info.error or "")
        for info in infos
    ]
    if rows:
        table(("name", "distribution", "version", "status", "capabilities", "error"), rows)
    else:
        emit('no backend is installed; install one with: pip install "manyhands[threading]"\n')
    return 0


def _offered(capabilities: Any) -> str:
    if capabilities is None:
        return "?"  # known when it is loaded
    import attrs

    return " ".join(name for name, offered in attrs.asdict(capabilities).items() if offered) or "none"


def _explain(options: Any) -> int:
    import attrs

    from ..backend import explain

    explanation = explain(options.explain or None, requires=options.requires)
    if options.json:
        emit(json.dumps(attrs.asdict(explanation), indent=2) + "\n")
    else:
        candidates = explanation.candidates
        table(("backend", "verdict", "reason"), [(one.name, one.verdict, one.reason) for one in candidates])
    return 0
