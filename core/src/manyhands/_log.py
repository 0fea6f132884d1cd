"""The one place that touches structlog; nothing is imported or formatted until somebody listens."""

import logging
from typing import Any

_ROOT = logging.getLogger("manyhands")
_ROOT.addHandler(logging.NullHandler())  # silent until the application asks

__all__ = ["get_logger"]


class Log:
    """Events with bound keys, behind the standard logger *name*: ``log.info("worker.started", worker=2)``."""

    __slots__ = ("_bound", "_logger")

    def __init__(self, logger: logging.Logger, bound: dict[str, Any]) -> None:
        self._logger = logger
        self._bound = bound

    def bind(self, **keys: Any) -> "Log":
        """The same log with more keys on every event."""
        return Log(self._logger, {**self._bound, **keys})

    def debug(self, event: str, **keys: Any) -> None:
        """Once per task."""
        self._emit(logging.DEBUG, event, keys)

    def info(self, event: str, **keys: Any) -> None:
        """Once per worker or executor."""
        self._emit(logging.INFO, event, keys)

    def warning(self, event: str, **keys: Any) -> None:
        """Work or capacity was lost."""
        self._emit(logging.WARNING, event, keys)

    def _emit(self, level: int, event: str, keys: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            _structured(self._logger).log(level, event, **self._bound, **keys)


def _structured(logger: logging.Logger) -> Any:
    """A structlog logger that hands ``event key=value`` records, with the keys as extra, to *logger*."""
    import structlog  # 0.1 s that a silent program does not pay

    return structlog.wrap_logger(
        logger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _render(logger: Any, method: str, event: Any) -> tuple[Any, ...]:
    """The last processor: a readable message, and the keys in ``record.manyhands`` for handlers that want them."""
    name = event.pop("event")
    text = " ".join([str(name), *(f"{key}={value!r}" for key, value in event.items())])
    return (text,), {"extra": {"manyhands": {"event": name, **event}}}


def get_logger(name: str = "manyhands", **bound: Any) -> Log:
    """A log named *name* below ``manyhands``."""
    return Log(logging.getLogger(name), bound)
