"""``manyhands config``: every effective setting with its origin."""

import json
from typing import Any

from ._end import emit
from ._parser import Parser, add_backend_options
from ._show import table

__all__ = ["run"]

#: What the configuration calls a value that was given right here.
_GIVEN_HERE = "configured()"


def run(words: list[str]) -> int:
    """Show the settings that a backend opened now would get."""
    parser = Parser(
        "config",
        "[--backend NAME] [--profile NAME] [--json]",
        "Show every effective setting and where it comes from: a file and its line, a variable, or the default.",
    )
    add_backend_options(parser)
    options, rest = parser.parse(words)
    if rest:
        parser.error(f"there is nothing to be done with {rest[0]!a}")
    general, of_backend = _settings(options)
    if options.json:
        emit(json.dumps({**general, "options": of_backend}, indent=2) + "\n")
        return 0
    backend = general["backend"]["value"]
    named = {**general, **{f"{backend}.{name}": value for name, value in of_backend.items()}}
    rows = [(name, json.dumps(value["value"]), value["origin"]) for name, value in named.items()]
    table(("setting", "value", "origin"), rows)
    return 0


def _settings(options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The general settings and those of the backend, each as its value and origin."""
    from .. import config, registry

    with config.configured(options.backend, profile=options.profile):
        settings = config.resolve()
    backend = registry.load(settings.backend.value, plugins=settings.plugins.value, source=settings.backend.origin)
    general = {
        name: _shown(getattr(settings, name) or config.Value(None, "default"))
        for name in ("backend", "profile", "plugins", "observers", "strict")
    }
    origins = settings.origins(backend.options_type)
    return general, {name: _shown(value) for name, value in origins.items()}


def _shown(value: Any) -> dict[str, Any]:
    return {"value": value.value, "origin": "command line" if value.origin == _GIVEN_HERE else value.origin}
