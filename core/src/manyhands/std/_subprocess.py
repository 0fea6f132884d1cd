"""
``subprocess``.

An external process is the same on every backend, so these are the standard library's own objects.
:class:`manyhands.Command` does more (it stops all that a command has started, and ends with its
task), but differs where old programs would notice: in the session and the standard input of what
it runs, and in the error for a program that is not there. ``shell=True`` is the standard library's
too; for new programs there is :func:`manyhands.shell_command`.
"""

import subprocess
from typing import Any

from ._face import Face

__all__ = ["FACES"]


def _names(_face: Face) -> dict[str, Any]:
    return {name: getattr(subprocess, name) for name in (*subprocess.__all__, "list2cmdline")}


FACES = {"subprocess": _names}
