"""``_thread`` and ``_dummy_thread``."""

import _thread
from collections.abc import Callable
from typing import Any

from ._face import Face, refusal
from ._threading import has_threads

__all__ = ["FACES"]


def _names(face: Face) -> dict[str, Any]:
    backend = face._backend
    threading = face.sibling("threading")

    def start_new_thread(
        function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, /
    ) -> int:
        """
        Call *function* in a new thread, which dies with the program; returns its identifier.

        An error that it does not catch goes to ``excepthook`` of the module ``threading``.
        """
        if not callable(function):
            raise TypeError(f"the first argument must be callable, got {function!r}")
        if not isinstance(args, tuple):
            raise TypeError(f"the second argument must be a tuple, got {args!r}")
        if kwargs is not None and not isinstance(kwargs, dict):
            raise TypeError(f"the third argument must be a dictionary, got {kwargs!r}")
        thread = threading.Thread(target=function, args=args, kwargs=kwargs, daemon=True)
        thread.start()
        return int(thread.ident)

    def exit() -> None:
        """End this thread: raise SystemExit."""
        raise SystemExit

    beside = has_threads(backend)
    alone = "none of its activities runs beside the interpreter's main thread"
    return {
        "start_new_thread": start_new_thread,
        "allocate_lock": threading.Lock,
        "LockType": threading.Lock,
        "exit": exit,
        "get_ident": threading.get_ident,
        "get_native_id": threading.get_native_id,
        "interrupt_main": _thread.interrupt_main if beside else refusal(face, "interrupt_main", alone),
        "stack_size": _thread.stack_size if beside else refusal(face, "stack_size", "it has no threads"),
        "TIMEOUT_MAX": _thread.TIMEOUT_MAX,
        "error": _thread.error,
    }


FACES = {"_thread": _names, "_dummy_thread": _names}
